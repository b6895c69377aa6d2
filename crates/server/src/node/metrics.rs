//! The metrics, in Prometheus's text format.

mod connections;

pub(crate) use connections::ConnectionCounts;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use counterfoil_core::clock::{Clock, Deviation};
use counterfoil_core::grant::GrantId;
use counterfoil_core::verdict;
use counterfoil_store::{Redeemed, Store, StoreCounts, Swept, Tearing};
use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use connections::ConnectionMetrics;

/// The upper bounds of the buckets of `counterfoil_request_seconds`.
const BUCKETS: [f64; 11] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    connections: ConnectionMetrics,
    /// Redemptions of slips, by outcome.
    slips: HashMap<&'static str, IntCounter>,
    wal_bytes: IntGauge,
    queued_writes: IntGauge,
    clock_off: IntGauge,
    clock_unsure: IntGauge,
    clock_steps: IntCounter,
    /// Rows removed by sweeps, by kind.
    swept: HashMap<&'static str, IntCounter>,
    /// 1 while a sweep is stopped because it would remove too much.
    sweep_stopped: IntGauge,
    /// The store's counters, in the order of [`STORE`].
    store: Vec<IntCounter>,
    log_lines_dropped: IntCounter,
    log_write_errors: IntCounter,
    /// The source of the log's counters, if set.
    log: OnceLock<fn() -> LogCounts>,
    /// Held while other counters are copied, so that nothing is added twice.
    one_render: Mutex<()>,
}

/// Counts of log lines that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Dropped because the queue was full.
    pub dropped: u64,
    /// Not written, or not completely.
    pub write_errors: u64,
}

/// One of the store's counters: metric, help text, and how it is read.
type StoreCount = (&'static str, &'static str, fn(&StoreCounts) -> u64);

const STORE: [StoreCount; 9] = [
    ("counterfoil_store_commits_total", "Transactions committed", |counts| counts.commits),
    ("counterfoil_store_redeem_batches_total", "Transactions that redeemed slips", |counts| {
        counts.redeem_batches
    }),
    ("counterfoil_store_redeem_batched_total", "Slips in them", |counts| counts.redeem_batched),
    ("counterfoil_store_read_batches_total", "Round trips for reads", |counts| counts.read_batches),
    ("counterfoil_store_reads_total", "Reads", |counts| counts.reads),
    ("counterfoil_store_retries_total", "Transactions tried again", |counts| counts.retries),
    (
        "counterfoil_store_unknown_outcomes_total",
        "Writes of which it was not known at first whether they were done",
        |counts| counts.unknown_outcomes,
    ),
    ("counterfoil_store_connections_total", "Connections opened", |counts| counts.connections),
    (
        "counterfoil_store_endings_forgotten_total",
        "Acknowledged endings that the database had forgotten",
        |counts| counts.endings_forgotten,
    ),
];

/// The outcomes of a redemption, as labels.
const OUTCOMES: [&str; 9] = [
    "redeemed",
    "repeated",
    "after_loss",
    "claimed",
    "expired",
    "ended",
    "forged",
    "ahead",
    "unknown",
];

/// A kind of short-lived row: its label, and how many a sweep removed.
type ShortLived = (&'static str, fn(&Swept) -> u64);

/// The short-lived rows that sweeps remove.
pub(crate) const SHORT_LIVED: [ShortLived; 7] = [
    ("sessions", |swept| swept.sessions),
    ("sign_in_failures", |swept| swept.sign_in_failures),
    ("audit_entries", |swept| swept.audit_entries),
    ("unredeemed", |swept| swept.unredeemed),
    ("silent", |swept| swept.silent),
    ("codes", |swept| swept.codes),
    ("authorizations", |swept| swept.authorizations),
];
/// The label of grants that ended long ago.
pub(crate) const OLD_GRANTS: &str = "grants";

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// The metrics of one route, as handles made once, so that counting a request looks nothing up.
pub(crate) struct RouteMetrics {
    /// By the first digit of the status.
    answers: [IntCounter; 5],
    seconds: Histogram,
}

impl RouteMetrics {
    /// Counts a request and its duration.
    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(answers) = self.answers.get(class) {
            answers.inc();
        }
    }
}

/// Creates and registers metrics.
struct Maker(Registry);

impl Maker {
    fn made<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.made(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.made(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.made(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.made(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A counter for each value of a label.
    fn by_label(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Result<HashMap<&'static str, IntCounter>, Error> {
        let counters = self.counters(name, help, &[label])?;
        Ok(values.into_iter().map(|value| (value, counters.with_label_values(&[value]))).collect())
    }
}

impl Metrics {
    /// # Errors
    /// Two metrics have the same name, or a name is invalid.
    pub(crate) fn new() -> Result<Self, Error> {
        let maker = Maker(Registry::new());
        let seconds = HistogramOpts::new("counterfoil_request_seconds", "How long they took")
            .buckets(BUCKETS.to_vec());
        let swept = SHORT_LIVED.iter().map(|(what, _)| *what).chain([OLD_GRANTS]);
        Ok(Self {
            requests: maker.counters(
                "counterfoil_requests_total",
                "Answers",
                &["route", "status"],
            )?,
            request_seconds: maker.made(HistogramVec::new(seconds, &["route"])?)?,
            connections: ConnectionMetrics::new(&maker)?,
            slips: maker.by_label(
                "counterfoil_slips_total",
                "What became of codes and refresh tokens",
                "outcome",
                OUTCOMES,
            )?,
            wal_bytes: maker.gauge("counterfoil_store_wal_bytes", "Size of SQLite's log")?,
            queued_writes: maker.gauge("counterfoil_store_queued_writes", "Writes that wait")?,
            clock_off: maker
                .gauge("counterfoil_clock_off_seconds", "How far the clock is off, in seconds")?,
            clock_unsure: maker
                .gauge("counterfoil_clock_unsure", "1 while it is not sure what time it is")?,
            clock_steps: maker
                .counter("counterfoil_clock_steps_total", "Steps of the clock taken over")?,
            swept: maker.by_label(
                "counterfoil_swept_total",
                "What sweeps removed",
                "what",
                swept,
            )?,
            sweep_stopped: maker.gauge(
                "counterfoil_sweep_stopped",
                "1 while a sweep is stopped since it would remove too much",
            )?,
            store: STORE
                .iter()
                .map(|(name, help, _)| maker.counter(name, help))
                .collect::<Result<_, _>>()?,
            log_lines_dropped: maker.counter(
                "counterfoil_log_lines_dropped_total",
                "Log lines dropped, since too many waited to be written",
            )?,
            log_write_errors: maker.counter(
                "counterfoil_log_write_errors_total",
                "Log lines not written, or not to their end",
            )?,
            log: OnceLock::new(),
            one_render: Mutex::default(),
            registry: maker.0,
        })
    }

    /// The metrics of a route, by its path.
    pub(crate) fn route(&self, path: &'static str) -> RouteMetrics {
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|class| self.requests.with_label_values(&[path, class]));
        RouteMetrics { answers, seconds: self.request_seconds.with_label_values(&[path]) }
    }

    /// The connection metrics of a listener, by its name.
    pub(crate) fn connections(&self, listener: &'static str) -> ConnectionCounts {
        self.connections.of(listener)
    }

    /// Counts a redemption. `claimed` counts replays; `forged` and `ahead` are alarms.
    pub(crate) fn count_slip(&self, redeemed: &Redeemed, grant: GrantId) {
        let outcome = match redeemed {
            Redeemed::Torn(torn) => match torn.how() {
                Tearing::InTurn => "redeemed",
                Tearing::Repeated => "repeated",
                Tearing::AfterLoss => "after_loss",
            },
            Redeemed::Refused { refused, reason } => {
                if matches!(
                    refused,
                    Some(verdict::SlipRefusal::Forged | verdict::SlipRefusal::Ahead)
                ) {
                    tracing::error!(%grant, reason, "ALARM: a slip that can't be");
                }
                refused.map_or("unknown", |refused| refused.name())
            }
        };
        if let Some(counter) = self.slips.get(outcome) {
            counter.inc();
        }
    }

    /// Counts an accepted step of the clock.
    pub(crate) fn count_clock_step(&self) {
        self.clock_steps.inc();
    }

    /// Counts rows removed by a sweep.
    pub(crate) fn count_swept(&self, what: &'static str, count: u64) {
        if let Some(counter) = self.swept.get(what) {
            counter.inc_by(count);
        }
    }

    /// Sets whether a sweep is stopped because it would remove too much.
    pub(crate) fn sweep_is_stopped(&self, stopped: bool) {
        self.sweep_stopped.set(stopped.into());
    }

    /// Sets the source of the log's counters. The log belongs to the process, so the process
    /// counts.
    pub fn set_log_counts(&self, counts: fn() -> LogCounts) {
        // There is only one log.
        let _ = self.log.set(counts);
    }

    /// All metrics, rendered.
    pub fn render(&self, store: &Store, clock: &Clock) -> String {
        let _one = self.one_render.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.wal_bytes.set(whole(store.wal_bytes()));
        self.queued_writes.set(i64::try_from(store.queued_writes()).unwrap_or(i64::MAX));
        self.clock_off.set(clock.off().map_or(0, Deviation::seconds));
        self.clock_unsure.set(clock.is_unsure().into());
        let counts = store.counts();
        for (counter, (_, _, count)) in self.store.iter().zip(STORE) {
            catch_up(counter, count(&counts));
        }
        if let Some(counts) = self.log.get() {
            let LogCounts { dropped, write_errors } = counts();
            catch_up(&self.log_lines_dropped, dropped);
            catch_up(&self.log_write_errors, write_errors);
        }
        // Writes to memory, which can't fail.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// Raises a counter to a count kept elsewhere.
fn catch_up(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}
