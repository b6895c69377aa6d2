//! Polls for changes to the state that nodes share and cache: clients, keys, a declared loss, and
//! in a sandbox clock and faults. A node polls twice a second, a sandbox's at the start of every
//! request.
//!
//! (S) A node whose last poll is 2 seconds old answers nothing that depends on cached state. So a
//! change is in force on every node within 2 seconds, even on one that hangs or can't reach the
//! database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterfoil_core::clock::{Clock, Deviation, Millis};
use counterfoil_store::StoreError;

use crate::node::keys::KeysError;

/// A change is in force on every node within this time.
pub(crate) const IN_FORCE_WITHIN: Duration = Duration::from_secs(2);
/// How long a poll result stays valid, in milliseconds of uptime, including suspension. The rest of
/// the 2 seconds is for requests in flight.
const POLL_VALID_FOR: Millis = 1750;
/// How often a node polls.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
/// The time-out of a poll.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// Why a request can't be answered now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The store can't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's keys can't be used here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The poll that a request waited for timed out.
    #[error("this node could not poll for changes in time")]
    TimedOut,
    /// A poll shared with other requests failed.
    #[error(transparent)]
    Shared(Arc<Unavailable>),
    /// No poll has succeeded lately.
    #[error("this node's state is stale: it can't reach the database, or is overloaded")]
    Stale,
    /// Clocks disagree, so the time is unknown.
    #[error("it is not known what time it is: {}", .0.map_or("a clock is wrong".into(), |off| off.to_string()))]
    Unsure(Option<Deviation>),
}

/// A node's polls.
#[derive(Debug, Default)]
pub struct Poll {
    /// How many have started.
    begun: AtomicU64,
    last: tokio::sync::Mutex<Last>,
    snapshot: Mutex<Option<Snapshot>>,
}

/// The cached state after the last successful poll.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    /// When the poll started, by the machine's uptime.
    at: Millis,
    /// The store's change number then.
    changes: i64,
}

/// The last completed poll.
#[derive(Debug)]
struct Last {
    number: u64,
    result: Result<(), Arc<Unavailable>>,
}

impl Default for Last {
    fn default() -> Self {
        Self { number: 0, result: Ok(()) }
    }
}

impl Poll {
    /// Polls once with `poll`, which takes the cached change number and returns the new one. A
    /// caller who arrives while a poll is in flight shares the next one, because the one in flight
    /// may have missed what this caller needs. So a flood of callers costs one poll at a time.
    ///
    /// # Errors
    /// [`Unavailable`]; cached state may be stale.
    pub(crate) async fn run(
        &self,
        clock: &Clock,
        poll: impl AsyncFnOnce(Option<i64>) -> Result<i64, Unavailable>,
    ) -> Result<(), Unavailable> {
        let needed = self.begun.load(Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.number < needed {
            // A poll dropped half-way leaves `last` unchanged and uses up its number.
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let at = clock.uptime();
            let known = self.changes();
            let polled = poll(known).await;
            let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            let result = match polled {
                Ok(changes) => {
                    *snapshot = Some(Snapshot { at, changes });
                    Ok(())
                }
                Err(error) => {
                    // (S) The database has lost writes, so revoked grants may look valid in it:
                    // answer nothing from here on.
                    if matches!(error, Unavailable::Store(StoreError::Forgot)) {
                        *snapshot = None;
                    }
                    Err(error)
                }
            };
            drop(snapshot);
            (last.number, last.result) = (number, result.map_err(Arc::new));
        }
        last.result.clone().map_err(Unavailable::Shared)
    }

    /// Whether cached state is too old to answer from, at this uptime.
    pub(crate) fn is_stale(&self, uptime: Millis) -> bool {
        self.snapshot().is_none_or(|snapshot| uptime - snapshot.at > POLL_VALID_FOR)
    }

    /// Changes whenever cached state changes; `None` before the first poll.
    pub(crate) fn changes(&self) -> Option<i64> {
        self.snapshot().map(|snapshot| snapshot.changes)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
