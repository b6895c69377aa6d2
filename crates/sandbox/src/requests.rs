//! The last requests of clients to a sandbox, with their answers, for the page at `/sandbox` and for
//! grading.
//!
//! Requests are kept whole, secrets included, and only in memory. `evidence.rs` masks them before
//! they are shown.

mod evidence;
mod headers;
mod leaks;
mod watch;

pub use evidence::evidence;
pub use headers::Headers;
pub use leaks::{Leak, leaks};
pub use watch::watch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use tokio::sync::watch as channel;

/// The status recorded for a request whose client hung up before the answer. No answer of ours has
/// it.
pub const HUNG_UP: u16 = 499;

/// A request and its answer.
#[derive(Debug)]
pub struct RequestRecord {
    /// When it came in, by the sandbox's clock.
    pub at: Timestamp,
    /// When it came in, for measuring intervals.
    pub came: Instant,
    /// When it was answered.
    pub answered: Instant,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body, as far as the handler read it.
    pub body: Bytes,
    /// The status of its answer; [`HUNG_UP`] if the client did not wait for one.
    pub status: StatusCode,
    /// The headers of its answer.
    pub answer_headers: Headers,
    /// The body of its answer.
    pub answer: Bytes,
    /// Whether a fault dropped the answer.
    pub lost: bool,
    /// The client that sent it, if known.
    pub client: Option<Arc<str>>,
    /// The grant it was about, if known.
    pub grant: Option<GrantId>,
    /// Why it was refused.
    pub reason: Option<String>,
}

impl RequestRecord {
    /// Its path.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// Its query; empty if it has none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// The last requests.
#[derive(Debug)]
pub struct Requests {
    /// How many there have been, and the last of them, oldest first.
    list: Mutex<(u64, VecDeque<Arc<RequestRecord>>)>,
    count: channel::Sender<u64>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { list: Mutex::default(), count: channel::Sender::new(0) }
    }
}

impl Requests {
    /// The last requests, oldest first.
    pub fn last(&self) -> Vec<Arc<RequestRecord>> {
        self.list().1.iter().cloned().collect()
    }

    /// How many requests there have been; changes with each.
    pub fn count(&self) -> channel::Receiver<u64> {
        self.count.subscribe()
    }

    /// The current count, and the requests since `count`, as far as they are kept.
    pub fn since(&self, count: u64) -> (u64, Vec<Arc<RequestRecord>>) {
        let list = self.list();
        let (now, kept) = (list.0, &list.1);
        let new = usize::try_from(now.saturating_sub(count)).unwrap_or(usize::MAX).min(kept.len());
        (now, kept.iter().skip(kept.len() - new).cloned().collect())
    }

    pub(super) fn add(&self, request: RequestRecord, most: usize) {
        let mut list = self.list();
        let (count, kept) = &mut *list;
        *count += 1;
        kept.drain(..(kept.len() + 1).saturating_sub(most));
        kept.push_back(Arc::new(request));
        self.count.send_replace(*count);
    }

    fn list(&self) -> MutexGuard<'_, (u64, VecDeque<Arc<RequestRecord>>)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
