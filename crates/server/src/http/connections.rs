//! The connections of a listener: how many, how long each may wait for its client, and how they
//! shut down in order. Our own loop on hyper, because axum-server has no limit on connections, has
//! one time-out for both idle connections and slow heads, and can't keep serving while answers
//! already say `Connection: close`.

mod body;
mod connection;
mod timeout_stream;
mod tls;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::node::app::App;
use crate::node::metrics::ConnectionCounts;
use body::RequestBody;
use connection::{Connection, Signal};
use timeout_stream::TimeoutStream;
pub use tls::{Tls, TlsError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::Service;

/// How much of a head is read at all. A head between
/// [`LARGEST_HEAD`](crate::http::head::LARGEST_HEAD) and this is refused in the shape of its path;
/// beyond this the path is unknown, and the answer is a bare 431.
const LONGEST_HEAD_READ: usize = 64 * 1024;
/// How long to wait before accepting again after the system failed to give a connection.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// How often a waiting connection looks for another that can be closed.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);
/// How often the log repeats that the connection limit is reached.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long a connection that has sent nothing yet may stay once the listener closes: its request
/// may be in flight.
const NEWCOMER: Duration = Duration::from_secs(1);

/// The limits of a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long the head of a request may take, from its first byte. The first head and the TLS
    /// handshake count from the start of the connection.
    pub head: Duration,
    /// How long a client may go without reading any of its answer.
    pub write: Duration,
    /// How many connections may be open at once.
    pub limit: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(15),
            write: Duration::from_secs(30),
            limit: 512,
        }
    }
}

/// How far a listener has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It accepts connections.
    Open,
    /// It accepts no more. Idle connections are closed, the others after their answer.
    Closing,
    /// What is left is cut off.
    Cut,
}

/// A listener and what it serves.
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Where it listens.
    pub socket: TcpListener,
    /// The certificate, where the server terminates TLS itself.
    pub tls: Option<Arc<Tls>>,
    /// What it serves.
    pub router: Router,
    /// The limits of its connections.
    pub bounds: Bounds,
    /// When it shuts down.
    pub end: End,
}

/// When a listener shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// First, once the requests in flight are finished.
    InOrder,
    /// Last, so that monitoring sees the server until its end.
    Last,
}

/// What all connections of a listener share.
struct Shared {
    app: Arc<App>,
    name: &'static str,
    tls: Option<Arc<Tls>>,
    router: Router,
    bounds: Bounds,
    http: http1::Builder,
    /// One permit per connection.
    room: Arc<Semaphore>,
    /// Whether a connection is waiting for room.
    crowded: AtomicBool,
    open: Mutex<Open>,
    counts: ConnectionCounts,
}

/// The open connections, by number.
#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections that have waited longest for their client, a few at a time, so that
    /// not every newcomer has to search. False where there are none.
    fn make_room(&self) -> bool {
        let open = self.open();
        let mut waiting: Vec<_> = open
            .connections
            .values()
            .filter_map(|connection| Some((connection.makes_room()?, connection)))
            .collect();
        waiting.sort_unstable_by_key(|(order, _)| *order);
        let few = 1 + self.bounds.limit / 64;
        for (_, connection) in waiting.iter().take(few) {
            connection.send(Signal::MakeRoom);
            self.counts.made_room.inc();
        }
        !waiting.is_empty()
    }

    fn send_to_all(&self, signal: Signal) {
        self.open().connections.values().for_each(|connection| connection.send(signal));
    }
}

/// A connection's entry among the open ones, removed on drop.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Entry {
    fn new(shared: &Arc<Shared>, permit: OwnedSemaphorePermit) -> Self {
        let connection = Arc::new(Connection::new());
        let mut open = shared.open();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        drop(open);
        shared.counts.open.inc();
        Self { shared: shared.clone(), number, connection, _permit: permit }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.open().connections.remove(&self.number);
        self.shared.counts.open.dec();
    }
}

/// Limits how often something is logged.
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Serves a listener until its `stage` is [`Stage::Closing`], and returns once its connections have
/// ended.
///
/// # Errors
/// The listener can't be used.
pub(crate) async fn listen(
    app: Arc<App>,
    listener: Listener,
    mut stage: watch::Receiver<Stage>,
) -> io::Result<()> {
    let Listener { name, socket, tls, router, bounds, end: _ } = listener;
    let counts = app.metrics.connections(name);
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let mut http = http1::Builder::new();
    // hyper's only time-out for heads also ends idle connections; ours are in `timeout_stream`.
    http.timer(TokioTimer::new()).header_read_timeout(None).max_header_size(LONGEST_HEAD_READ);
    let room = Arc::new(Semaphore::new(bounds.limit));
    counts.limit.set(i64::try_from(bounds.limit).unwrap_or(i64::MAX));
    let shared = Arc::new(Shared {
        app,
        name,
        tls,
        router,
        bounds,
        http,
        room,
        crowded: AtomicBool::new(false),
        open: Mutex::default(),
        counts,
    });
    let mut throttles = (LogThrottle(None), LogThrottle(None));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => take(&shared, stream, &stage, &mut throttles.0).await,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely. Retrying at once would spin.
                shared.counts.not_accepted.inc();
                shared.make_room();
                if throttles.1.is_due() {
                    tracing::error!(listener = name, %error, "no connection could be taken; it is tried again");
                }
                sleep(AFTER_ERROR).await;
            }
        }
    }
    // Make room for connections that the system has already accepted, and serve them: closing the
    // listener would reset them, and their requests may already be in flight.
    shared.send_to_all(Signal::Close);
    // Asks the system, because the runtime learns of a new connection a moment late.
    let listener = listener.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Ok(stream) =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
                {
                    take(&shared, stream, &stage, &mut throttles.0).await;
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
    drop(listener);
    shared.send_to_all(Signal::Close);
    let all = u32::try_from(bounds.limit).unwrap_or(u32::MAX);
    tokio::select! {
        _ = shared.room.acquire_many(all) => return Ok(()),
        _ = stage.wait_for(|stage| *stage == Stage::Cut) => {}
    }
    shared.send_to_all(Signal::Cut);
    let _ = shared.room.acquire_many(all).await;
    Ok(())
}

/// Whether accepting failed for that connection alone.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves a new connection. At the limit, an idle one is closed to make room; where all are busy,
/// this waits.
async fn take(
    shared: &Arc<Shared>,
    stream: TcpStream,
    stage: &watch::Receiver<Stage>,
    throttle: &mut LogThrottle,
) {
    let permit = match shared.room.clone().try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => match wait_for_room(shared, stage.clone(), throttle).await {
            Some(permit) => permit,
            None => return,
        },
    };
    let entry = Entry::new(shared, permit);
    tokio::spawn(serve(entry, stream));
}

async fn wait_for_room(
    shared: &Arc<Shared>,
    mut stage: watch::Receiver<Stage>,
    throttle: &mut LogThrottle,
) -> Option<OwnedSemaphorePermit> {
    if throttle.is_due() {
        let (listener, limit) = (shared.name, shared.bounds.limit);
        tracing::warn!(
            listener,
            limit,
            "there are as many connections as there may be: idle ones are closed, or new ones wait"
        );
    }
    // From now on answers say that they are the last of their connection.
    shared.crowded.store(true, Ordering::Relaxed);
    let mut waited = false;
    let permit = loop {
        let found_one = shared.make_room();
        if !found_one && !std::mem::replace(&mut waited, true) {
            shared.counts.waited.inc();
        }
        tokio::select! {
            permit = shared.room.clone().acquire_owned() => break permit.ok(),
            () = sleep(LOOK_FOR_ROOM) => {}
            _ = stage.wait_for(|stage| *stage == Stage::Cut) => break None,
        }
    };
    shared.crowded.store(false, Ordering::Relaxed);
    permit
}

async fn serve(entry: Entry, stream: TcpStream) {
    // Answers are written whole; waiting for more data would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &entry.shared.tls else {
        return converse(&entry, stream).await;
    };
    let agreeing = timeout(entry.shared.bounds.head, tls.accept(stream));
    match until_told(&entry.connection, agreeing).await {
        Some(Ok(Ok(stream))) => converse(&entry, stream).await,
        Some(Ok(Err(error))) => {
            tracing::debug!(listener = entry.shared.name, %error, "no TLS was agreed on")
        }
        Some(Err(_)) | None => {}
    }
}

/// Does the work that precedes the first request, unless the connection must close.
async fn until_told<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if matches!(connection.signal(cx), Signal::MakeRoom | Signal::Cut) => {
            Poll::Ready(None)
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Serves the requests of one connection to its end.
async fn converse(entry: &Entry, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Entry { shared, connection, .. } = entry;
    let service = service_fn(|request: Request<Incoming>| {
        connection.is_busy_now();
        let answer = shared
            .router
            .clone()
            .call(request.map(|body| Body::new(RequestBody::new(body, connection))));
        async move {
            let Ok(mut response) = answer.await;
            if shared.app.is_stopping()
                || connection.is_unread()
                || shared.crowded.load(Ordering::Relaxed)
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            connection.is_answered_now();
            Ok::<_, Infallible>(response)
        }
    });
    let stream = TimeoutStream::new(stream, connection.clone(), shared.bounds);
    let mut conversation = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
    // How long a connection that sent nothing yet may stay once it is told to close.
    let mut newcomer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            // First, so that pending input is seen before the connection is called idle.
            if conversation.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match connection.signal(cx) {
                Signal::Nothing => return Poll::Pending,
                Signal::MakeRoom if connection.makes_room().is_some() => return Poll::Ready(()),
                Signal::MakeRoom => connection.stays(),
                // Every answer already says that it is the last.
                Signal::Close if connection.is_idle() => return Poll::Ready(()),
                Signal::Close if connection.is_new() => {
                    return newcomer
                        .get_or_insert_with(|| Box::pin(sleep(NEWCOMER)))
                        .as_mut()
                        .poll(cx);
                }
                Signal::Close => return Poll::Pending,
                Signal::Cut => return Poll::Ready(()),
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
