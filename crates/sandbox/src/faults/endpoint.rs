//! `POST, GET, DELETE /sandbox/faults`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::failure::Failure;
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_server::App;
use counterfoil_server::http::body::{malformed, oauth_form};
use counterfoil_server::http::operation::{self, Field, Operation, optional, required};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::json;
use counterfoil_server::http::shape::Shape;
use serde_json::json as value;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use super::{Fault, FaultSpec, Kind, PATHS, at_once};
use crate::guard::{Local, local};
use crate::{PROVIDER, Sandbox};

/// The most requests that one fault can strike.
const MOST: u32 = 1_000_000;

/// Lists the faults that are set.
pub async fn get(Local(sandbox): Local) -> Response {
    json(StatusCode::OK, &value!({ "faults": sandbox.faults.waiting() }))
}

/// Sets a fault, or makes it happen at once.
///
/// # Errors
/// 400 with what is wrong, 503.
pub async fn post(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    Ok(json(StatusCode::CREATED, &set(&app, &sandbox, &form).await?))
}

/// Clears the fault that `?id=` names, or all.
///
/// # Errors
/// 404 where there is no such fault, 503.
pub async fn delete(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, Refused> {
    let query = Form::parse_oauth(uri.query().unwrap_or_default().as_bytes())
        .map_err(|error| malformed(&app, error))?;
    // An empty id is a script's mistake and must not clear all faults.
    let id = query.names().any(|name| name == "id").then(|| query.get("id").unwrap_or_default());
    clear(&app, &sandbox, id).await?;
    Ok(get(Local(sandbox)).await)
}

/// Sets the fault that a form asks for, or makes it happen at once, in which case it has no requests
/// left to strike.
///
/// # Errors
/// 400 with what is wrong, 503.
pub async fn set(app: &Arc<App>, sandbox: &Sandbox, form: &Form<'_>) -> Result<Fault, Refused> {
    let now = app.clock.now();
    let refuse = |problem: String| malformed(app, problem);
    let text = |name| form.get(name).filter(|text: &&str| !text.is_empty()).map(str::to_owned);
    let names = || Kind::ALL.map(Kind::name).join(", ");
    let fault =
        text("fault").ok_or_else(|| refuse(format!("no fault; the faults are {}", names())))?;
    let fault = Kind::from_name(&fault).ok_or_else(|| {
        refuse(format!("there is no fault `{fault}`; the faults are {}", names()))
    })?;
    let spec = FaultSpec {
        fault,
        client_id: text("client_id"),
        customer: text("customer"),
        path: text("path"),
        value: text("value"),
    };
    if let Some(id) = spec.client_id.as_deref().filter(|id| app.client(id).is_none()) {
        return Err(refuse(format!("there is no client `{id}`")));
    }
    if let Some(customer) = spec.customer() {
        let id = CustomerId { provider: PROVIDER.into(), customer: customer.to_owned() };
        if app.store.customer(&id).await.map_err(Refused::unavailable)?.is_none() {
            // Not echoed: what was sent as a customer may be a token.
            return Err(refuse("there is no such customer".into()));
        }
    }
    let effect = spec.effect().map_err(refuse)?;
    let count = match text("count") {
        None => 1,
        Some(count) if effect.is_at_once() && count != "1" => {
            return Err(refuse(format!("{} happens at once: its count is 1", fault.name())));
        }
        Some(count) => count
            .parse()
            .ok()
            .filter(|count| (1..=MOST).contains(count))
            .ok_or_else(|| refuse(format!("a count is from 1 to {MOST}")))?,
    };
    if effect.is_at_once() {
        at_once::happen(app, &spec, effect, now).await?;
    }
    let fault =
        sandbox.faults.set(&app.store, spec, effect, if effect.is_at_once() { 0 } else { count });
    fault.await.map_err(Refused::unavailable)
}

/// Clears a fault, or all.
///
/// # Errors
/// 404 where there is no such fault, 503.
pub async fn clear(app: &App, sandbox: &Sandbox, id: Option<&str>) -> Result<(), Refused> {
    if !sandbox.faults.clear(&app.store, id).await.map_err(Refused::unavailable)? {
        let reason = "no fault of this id waits";
        return Err(Refused::failed(Shape::OAuth, Failure::NotFound, reason));
    }
    Ok(())
}

/// The fields of a form that asks for a fault, but for its kind, as the OpenAPI document has them.
pub fn fields() -> [Field; 5] {
    [
        optional(
            "client_id",
            255,
            "For this client alone; for every client, unless told otherwise.",
        ),
        optional(
            "value",
            512,
            "A duration, a customer, a code or refresh token, or an FDX code, as the fault wants it.",
        ),
        optional("customer", 1024, "For this customer's data or grants alone."),
        optional("path", 64, "At this path alone.").one_of(&PATHS),
        optional("count", 7, "How many requests it strikes; 1, unless told otherwise."),
    ]
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let example = value!({
        "id": "1",
        "fault": "delay",
        "client_id": null,
        "customer": null,
        "path": "/token",
        "value": "5s",
        "remaining": 1,
    });
    let waiting = |operation: Operation| {
        let faults = ArrayBuilder::new().items(Ref::from_schema_name("Fault"));
        let answer = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("faults", faults)
            .required("faults");
        local(operation).json_like(200, "Those that wait.", answer, value!({ "faults": [] }))
    };
    let kinds = Kind::ALL.map(Kind::name);
    let kind = required("fault", 64, "What shall go wrong.").one_of(&kinds);
    vec![
        waiting(operation::get("The faults that wait")),
        local(operation::post("Make something go wrong"))
            .form([kind].into_iter().chain(fields()))
            .json::<Fault>(
                201,
                "It is set or, with no requests left to strike, has happened at once.",
                example,
            )
            .refusal(400, "It can't be done; nothing is set."),
        waiting(operation::delete("Clear one fault, or all").query([optional(
            "id",
            64,
            "The fault to clear; all, unless told otherwise.",
        )]))
        .refusal(404, "No fault of this id waits."),
    ]
}
