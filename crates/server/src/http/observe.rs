//! The only logger of requests, and what is counted. A line names route, status, client, grant and
//! the private reason; never a query, a body, a header or a token.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use counterfoil_core::clock::Off;
use counterfoil_core::grant::GrantId;
use counterfoil_core::verdict;
use counterfoil_store::{Redeemed, StoreCounts, Swept, Tearing};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::http::around::UNMATCHED;
use crate::http::connections::ConnectionCounts;
use crate::http::said::Said;
use crate::node::app::App;

/// What a handler tells the log, as an extension of its answer.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The client that asked.
    pub client: Option<Arc<str>>,
    /// The grant that it was about.
    pub grant: Option<GrantId>,
    /// Why it was refused, or what was special, in plain words.
    pub reason: Option<String>,
}

/// Tells the log which client and grant an answer is about.
pub fn seen(mut response: Response, client: &Arc<str>, grant: GrantId) -> Response {
    let seen: &mut Seen = response.extensions_mut().get_or_insert_default();
    seen.client = Some(client.clone());
    seen.grant = Some(grant);
    response
}

/// Logs and counts one request; in a sandbox tells the reason of a refusal in a header too.
pub(crate) fn observe(
    app: &App,
    method: &Method,
    route: &str,
    said: &Said,
    took: Duration,
    response: &mut Response,
) {
    let status = response.status();
    app.metrics.count(route, status, took.as_secs_f64());
    let seen = response.extensions_mut().remove::<Seen>().unwrap_or_default();
    let (client, grant, reason) =
        (seen.client.as_deref(), seen.grant.map(tracing::field::display), seen.reason.as_deref());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        app.writable.doubt();
    }
    let (status_code, micros) =
        (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let [interaction, actor_type, interaction_type, last_access, intent_type] = said.recorded();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "request", %method, route, status = status_code, micros, client, grant, reason, interaction, actor_type, interaction_type,
                last_access, intent_type
            )
        };
    }
    if status.is_server_error() {
        line!(error);
    } else {
        line!(info);
    }
    if app.is_sandbox()
        && let Some(reason) = reason
        && let Ok(value) = HeaderValue::from_str(
            &reason.replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?"),
        )
    {
        response.headers_mut().insert("counterfoil-reason", value);
    }
}

/// What is counted, in the format of Prometheus.
pub struct Metrics {
    handle: PrometheusHandle,
    routes: HashMap<&'static str, RouteMetrics>,
    /// What became of slips, by the word for it.
    slips: HashMap<&'static str, Counter>,
    wal_bytes: Gauge,
    queued_writes: Gauge,
    clock_off: Gauge,
    clock_unsure: Gauge,
    clock_steps: Counter,
    /// What sweeps removed, by what it was.
    swept: HashMap<&'static str, Counter>,
    /// 1 while a sweep is stopped since it would remove too much.
    sweep_stopped: Gauge,
    /// What the store counts, in the order of [`STORE`].
    store: Vec<Counter>,
    /// Of the listener for clients and customers.
    pub(crate) connections: ConnectionCounts,
    /// Of the one for `/metrics`, where they are kept apart.
    pub(crate) metrics_connections: ConnectionCounts,
    log_lines_dropped: Counter,
    log_write_errors: Counter,
    /// Who counts what becomes of the log's lines, where anybody does.
    log: OnceLock<fn() -> LogCounts>,
}

/// What became of lines of the log that can't be read anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Dropped, since too many waited to be written.
    pub dropped: u64,
    /// Not written, or not to their end.
    pub write_errors: u64,
}

/// Reads one of what the store counts.
type Read = fn(&StoreCounts) -> u64;

/// What the store counts, by the name of its metric.
const STORE: [(&str, Read); 9] = [
    ("counterfoil_store_commits_total", |counts| counts.commits),
    ("counterfoil_store_redeem_batches_total", |counts| counts.redeem_batches),
    ("counterfoil_store_redeem_batched_total", |counts| counts.redeem_batched),
    ("counterfoil_store_read_batches_total", |counts| counts.read_batches),
    ("counterfoil_store_reads_total", |counts| counts.reads),
    ("counterfoil_store_retries_total", |counts| counts.retries),
    ("counterfoil_store_unknown_outcomes_total", |counts| counts.unknown_outcomes),
    ("counterfoil_store_connections_total", |counts| counts.connections),
    ("counterfoil_store_endings_forgotten_total", |counts| counts.endings_forgotten),
];

/// What can become of a slip, as a label.
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

/// Something that is short-lived: its word in metrics, and how many of it a step removed.
type ShortLived = (&'static str, fn(&Swept) -> u64);

/// What sweeps remove that is short-lived.
pub(crate) const SHORT_LIVED: [ShortLived; 7] = [
    ("sessions", |swept| swept.sessions),
    ("sign_in_failures", |swept| swept.sign_in_failures),
    ("audit_entries", |swept| swept.audit_entries),
    ("unredeemed", |swept| swept.unredeemed),
    ("silent", |swept| swept.silent),
    ("codes", |swept| swept.codes),
    ("authorizations", |swept| swept.authorizations),
];
/// The word in metrics for grants that ended long ago.
pub(crate) const OLD_GRANTS: &str = "grants";

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Handles that are made once, so that counting a request looks nothing up by label.
struct RouteMetrics {
    /// By the first digit of the status.
    answers: [Counter; 5],
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        const METADATA: Metadata<'static> = Metadata::new("counterfoil", Level::INFO, None);
        let builder = PrometheusBuilder::new();
        let buckets = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
        // Only an empty list of buckets is refused.
        let recorder = builder.set_buckets(&buckets).unwrap_or_default().build_recorder();
        let paths = crate::routes::paths().chain([UNMATCHED]);
        let routes = paths.map(|path| {
            let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| {
                let labels = vec![Label::new("route", path), Label::new("status", class)];
                recorder.register_counter(
                    &Key::from_parts("counterfoil_requests_total", labels),
                    &METADATA,
                )
            });
            let key =
                Key::from_parts("counterfoil_request_seconds", vec![Label::new("route", path)]);
            (path, RouteMetrics { answers, seconds: recorder.register_histogram(&key, &METADATA) })
        });
        let slips = OUTCOMES.map(|outcome| {
            let key =
                Key::from_parts("counterfoil_slips_total", vec![Label::new("outcome", outcome)]);
            (outcome, recorder.register_counter(&key, &METADATA))
        });
        Self {
            routes: routes.collect(),
            slips: slips.into_iter().collect(),
            wal_bytes: recorder
                .register_gauge(&Key::from_name("counterfoil_store_wal_bytes"), &METADATA),
            store: STORE
                .iter()
                .map(|(name, _)| recorder.register_counter(&Key::from_name(*name), &METADATA))
                .collect(),
            queued_writes: recorder
                .register_gauge(&Key::from_name("counterfoil_store_queued_writes"), &METADATA),
            clock_off: recorder
                .register_gauge(&Key::from_name("counterfoil_clock_off_seconds"), &METADATA),
            clock_unsure: recorder
                .register_gauge(&Key::from_name("counterfoil_clock_unsure"), &METADATA),
            clock_steps: recorder
                .register_counter(&Key::from_name("counterfoil_clock_steps_total"), &METADATA),
            swept: SHORT_LIVED
                .iter()
                .map(|(what, _)| *what)
                .chain([OLD_GRANTS])
                .map(|what| {
                    let key =
                        Key::from_parts("counterfoil_swept_total", vec![Label::new("what", what)]);
                    (what, recorder.register_counter(&key, &METADATA))
                })
                .collect(),
            sweep_stopped: recorder
                .register_gauge(&Key::from_name("counterfoil_sweep_stopped"), &METADATA),
            connections: ConnectionCounts::new(&recorder, &METADATA, "public"),
            metrics_connections: ConnectionCounts::new(&recorder, &METADATA, "metrics"),
            log_lines_dropped: recorder.register_counter(
                &Key::from_name("counterfoil_log_lines_dropped_total"),
                &METADATA,
            ),
            log_write_errors: recorder
                .register_counter(&Key::from_name("counterfoil_log_write_errors_total"), &METADATA),
            log: OnceLock::new(),
            handle: recorder.handle(),
        }
    }

    fn count(&self, route: &str, status: StatusCode, seconds: f64) {
        if let Some(metrics) = self.routes.get(route) {
            metrics.seconds.record(seconds);
            if let Some(answers) =
                metrics.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1))
            {
                answers.increment(1);
            }
        }
    }

    /// Counts what became of a slip. `claimed` counts replays; `forged` and `ahead` are alarms.
    pub(crate) fn count_slip(&self, redeemed: &Redeemed, grant: GrantId) {
        let outcome = match redeemed {
            Redeemed::Torn(torn) => match torn.how() {
                Tearing::InTurn => "redeemed",
                Tearing::Repeated => "repeated",
                Tearing::AfterLoss => "after_loss",
            },
            Redeemed::Refused { refused, reason } => {
                if matches!(refused, Some(verdict::Refused::Forged | verdict::Refused::Ahead)) {
                    tracing::error!(%grant, reason, "ALARM: a slip that can't be");
                }
                refused.map_or("unknown", |refused| refused.name())
            }
        };
        if let Some(counter) = self.slips.get(outcome) {
            counter.increment(1);
        }
    }

    /// Counts a step of the clock that was taken over.
    pub(crate) fn count_clock_step(&self) {
        self.clock_steps.increment(1);
    }

    /// Counts what a sweep removed.
    pub(crate) fn count_swept(&self, what: &'static str, count: u64) {
        if let Some(counter) = self.swept.get(what) {
            counter.increment(count);
        }
    }

    /// Says whether a sweep is stopped since it would remove too much.
    pub(crate) fn sweep_is_stopped(&self, stopped: bool) {
        self.sweep_stopped.set(f64::from(u8::from(stopped)));
    }

    /// Has what becomes of the log's lines told here. The log is the process's, so the process
    /// counts.
    pub fn tell_of_log(&self, counts: fn() -> LogCounts) {
        // There is one log.
        let _ = self.log.set(counts);
    }

    /// Everything counted so far.
    pub fn render(&self, app: &App) -> String {
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.wal_bytes.set(app.store.wal_bytes() as f64);
            self.queued_writes.set(app.store.queued_writes() as f64);
            self.clock_off.set(app.clock.off().map_or(0, Off::seconds) as f64);
            self.clock_unsure.set(f64::from(u8::from(app.clock.is_unsure())));
        }
        let counts = app.store.counts();
        for (counter, (_, count)) in self.store.iter().zip(STORE) {
            counter.absolute(count(&counts));
        }
        if let Some(counts) = self.log.get() {
            let LogCounts { dropped, write_errors } = counts();
            self.log_lines_dropped.absolute(dropped);
            self.log_write_errors.absolute(write_errors);
        }
        self.handle.render()
    }

    /// Moves what was observed into its buckets; to be called now and then, or it piles up.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}
