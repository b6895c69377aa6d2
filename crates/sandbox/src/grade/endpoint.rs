//! `GET, POST, DELETE /sandbox/grade`: reads the scorecard, starts and stops grading.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::form::Form;
use counterfoil_server::App;
use counterfoil_server::http::body::{malformed, oauth_form};
use counterfoil_server::http::operation::{self, Operation, optional};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::{NO_STORE, json};
use serde_json::json as value;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::{Progress, start, stop};
use crate::guard::{Local, local};
use crate::seed::CLIENTS;

/// A report has inline styles and nothing else.
const REPORT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The scorecard so far: as HTML for a browser, as JUnit XML if XML is accepted, else as JSON with
/// `state` and `under_way`.
///
/// # Errors
/// The report can't be serialized, which does not happen.
pub async fn get(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let progress = sandbox.grading.progress(&app.settings.issuer);
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match progress {
        // Browsers accept XML too, so HTML comes first.
        Some(progress) if accept.contains("text/html") => {
            let mut response =
                text("text/html; charset=utf-8", counterfoil_report::html(&progress.report));
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, REPORT_POLICY);
            Ok(response)
        }
        Some(progress) if accept.contains("application/xml") => {
            Ok(text("application/xml", counterfoil_report::junit(&progress.report)))
        }
        progress => told(progress),
    }
}

fn text(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

fn told(progress: Option<Progress>) -> Result<Response, Refused> {
    let Some(Progress { under_way, outcome, report }) = progress else {
        return Ok(json(StatusCode::OK, &value!({ "state": "idle" })));
    };
    let mut body = report.to_json().map_err(Refused::internal)?;
    body["state"] = outcome.map_or(value!("playing"), |outcome| value!(outcome));
    body["under_way"] = value!(under_way);
    Ok(json(StatusCode::OK, &body))
}

/// Begins to grade the form's client, by default the sandbox's first.
///
/// # Errors
/// 400 where there is no such client, 409 while one is graded.
pub async fn post(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    start(&app, &sandbox, form.get("client_id").unwrap_or(CLIENTS[0].id)).await?;
    let mut response = get(Local(sandbox), State(app), HeaderMap::new()).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Stops grading, and keeps the results so far.
///
/// # Errors
/// As [`get`].
pub async fn delete(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
) -> Result<Response, Refused> {
    stop(&sandbox);
    get(Local(sandbox), State(app), HeaderMap::new()).await
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let scorecard = |operation: Operation, status, description| {
        let states = ["idle", "playing", "finished", "nobody_came", "stopped"];
        let state = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(states));
        let card = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "The state and, once a client has been graded, the report that `counterfoil verify --report json` writes.",
            ))
            .property("state", state)
            .required("state");
        local(operation).json_like(status, description, card, value!({ "state": "idle" }))
    };
    vec![
        scorecard(
            operation::get("The scorecard of the client that is graded, or was last"),
            200,
            "The scorecard so far.",
        )
        .or_text(200, "text/html")
        .or_text(200, "application/xml"),
        scorecard(
            operation::post("Grade a client").form([optional(
                "client_id",
                255,
                "The sandbox's first client, unless told otherwise.",
            )]),
            201,
            "It has begun.",
        )
        .refusal(400, "There is no such client.")
        .refusal(409, "A client is graded now."),
        scorecard(operation::delete("Stop grading"), 200, "What was found so far stays."),
    ]
}
