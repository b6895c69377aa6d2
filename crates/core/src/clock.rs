//! Time. `now` is read once when a request enters and handed down; nothing else asks the system.

mod discipline;
mod machine;
mod source;
mod start;

pub use discipline::{
    Change, Database, Deviation, Discipline, LASTING, Millis, Readings, SMALL_STEP,
};
pub use machine::{Machine, ManualClock};
pub use source::Clock;
pub use start::{Doubt, FARTHEST_AHEAD, StoreTime, check_at_start};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time in whole seconds.
pub type Seconds = i64;

/// One minute, in seconds.
pub const MINUTE: Seconds = 60;
/// One hour, in seconds.
pub const HOUR: Seconds = 60 * MINUTE;
/// One day of 24 hours, in seconds.
pub const DAY: Seconds = 24 * HOUR;

/// How many seconds the clocks of two nodes may differ.
pub const SKEW: Seconds = 30;

/// A moment, in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This moment moved by `seconds`, which may be negative.
    pub const fn plus(self, seconds: Seconds) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative where `earlier` is the later one.
    pub const fn since(self, earlier: Timestamp) -> Seconds {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether this moment lies in the window of `span` seconds that opened at `start`.
    ///
    /// A `start` up to [`SKEW`] ahead counts as now: another node wrote it, or the clock was set
    /// back a little. A `start` further ahead opens nothing, so moving the clock back reopens no
    /// window.
    pub const fn is_within(self, span: Seconds, start: Timestamp) -> bool {
        let age = self.since(start);
        -SKEW <= age && age < span
    }

    /// Reads an RFC 3339 timestamp such as `2026-11-22T10:00:00Z`.
    ///
    /// # Errors
    /// Says what is wrong with `text`.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_second())).map_err(|e| e.to_string())
    }

    /// Date and time of day in UTC. Where a moment is beyond the calendar, 1970.
    pub fn utc(self) -> DateTime {
        let at = jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let at = jiff::tz::Offset::UTC.to_datetime(at);
        DateTime {
            year: at.year(),
            month: at.month(),
            day: at.day(),
            hour: at.hour(),
            minute: at.minute(),
        }
    }
}

/// A date with the time of day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct DateTime {
    pub year: i16,
    pub month: i8,
    pub day: i8,
    pub hour: i8,
    pub minute: i8,
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

/// How far a sandbox clock may be moved either way, in seconds: a century.
pub const FARTHEST_OFFSET: Seconds = 100 * 365 * DAY;

/// Reads a duration such as `5m`, `24h`, `90d` or `5m1s`, with an optional sign, in seconds.
///
/// # Errors
/// Says what is wrong with `text`: calendar units (months, years) have no fixed length and are
/// refused.
pub fn parse_duration(text: &str) -> Result<Seconds, String> {
    exact_duration(text).map(|duration| duration.as_secs())
}

/// Reads how long something lives, such as `5m` or `90d`, in seconds.
///
/// # Errors
/// Says what is wrong with `text`; it must be at least a second.
pub fn parse_lifetime(text: &str) -> Result<Seconds, String> {
    let duration = exact_duration(text)?;
    match duration.as_secs() {
        _ if duration.is_negative() => Err(format!("`{text}` is negative")),
        0 => Err(format!("`{text}` is less than a second")),
        seconds => Ok(seconds),
    }
}

/// Reads how long to wait, such as `250ms` or `2s`.
///
/// # Errors
/// Says what is wrong with `text`; it can't be negative.
pub fn parse_wait(text: &str) -> Result<Duration, String> {
    exact_duration(text)?.try_into().map_err(|_| format!("`{text}` is negative"))
}

/// The units of durations, for messages.
const UNITS: &str = "s, m, h, d and w (and ms)";

fn exact_duration(text: &str) -> Result<jiff::SignedDuration, String> {
    let span: jiff::Span = text.parse().map_err(|_| explain_duration(text))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!("`{text}` has no fixed length; write it in days, like 365d"));
    }
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("`{text}` is too long"))
}

/// Says why `text` is no duration.
fn explain_duration(text: &str) -> String {
    let unsigned = text.trim().trim_start_matches(['+', '-']);
    let (number, unit) =
        unsigned.split_at(unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len()));
    let is_word = !unit.is_empty() && unit.chars().all(char::is_alphabetic);
    match (number.is_empty(), unit.is_empty()) {
        (true, true) => "it is empty; write it like 5m, 24h or 90d".into(),
        (false, true) => {
            format!("`{text}` has no unit; the units are {UNITS}, so write it like {text}s")
        }
        (false, false) if is_word && format!("1{unit}").parse::<jiff::Span>().is_err() => {
            format!("`{text}` has the unit `{unit}`, which there is none of; the units are {UNITS}")
        }
        (false, false) if is_word => format!("`{text}` is too long"),
        _ => format!("`{text}` is not a duration; write it like 5m, 24h or 90d"),
    }
}

/// A length of time in words, in its largest fitting unit: `12 seconds`, `3 hours`.
pub fn duration_in_words(seconds: Seconds) -> String {
    let (count, unit) = match seconds.abs() {
        s if s < 2 * MINUTE => (s, "second"),
        s if s < 2 * HOUR => (s / MINUTE, "minute"),
        s if s < 2 * DAY => (s / HOUR, "hour"),
        s => (s / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("5m"), Ok(300));
        assert_eq!(parse_duration("5m1s"), Ok(301));
        assert_eq!(parse_duration("90d"), Ok(90 * DAY));
        assert_eq!(parse_duration("-25h"), Ok(-25 * HOUR));
        for (bad, word) in [
            ("", "is empty"),
            ("-", "is empty"),
            ("5", "no unit"),
            ("-300", "no unit"),
            ("5x", "the unit `x`"),
            ("5M5", "not a duration"),
            ("1y", "no fixed length"),
            ("2mo", "no fixed length"),
            ("soon", "not a duration"),
            ("5m 1x", "not a duration"),
            ("99999999999999999999d", "too long"),
            ("99999999999d", "too long"),
        ] {
            let said = parse_duration(bad).unwrap_err();
            assert!(said.contains(word), "{bad}: {said}");
        }
    }

    #[test]
    fn lifetimes() {
        assert_eq!(parse_lifetime("1s"), Ok(1));
        assert_eq!(parse_lifetime("365d"), Ok(365 * DAY));
        for (bad, word) in [
            ("-5m", "negative"),
            ("-1ms", "negative"),
            ("0s", "less than a second"),
            ("500ms", "less than a second"),
            ("5", "no unit"),
        ] {
            let said = parse_lifetime(bad).unwrap_err();
            assert!(said.contains(word), "{bad}: {said}");
        }
    }

    #[test]
    fn waits() {
        assert_eq!(parse_wait("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_wait("2s"), Ok(Duration::from_secs(2)));
        assert!(parse_wait("-2s").is_err());
        assert!(parse_wait("a while").is_err());
    }

    #[test]
    fn a_window_is_closed_once_it_is_over_and_long_before_it_opens() {
        let start = Timestamp::from_unix(1000);
        assert!(start.is_within(10, start));
        assert!(start.plus(9).is_within(10, start));
        assert!(!start.plus(10).is_within(10, start));
        assert!(start.plus(-SKEW).is_within(10, start));
        assert!(!start.plus(-SKEW - 1).is_within(10, start));
    }

    #[test]
    fn words() {
        assert_eq!(duration_in_words(1), "1 second");
        assert_eq!(duration_in_words(12), "12 seconds");
        assert_eq!(duration_in_words(2 * HOUR), "2 hours");
        assert_eq!(Timestamp::from_unix(1_795_392_000).to_string(), "2026-11-23T00:00:00Z");
    }
}
