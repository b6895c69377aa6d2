//! The middleware around every request to a sandbox: records clients' requests with their answers,
//! and drops an answer if a fault asks for that.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use counterfoil_core::clock::Seconds;
use counterfoil_server::App;
use counterfoil_server::http::observe::LogContext;
use hyper::body::{Frame, SizeHint};

use super::{HUNG_UP, Headers, RequestRecord};
use crate::Sandbox;

/// How many requests are kept: what the page shows and a few more. Each kept request makes later ones
/// a little slower.
const KEPT: usize = 64;
/// How many are kept while a client is graded: as many as may arrive between two polls.
const KEPT_WHILE_GRADED: usize = 500;
/// How much of a body is kept, in bytes.
const LARGEST_KEPT: usize = 16 * 1024;

/// Whether requests to a path are kept: clients' are, and the browser's to `/authorize`; pages with
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

/// The middleware.
pub async fn watch(
    State((app, sandbox)): State<(Arc<App>, Arc<Sandbox>)>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(sandbox.clone());
    if !is_kept(request.uri().path()) {
        return next.run(request).await;
    }
    let (request, recording) = Recording::begin(app, sandbox, request);
    let response = next.run(request).await;
    recording.end(response).await
}

/// Records a request in flight. Dropped before its end, it records that the client hung up.
struct Recording(Option<InFlight>);

struct InFlight {
    app: Arc<App>,
    sandbox: Arc<Sandbox>,
    came: Instant,
    method: Method,
    target: String,
    headers: Headers,
    /// Its body, as far as the handler has read it by now.
    body: Arc<Mutex<Vec<u8>>>,
}

impl Recording {
    /// The body is copied as the handler reads it, so what the handler leaves unread or cuts off is
    /// missing here too.
    fn begin(app: Arc<App>, sandbox: Arc<Sandbox>, request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let copy = Arc::default();
        let recording = Self(Some(InFlight {
            app,
            sandbox,
            came: Instant::now(),
            method: parts.method.clone(),
            target,
            headers: Headers::copied(&parts.headers),
            body: Arc::clone(&copy),
        }));
        (Request::from_parts(parts, Body::new(Tee { body, copy })), recording)
    }

    /// Records the request with its answer, and drops the answer if a fault asks for that.
    async fn end(mut self, response: Response) -> Response {
        let Some(request) = self.0.take() else {
            return response;
        };
        let (parts, body) = response.into_parts();
        // Our answers are held in memory whole, so this neither waits nor fails.
        let answer = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let context = parts.extensions.get::<LogContext>().cloned().unwrap_or_default();
        let store = &request.app.store;
        let client = match (&context.client, context.grant) {
            (None, Some(grant)) => {
                store.terms(grant).await.ok().flatten().map(|terms| terms.client.clone())
            }
            (known, _) => known.clone(),
        };
        let done =
            request.target.split('?').next() == Some("/token") && parts.status == StatusCode::OK;
        let lost = match client.as_deref().filter(|_| done) {
            Some(client) => request.sandbox.faults.loses_answer(store, client).await,
            None => false,
        };
        let kept = answer.slice(..answer.len().min(LARGEST_KEPT));
        let context = LogContext { client, ..context };
        request.keep(parts.status, Headers::copied(&parts.headers), kept, lost, context);
        Response::from_parts(parts, if lost { Body::new(BrokenBody) } else { Body::from(answer) })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let (Some(request), Ok(status)) = (self.0.take(), StatusCode::from_u16(HUNG_UP)) {
            request.keep(status, Headers::default(), Bytes::new(), false, LogContext::default());
        }
    }
}

impl InFlight {
    fn keep(
        self,
        status: StatusCode,
        answer_headers: Headers,
        answer: Bytes,
        lost: bool,
        context: LogContext,
    ) {
        let body = std::mem::take(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner));
        let is_graded = self.sandbox.grading.playing().is_some();
        let most = if is_graded { KEPT_WHILE_GRADED } else { KEPT };
        // By the clock as it is now: another node may have moved it, and this one learns of that only
        // while answering.
        let took = Seconds::try_from(self.came.elapsed().as_secs()).unwrap_or(0);
        let request = RequestRecord {
            at: self.app.clock.now().plus(-took),
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
            client: context.client,
            grant: context.grant,
            reason: context.reason,
        };
        self.sandbox.requests.add(request, most);
    }
}

/// A body that copies what is read from it.
struct Tee {
    body: Body,
    copy: Arc<Mutex<Vec<u8>>>,
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LARGEST_KEPT.saturating_sub(copy.len());
            copy.extend_from_slice(&data[..data.len().min(room)]);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Body limits rely on it.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that fails before its first byte. Nothing of the answer is sent by then, so the connection
/// ends without one.
struct BrokenBody;

impl HttpBody for BrokenBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("the answer is lost on purpose"))))
    }
}
