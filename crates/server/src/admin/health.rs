//! `/health/live`, `/health/ready` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::failure::Failure;
use serde_json::json as value;

use crate::http::refused::Refused;
use crate::http::respond::{empty, json};
use crate::node::app::App;

/// 200 while the process runs.
pub async fn live() -> Response {
    empty(StatusCode::OK)
}

/// 200 while requests can be answered: the store is writable, the time is known, and the server was
/// not told to stop; else 503. Reports by how much a clock is off, if one is.
///
/// # Errors
/// 503.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    if app.is_stopping() {
        return Err(Refused::unavailable("the server was told to stop"));
    }
    app.writable.check(&app.store, &app.clock).await.map_err(Refused::unavailable)?;
    let Some(off) = app.clock.off() else {
        return Ok(json(StatusCode::OK, &value!({ "ready": true })));
    };
    let ready = !app.clock.is_unsure();
    let mut answer =
        value!({ "ready": ready, "clock": off.to_string(), "clock_off_seconds": off.seconds() });
    if ready {
        return Ok(json(StatusCode::OK, &answer));
    }
    answer["error"] = Failure::Unavailable.oauth().code.as_str().into();
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &answer);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}

/// The metrics, in Prometheus's text format.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")],
        app.metrics.render(&app.store, &app.clock),
    )
        .into_response()
}
