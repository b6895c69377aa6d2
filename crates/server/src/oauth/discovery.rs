//! `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 3) and
//! `/.well-known/oauth-authorization-server` (RFC 8414): lists exactly what works.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use counterfoil_core::jws::Algorithm;
use counterfoil_core::scope::Scopes;
use serde_json::{Value, json as value};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::http::operation::{self, Operation};
use crate::http::respond::json;
use crate::node::app::App;

/// Both documents; they are identical.
pub async fn discovery(State(app): State<Arc<App>>) -> Response {
    let mut response = json(StatusCode::OK, &document(&app));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=900"));
    response
}

fn document(app: &App) -> Value {
    let issuer = &app.settings.issuer;
    let url = |path: &str| format!("{issuer}{path}");
    let (ring, used, now) = (app.keys.ring(), app.algorithms_in_use(), app.clock.now());
    // Those with keys in `/jwks`.
    let is_published =
        |alg: &Algorithm| ring.publishes(*alg, &used, now, app.settings.lifetimes.id_token);
    let algorithms: Vec<&str> =
        Algorithm::ALL.into_iter().filter(is_published).map(Algorithm::name).collect();
    let secrets = ["client_secret_basic", "client_secret_post"];
    let secrets_or_none = ["client_secret_basic", "client_secret_post", "none"];
    let mut document = value!({
        "issuer": issuer,
        "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"),
        "userinfo_endpoint": url("/userinfo"),
        "jwks_uri": url("/jwks"),
        "revocation_endpoint": url("/revoke"),
        "introspection_endpoint": url("/introspect"),
        "scopes_supported": Scopes::ALL.names().collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": secrets_or_none,
        "revocation_endpoint_auth_methods_supported": secrets_or_none,
        "introspection_endpoint_auth_methods_supported": secrets,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "jti", "grant_id", "connectorId", "accounts", "products", "name"],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": url("/openapi.json"),
    });
    if app.is_sandbox() {
        document["counterfoil_sandbox"] = url("/sandbox").into();
    }
    document
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let document = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("issuer", ObjectBuilder::new().schema_type(Type::String))
        .required("issuer");
    let example = value!({ "issuer": "https://bank.example" });
    vec![operation::get("Discovery").json_like(200, "What is listed works.", document, example)]
}
