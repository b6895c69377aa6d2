//! The two clocks of a machine: the wall clock, which can be set, and the uptime, which can't.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::discipline::Millis;

/// Where the clocks are read.
#[derive(Clone, Debug)]
pub enum Machine {
    /// The machine that this process runs on.
    Own,
    /// Clocks that a test moves.
    Manual(Arc<ManualClock>),
}

/// The clocks of a test, which stand still until they are moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    uptime: AtomicI64,
}

impl ManualClock {
    /// Clocks of which the wall clock shows `wall`, in milliseconds since 1970.
    pub fn at(wall: Millis) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(wall), uptime: AtomicI64::new(0) })
    }

    /// Moves both clocks forward.
    pub fn pass(&self, time: Millis) {
        self.wall.fetch_add(time, Ordering::SeqCst);
        self.uptime.fetch_add(time, Ordering::SeqCst);
    }

    /// Sets the wall clock forward, or back.
    pub fn set_wall_by(&self, step: Millis) {
        self.wall.fetch_add(step, Ordering::SeqCst);
    }
}

impl Machine {
    /// What the wall clock shows, in milliseconds since 1970.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads it")]
    pub fn wall(&self) -> Millis {
        match self {
            Self::Manual(hand) => hand.wall.load(Ordering::SeqCst),
            Self::Own => match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                Ok(since) => Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX),
                Err(before) => {
                    -Millis::try_from(before.duration().as_millis()).unwrap_or(Millis::MAX)
                }
            },
        }
    }

    /// Milliseconds since the machine started, including those it was suspended for, which
    /// `Instant` leaves out.
    pub fn uptime(&self) -> Millis {
        match self {
            Self::Manual(hand) => hand.uptime.load(Ordering::SeqCst),
            Self::Own => {
                #[cfg(target_os = "linux")]
                const SINCE_START: rustix::time::ClockId = rustix::time::ClockId::Boottime;
                #[cfg(not(target_os = "linux"))]
                const SINCE_START: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
                let now = rustix::time::clock_gettime(SINCE_START);
                now.tv_sec * 1000 + now.tv_nsec / 1_000_000
            }
        }
    }
}
