//! Where `now` comes from.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::belief::{Belief, Change, Database, Millis, Off, Readings};
use super::{Machine, Seconds, Timestamp};

/// Where `now` comes from: the time that is believed, plus an offset that a sandbox's user sets. It
/// is counted from the machine's start, so nothing that happens to the wall clock shows before
/// [`Clock::look`] has weighed it, and it never goes back but by a step that was taken over.
#[derive(Debug)]
pub struct Clock {
    machine: Machine,
    /// How far the believed time is ahead of the machine's uptime, in milliseconds.
    ahead: AtomicI64,
    /// The latest moment believed so far, in unix seconds.
    latest: AtomicI64,
    unsure: AtomicBool,
    belief: Mutex<Belief>,
    /// Seconds that a sandbox's clock is ahead; `None` in a real server.
    offset: Option<AtomicI64>,
}

impl Clock {
    /// The clock of a real server.
    pub fn live() -> Self {
        Self::of(Machine::Own, None)
    }

    /// A clock that can be moved, `offset` seconds ahead of the time that is believed.
    pub fn sandbox(offset: Seconds) -> Self {
        Self::of(Machine::Own, Some(offset))
    }

    /// The clock of a server on `machine`; a sandbox's is `offset` seconds ahead.
    pub fn of(machine: Machine, offset: Option<Seconds>) -> Self {
        let belief = Belief::new(machine.uptime(), machine.wall());
        Self {
            machine,
            ahead: AtomicI64::new(belief.ahead()),
            latest: AtomicI64::new(i64::MIN),
            unsure: AtomicBool::new(false),
            belief: Mutex::new(belief),
            offset: offset.map(AtomicI64::new),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.believed().plus(self.offset())
    }

    /// The present moment as it is believed, without a sandbox's offset.
    pub fn believed(&self) -> Timestamp {
        let now = self
            .machine
            .uptime()
            .saturating_add(self.ahead.load(Ordering::Relaxed))
            .div_euclid(1000);
        let latest = self.latest.load(Ordering::Relaxed);
        if now <= latest {
            return Timestamp::from_unix(latest);
        }
        Timestamp::from_unix(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// What the machine's wall clock shows, believed or not.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_unix(self.machine.wall().div_euclid(1000))
    }

    /// Milliseconds since the machine was started.
    pub fn uptime(&self) -> Millis {
        self.machine.uptime()
    }

    /// Believes the wall clock from now on, at the start of a server whose store was last used at
    /// `newest`; gives what it shows.
    pub fn begin(&self, newest: Option<Timestamp>) -> Timestamp {
        let (uptime, wall) = (self.machine.uptime(), self.machine.wall());
        let mut belief = self.belief();
        *belief =
            Belief::at_start(uptime, wall, newest.map(|newest| newest.unix().saturating_mul(1000)));
        self.follow(&belief);
        Timestamp::from_unix(wall.div_euclid(1000))
    }

    /// Whether what follows from the time may be what can't be undone.
    pub fn is_settled(&self) -> bool {
        self.belief().is_settled(self.machine.uptime())
    }

    /// Whether the clock may still turn out to have been ahead when the server started.
    pub fn is_on_probation(&self) -> bool {
        self.belief().is_on_probation(self.machine.uptime())
    }

    /// Compares the machine's clocks, and the `database`'s as it was at `uptime`; gives what that
    /// changed.
    pub fn look(&self, database: Option<(Millis, Database)>) -> Option<Change> {
        let mut belief = self.belief();
        let (uptime, wall) = (self.machine.uptime(), self.machine.wall());
        // What the database's clock shows now.
        let database = database.map(|(then, database)| Database {
            wall: database.wall.saturating_add(uptime - then),
            ..database
        });
        let change = belief.look(Readings { uptime, wall, database });
        self.follow(&belief);
        change
    }

    /// Believes the wall clock, whatever else says: the operator wants it so.
    pub fn accept(&self) {
        let mut belief = self.belief();
        belief.accept(self.machine.uptime(), self.machine.wall());
        self.follow(&belief);
    }

    fn follow(&self, belief: &Belief) {
        self.ahead.store(belief.ahead(), Ordering::Relaxed);
        self.unsure.store(belief.is_unsure(), Ordering::Relaxed);
        // After a step back that was taken over. Done at every look, since one who read the clock
        // just before may write the old moment after it.
        let now = self.machine.uptime().saturating_add(belief.ahead()).div_euclid(1000);
        if self.latest.load(Ordering::Relaxed) > now.saturating_add(1) {
            self.latest.store(now, Ordering::Relaxed);
        }
    }

    fn belief(&self) -> MutexGuard<'_, Belief> {
        self.belief.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no time is believed: what depends on it must not be answered.
    pub fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Relaxed)
    }

    /// By how much a clock is off what is believed, where one is.
    pub fn off(&self) -> Option<Off> {
        self.belief().off()
    }

    /// Whether it can be moved.
    pub const fn is_sandbox(&self) -> bool {
        self.offset.is_some()
    }

    /// Seconds that this clock is ahead of the time that is believed.
    pub fn offset(&self) -> Seconds {
        self.offset.as_ref().map_or(0, |offset| offset.load(Ordering::SeqCst))
    }

    /// Moves a sandbox's clock to `seconds` ahead; a live clock stays as it is.
    pub fn set_offset(&self, seconds: Seconds) {
        if let Some(offset) = &self.offset {
            offset.store(seconds, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ByHand, DAY, LASTING, SMALL_STEP};
    use super::*;

    const START: Millis = 1_790_000_000_000;

    fn clock() -> (std::sync::Arc<ByHand>, Clock) {
        let hand = ByHand::at(START);
        let clock = Clock::of(Machine::ByHand(hand.clone()), None);
        (hand, clock)
    }

    #[test]
    fn a_jump_of_the_wall_clock_shows_nowhere() {
        let (hand, clock) = clock();
        for days in [800, -3650] {
            hand.set_wall_by(days * DAY * 1000);
            assert_eq!(clock.now().unix(), START / 1000);
            clock.look(None);
            hand.pass(2000);
            clock.look(None);
            hand.set_wall_by(-days * DAY * 1000);
            hand.pass(-2000);
            assert_eq!(clock.look(None), Some(Change::Agrees));
            assert!(clock.now().unix() - START / 1000 <= 2 && !clock.is_unsure());
        }
    }

    #[test]
    fn a_step_back_that_was_taken_over_shows_and_no_other() {
        let (hand, clock) = clock();
        let before = clock.now();
        hand.set_wall_by(-SMALL_STEP);
        clock.look(None);
        assert_eq!(clock.now(), before);
        hand.pass(LASTING);
        assert_eq!(clock.look(None), Some(Change::Adopted(Off::Wall(-3600))));
        assert_eq!(clock.now().since(before), LASTING / 1000 - 3600);
    }

    #[test]
    fn a_sandbox_is_ahead_of_what_is_believed() {
        let clock = Clock::of(Machine::ByHand(ByHand::at(START)), Some(0));
        clock.set_offset(90 * DAY);
        assert_eq!((clock.now().since(clock.believed()), clock.offset()), (90 * DAY, 90 * DAY));
        let live = Clock::live();
        live.set_offset(DAY);
        assert_eq!(live.offset(), 0);
    }
}
