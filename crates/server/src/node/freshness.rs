//! Whether cached state is fresh enough to answer a request.

use std::sync::Arc;

use counterfoil_store::StoreError;
use tokio::time::{MissedTickBehavior, interval};

use crate::node::app::App;
use crate::node::poll::{INTERVAL, Unavailable};

/// What the answers of a route depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DependsOn {
    /// Nothing that changes.
    Nothing,
    /// Cached state.
    State,
    /// Cached state and the time.
    StateAndTime,
}

/// The change number when the request was admitted; `None` if nothing it depends on changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basis(Option<i64>);

/// Whether a request may be answered from cached state.
///
/// # Errors
/// [`Unavailable`].
pub(crate) async fn check(app: &App, depends_on: DependsOn) -> Result<Basis, Unavailable> {
    if depends_on == DependsOn::Nothing {
        return Ok(Basis(None));
    }
    let shared = app.store.is_shared();
    // In a sandbox, what is set on one node applies on the others from the next request on.
    if shared && app.is_sandbox() {
        app.poll().await?;
    } else if shared && app.poll.is_stale(app.clock.uptime()) {
        return Err(Unavailable::Stale);
    }
    if depends_on == DependsOn::StateAndTime && app.clock.is_unsure() {
        return Err(Unavailable::Unsure(app.clock.off()));
    }
    Ok(Basis(shared.then(|| app.poll.changes()).flatten()))
}

/// Whether the answer may still be sent. A slow request on a node that could not poll meanwhile may
/// depend on state dropped since.
///
/// # Errors
/// [`Unavailable`].
pub(crate) async fn check_again(app: &App, Basis(changes): Basis) -> Result<(), Unavailable> {
    let Some(changes) = changes.filter(|_| app.poll.is_stale(app.clock.uptime())) else {
        return Ok(());
    };
    app.poll().await?;
    if app.poll.changes() == Some(changes) { Ok(()) } else { Err(Unavailable::Stale) }
}

/// Polls until dropped.
pub(crate) async fn keep_polling(app: Arc<App>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stale = false;
    loop {
        ticks.tick().await;
        let polled = app.poll().await;
        let was_stale = std::mem::replace(&mut stale, app.poll.is_stale(app.clock.uptime()));
        match polled {
            Err(Unavailable::Shared(error))
                if stale
                    && !was_stale
                    && matches!(*error, Unavailable::Store(StoreError::Forgot)) =>
            {
                tracing::error!("ALARM: {error}");
            }
            Err(error) if stale && !was_stale => {
                tracing::error!(%error, "changes are not seen; requests are refused until they are")
            }
            Ok(()) if was_stale => tracing::info!("changes are seen again; requests are answered"),
            _ => {}
        }
    }
}
