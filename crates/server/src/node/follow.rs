//! What the nodes of one system share and each keeps in memory: clients, keys and a declared loss,
//! in a sandbox clock and faults too. A node looks whether any of it changed, twice a second, and a
//! sandbox's at the start of every request.
//!
//! (S) A node that has not looked for 2 seconds answers nothing that depends on what it keeps. So
//! whoever changes something and waits for 2 seconds knows that no node goes by what was before,
//! also where one hangs or can't reach the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterfoil_core::clock::{Clock, Deviation, Millis};
use counterfoil_store::{Changes, StoreError};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::http::around::UNMATCHED;
use crate::node::app::App;
use crate::node::keys::KeysError;
use crate::node::timekeeping;

/// How long after a change no node goes by what was before.
pub(crate) const REACHES_ALL_WITHIN: Duration = Duration::from_secs(2);
/// How long what a look found is gone by, in milliseconds; the rest of the 2 seconds is for the
/// requests that were let in until then. Time in which the machine was suspended counts.
const TRUSTED_FOR: Millis = 1750;
/// How often a node looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why nothing can be said now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The store can't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys in it can't be used here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The look that a request waited for failed.
    #[error("this node could not look for changes in time")]
    NotInTime,
    /// A look that was shared with other requests failed.
    #[error(transparent)]
    Shared(Arc<Unavailable>),
    /// None succeeded lately.
    #[error(
        "this node has not looked for changes lately: it can't reach the database, or is overloaded"
    )]
    Behind,
    /// Clocks disagree, and what time it is is not known.
    #[error("it is not known what time it is: {}", .0.map_or("a clock is wrong".into(), |off| off.to_string()))]
    Unsure(Option<Deviation>),
}

/// What a node knows of changes.
#[derive(Debug, Default)]
pub struct Follow {
    /// How many looks have begun.
    begun: AtomicU64,
    last: tokio::sync::Mutex<Last>,
    /// The last look that succeeded.
    looked: Mutex<Option<Looked>>,
}

/// A look that succeeded.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// When it began, by the machine's uptime.
    at: Millis,
    /// The store's number of changes that is in memory here since.
    changes: i64,
}

/// The last look that came to its end.
#[derive(Debug)]
struct Last {
    number: u64,
    outcome: Result<(), Arc<Unavailable>>,
}

impl Default for Last {
    fn default() -> Self {
        Self { number: 0, outcome: Ok(()) }
    }
}

impl Follow {
    /// Looks once, and reads what has changed. Whoever comes while a look is under way shares the
    /// next one: what began before they came can't be trusted to have seen what they ask about. So
    /// a flood of callers costs one look at a time.
    ///
    /// # Errors
    /// [`Unavailable`]; what is in memory may be older than what is in the store.
    pub async fn look(&self, app: &App) -> Result<(), Unavailable> {
        // Boxed, so that requests do not carry the room for what they seldom wait for.
        let look = async |known| {
            timeout(PATIENCE, Box::pin(changes(app, known)))
                .await
                .unwrap_or(Err(Unavailable::NotInTime))
        };
        self.joined(&app.clock, look).await
    }

    /// The first look of a node, which reads everything and may take longer.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn begin(&self, app: &App) -> Result<(), Unavailable> {
        self.joined(&app.clock, async |known| Box::pin(changes(app, known)).await).await
    }

    async fn joined(
        &self,
        clock: &Clock,
        look: impl AsyncFnOnce(Option<i64>) -> Result<i64, Unavailable>,
    ) -> Result<(), Unavailable> {
        let needed = self.begun.load(Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.number < needed {
            // A look that is dropped half-way leaves the last one as it was, and its number to
            // nobody.
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let at = clock.uptime();
            let known = self.changes();
            let looked = look(known).await;
            let mut kept = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match looked {
                Ok(changes) => {
                    *kept = Some(Looked { at, changes });
                    Ok(())
                }
                Err(error) => {
                    // (S) What was revoked may be good again in it, so nothing is answered from
                    // this moment on.
                    if matches!(error, Unavailable::Store(StoreError::Forgot)) {
                        *kept = None;
                    }
                    Err(error)
                }
            };
            drop(kept);
            (last.number, last.outcome) = (number, outcome.map_err(Arc::new));
        }
        last.outcome.clone().map_err(Unavailable::Shared)
    }

    /// Whether too long ago was looked, at this uptime.
    fn is_behind(&self, uptime: Millis) -> bool {
        self.looked().is_none_or(|looked| uptime - looked.at > TRUSTED_FOR)
    }

    fn looked(&self) -> Option<Looked> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of changes that is in memory here.
    fn changes(&self) -> Option<i64> {
        self.looked().map(|looked| looked.changes)
    }
}

/// Reads what has changed since the store's number of changes was `known`; gives what it is now.
async fn changes(app: &App, known: Option<i64>) -> Result<i64, Unavailable> {
    // The number comes first: a change in between is read twice, and none is missed.
    let asked = app.clock.uptime();
    let Changes { number: changes, database } = app.store.changes().await?;
    if let Some(database) = database {
        timekeeping::weigh(app, Some((asked.midpoint(app.clock.uptime()), database)));
    }
    if known != Some(changes) {
        app.store.forget_kept();
        // Before what is held against the time.
        if app.is_sandbox() {
            app.clock.set_offset(app.store.clock_offset().await?);
        }
        app.reload_clients().await?;
        app.keys.reload(&app.store).await?;
        app.reload_bearers_from().await?;
        if let Some(sandbox) = &app.sandbox {
            sandbox.faults.read(&app.store).await?;
        }
    }
    Ok(changes)
}

/// What a request that was let in goes by: the number of changes that was in memory then. `None`
/// where it depends on nothing that changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoesBy(Option<i64>);

/// Whether a request to `route` may be answered by what this node has in memory.
///
/// # Errors
/// [`Unavailable`].
pub(crate) async fn check(app: &App, route: &str) -> Result<GoesBy, Unavailable> {
    let depends =
        !matches!(route, "/health/live" | "/metrics" | UNMATCHED) && !route.starts_with("/assets/");
    if !depends {
        return Ok(GoesBy(None));
    }
    let shared = app.store.is_shared();
    // What was set on one node holds on the others from the next request on.
    if shared && app.is_sandbox() {
        app.follow.look(app).await?;
    } else if shared && app.follow.is_behind(app.clock.uptime()) {
        return Err(Unavailable::Behind);
    }
    if app.clock.is_unsure() && needs_time(route) {
        return Err(Unavailable::Unsure(app.clock.off()));
    }
    Ok(GoesBy(shared.then(|| app.follow.changes()).flatten()))
}

/// Whether what a route does depends on what time it is. What is ended is so by a flag, and can be
/// ended at any time.
fn needs_time(route: &str) -> bool {
    !matches!(route, "/revoke" | "/jwks" | "/openapi.json" | "/health/ready")
        && !route.starts_with("/.well-known/")
}

/// Whether the answer of a request that was let in may still be given: one that took long, on a
/// node that could not look meanwhile, may rest on what was dropped since.
///
/// # Errors
/// [`Unavailable`].
pub(crate) async fn check_again(app: &App, GoesBy(changes): GoesBy) -> Result<(), Unavailable> {
    let Some(changes) = changes.filter(|_| app.follow.is_behind(app.clock.uptime())) else {
        return Ok(());
    };
    app.follow.look(app).await?;
    if app.follow.changes() == Some(changes) { Ok(()) } else { Err(Unavailable::Behind) }
}

/// Looks until it is dropped.
pub(crate) async fn keep_following(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut behind = false;
    loop {
        ticks.tick().await;
        let looked = app.follow.look(&app).await;
        let was_behind = std::mem::replace(&mut behind, app.follow.is_behind(app.clock.uptime()));
        match looked {
            Err(Unavailable::Shared(error))
                if behind
                    && !was_behind
                    && matches!(*error, Unavailable::Store(StoreError::Forgot)) =>
            {
                tracing::error!("ALARM: {error}");
            }
            Err(error) if behind && !was_behind => {
                tracing::error!(%error, "changes are not seen; requests are refused until they are")
            }
            Ok(()) if was_behind => tracing::info!("changes are seen again; requests are answered"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
