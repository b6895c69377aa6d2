//! Whether the store can be written, found out by writing now and then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use counterfoil_core::clock::{Clock, Millis};
use counterfoil_store::Store;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long the store may take to be written; whoever asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a write that succeeded speaks for the probes after it, in milliseconds, unless a
/// request was answered with 503 since.
const GOOD_FOR: Millis = 3000;

/// Whether the store can be written, found out by writing now and then: probes share what was
/// found. While it can't, each probes anew, but for those that came while another was at it.
#[derive(Debug, Default)]
pub struct Writable {
    last: Mutex<Option<Probe>>,
    /// How often it was looked.
    probes: AtomicU64,
    /// Whether a request was answered with 503 since.
    doubted: AtomicBool,
}

/// What was found out last.
#[derive(Debug)]
struct Probe {
    /// By the machine's uptime.
    at: Millis,
    outcome: Result<(), String>,
}

impl Writable {
    /// A request was answered with 503: what was found may not be so any more.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::SeqCst);
    }

    pub(crate) async fn check(&self, store: &Store, clock: &Clock) -> Result<(), String> {
        let late = || "no answer in time".to_owned();
        let came = self.probes.load(Ordering::SeqCst);
        let Ok(mut last) = timeout(PATIENCE, self.last.lock()).await else {
            return Err(late());
        };
        if let Some(Probe { at, outcome }) = &*last {
            let is_good = outcome.is_ok()
                && !self.doubted.load(Ordering::SeqCst)
                && clock.uptime() - at < GOOD_FOR;
            if is_good || self.probes.load(Ordering::SeqCst) > came {
                return outcome.clone();
            }
        }
        self.doubted.store(false, Ordering::SeqCst);
        let written = timeout(PATIENCE, store.probe()).await;
        let outcome = written
            .map_err(|_| late())
            .and_then(|written| written.map_err(|error| error.to_string()));
        self.probes.fetch_add(1, Ordering::SeqCst);
        *last = Some(Probe { at: clock.uptime(), outcome: outcome.clone() });
        outcome
    }
}
