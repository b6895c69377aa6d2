//! Whether the store is writable, probed by an occasional write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use counterfoil_core::clock::{Clock, Millis};
use counterfoil_store::Store;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a probe may take; callers wait no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a successful probe stays valid, in milliseconds, unless a request got a 503 since.
const GOOD_FOR: Millis = 3000;

/// Whether the store is writable. Probes share results; while writes fail, each caller probes
/// again, except those who were waiting for a probe in flight.
#[derive(Debug, Default)]
pub struct Writable {
    last: Mutex<Option<Probe>>,
    /// How many probes were made.
    probes: AtomicU64,
    /// Whether a request got a 503 since.
    doubted: AtomicBool,
}

/// The last result.
#[derive(Debug)]
struct Probe {
    /// By the machine's uptime.
    at: Millis,
    outcome: Result<(), String>,
}

impl Writable {
    /// A request got a 503, so the last result may be outdated.
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
