//! `/health/live`, `/health/ready` and `/metrics`.

use crate::app::App;
use crate::refused::Refused;
use crate::respond::{empty, json};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_store::StoreError;
use serde_json::json as value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the store may take to be written; whoever asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// 200 while the process serves.
pub async fn live() -> Response {
    empty(StatusCode::OK)
}

/// 200 while the store can be written, found out by writing, and it is known what time it is; else 503. Says by how much a clock is off, if one is.
///
/// # Errors
/// 503.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let written = timeout(PATIENCE, app.store.probe()).await;
    written.unwrap_or_else(|_| Err(StoreError::NotWritten("no answer in time".into()))).map_err(Refused::unavailable)?;
    let Some(off) = app.clock.off() else { return Ok(json(StatusCode::OK, &value!({ "ready": true }))) };
    let ready = !app.clock.is_unsure();
    let mut answer = value!({ "ready": ready, "clock": off.to_string(), "clock_off_seconds": off.seconds() });
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
    ([(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")], app.metrics.render(&app)).into_response()
}
