//! The last requests of clients to a sandbox, with their answers: what the page at `/sandbox`
//! shows, and what a client is graded by.
//!
//! The whole of a request is kept, secrets too, in memory and for this process alone; whoever shows
//! one masks it (`evidence.rs`).

mod evidence;
mod exposed;
mod headers;

pub use evidence::evidence;
pub use exposed::{Exposed, exposed};
pub use headers::Headers;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::sync::watch;

use crate::http::observe::Seen;
use crate::node::app::App;
use crate::sandbox::faults::loses_answer;

/// How many requests are kept: what the page shows and some more. Each one that is kept longer
/// costs those that come after it a little.
const KEPT: usize = 64;
/// How many are kept while a client is graded: what may come between two looks at it.
const KEPT_WHILE_GRADED: usize = 500;
/// How much of a body is kept, in bytes.
const LARGEST_KEPT: usize = 16 * 1024;

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
    count: watch::Sender<u64>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { list: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Requests {
    /// The last requests, the oldest first.
    pub fn last(&self) -> Vec<Arc<Observed>> {
        self.list().1.iter().cloned().collect()
    }

    /// How many requests there ever were; changes with every one.
    pub fn count(&self) -> watch::Receiver<u64> {
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

    fn add(&self, request: Observed, most: usize) {
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

/// Which requests are kept: those of clients, and the browser's to `/authorize`. Pages with
/// passwords are not.
fn is_kept(path: &str) -> bool {
    const ROOTS: [&str; 8] = [
        "/token",
        "/revoke",
        "/introspect",
        "/userinfo",
        "/accounts",
        "/jwks",
        "/authorize",
        "/auth",
    ];
    ROOTS.iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) || path.starts_with("/.well-known/")
}

/// A request that is under way. One that is dropped before its end is one whose client hung up.
pub struct Watched(Option<UnderWay>);

struct UnderWay {
    app: Arc<App>,
    at: Timestamp,
    came: Instant,
    method: Method,
    target: String,
    headers: Headers,
    /// Its body, as far as the handler has read it.
    body: Arc<Mutex<Vec<u8>>>,
}

impl Watched {
    /// Watches a request to a sandbox. Its body is copied while the handler reads it: what the
    /// handler leaves unread, or bounds, is so here too.
    pub fn begin(app: &Arc<App>, request: Request) -> (Request, Option<Self>) {
        if !app.is_sandbox() || !is_kept(request.uri().path()) {
            return (request, None);
        }
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let (method, headers) = (parts.method.clone(), Headers::copied(&parts.headers));
        let copy = Arc::new(Mutex::default());
        let (app, at, body_copied) = (app.clone(), app.clock.now(), Arc::clone(&copy));
        let watched = Self(Some(UnderWay {
            app,
            at,
            came: Instant::now(),
            method,
            target,
            headers,
            body: body_copied,
        }));
        let body = body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                let mut copy: MutexGuard<'_, Vec<u8>> =
                    copy.lock().unwrap_or_else(PoisonError::into_inner);
                let room = LARGEST_KEPT.saturating_sub(copy.len());
                copy.extend_from_slice(&data[..data.len().min(room)]);
            }
            frame
        });
        (Request::from_parts(parts, Body::new(body)), Some(watched))
    }

    /// Keeps the request with its answer, and loses the answer where a fault asks for it.
    pub async fn end(mut self, response: Response) -> Response {
        let Some(request) = self.0.take() else {
            return response;
        };
        let app = request.app.clone();
        let (parts, body) = response.into_parts();
        // Every answer of ours is whole in memory, so this neither waits nor fails.
        let answer = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let seen = parts.extensions.get::<Seen>().cloned().unwrap_or_default();
        let client = match (&seen.client, seen.grant) {
            (None, Some(grant)) => {
                app.store.terms(grant).await.ok().flatten().map(|terms| terms.client.clone())
            }
            (known, _) => known.clone(),
        };
        let done =
            request.target.split('?').next() == Some("/token") && parts.status == StatusCode::OK;
        let lost = match client.as_deref().filter(|_| done) {
            Some(client) => loses_answer(&app, client).await,
            None => false,
        };
        let kept = answer.slice(..answer.len().min(LARGEST_KEPT));
        let seen = Seen { client, ..seen };
        request.keep(parts.status, Headers::copied(&parts.headers), kept, lost, seen);
        Response::from_parts(parts, if lost { Body::new(Lost) } else { Body::from(answer) })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(request), Ok(status)) = (self.0.take(), StatusCode::from_u16(HUNG_UP)) {
            request.keep(status, Headers::default(), Bytes::new(), false, Seen::default());
        }
    }
}

impl UnderWay {
    fn keep(
        self,
        status: StatusCode,
        answer_headers: Headers,
        answer: Bytes,
        lost: bool,
        seen: Seen,
    ) {
        let Some(sandbox) = &self.app.sandbox else {
            return;
        };
        let body = std::mem::take(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner));
        let most = if sandbox.grading.playing().is_some() { KEPT_WHILE_GRADED } else { KEPT };
        let request = Observed {
            at: self.at,
            came: self.came,
            answered: Instant::now(),
            method: self.method,
            target: self.target,
            headers: self.headers,
            body: body.into(),
            status,
            answer_headers,
            answer,
            lost,
            client: seen.client,
            grant: seen.grant,
            reason: seen.reason,
        };
        sandbox.requests.add(request, most);
    }
}

/// A body that breaks before its first byte. Nothing of the answer has left by then, so the
/// connection ends without one.
struct Lost;

impl HttpBody for Lost {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("the answer is lost on purpose"))))
    }
}
