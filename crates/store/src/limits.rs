//! How much and how long: the same in both engines.

use counterfoil_core::clock::{DAY, MINUTE, Seconds, Timestamp};

/// Failures after which further tries to sign in are refused.
pub(crate) const MOST_FAILURES: u8 = 5;
/// Seconds for which a failure counts.
pub(crate) const FAILURE_WINDOW: Seconds = 15 * MINUTE;

/// Until when sign-in is closed by failures that count, given the latest [`MOST_FAILURES`] of them,
/// the latest first; `None` while it is open.
pub(crate) fn closed_until(latest: &[i64]) -> Option<Timestamp> {
    latest
        .get(usize::from(MOST_FAILURES) - 1)
        .map(|at| Timestamp::from_unix(*at).plus(FAILURE_WINDOW))
}

/// The same once another failure at `now` was counted.
pub(crate) fn closed_until_with(mut latest: Vec<i64>, now: Timestamp) -> Option<Timestamp> {
    latest.push(now.unix());
    latest.sort_unstable_by(|a, b| b.cmp(a));
    closed_until(&latest)
}

/// Customers of whom others have the same name that are listed at once: an operator who has more
/// will not read on.
pub(crate) const MOST_OF_A_COMMON_NAME: u32 = 200;

/// Rows that one step of the sweeper looks at or removes.
pub(crate) const STEP: u32 = 200;
/// Age in seconds from which a consent whose code was never redeemed is removed. A code replayed
/// within a day is still known.
pub(crate) const UNREDEEMED_KEPT_FOR: Seconds = 2 * DAY;
/// Seconds after its end from which a grant is removed: 13 months, for which customers see what has
/// ended.
pub(crate) const GRANTS_KEPT_FOR: Seconds = 400 * DAY;
/// Grants that are looked at in one read for whether they are due to be removed.
pub(crate) const SURVEYED_AT_ONCE: u32 = 2000;
/// Age in seconds from which audit entries are removed.
pub(crate) const AUDIT_KEPT_FOR: Seconds = 3 * 365 * DAY;
