//! `GET /jwks`: the keys that verify ID tokens (RFC 7517).

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json as value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use crate::http::operation::{self, Operation};
use crate::http::respond::json;
use crate::node::app::App;
use crate::node::keys::KEY_SET_MAX_AGE;

/// The endpoint. Cacheable for a quarter of the time that a key is published ahead of its use.
pub async fn jwks(State(app): State<Arc<App>>) -> Response {
    let ring = app.keys.ring();
    let keys: Vec<_> = ring
        .published(&app.algorithms_in_use(), app.clock.now(), app.settings.lifetimes.id_token)
        .map(|key| key.jwk())
        .collect();
    let mut response = json(StatusCode::OK, &value!({ "keys": keys }));
    // A sandbox's clock jumps, and its keys with it.
    let keep = if app.is_sandbox() {
        "no-cache".to_owned()
    } else {
        format!("public, max-age={KEY_SET_MAX_AGE}")
    };
    if let Ok(keep) = HeaderValue::from_str(&keep) {
        response.headers_mut().insert(CACHE_CONTROL, keep);
    }
    response
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let keys = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::Object));
    let set =
        ObjectBuilder::new().schema_type(Type::Object).property("keys", keys).required("keys");
    let example = value!({ "keys": [] });
    vec![operation::get("The keys that ID tokens are verified with").json_like(
        200,
        "A JSON Web Key Set (RFC 7517).",
        set,
        example,
    )]
}
