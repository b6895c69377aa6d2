//! The connections of a listener: how many there may be, how long each may wait for its client, and
//! how they end in order. A loop of our own on hyper, since axum-server has no bound on
//! connections, one time-out for both idle connections and slow heads, and no way to serve on while
//! answers already say `Connection: close`.

mod body;
mod connection;
mod timed;
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
use connection::{Connection, Told};
use timed::Timed;
pub use tls::{Tls, TlsError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::Service;

/// How much of a head is read at all. One that is larger than
/// [`LARGEST_HEAD`](crate::http::head::LARGEST_HEAD) and not than this is answered in the shape of its
/// path; beyond it nobody knows the path, and the answer is a bare 431.
const LONGEST_HEAD_READ: usize = 64 * 1024;
/// How long it takes until a listener is tried again that the system could give no connection.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// How often a connection that has to wait looks for another one that could go.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(100);
/// How often the log is told that connections are at their bound.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long a connection that brought nothing yet is given when the listener closes: its request
/// may be on the way.
const NEWCOMER: Duration = Duration::from_secs(1);

/// What connections are bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long the head of a request may take, from its first byte; for the first one, and for TLS
    /// to be agreed on, from the start.
    pub head: Duration,
    /// How long a client may take nothing of its answer.
    pub write: Duration,
    /// How many there may be at once.
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

/// How far a listener is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It takes connections.
    Open,
    /// It takes no more. Connections that wait for a request are closed, the others after their
    /// answer.
    Closing,
    /// What is left is cut off.
    Cut,
}

/// A listener, and what is served there.
pub struct Listener {
    /// Its word in logs and metrics.
    pub name: &'static str,
    /// Where it listens.
    pub socket: TcpListener,
    /// The certificate, where the server itself speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// What is served.
    pub router: Router,
    /// What its connections are bounded by.
    pub bounds: Bounds,
    /// How it ends.
    pub end: End,
}

/// How a listener ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// First, once the requests in flight are finished.
    InOrder,
    /// Last of all: who watches a server sees it until its end.
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
    /// One permit a connection.
    room: Arc<Semaphore>,
    /// Whether a connection waits for room.
    crowded: AtomicBool,
    open: Mutex<Open>,
    counts: ConnectionCounts,
}

/// The connections that are open, by number.
#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes those that have waited longest for their client: a few at a time, so that looking for
    /// them is no work for each newcomer. False where there are none.
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
            connection.tell(Told::MakeRoom);
            self.counts.made_room.inc();
        }
        !waiting.is_empty()
    }

    fn tell_all(&self, told: Told) {
        self.open().connections.values().for_each(|connection| connection.tell(told));
    }
}

/// An entry among the open connections, for as long as there is one.
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

/// What is told seldom, however often it happens.
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|told| told.elapsed() >= TELL_EVERY);
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
/// Where the listener can't be used.
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
    // Its one time-out for heads also ends connections that are idle; ours are in `timed`.
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
    let mut told = (Seldom(None), Seldom(None));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => take(&shared, stream, &stage, &mut told.0).await,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of files, most likely. Trying at once would try without end.
                shared.counts.not_accepted.inc();
                shared.make_room();
                if told.1.is_due() {
                    tracing::error!(listener = name, %error, "no connection could be taken; it is tried again");
                }
                sleep(AFTER_ERROR).await;
            }
        }
    }
    // What waits makes room for those that the system has taken already. They are served: to close
    // the listener resets them, and their requests may have been sent.
    shared.tell_all(Told::Close);
    // The system is asked, not the runtime: that learns of a connection a moment after it is there.
    let listener = listener.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Ok(stream) =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
                {
                    take(&shared, stream, &stage, &mut told.0).await;
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
    drop(listener);
    shared.tell_all(Told::Close);
    let all = u32::try_from(bounds.limit).unwrap_or(u32::MAX);
    tokio::select! {
        _ = shared.room.acquire_many(all) => return Ok(()),
        _ = stage.wait_for(|stage| *stage == Stage::Cut) => {}
    }
    shared.tell_all(Told::Cut);
    let _ = shared.room.acquire_many(all).await;
    Ok(())
}

/// Whether accepting failed for that connection alone.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves a new connection. Where there are as many as there may be, one that is idle makes room;
/// where all are busy, this waits.
async fn take(
    shared: &Arc<Shared>,
    stream: TcpStream,
    stage: &watch::Receiver<Stage>,
    told: &mut Seldom,
) {
    let permit = match shared.room.clone().try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => match wait_for_room(shared, stage.clone(), told).await {
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
    told: &mut Seldom,
) -> Option<OwnedSemaphorePermit> {
    if told.is_due() {
        let (listener, limit) = (shared.name, shared.bounds.limit);
        tracing::warn!(
            listener,
            limit,
            "there are as many connections as there may be: idle ones are closed, or new ones wait"
        );
    }
    // Answers say from now on that they are the last of their connection.
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
    // An answer is written at once; waiting for more to send with it would only make it late.
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

/// Works on what comes before the first request, unless the connection must go.
async fn until_told<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if matches!(connection.told(cx), Told::MakeRoom | Told::Cut) => {
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
    let stream = Timed::new(stream, connection.clone(), shared.bounds);
    let mut conversation = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
    // Until when a connection is waited for that brought nothing, once it is told to close.
    let mut newcomer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            // First, so that what has come in is seen before a connection is called idle.
            if conversation.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match connection.told(cx) {
                Told::Nothing => return Poll::Pending,
                Told::MakeRoom if connection.makes_room().is_some() => return Poll::Ready(()),
                Told::MakeRoom => connection.stays(),
                // Every answer says by now that it is the last one.
                Told::Close if connection.is_idle() => return Poll::Ready(()),
                Told::Close if connection.is_new() => {
                    return newcomer
                        .get_or_insert_with(|| Box::pin(sleep(NEWCOMER)))
                        .as_mut()
                        .poll(cx);
                }
                Told::Close => return Poll::Pending,
                Told::Cut => return Poll::Ready(()),
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
