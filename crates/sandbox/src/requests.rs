//! The last requests of clients to a sandbox, with their answers: what the page at `/sandbox`
//! shows, and what a client is graded by.
//!
//! The whole of a request is kept, secrets too, in memory and for this process alone; whoever shows
//! one masks it (`evidence.rs`).

mod evidence;
mod exposed;
mod headers;
mod watch;

pub use evidence::evidence;
pub use exposed::{Exposed, exposed};
pub use headers::Headers;
pub use watch::watch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use tokio::sync::watch as channel;

/// What stands for the status of a request that its client gave up before it was answered. No
/// answer of ours has it.
pub const HUNG_UP: u16 = 499;

/// A request and its answer.
#[derive(Debug)]
pub struct Observed {
    /// When it came in, as the sandbox's clock had it.
    pub at: Timestamp,
    /// When it came in, for measuring how long after another.
    pub came: Instant,
    /// When it was answered.
    pub answered: Instant,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body, as far as it was read.
    pub body: Bytes,
    /// The status of its answer; [`HUNG_UP`] where the client did not wait for one.
    pub status: StatusCode,
    /// The headers of its answer.
    pub answer_headers: Headers,
    /// The body of its answer.
    pub answer: Bytes,
    /// Whether the answer was lost on its way, on purpose.
    pub lost: bool,
    /// The client that sent it, where that is known.
    pub client: Option<Arc<str>>,
    /// The grant that it was about, where that is known.
    pub grant: Option<GrantId>,
    /// Why it was refused, in plain words.
    pub reason: Option<String>,
}

impl Observed {
    /// The path that it went to.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// Its query; empty where it has none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// The last requests.
#[derive(Debug)]
pub struct Requests {
    /// How many there ever were, and the last of them, the oldest first.
    list: Mutex<(u64, VecDeque<Arc<Observed>>)>,
    count: channel::Sender<u64>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { list: Mutex::default(), count: channel::Sender::new(0) }
    }
}

impl Requests {
    /// The last requests, the oldest first.
    pub fn last(&self) -> Vec<Arc<Observed>> {
        self.list().1.iter().cloned().collect()
    }

    /// How many requests there ever were; changes with every one.
    pub fn count(&self) -> channel::Receiver<u64> {
        self.count.subscribe()
    }

    /// The requests since there were `count` of them, as far as they are kept, and how many there
    /// are now.
    pub fn since(&self, count: u64) -> (u64, Vec<Arc<Observed>>) {
        let list = self.list();
        let (now, kept) = (list.0, &list.1);
        let new = usize::try_from(now.saturating_sub(count)).unwrap_or(usize::MAX).min(kept.len());
        (now, kept.iter().skip(kept.len() - new).cloned().collect())
    }

    pub(super) fn add(&self, request: Observed, most: usize) {
        let mut list = self.list();
        let (count, kept) = &mut *list;
        *count += 1;
        kept.drain(..(kept.len() + 1).saturating_sub(most));
        kept.push_back(Arc::new(request));
        self.count.send_replace(*count);
    }

    fn list(&self) -> MutexGuard<'_, (u64, VecDeque<Arc<Observed>>)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
