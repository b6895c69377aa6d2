//! Where `now` comes from.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::discipline::{Change, Database, Deviation, Discipline, Millis, Readings};
use super::{Machine, Seconds, Timestamp};

/// Where `now` comes from: the trusted time, plus an offset in a sandbox.
///
/// It follows the machine's uptime, so a change of the wall clock has no effect until
/// [`Clock::poll`] adopts it. It goes back only when a step back is adopted.
#[derive(Debug)]
pub struct Clock {
    machine: Machine,
    /// How far the trusted time is ahead of the uptime, in milliseconds.
    ahead: AtomicI64,
    /// The latest moment handed out so far, in unix seconds.
    latest: AtomicI64,
    unsure: AtomicBool,
    discipline: Mutex<Discipline>,
    /// How many seconds a sandbox's clock is ahead; `None` for a live server.
    offset: Option<AtomicI64>,
}

impl Clock {
    /// The clock of a live server.
    pub fn live() -> Self {
        Self::of(Machine::Own, None)
    }

    /// A clock that can be moved and starts `offset` seconds ahead.
    pub fn sandbox(offset: Seconds) -> Self {
        Self::of(Machine::Own, Some(offset))
    }

    /// A clock on `machine`; with an `offset` it is a sandbox's.
    pub fn of(machine: Machine, offset: Option<Seconds>) -> Self {
        let discipline = Discipline::new(machine.uptime(), machine.wall());
        Self {
            machine,
            ahead: AtomicI64::new(discipline.ahead()),
            latest: AtomicI64::new(i64::MIN),
            unsure: AtomicBool::new(false),
            discipline: Mutex::new(discipline),
            offset: offset.map(AtomicI64::new),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.trusted().plus(self.offset())
    }

    /// The trusted time, without a sandbox's offset.
    pub fn trusted(&self) -> Timestamp {
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

    /// What the machine's wall clock shows, trusted or not.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_unix(self.machine.wall().div_euclid(1000))
    }

    /// Milliseconds since the machine started.
    pub fn uptime(&self) -> Millis {
        self.machine.uptime()
    }

    /// Trusts the wall clock at the start of a server whose store was last used at `newest`.
    /// Returns what it shows.
    pub fn begin(&self, newest: Option<Timestamp>) -> Timestamp {
        let (uptime, wall) = (self.machine.uptime(), self.machine.wall());
        let mut discipline = self.discipline();
        *discipline = Discipline::at_start(
            uptime,
            wall,
            newest.map(|newest| newest.unix().saturating_mul(1000)),
        );
        self.follow(&discipline);
        Timestamp::from_unix(wall.div_euclid(1000))
    }

    /// Whether the time is certain enough for what can't be undone.
    pub fn is_settled(&self) -> bool {
        self.discipline().is_settled(self.machine.uptime())
    }

    /// Whether the clock may still turn out to have been ahead when the server started.
    pub fn is_on_probation(&self) -> bool {
        self.discipline().is_on_probation(self.machine.uptime())
    }

    /// Compares the machine's clocks with each other and with the database's, which was read at the
    /// given uptime. Returns what changed.
    pub fn poll(&self, database: Option<(Millis, Database)>) -> Option<Change> {
        let mut discipline = self.discipline();
        let (uptime, wall) = (self.machine.uptime(), self.machine.wall());
        // What the database's clock shows now.
        let database = database.map(|(then, database)| Database {
            wall: database.wall.saturating_add(uptime - then),
            ..database
        });
        let change = discipline.poll(Readings { uptime, wall, database });
        self.follow(&discipline);
        change
    }

    /// Trusts the wall clock against all evidence: the operator says that it is right.
    pub fn accept(&self) {
        let mut discipline = self.discipline();
        discipline.accept(self.machine.uptime(), self.machine.wall());
        self.follow(&discipline);
    }

    fn follow(&self, discipline: &Discipline) {
        self.ahead.store(discipline.ahead(), Ordering::Relaxed);
        self.unsure.store(discipline.is_unsure(), Ordering::Relaxed);
        // After a step back was adopted. Repeated at every poll, since a thread that read the clock
        // just before may still write the old moment.
        let now = self.machine.uptime().saturating_add(discipline.ahead()).div_euclid(1000);
        if self.latest.load(Ordering::Relaxed) > now.saturating_add(1) {
            self.latest.store(now, Ordering::Relaxed);
        }
    }

    fn discipline(&self) -> MutexGuard<'_, Discipline> {
        self.discipline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no time is trusted. What depends on it must not be answered then.
    pub fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Relaxed)
    }

    /// How far a clock deviates from the trusted time, if one does.
    pub fn off(&self) -> Option<Deviation> {
        self.discipline().off()
    }

    /// Whether it is a sandbox's, which can be moved.
    pub const fn is_sandbox(&self) -> bool {
        self.offset.is_some()
    }

    /// How many seconds this clock is ahead of the trusted time.
    pub fn offset(&self) -> Seconds {
        self.offset.as_ref().map_or(0, |offset| offset.load(Ordering::SeqCst))
    }

    /// Moves a sandbox's clock to `seconds` ahead; does nothing to a live one.
    pub fn set_offset(&self, seconds: Seconds) {
        if let Some(offset) = &self.offset {
            offset.store(seconds, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DAY, LASTING, ManualClock, SMALL_STEP};
    use super::*;

    const START: Millis = 1_790_000_000_000;

    fn clock() -> (std::sync::Arc<ManualClock>, Clock) {
        let manual = ManualClock::at(START);
        let clock = Clock::of(Machine::Manual(manual.clone()), None);
        (manual, clock)
    }

    #[test]
    fn a_jump_of_the_wall_clock_shows_nowhere() {
        let (manual, clock) = clock();
        for days in [800, -3650] {
            manual.set_wall_by(days * DAY * 1000);
            assert_eq!(clock.now().unix(), START / 1000);
            clock.poll(None);
            manual.pass(2000);
            clock.poll(None);
            manual.set_wall_by(-days * DAY * 1000);
            manual.pass(-2000);
            assert_eq!(clock.poll(None), Some(Change::Agrees));
            assert!(clock.now().unix() - START / 1000 <= 2 && !clock.is_unsure());
        }
    }

    #[test]
    fn a_step_back_that_was_taken_over_shows_and_no_other() {
        let (manual, clock) = clock();
        let before = clock.now();
        manual.set_wall_by(-SMALL_STEP);
        clock.poll(None);
        assert_eq!(clock.now(), before);
        manual.pass(LASTING);
        assert_eq!(clock.poll(None), Some(Change::Adopted(Deviation::Wall(-3600))));
        assert_eq!(clock.now().since(before), LASTING / 1000 - 3600);
    }

    #[test]
    fn a_sandbox_is_ahead_of_what_is_believed() {
        let clock = Clock::of(Machine::Manual(ManualClock::at(START)), Some(0));
        clock.set_offset(90 * DAY);
        assert_eq!((clock.now().since(clock.trusted()), clock.offset()), (90 * DAY, 90 * DAY));
        let live = Clock::live();
        live.set_offset(DAY);
        assert_eq!(live.offset(), 0);
    }
}
