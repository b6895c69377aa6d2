//! What one connection is doing, as those see it who may close it, and what they tell it. No locks:
//! both are looked at with every request.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::Bounds;

/// What moments of connections are counted from.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nothing has come in yet.
const NEW: u8 = 0;
/// A request was answered, and the next one is awaited.
const IDLE: u8 = 1;
/// The head of a request is coming in.
const HEAD: u8 = 2;
/// A request is worked on.
const BUSY: u8 = 3;
/// An answer is being written.
const ANSWERED: u8 = 4;
/// The last answer was written, and the client's end of it is awaited.
const ENDING: u8 = 5;

/// What a connection is told by its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Told {
    /// To go on.
    Nothing,
    /// To end, if it waits for its client: another one wants in.
    MakeRoom,
    /// To end after the answer that is under way.
    Close,
    /// To end now.
    Cut,
}

/// What a connection is doing, and since when where it waits for its client. Its own task changes
/// that.
#[derive(Debug)]
pub(super) struct Connection {
    phase: AtomicU8,
    /// In microseconds since [`BASE`].
    since: AtomicU64,
    /// Whether the body of the request was not read to its end.
    unread: AtomicBool,
    /// Since when the client holds a request up: its body is awaited, or nobody takes its answer.
    /// As `since`; 0 where it does not.
    held_up: AtomicU64,
    /// A [`Told`].
    told: AtomicU8,
    task: AtomicWaker,
}

/// How long a connection has waited for its client that makes room for another: those of clients
/// that ask all the time are left to them, and end by an answer that says so.
const WAITED_LONG: Duration = Duration::from_millis(250);
/// How long a client may hold up its own request where others want in.
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
            told: AtomicU8::default(),
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
            // The first head has its time from the start.
            self.phase.store(HEAD, Ordering::Relaxed);
        }
    }

    /// A head is complete.
    pub(super) fn is_busy_now(&self) {
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    /// There is an answer.
    pub(super) fn is_answered_now(&self) {
        self.is_held_up(false);
        self.phase.store(ANSWERED, Ordering::Relaxed);
    }

    /// Bytes went out.
    pub(super) fn has_written(&self) {
        if self.phase() == IDLE {
            // The next piece of a body that comes in pieces.
            self.is_answered_now();
        }
    }

    /// All that there was to write went out.
    pub(super) fn has_flushed(&self) {
        if self.phase() == ANSWERED {
            self.begin(IDLE);
        }
    }

    /// Nothing more will be written.
    pub(super) fn is_ending_now(&self) {
        self.begin(ENDING);
    }

    /// Whether there is something left of the body of the request.
    pub(super) fn has_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
        self.is_held_up(false);
    }

    /// Whether a request can't go on for its client's sake. From the first time on that it can't:
    /// whoever sends byte by byte holds it up too.
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

    /// By when something must come in.
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

    /// Whether it would make room for another one by now, and how soon: the next step is the
    /// client's, which nobody knows when it comes. Those between two requests go before those
    /// within one; the least is the first.
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

    /// Whether nothing has come in yet.
    pub(super) fn is_new(&self) -> bool {
        self.phase() == NEW
    }

    /// Whether it waits for a next request.
    pub(super) fn is_idle(&self) -> bool {
        self.phase() == IDLE
    }

    /// Tells it something; what was said before and is stronger stays said.
    pub(super) fn tell(&self, told: Told) {
        self.told.fetch_max(told as u8, Ordering::AcqRel);
        self.task.wake();
    }

    /// What it is told; its task is woken when that changes.
    pub(super) fn told(&self, cx: &mut Context<'_>) -> Told {
        self.task.register(cx.waker());
        match self.told.load(Ordering::Acquire) {
            told if told == Told::Cut as u8 => Told::Cut,
            told if told == Told::Close as u8 => Told::Close,
            told if told == Told::MakeRoom as u8 => Told::MakeRoom,
            _ => Told::Nothing,
        }
    }

    /// It is busy, and makes no room.
    pub(super) fn stays(&self) {
        let (told, nothing) = (Told::MakeRoom as u8, Told::Nothing as u8);
        // Else it was told something stronger, which stands.
        let _ = self.told.compare_exchange(told, nothing, Ordering::AcqRel, Ordering::Acquire);
    }
}
