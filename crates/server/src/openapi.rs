//! `GET /openapi.json`: the API description. A test compares it with the routes.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json as value};

use crate::http::respond::json;
use crate::node::app::App;

/// The description without a server's address.
pub static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../openapi.json")).unwrap_or_default());

/// The endpoint.
pub async fn openapi(State(app): State<Arc<App>>) -> Response {
    let mut description = DESCRIPTION.clone();
    description["servers"] = value!([{ "url": app.settings.issuer }]);
    if !app.is_sandbox()
        && let Some(paths) = description["paths"].as_object_mut()
    {
        paths.retain(|path, _| path != "/" && !path.starts_with("/sandbox"));
    }
    json(StatusCode::OK, &description)
}
