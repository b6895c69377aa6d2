//! The routes of a sandbox: the server's, and its own.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, middleware};
use counterfoil_server::App;
use counterfoil_server::http::route::{self, GET, GET_AND_POST, POST, Route};
use counterfoil_server::openapi;
use counterfoil_server::routes::ROUTES;
use serde_json::Value;

use crate::{CALLBACK, Sandbox, requests};
use crate::{authorize, callback, clock, codes, dashboard, faults, grade, walkthrough};

const EVERY_VERB: &str = "GET, HEAD, POST, DELETE";

/// What only a sandbox has.
const OWN: [Route; 8] = [
    Route::any("/", GET, |a| get(a.handler(walkthrough::walkthrough)), walkthrough::describe),
    Route::any(
        "/sandbox",
        GET_AND_POST,
        |a| get(a.handler(dashboard::get)).post(a.handler(dashboard::post)),
        dashboard::describe,
    ),
    Route::any("/sandbox/codes", POST, |a| post(a.handler(codes::codes)), codes::describe),
    Route::any(
        "/sandbox/clock",
        EVERY_VERB,
        |a| {
            get(a.handler(clock::get)).post(a.handler(clock::post)).delete(a.handler(clock::delete))
        },
        clock::describe,
    ),
    Route::any(
        "/sandbox/faults",
        EVERY_VERB,
        |a| {
            get(a.handler(faults::endpoint::get))
                .post(a.handler(faults::endpoint::post))
                .delete(a.handler(faults::endpoint::delete))
        },
        faults::endpoint::describe,
    ),
    Route::any(
        "/sandbox/grade",
        EVERY_VERB,
        |a| {
            get(a.handler(grade::endpoint::get))
                .post(a.handler(grade::endpoint::post))
                .delete(a.handler(grade::endpoint::delete))
        },
        grade::endpoint::describe,
    ),
    Route::any(
        CALLBACK,
        GET_AND_POST,
        |a| get(a.handler(callback::get)).post(a.handler(callback::post)),
        callback::describe,
    ),
    Route::any(
        "/assets/copy.js",
        GET,
        |a| get(a.handler(walkthrough::copy_script)),
        walkthrough::describe_script,
    )
    .always(),
];

/// Every route. `/authorize` is the sandbox's: it answers for the customer of a graded client.
pub fn routes() -> impl Iterator<Item = Route> {
    let servers = ROUTES.into_iter().map(|route| match route.path {
        "/authorize" | "/auth" => {
            route.answered_by(|a| get(a.handler(authorize::get)).post(a.handler(authorize::post)))
        }
        "/openapi.json" => route.answered_by(|a| get(a.handler(openapi))),
        _ => route,
    });
    servers.chain(OWN)
}

/// Describes every route.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| openapi::document(routes()));

/// `GET /openapi.json`.
async fn openapi(State(app): State<Arc<App>>) -> Response {
    openapi::answer(&app, &DOCUMENT)
}

/// The sandbox as a service.
pub fn router(app: Arc<App>, sandbox: Arc<Sandbox>) -> Router {
    let watch = middleware::from_fn_with_state((app.clone(), sandbox), requests::watch);
    route::router(app, routes()).layer(watch)
}
