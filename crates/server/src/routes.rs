//! Every route there is, in one table, and the layers around them.

use crate::app::App;
use crate::around::{around, panicked};
use crate::refused::Refused;
use crate::request::shape_of;
use crate::{
    accounts, assets, authorize, connected_apps, consent, discovery, health, introspect, jwks, openapi, revoke, sandbox, sign_in, token,
    userinfo,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

type Endpoint = MethodRouter<Arc<App>>;

/// Which pages of other sites may call a route (CORS).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cross {
    /// None.
    Nobody,
    /// All: what it says is public.
    Everybody,
    /// Those of public clients.
    PublicClients,
}

/// Where a route is mounted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounted {
    Always,
    InSandbox,
}

struct Route {
    path: &'static str,
    /// The value of `Allow`.
    methods: &'static str,
    endpoint: fn() -> Endpoint,
    cross: Cross,
    mounted: Mounted,
}

const fn route(path: &'static str, methods: &'static str, endpoint: fn() -> Endpoint) -> Route {
    Route { path, methods, endpoint, cross: Cross::Nobody, mounted: Mounted::Always }
}

const fn open(path: &'static str, endpoint: fn() -> Endpoint) -> Route {
    Route { path, methods: "GET, HEAD", endpoint, cross: Cross::Everybody, mounted: Mounted::Always }
}

const fn for_public_clients(path: &'static str, methods: &'static str, endpoint: fn() -> Endpoint) -> Route {
    Route { path, methods, endpoint, cross: Cross::PublicClients, mounted: Mounted::Always }
}

const fn in_sandbox(path: &'static str, methods: &'static str, endpoint: fn() -> Endpoint) -> Route {
    Route { path, methods, endpoint, cross: Cross::Nobody, mounted: Mounted::InSandbox }
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

/// The table. A handler is found by its module's name.
const ROUTES: [Route; 30] = [
    for_public_clients("/token", POST, || post(token::token)),
    for_public_clients("/revoke", POST, || post(revoke::revoke)),
    route("/introspect", POST, || post(introspect::introspect)),
    for_public_clients("/userinfo", BOTH, || get(userinfo::userinfo).post(userinfo::userinfo)),
    route("/accounts", GET, || get(accounts::accounts)),
    route("/accounts/{version}/{provider}", GET, || get(accounts::accounts_at)),
    route("/authorize", BOTH, || get(authorize::get).post(authorize::post)),
    route("/auth", BOTH, || get(authorize::get).post(authorize::post)),
    route("/sign-in", POST, || post(sign_in::post)),
    route("/consent", BOTH, || get(consent::get).post(consent::post)),
    route("/connected-apps", BOTH, || get(connected_apps::get).post(connected_apps::post)),
    route("/sign-out", POST, || post(connected_apps::sign_out)),
    open("/.well-known/openid-configuration", || get(discovery::discovery)),
    open("/.well-known/oauth-authorization-server", || get(discovery::discovery)),
    open("/jwks", || get(jwks::jwks)),
    route("/openapi.json", GET, || get(openapi::openapi)),
    route("/health/live", GET, || get(health::live)),
    route("/health/ready", GET, || get(health::ready)),
    route("/metrics", GET, || get(health::metrics)),
    route("/assets/style.css", GET, || get(assets::style)),
    route("/assets/form-post.js", GET, || get(assets::form_post)),
    route("/assets/copy.js", GET, || get(assets::copy)),
    route("/assets/logo.svg", GET, || get(assets::logo)),
    in_sandbox("/", GET, || get(sandbox::walkthrough::walkthrough)),
    in_sandbox("/sandbox", BOTH, || get(sandbox::dashboard::get).post(sandbox::dashboard::post)),
    in_sandbox("/sandbox/codes", POST, || post(sandbox::codes::codes)),
    in_sandbox("/sandbox/clock", "GET, HEAD, POST, DELETE", || {
        get(sandbox::clock::get).post(sandbox::clock::post).delete(sandbox::clock::delete)
    }),
    in_sandbox("/sandbox/faults", "GET, HEAD, POST, DELETE", || {
        get(sandbox::faults::endpoint::get).post(sandbox::faults::endpoint::post).delete(sandbox::faults::endpoint::delete)
    }),
    in_sandbox("/sandbox/grade", "GET, HEAD, POST, DELETE", || {
        get(sandbox::grade::endpoint::get).post(sandbox::grade::endpoint::post).delete(sandbox::grade::endpoint::delete)
    }),
    in_sandbox(sandbox::CALLBACK, BOTH, || get(sandbox::callback::get).post(sandbox::callback::post)),
];

/// The paths of all routes.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.path)
}

/// The paths of all routes, with the methods that each takes; for tests that hold descriptions against them.
pub fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.path, route.methods))
}

/// The server as a service. `/metrics` is left out where it has a listener of its own.
pub fn router(app: Arc<App>, metrics_apart: bool) -> Router {
    let mounted = |route: &&Route| (route.mounted == Mounted::Always || app.is_sandbox()) && !(metrics_apart && route.path == "/metrics");
    // Together, the outermost first: each call of `layer` costs every request some allocations.
    let outer = (from_fn_with_state(app.clone(), around), CatchPanicLayer::custom(panicked));
    let mut router = Router::new();
    for Route { path, methods, endpoint, cross, mounted } in ROUTES.iter().filter(mounted) {
        let mut endpoint = endpoint().fallback(move |State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap| async move {
            Refused::method(shape_of(uri.path(), &headers), &app, methods)
        });
        if *mounted == Mounted::InSandbox {
            endpoint = endpoint.layer(from_fn_with_state(app.clone(), sandbox::guard));
        }
        let (around, panics) = outer.clone();
        endpoint = match cross {
            Cross::Nobody => endpoint.layer((around, panics)),
            Cross::Everybody => endpoint.layer((around, panics, CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]))),
            Cross::PublicClients => endpoint.layer((around, panics, cors_for_public_clients(app.clone()))),
        };
        router = router.route(path, endpoint);
    }
    router.fallback_service(any(not_found).layer(outer).with_state(app.clone())).with_state(app)
}

/// `/metrics` alone, for a listener of its own.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(health::metrics)).with_state(app)
}

fn cors_for_public_clients(app: Arc<App>) -> CorsLayer {
    let known = move |origin: &HeaderValue, _: &_| origin.to_str().is_ok_and(|origin| app.is_origin_of_public_client(origin));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(known))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, HeaderName::from_static("idempotency-replayed")])
        .max_age(Duration::from_secs(600))
}

async fn not_found(State(app): State<Arc<App>>, uri: Uri, request: Request) -> Refused {
    Refused::not_found(shape_of(uri.path(), request.headers()), &app)
}
