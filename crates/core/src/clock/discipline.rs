//! The clock discipline: which time to trust. A wall clock can be wrong, so it is trusted only
//! while it agrees with the uptime and with the clock of a database that nodes share.
//!
//! While clocks disagree, the trusted time follows the uptime. A small step that lasts is adopted,
//! since NTP makes most of those. After a large one no time is trusted until the wall clock comes
//! back, the database's clock agrees with it, or the operator says that it is right.

use std::fmt;

use super::{DAY, HOUR, MINUTE, SKEW, Seconds, duration_in_words};

/// A span of time, or a moment since 1970, in milliseconds.
pub type Millis = i64;

/// Differences within a minute that are no disagreement. What slews a wall clock slews the uptime
/// too, so these come from readings that were not simultaneous and from tiny corrections.
const SLEWED: Millis = 1000;
/// The largest step that is adopted without a second clock.
pub const SMALL_STEP: Millis = HOUR * 1000;
/// How long a step must last to be adopted, and a disagreement until no time is trusted.
pub const LASTING: Millis = MINUTE * 1000;
/// How far the clock of a database may deviate.
const APART: Millis = SKEW * 1000;
/// After a shorter rest of the store, the clock is trusted at once.
const AT_REST: Millis = DAY * 1000;
/// How long after a start from a longer rest the clock may turn out to have been ahead.
const PROBATION: Millis = HOUR * 1000;
/// How long nothing may be deleted after such a start or a large step.
const UNSETTLED: Millis = DAY * 1000;

/// What clocks show at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// The time since the machine started.
    pub uptime: Millis,
    /// The machine's wall clock.
    pub wall: Millis,
    /// The database's clock, where there is one.
    pub database: Option<Database>,
}

/// The clock of a database that nodes share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Database {
    /// What it shows.
    pub wall: Millis,
    /// How far behind the nodes' clocks the operator accepts it to be; usually 0.
    pub accepted: Millis,
}

impl Database {
    /// Whether it agrees with a node's clock that shows `wall`.
    pub fn agrees_with(self, wall: Millis) -> bool {
        let behind = wall.saturating_sub(self.wall);
        behind.abs() <= APART || behind.saturating_sub(self.accepted).abs() <= APART
    }
}

/// How far a clock deviates from the trusted time, in whole seconds; negative where it is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deviation {
    /// The machine's wall clock.
    Wall(Seconds),
    /// The database's clock.
    Database(Seconds),
}

impl Deviation {
    /// How many seconds, whichever clock it is.
    pub const fn seconds(self) -> Seconds {
        match self {
            Self::Wall(seconds) | Self::Database(seconds) => seconds,
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, seconds) = match self {
            Self::Wall(seconds) => ("this machine's clock", *seconds),
            Self::Database(seconds) => ("the database's clock", *seconds),
        };
        let way = if seconds < 0 { "behind" } else { "ahead" };
        write!(f, "{whose} is {} {way}", duration_in_words(seconds))
    }
}

/// What a poll of the clocks changed, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A clock stepped away from the trusted time.
    Disagrees(Deviation),
    /// That has lasted: no time is trusted.
    Unsure(Deviation),
    /// A step was adopted.
    Adopted(Deviation),
    /// All clocks agree again.
    Agrees,
    /// The operator accepted that the database's clock is this many seconds behind; 0 when that
    /// ends.
    Accepted(Seconds),
}

/// Which time is trusted, and since when clocks disagree with it.
#[derive(Debug)]
pub struct Discipline {
    /// How far the trusted time is ahead of the uptime.
    ahead: Millis,
    dispute: Option<Dispute>,
    /// `ahead` as it was at an uptime at most a minute ago: the corrections since then add up.
    followed_from: (Millis, Millis),
    /// While the clock is on probation: the uptime at which that ends, and when the store was last
    /// used before the start.
    probation: Option<(Millis, Millis)>,
    /// The uptime from which the time is certain.
    settled_from: Millis,
    /// What was accepted of the database's clock at the last poll.
    accepted: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Dispute {
    off: Deviation,
    /// How far exactly the wall clock is off.
    step: Millis,
    /// The uptime when clocks began to disagree.
    since: Millis,
    /// The uptime since when the wall clock has been off by the same.
    steady_since: Millis,
    unsure: bool,
}

impl Discipline {
    /// Trusts a wall clock that shows `wall` at `uptime`.
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

    /// The same at the start of a server whose store was last used at `newest`. After a long rest
    /// the clock may be ahead: it was, if it goes back within an hour to where the store was in
    /// use.
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

    /// Whether the time is certain enough for what can't be undone: clocks agree, and have for a
    /// day since the last doubt.
    pub fn is_settled(&self, uptime: Millis) -> bool {
        self.dispute.is_none() && uptime >= self.settled_from
    }

    /// Whether the clock may still turn out to have been ahead when the server started.
    pub fn is_on_probation(&self, uptime: Millis) -> bool {
        self.probation.is_some_and(|(until, _)| uptime < until)
    }

    /// How far the trusted time is ahead of the uptime.
    pub const fn ahead(&self) -> Millis {
        self.ahead
    }

    /// How far a clock deviates, if one does.
    pub fn off(&self) -> Option<Deviation> {
        self.dispute.map(|dispute| dispute.off)
    }

    /// Whether no time is trusted.
    pub fn is_unsure(&self) -> bool {
        self.dispute.is_some_and(|dispute| dispute.unsure)
    }

    /// Compares the clocks and decides which time to trust from now on.
    pub fn poll(&mut self, readings: Readings) -> Option<Change> {
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
        let trusted = uptime.saturating_add(self.ahead);
        let step = wall.saturating_sub(trusted);
        let with_database = database.is_none_or(|database| database.agrees_with(wall));
        if uptime.saturating_sub(self.followed_from.1) >= LASTING {
            self.followed_from = (self.ahead, uptime);
        }
        // Readings are never quite simultaneous; over time that averages out.
        let followed = wall.saturating_sub(uptime).saturating_sub(self.followed_from.0);
        if step.abs().max(followed.abs()) <= SLEWED && with_database {
            self.ahead = wall - uptime;
            return self.dispute.take().map(|_| Change::Agrees);
        }
        let off = match database {
            Some(database) if step.abs() <= SLEWED => {
                Deviation::Database(seconds(database.wall.saturating_sub(trusted)))
            }
            _ => Deviation::Wall(seconds(step)),
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
        // A database's clock is a second opinion on a step of any size. Without one only small
        // steps are adopted.
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
        // A step that will be adopted once it has lasted is no reason to stop, while it holds.
        let unsure = before.unsure || (lasts(before.since) && !(credible && steady));
        // The first value stays while it holds, or many little steps would pass for one that lasts.
        let step = if steady { before.step } else { step };
        self.dispute = Some(Dispute { off, step, steady_since, unsure, ..before });
        (unsure && !before.unsure).then_some(Change::Unsure(off))
    }

    /// Trusts the wall clock against all evidence: the operator says that it is right.
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

/// Bounds the deviation of a clock that makes no sense, in seconds.
const FARTHEST: Seconds = 1_000_000 * DAY;

#[cfg(test)]
mod tests;
