//! `GET, POST, DELETE /sandbox/clock`: the time that the whole server goes by.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::clock::{FARTHEST_OFFSET, Seconds, Timestamp, parse_duration};
use counterfoil_core::form::Form;
use counterfoil_server::App;
use counterfoil_server::http::body::{malformed, oauth_form};
use counterfoil_server::http::operation::{self, Operation, optional};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::json;
use counterfoil_server::node::maintenance;
use serde_json::json as value;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::guard::{Local, local};

/// The sandbox's time.
pub async fn get(_: Local, State(app): State<Arc<App>>) -> Response {
    told(&app)
}

fn told(app: &App) -> Response {
    json(
        StatusCode::OK,
        &value!({ "now": app.clock.now().to_string(), "offset_seconds": app.clock.offset() }),
    )
}

/// Moves the clock by `advance`, or to `set`.
///
/// # Errors
/// 400 with what is wrong, 503.
pub async fn post(
    _: Local,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    move_as_asked(&app, &form).await?;
    Ok(told(&app))
}

/// Resets the clock to the machine's time.
///
/// # Errors
/// 503.
pub async fn delete(_: Local, State(app): State<Arc<App>>) -> Result<Response, Refused> {
    move_to(&app, 0).await?;
    Ok(told(&app))
}

/// Moves the clock as a form asks.
///
/// # Errors
/// 400 with what is wrong, 503.
pub async fn move_as_asked(app: &Arc<App>, form: &Form<'_>) -> Result<(), Refused> {
    let offset = match (form.get("advance"), form.get("set")) {
        (Some(advance), None) => {
            let by = parse_duration(advance).map_err(|problem| malformed(app, problem))?;
            app.clock.offset().saturating_add(by)
        }
        (None, Some(set)) => {
            let to = Timestamp::parse_rfc3339(set);
            let to = to.map_err(|_| {
                malformed(
                    app,
                    format!("`{set}` is not an RFC 3339 time; write it like 2026-12-01T00:00:00Z"),
                )
            })?;
            let machine = app.clock.now().plus(-app.clock.offset());
            to.since(machine)
        }
        _ => {
            return Err(malformed(
                app,
                "send either advance, such as 25h, or set, an RFC 3339 time",
            ));
        }
    };
    if offset.abs() > FARTHEST_OFFSET {
        return Err(malformed(app, "the clock can be moved by a century at the most"));
    }
    move_to(app, offset).await
}

/// Sets how many seconds the clock is ahead of the machine's time.
///
/// # Errors
/// 503.
pub async fn move_to(app: &Arc<App>, offset: Seconds) -> Result<(), Refused> {
    app.store.set_clock_offset(offset).await.map_err(Refused::unavailable)?;
    app.clock.set_offset(offset);
    // Keys that are due are rotated before the answer, not at the next round of maintenance.
    maintenance::keep_keys(app, false).await;
    Ok(())
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let told = |operation: Operation| {
        let clock = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("now", ObjectBuilder::new().schema_type(Type::String))
            .property("offset_seconds", ObjectBuilder::new().schema_type(Type::Integer))
            .required("now")
            .required("offset_seconds");
        let example = value!({ "now": "2026-11-22T10:00:00Z", "offset_seconds": 0 });
        local(operation).json_like(200, "Time as the whole server sees it.", clock, example)
    };
    let fields = [
        optional("advance", 64, "Such as `25h`, `5m1s`, `-1h`.").such_as("25h"),
        optional("set", 64, "An RFC 3339 time."),
    ];
    vec![
        told(operation::get("What time is it?")),
        told(operation::post("Move the clock").form(fields)).refusal(400, "Not readable."),
        told(operation::delete("Back to the machine's time")),
    ]
}
