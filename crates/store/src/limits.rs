//! How much and how long: the same in both engines.

use counterfoil_core::clock::{DAY, MINUTE, Seconds};

/// Failures after which further tries to sign in are refused.
pub(crate) const MOST_FAILURES: i64 = 5;
/// Seconds for which a failure counts.
pub(crate) const FAILURE_WINDOW: Seconds = 15 * MINUTE;

/// Rows that one step of the sweeper looks at or removes.
pub(crate) const STEP: u32 = 200;
/// Age in seconds from which a consent whose code was never redeemed is removed. A code replayed within a day is still known.
pub(crate) const UNREDEEMED_KEPT_FOR: Seconds = 2 * DAY;
/// Seconds after its end from which a grant is removed: 13 months, for which customers see what has ended.
pub(crate) const GRANTS_KEPT_FOR: Seconds = 400 * DAY;
/// Grants that are looked at in one read for whether they are due to be removed.
pub(crate) const SURVEYED_AT_ONCE: u32 = 2000;
/// Age in seconds from which audit entries are removed.
pub(crate) const AUDIT_KEPT_FOR: Seconds = 3 * 365 * DAY;
