//! What was measured, as figures.

use std::time::Duration;

use serde::Serialize;

/// The result of loading one contender once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Good answers in the measured time.
    pub requests: u64,
    /// How long it was measured, in seconds.
    pub seconds: f64,
    /// Good answers a second.
    pub requests_per_second: f64,
    /// Half of the answers took less than this, in milliseconds.
    pub p50_ms: f64,
    /// 90% took less.
    pub p90_ms: f64,
    /// 99% took less.
    pub p99_ms: f64,
    /// 99.9% took less.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Requests, those of the warm-up too, without the answer that they should have.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Connections that the server closed and that were opened again.
    pub reopened: u64,
    /// CPU time of the server a good answer, in microseconds, where its processes are known.
    pub cpu_us_per_request: Option<f64>,
    /// Resident memory of the server afterwards, in bytes, where its processes are known.
    pub rss_bytes: Option<u64>,
    /// The peak.
    pub peak_rss_bytes: Option<u64>,
    /// CPU time of the load generator as a share of the time: near 1, it is what was measured.
    pub load_share: f64,
}

/// How long answers took, in microseconds, in ascending order.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn new(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        Self(micros)
    }

    /// The least time, in milliseconds, that `share` of all did not exceed (the nearest rank).
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |&micros| f64::from(micros) / 1000.0)
    }
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle; of an even number, the mean of the two there.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Over the figures of all rounds; none without any.
    pub fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_unstable_by(f64::total_cmp);
        let (&least, &greatest) = (figures.first()?, figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            (figures[middle - 1] + figures[middle]) / 2.0
        } else {
            figures[middle]
        };
        Some(Self { median, least, greatest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let latencies = Latencies::new((1..=1000).rev().map(|n| n * 1000).collect());
        let at = |share| latencies.percentile(share);
        assert_eq!(
            (at(0.5), at(0.9), at(0.99), at(0.999), at(1.0)),
            (500.0, 900.0, 990.0, 999.0, 1000.0)
        );
        let one = Latencies::new(vec![1500]);
        assert_eq!((one.percentile(0.5), one.percentile(1.0)), (1.5, 1.5));
        let three = Latencies::new(vec![3000, 1000, 2000]);
        assert_eq!((three.percentile(0.5), three.percentile(0.9)), (2.0, 3.0));
        assert_eq!(Latencies::new(Vec::new()).percentile(0.5), 0.0);
        assert_eq!(micros(Duration::from_secs(5000)), u32::MAX);
    }

    #[test]
    fn medians() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]),
            Some(Spread { median: 2.0, least: 1.0, greatest: 3.0 })
        );
        assert_eq!(
            spread(&[4.0, 1.0, 2.0, 3.0]),
            Some(Spread { median: 2.5, least: 1.0, greatest: 4.0 })
        );
        assert_eq!(spread(&[7.0]), Some(Spread { median: 7.0, least: 7.0, greatest: 7.0 }));
        assert_eq!(spread(&[]), None);
    }
}
