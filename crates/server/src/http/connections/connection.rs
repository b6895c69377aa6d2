//! What one connection is doing, visible to its listener, which may close it. Lock-free, because
//! every request updates it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::Bounds;

/// The origin of all timestamps here.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nothing has arrived yet.
const NEW: u8 = 0;
/// A request was answered; waiting for the next.
const IDLE: u8 = 1;
/// The head of a request is arriving.
const HEAD: u8 = 2;
/// A request is being handled.
const BUSY: u8 = 3;
/// An answer is being written.
const ANSWERED: u8 = 4;
/// The last answer was written; waiting for the client to close.
const ENDING: u8 = 5;

/// What the listener wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Signal {
    /// Keep serving.
    Nothing,
    /// Close if it is waiting for its client: a newcomer needs room.
    MakeRoom,
    /// Close after the answer in flight.
    Close,
    /// Close now.
    Cut,
}

/// What a connection is doing, and since when it has waited for its client. Updated by its own
/// task.
#[derive(Debug)]
pub(super) struct Connection {
    phase: AtomicU8,
    /// In microseconds since [`BASE`].
    since: AtomicU64,
    /// Whether the request's body was not read to its end.
    unread: AtomicBool,
    /// Since when the client has stalled a request: its body is missing, or its answer is not read.
    /// As `since`; 0 if not stalled.
    held_up: AtomicU64,
    /// A [`Signal`].
    signal: AtomicU8,
    task: AtomicWaker,
}

/// How long a connection must have waited for its client before it makes room. Busier clients keep
/// theirs, which end with an answer that says so.
const WAITED_LONG: Duration = Duration::from_millis(250);
/// How long a client may stall its own request while others wait for room.
const HELD_UP_LONG: Duration = Duration::from_secs(2);

/// In microseconds since [`BASE`].
fn now() -> u64 {
    u64::try_from(Instant::now().saturating_duration_since(*BASE).as_micros()).unwrap_or(u64::MAX)
}

impl Connection {
    /// A new one.
    pub(super) fn new() -> Self {
        let connection = Self {
            unread: AtomicBool::new(false),
            held_up: AtomicU64::default(),
            phase: AtomicU8::new(NEW),
            since: AtomicU64::default(),
            signal: AtomicU8::default(),
            task: AtomicWaker::new(),
        };
        connection.begin(NEW);
        connection
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn begin(&self, phase: u8) {
        self.since.store(now(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Bytes came in.
    pub(super) fn has_read(&self) {
        if self.phase() == IDLE {
            self.begin(HEAD);
        } else if self.phase() == NEW {
            // The first head counts from the start of the connection.
            self.phase.store(HEAD, Ordering::Relaxed);
        }
    }

    /// A head is complete.
    pub(super) fn is_busy_now(&self) {
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    /// An answer is ready.
    pub(super) fn is_answered_now(&self) {
        self.is_held_up(false);
        self.phase.store(ANSWERED, Ordering::Relaxed);
    }

    /// Bytes went out.
    pub(super) fn has_written(&self) {
        if self.phase() == IDLE {
            // The next chunk of a streamed body.
            self.is_answered_now();
        }
    }

    /// Everything written so far went out.
    pub(super) fn has_flushed(&self) {
        if self.phase() == ANSWERED {
            self.begin(IDLE);
        }
    }

    /// Nothing more will be written.
    pub(super) fn is_ending_now(&self) {
        self.begin(ENDING);
    }

    /// Sets whether part of the request's body is unread.
    pub(super) fn has_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
        self.is_held_up(false);
    }

    /// Sets whether the client is stalling a request. Keeps the first time: a client that sends
    /// byte by byte stalls it too.
    pub(super) fn is_held_up(&self, held_up: bool) {
        match (held_up, self.held_up.load(Ordering::Relaxed)) {
            (true, 0) => self.held_up.store(now().max(1), Ordering::Relaxed),
            (false, since) if since != 0 => self.held_up.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// When the next bytes must have arrived.
    pub(super) fn deadline(&self, bounds: &Bounds) -> Option<Instant> {
        let wait = match self.phase() {
            NEW | HEAD => bounds.head,
            IDLE => bounds.idle,
            _ => return None,
        };
        Some(*BASE + Duration::from_micros(self.since()) + wait)
    }

    fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Whether it could make room now, and its rank: lowest goes first. Only a connection whose
    /// next step is the client's qualifies, because that may never come. Those between requests go
    /// before those within one.
    pub(super) fn makes_room(&self) -> Option<(bool, u64)> {
        let held_up = self.held_up.load(Ordering::Relaxed);
        let (since, long) = match self.phase() {
            NEW | IDLE | HEAD | ENDING => (self.since(), WAITED_LONG),
            _ if held_up != 0 => (held_up, HELD_UP_LONG),
            _ => return None,
        };
        (Instant::now() >= *BASE + Duration::from_micros(since) + long)
            .then_some((long == HELD_UP_LONG, since))
    }

    /// Whether nothing has arrived yet.
    pub(super) fn is_new(&self) -> bool {
        self.phase() == NEW
    }

    /// Whether it is waiting for its next request.
    pub(super) fn is_idle(&self) -> bool {
        self.phase() == IDLE
    }

    /// Signals the connection; an earlier, stronger signal stands.
    pub(super) fn send(&self, signal: Signal) {
        self.signal.fetch_max(signal as u8, Ordering::AcqRel);
        self.task.wake();
    }

    /// The current signal; wakes the task when it changes.
    pub(super) fn signal(&self, cx: &mut Context<'_>) -> Signal {
        self.task.register(cx.waker());
        match self.signal.load(Ordering::Acquire) {
            signal if signal == Signal::Cut as u8 => Signal::Cut,
            signal if signal == Signal::Close as u8 => Signal::Close,
            signal if signal == Signal::MakeRoom as u8 => Signal::MakeRoom,
            _ => Signal::Nothing,
        }
    }

    /// Declines to make room: it is busy.
    pub(super) fn stays(&self) {
        let (make_room, nothing) = (Signal::MakeRoom as u8, Signal::Nothing as u8);
        // Otherwise a stronger signal came, which stands.
        let _ =
            self.signal.compare_exchange(make_room, nothing, Ordering::AcqRel, Ordering::Acquire);
    }
}
