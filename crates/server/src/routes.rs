//! Every route, in one table. A handler is found by its module's name.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use crate::admin::health;
use crate::customer::{assets, connected_apps, consent, sign_in};
use crate::data::accounts;
use crate::http::body::LARGEST_CONSENT;
use crate::http::route::{GET, GET_AND_POST, POST, Route, router};
use crate::node::app::App;
use crate::oauth::{authorize, discovery, introspect, jwks, revoke, token, userinfo};
use crate::openapi;

/// The table.
pub const ROUTES: [Route; 22] = [
    Route::oauth("/token", POST, |a| post(a.handler(token::token)), token::describe)
        .for_public_clients(),
    Route::oauth("/revoke", POST, |a| post(a.handler(revoke::revoke)), revoke::describe)
        .for_public_clients()
        .at_any_time(),
    Route::oauth(
        "/introspect",
        POST,
        |a| post(a.handler(introspect::introspect)),
        introspect::describe,
    ),
    Route::oauth(
        "/userinfo",
        GET_AND_POST,
        |a| get(a.handler(userinfo::get)).post(a.handler(userinfo::post)),
        userinfo::describe,
    )
    .for_public_clients(),
    Route::data("/accounts", GET, |a| get(a.handler(accounts::accounts)), accounts::describe),
    Route::data(
        "/accounts/{version}/{provider}",
        GET,
        |a| get(a.handler(accounts::accounts_at)),
        accounts::describe_at,
    ),
    Route::page(
        "/authorize",
        GET_AND_POST,
        |a| get(a.handler(authorize::get)).post(a.handler(authorize::post)),
        authorize::describe,
    ),
    Route::page(
        "/auth",
        GET_AND_POST,
        |a| get(a.handler(authorize::get)).post(a.handler(authorize::post)),
        authorize::describe,
    ),
    Route::page(
        "/sign-in",
        GET_AND_POST,
        |a| get(a.handler(sign_in::get)).post(a.handler(sign_in::post)),
        sign_in::describe,
    ),
    Route::page(
        "/consent",
        GET_AND_POST,
        |a| get(a.handler(consent::get)).post(a.handler(consent::post)),
        consent::describe,
    )
    .with_bodies_of(LARGEST_CONSENT),
    Route::page(
        "/connected-apps",
        GET_AND_POST,
        |a| get(a.handler(connected_apps::get)).post(a.handler(connected_apps::post)),
        connected_apps::describe,
    ),
    Route::page(
        "/sign-out",
        POST,
        |a| post(a.handler(connected_apps::sign_out)),
        connected_apps::describe_sign_out,
    ),
    Route::oauth(
        "/.well-known/openid-configuration",
        GET,
        |a| get(a.handler(discovery::discovery)),
        discovery::describe,
    )
    .for_everybody()
    .at_any_time(),
    Route::oauth(
        "/.well-known/oauth-authorization-server",
        GET,
        |a| get(a.handler(discovery::discovery)),
        discovery::describe,
    )
    .for_everybody()
    .at_any_time(),
    Route::oauth("/jwks", GET, |a| get(a.handler(jwks::jwks)), jwks::describe)
        .for_everybody()
        .at_any_time(),
    Route::oauth("/openapi.json", GET, |a| get(a.handler(openapi)), openapi::describe)
        .at_any_time(),
    Route::oauth("/health/live", GET, |a| get(a.handler(health::live)), health::describe_live)
        .always(),
    Route::oauth("/health/ready", GET, |a| get(a.handler(health::ready)), health::describe_ready)
        .at_any_time(),
    Route::oauth(METRICS, GET, |a| get(a.handler(health::metrics)), health::describe_metrics)
        .always(),
    Route::any("/assets/style.css", GET, |a| get(a.handler(assets::style)), assets::describe_style)
        .always(),
    Route::any(
        "/assets/form-post.js",
        GET,
        |a| get(a.handler(assets::form_post)),
        assets::describe_script,
    )
    .always(),
    Route::any("/assets/logo.svg", GET, |a| get(a.handler(assets::logo)), assets::describe_picture)
        .always(),
];

/// Describes the table.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| openapi::document(ROUTES));

/// `GET /openapi.json`.
async fn openapi(State(app): State<Arc<App>>) -> Response {
    openapi::answer(&app, &DOCUMENT)
}

const METRICS: &str = "/metrics";

/// The server as a service. `/metrics` is left out if it has a listener of its own.
pub fn public(app: Arc<App>, metrics_apart: bool) -> Router {
    router(app, ROUTES.into_iter().filter(|route| !(metrics_apart && route.path == METRICS)))
}

/// What a listener for `/metrics` serves: metrics and health.
pub fn metrics(app: Arc<App>) -> Router {
    let wanted = |route: &Route| route.path == METRICS || route.path.starts_with("/health/");
    router(app, ROUTES.into_iter().filter(wanted))
}
