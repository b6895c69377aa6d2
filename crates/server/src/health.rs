//! `/health/live`, `/health/ready` and `/metrics`.

use crate::app::App;
use crate::refused::Refused;
use crate::respond::{empty, json};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
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

/// 200 while the store can be written, found out by writing; else 503.
///
/// # Errors
/// 503.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let written = timeout(PATIENCE, app.store.probe()).await;
    written.unwrap_or_else(|_| Err(StoreError::NotWritten("no answer in time".into()))).map_err(Refused::unavailable)?;
    Ok(json(StatusCode::OK, &value!({ "ready": true })))
}

/// What was counted, in the text format of Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")], app.metrics.render(&app)).into_response()
}
