//! `/health/live`, `/health/ready` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::failure::Failure;
use serde_json::json as value;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::http::operation::{self, Operation};
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

/// What the OpenAPI document says of `/health/live`.
pub fn describe_live() -> Vec<Operation> {
    vec![operation::get("Does the process serve?").empty(200, "It does.")]
}

/// What the OpenAPI document says of `/health/ready`.
pub fn describe_ready() -> Vec<Operation> {
    let answer = || {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("ready", ObjectBuilder::new().schema_type(Type::Boolean))
            .property("error", ObjectBuilder::new().schema_type(Type::String))
            .property("clock", ObjectBuilder::new().schema_type(Type::String))
            .property("clock_off_seconds", ObjectBuilder::new().schema_type(Type::Integer))
    };
    vec![
        operation::get("Are requests answered?")
            .json_like(200, "They are.", answer(), value!({ "ready": true }))
            .json_like(
                503,
                "They are not: the store can't be written, it is not known what time it is, or the server stops.",
                answer(),
                value!({ "error": "temporarily_unavailable" }),
            ),
    ]
}

/// What the OpenAPI document says of `/metrics`.
pub fn describe_metrics() -> Vec<Operation> {
    vec![operation::get("What was counted").text(
        200,
        "text/plain",
        "The text format of Prometheus.",
    )]
}
