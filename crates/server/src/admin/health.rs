//! `/health/live`, `/health/ready` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::clock::Millis;
use serde_json::json as value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::http::refused::Refused;
use crate::http::respond::{empty, json};
use crate::node::app::App;

/// How long the store may take to be written; whoever asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a write that succeeded speaks for the probes after it, in milliseconds, unless a
/// request was answered with 503 since.
const GOOD_FOR: Millis = 3000;

/// Whether the store can be written, found out by writing now and then: probes share what was
/// found. While it can't, each looks anew, but for those that came while another was at it.
#[derive(Debug, Default)]
pub struct Writable {
    last: Mutex<Option<Looked>>,
    /// How often it was looked.
    looks: AtomicU64,
    /// Whether a request was answered with 503 since.
    doubted: AtomicBool,
}

/// What was found out last.
#[derive(Debug)]
struct Looked {
    /// By the machine's uptime.
    at: Millis,
    outcome: Result<(), String>,
}

impl Writable {
    /// A request was answered with 503: what was found may not be so any more.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::SeqCst);
    }

    async fn look(&self, app: &App) -> Result<(), String> {
        let late = || "no answer in time".to_owned();
        let came = self.looks.load(Ordering::SeqCst);
        let Ok(mut last) = timeout(PATIENCE, self.last.lock()).await else {
            return Err(late());
        };
        if let Some(Looked { at, outcome }) = &*last {
            let is_good = outcome.is_ok()
                && !self.doubted.load(Ordering::SeqCst)
                && app.clock.uptime() - at < GOOD_FOR;
            if is_good || self.looks.load(Ordering::SeqCst) > came {
                return outcome.clone();
            }
        }
        self.doubted.store(false, Ordering::SeqCst);
        let written = timeout(PATIENCE, app.store.probe()).await;
        let outcome = written
            .map_err(|_| late())
            .and_then(|written| written.map_err(|error| error.to_string()));
        self.looks.fetch_add(1, Ordering::SeqCst);
        *last = Some(Looked { at: app.clock.uptime(), outcome: outcome.clone() });
        outcome
    }
}

/// 200 while the process serves.
pub async fn live() -> Response {
    empty(StatusCode::OK)
}

/// 200 while requests are answered: the store can be written, it is known what time it is, and the
/// server was not told to stop; else 503. Says by how much a clock is off, if one is.
///
/// # Errors
/// 503.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    if app.is_stopping() {
        return Err(Refused::unavailable("the server was told to stop"));
    }
    app.writable.look(&app).await.map_err(Refused::unavailable)?;
    let Some(off) = app.clock.off() else {
        return Ok(json(StatusCode::OK, &value!({ "ready": true })));
    };
    let ready = !app.clock.is_unsure();
    let mut answer =
        value!({ "ready": ready, "clock": off.to_string(), "clock_off_seconds": off.seconds() });
    if ready {
        return Ok(json(StatusCode::OK, &answer));
    }
    answer["error"] = "temporarily_unavailable".into();
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &answer);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}

/// What was counted, in the text format of Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")],
        app.metrics.render(&app),
    )
        .into_response()
}
