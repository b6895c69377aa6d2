//! This machine's time.

use jiff::Timestamp;

/// This machine's time.
#[allow(clippy::disallowed_methods)] // The one place: what is certified is another program, and core's Clock is part of it.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
