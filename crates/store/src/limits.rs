//! How much and how long: the same in both engines.

use counterfoil_core::client::LONGEST_GRANT_DAYS;
use counterfoil_core::clock::{DAY, MINUTE, Seconds};

/// Failures after which further tries to sign in are refused.
pub(crate) const MOST_FAILURES: i64 = 5;
/// Seconds for which a failure counts.
pub(crate) const FAILURE_WINDOW: Seconds = 15 * MINUTE;

/// Rows that one step of the sweeper looks at or removes.
pub(crate) const STEP: u32 = 200;
/// Age in seconds from which a consent whose code was never redeemed is removed. A code replayed within a day is still known.
pub(crate) const UNREDEEMED_KEPT_FOR: Seconds = 2 * DAY;
/// Age in seconds from which a grant is removed: it ended at the latest after a year, and is shown for another.
pub(crate) const GRANTS_KEPT_FOR: Seconds = 2 * LONGEST_GRANT_DAYS as Seconds * DAY;
/// Age in seconds from which audit entries are removed.
pub(crate) const AUDIT_KEPT_FOR: Seconds = 3 * 365 * DAY;
