//! Whether to trust the machine's clock when a server starts. All there is to compare it with is
//! what the store knows.

use std::fmt;

use super::discipline::Database;
use super::{DAY, SKEW, Seconds, Timestamp, duration_in_words};

/// How long a store may have been idle, in seconds; a clock further ahead is taken for wrong.
pub const FARTHEST_AHEAD: Seconds = 365 * DAY;

/// What a store knows about the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreTime {
    /// When it was last used.
    pub newest: Option<Timestamp>,
    /// The clock of its database, where it has one.
    pub database: Option<Database>,
}

/// Why a clock is not trusted, worded for the person who starts the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The store was used at a later time than the clock shows.
    Behind {
        /// What the clock shows.
        clock: Timestamp,
        /// When the store was last used.
        newest: Timestamp,
    },
    /// The store was idle for longer than stores are.
    Ahead {
        /// What the clock shows.
        clock: Timestamp,
        /// When the store was last used.
        newest: Timestamp,
    },
    /// The database's clock shows another time.
    Database {
        /// What the clock shows.
        clock: Timestamp,
        /// What the database's shows.
        database: Timestamp,
    },
}

impl std::error::Error for Doubt {}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { clock, newest } => {
                let later = duration_in_words(newest.since(*clock));
                write!(
                    f,
                    "this machine's clock shows {clock}, but the store was used at {newest}, {later} later: set the clock right"
                )
            }
            Self::Ahead { clock, newest } => {
                let earlier = duration_in_words(clock.since(*newest));
                write!(
                    f,
                    "this machine's clock shows {clock}, but the store was last used at {newest}, {earlier} earlier: set the clock right"
                )
            }
            Self::Database { clock, database } => write!(
                f,
                "this machine's clock shows {clock}, but the database's shows {database}: set right the one that is wrong, they may differ by {SKEW} seconds"
            ),
        }
    }
}

/// Compares a machine's clock, in milliseconds since 1970, with what the store knows.
///
/// # Errors
/// [`Doubt`].
pub fn check_at_start(wall: i64, known: StoreTime) -> Result<(), Doubt> {
    let clock = Timestamp::from_unix(wall.div_euclid(1000));
    match known.newest {
        Some(newest) if newest.since(clock) > SKEW => return Err(Doubt::Behind { clock, newest }),
        Some(newest) if clock.since(newest) > FARTHEST_AHEAD => {
            return Err(Doubt::Ahead { clock, newest });
        }
        _ => {}
    }
    match known.database {
        Some(database) if !database.agrees_with(wall) => Err(Doubt::Database {
            clock,
            database: Timestamp::from_unix(database.wall.div_euclid(1000)),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: i64 = 1_790_000_000;

    fn at(seconds_off: Seconds, database: Option<Database>) -> Result<(), Doubt> {
        check_at_start(
            (NEWEST + seconds_off) * 1000,
            StoreTime { newest: Some(Timestamp::from_unix(NEWEST)), database },
        )
    }

    #[test]
    fn a_clock_behind_the_store_or_years_ahead_of_it_is_not_believed() {
        for off in [-SKEW, 0, DAY, FARTHEST_AHEAD] {
            at(off, None).unwrap();
        }
        assert!(matches!(at(-SKEW - 1, None), Err(Doubt::Behind { .. })));
        assert!(matches!(at(-3650 * DAY, None), Err(Doubt::Behind { .. })));
        assert!(matches!(at(800 * DAY, None), Err(Doubt::Ahead { .. })));
        assert_eq!(check_at_start(0, StoreTime::default()), Ok(()));
    }

    #[test]
    fn nor_one_that_a_database_disagrees_with_unless_the_operator_accepted_that() {
        let database = |off: Seconds, accepted: Seconds| {
            Some(Database { wall: (NEWEST + off) * 1000, accepted: accepted * 1000 })
        };
        at(0, database(SKEW, 0)).unwrap();
        at(0, database(-SKEW, 0)).unwrap();
        let doubt = at(0, database(3600, 0)).unwrap_err();
        assert!(doubt.to_string().contains("the database's shows 2026-09-21T"), "{doubt}");
        at(0, database(3600, -3600)).unwrap();
        at(0, database(0, -3600)).unwrap();
    }
}
