//! What time is believed. A wall clock can be wrong, so it is believed only as long as it agrees
//! with what else is known: the time that passes, and the clock of a database that nodes share.
//!
//! While they disagree, time goes on from what was believed before. A small step that lasts is
//! taken over, as most are made by NTP; after a large one nothing is believed any more, until the
//! wall clock comes back, the database's clock agrees with it, or the operator says that it is
//! right.

use std::fmt;

use super::{DAY, HOUR, MINUTE, SKEW, Seconds, duration_in_words};

/// A span of time, or a moment since 1970, in milliseconds.
pub type Millis = i64;

/// Differences that are no disagreement, within a minute: what slews a wall clock slews the uptime
/// too, so these are readings that were not quite together, and clocks that are set by a little.
const SLEWED: Millis = 1000;
/// The largest step that is taken over on the wall clock's own word.
pub const SMALL_STEP: Millis = HOUR * 1000;
/// How long a step must last to be taken over, and a disagreement until nothing is believed any
/// more.
pub const LASTING: Millis = MINUTE * 1000;
/// How far the clock of a database may be off.
const APART: Millis = SKEW * 1000;
/// How long a store may have been at rest before a start whose clock is taken for right as a matter
/// of course.
const AT_REST: Millis = DAY * 1000;
/// For how long after a start from a longer rest the clock may turn out to have been ahead.
const PROBATION: Millis = HOUR * 1000;
/// For how long nothing may be removed after such a start, or after a large step.
const UNSETTLED: Millis = DAY * 1000;

/// What clocks show at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// The machine's time since it was started.
    pub uptime: Millis,
    /// Its wall clock.
    pub wall: Millis,
    /// The database's clock, where there is a database.
    pub database: Option<Database>,
}

/// The clock of a database that nodes share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Database {
    /// What it shows.
    pub wall: Millis,
    /// How far the operator accepted it to be behind the nodes' clocks; 0 where that was never
    /// needed.
    pub accepted: Millis,
}

impl Database {
    /// Whether it agrees with a node's clock that shows `wall`.
    pub fn agrees_with(self, wall: Millis) -> bool {
        let behind = wall.saturating_sub(self.wall);
        behind.abs() <= APART || behind.saturating_sub(self.accepted).abs() <= APART
    }
}

/// How far a clock is off what is believed, in whole seconds; negative where it is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Off {
    /// The machine's wall clock.
    Wall(Seconds),
    /// The database's.
    Database(Seconds),
}

impl Off {
    /// By how much.
    pub const fn seconds(self) -> Seconds {
        match self {
            Self::Wall(seconds) | Self::Database(seconds) => seconds,
        }
    }
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, seconds) = match self {
            Self::Wall(seconds) => ("this machine's clock", *seconds),
            Self::Database(seconds) => ("the database's clock", *seconds),
        };
        let way = if seconds < 0 { "behind" } else { "ahead" };
        write!(f, "{whose} is {} {way}", duration_in_words(seconds))
    }
}

/// What a look at the clocks changed, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A clock stepped away from what is believed.
    Disagrees(Off),
    /// That has lasted: nothing is believed any more.
    Unsure(Off),
    /// A step was taken over.
    Adopted(Off),
    /// All clocks agree again.
    Agrees,
    /// The operator accepted that the database's clock is so many seconds behind; 0 where that is
    /// over.
    Accepted(Seconds),
}

/// What is believed, and since when clocks disagree with it.
#[derive(Debug)]
pub struct Belief {
    /// How far the believed time is ahead of the machine's uptime.
    ahead: Millis,
    dispute: Option<Dispute>,
    /// How far the believed time was ahead at an uptime, which is a minute ago at the most: what
    /// was followed since counts together.
    followed_from: (Millis, Millis),
    /// While the clock is on probation: the uptime until which it is, and the newest moment before
    /// the start.
    probation: Option<(Millis, Millis)>,
    /// The uptime from which on the time is beyond doubt.
    settled_from: Millis,
    /// What was accepted of the database's clock when it was last looked at.
    accepted: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Dispute {
    off: Off,
    /// How far the wall clock is off, exactly.
    step: Millis,
    /// The uptime since which clocks disagree.
    since: Millis,
    /// The uptime since which the wall clock is off by the same.
    steady_since: Millis,
    unsure: bool,
}

impl Belief {
    /// Believes a wall clock that shows `wall` at `uptime`.
    pub const fn new(uptime: Millis, wall: Millis) -> Self {
        Self {
            ahead: wall - uptime,
            dispute: None,
            followed_from: (wall - uptime, uptime),
            probation: None,
            settled_from: uptime,
            accepted: 0,
        }
    }

    /// The same at a start, of a server whose store was last used at `newest`. After a long rest
    /// nobody can say whether the clock is right or ahead: should it go back within an hour, to
    /// where the store was used already, it was ahead.
    pub fn at_start(uptime: Millis, wall: Millis, newest: Option<Millis>) -> Self {
        let begun = Self::new(uptime, wall);
        match newest.filter(|newest| wall.saturating_sub(*newest) > AT_REST) {
            None => begun,
            Some(newest) => Self {
                probation: Some((uptime.saturating_add(PROBATION), newest)),
                settled_from: uptime.saturating_add(UNSETTLED),
                ..begun
            },
        }
    }

    /// Whether what follows from the time may be what can't be undone: clocks agree, and have for a
    /// day after anything that was in doubt.
    pub fn is_settled(&self, uptime: Millis) -> bool {
        self.dispute.is_none() && uptime >= self.settled_from
    }

    /// Whether the clock may still turn out to have been ahead when the server started.
    pub fn is_on_probation(&self, uptime: Millis) -> bool {
        self.probation.is_some_and(|(until, _)| uptime < until)
    }

    /// How far the believed time is ahead of the machine's uptime.
    pub const fn ahead(&self) -> Millis {
        self.ahead
    }

    /// By how much a clock is off, where one is.
    pub fn off(&self) -> Option<Off> {
        self.dispute.map(|dispute| dispute.off)
    }

    /// Whether nothing is believed.
    pub fn is_unsure(&self) -> bool {
        self.dispute.is_some_and(|dispute| dispute.unsure)
    }

    /// Compares the clocks, and decides what is believed from now on.
    pub fn look(&mut self, readings: Readings) -> Option<Change> {
        let accepted = readings.database.map_or(self.accepted, |database| database.accepted);
        let was_accepted = std::mem::replace(&mut self.accepted, accepted);
        match self.compare(readings) {
            None | Some(Change::Agrees) if accepted != was_accepted => {
                Some(Change::Accepted(seconds(accepted)))
            }
            change => change,
        }
    }

    fn compare(&mut self, readings: Readings) -> Option<Change> {
        let Readings { uptime, wall, database } = readings;
        let believed = uptime.saturating_add(self.ahead);
        let step = wall.saturating_sub(believed);
        let with_database = database.is_none_or(|database| database.agrees_with(wall));
        if uptime.saturating_sub(self.followed_from.1) >= LASTING {
            self.followed_from = (self.ahead, uptime);
        }
        // Two readings are never quite together, now this way and now that, which comes to nothing
        // over time.
        let followed = wall.saturating_sub(uptime).saturating_sub(self.followed_from.0);
        if step.abs().max(followed.abs()) <= SLEWED && with_database {
            self.ahead = wall - uptime;
            return self.dispute.take().map(|_| Change::Agrees);
        }
        let off = match database {
            Some(database) if step.abs() <= SLEWED => {
                Off::Database(seconds(database.wall.saturating_sub(believed)))
            }
            _ => Off::Wall(seconds(step)),
        };
        let Some(before) = self.dispute else {
            self.dispute =
                Some(Dispute { off, step, since: uptime, steady_since: uptime, unsure: false });
            return Some(Change::Disagrees(off));
        };
        let steady = step.saturating_sub(before.step).abs() <= SLEWED;
        let steady_since = if steady { before.steady_since } else { uptime };
        let lasts = |since: Millis| uptime.saturating_sub(since) >= LASTING;
        let was_ahead = self.probation.is_some_and(|(until, newest)| {
            uptime < until && step < 0 && newest.saturating_sub(wall) <= APART
        });
        // A database's clock is a second opinion, for a step of any size or against it. Without one
        // only small steps are taken over.
        let credible =
            if database.is_some() { with_database } else { step.abs() <= SMALL_STEP || was_ahead };
        if credible && lasts(steady_since) {
            self.ahead = wall - uptime;
            self.dispute = None;
            self.followed_from = (self.ahead, uptime);
            if step.abs() > SMALL_STEP {
                self.settled_from = uptime.saturating_add(UNSETTLED);
            }
            return Some(Change::Adopted(off));
        }
        // A step that will be taken over once it has lasted is no reason to stop, as long as it
        // holds.
        let unsure = before.unsure || (lasts(before.since) && !(credible && steady));
        // What it began with is kept while it holds, or many little steps would pass for one that
        // lasts.
        let step = if steady { before.step } else { step };
        self.dispute = Some(Dispute { off, step, steady_since, unsure, ..before });
        (unsure && !before.unsure).then_some(Change::Unsure(off))
    }

    /// Believes the wall clock, whatever else says: the operator wants it so.
    pub fn accept(&mut self, uptime: Millis, wall: Millis) {
        let before = Some(uptime.saturating_add(self.ahead));
        *self = Self {
            probation: None,
            accepted: self.accepted,
            ..Self::at_start(uptime, wall, before)
        };
    }
}

/// To the nearest second.
fn seconds(millis: Millis) -> Seconds {
    ((millis + 500 * millis.signum()) / 1000).clamp(-FARTHEST, FARTHEST)
}

/// Bounds what is shown of a clock that makes no sense, in seconds.
const FARTHEST: Seconds = 1_000_000 * DAY;

#[cfg(test)]
mod tests;
