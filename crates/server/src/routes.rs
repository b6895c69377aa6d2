//! Every route there is, in one table.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::routing::{MethodRouter, get, post};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::admin::health;
use crate::customer::{assets, connected_apps, consent, sign_in};
use crate::data::accounts;
use crate::http::around::{Around, Cors, UNMATCHED};
use crate::http::refused::Refused;
use crate::http::request::shape_of;
use crate::node::app::App;
use crate::oauth::{authorize, discovery, introspect, jwks, revoke, token, userinfo};
use crate::{openapi, sandbox};

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
    endpoint: fn(&Arc<Around>) -> Endpoint,
    cross: Cross,
    mounted: Mounted,
}

const fn route(
    path: &'static str,
    methods: &'static str,
    endpoint: fn(&Arc<Around>) -> Endpoint,
) -> Route {
    Route { path, methods, endpoint, cross: Cross::Nobody, mounted: Mounted::Always }
}

const fn open(path: &'static str, endpoint: fn(&Arc<Around>) -> Endpoint) -> Route {
    Route {
        path,
        methods: "GET, HEAD",
        endpoint,
        cross: Cross::Everybody,
        mounted: Mounted::Always,
    }
}

const fn for_public_clients(
    path: &'static str,
    methods: &'static str,
    endpoint: fn(&Arc<Around>) -> Endpoint,
) -> Route {
    Route { path, methods, endpoint, cross: Cross::PublicClients, mounted: Mounted::Always }
}

const fn in_sandbox(
    path: &'static str,
    methods: &'static str,
    endpoint: fn(&Arc<Around>) -> Endpoint,
) -> Route {
    Route { path, methods, endpoint, cross: Cross::Nobody, mounted: Mounted::InSandbox }
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

/// The table. A handler is found by its module's name.
const ROUTES: [Route; 30] = [
    for_public_clients("/token", POST, |around| post(around.handler(token::token))),
    for_public_clients("/revoke", POST, |around| post(around.handler(revoke::revoke))),
    route("/introspect", POST, |around| post(around.handler(introspect::introspect))),
    for_public_clients("/userinfo", BOTH, |around| {
        get(around.handler(userinfo::get)).post(around.handler(userinfo::post))
    }),
    route("/accounts", GET, |around| get(around.handler(accounts::accounts))),
    route("/accounts/{version}/{provider}", GET, |around| {
        get(around.handler(accounts::accounts_at))
    }),
    route("/authorize", BOTH, |around| {
        get(around.handler(authorize::get)).post(around.handler(authorize::post))
    }),
    route("/auth", BOTH, |around| {
        get(around.handler(authorize::get)).post(around.handler(authorize::post))
    }),
    route("/sign-in", BOTH, |around| {
        get(around.handler(sign_in::get)).post(around.handler(sign_in::post))
    }),
    route("/consent", BOTH, |around| {
        get(around.handler(consent::get)).post(around.handler(consent::post))
    }),
    route("/connected-apps", BOTH, |around| {
        get(around.handler(connected_apps::get)).post(around.handler(connected_apps::post))
    }),
    route("/sign-out", POST, |around| post(around.handler(connected_apps::sign_out))),
    open("/.well-known/openid-configuration", |around| get(around.handler(discovery::discovery))),
    open("/.well-known/oauth-authorization-server", |around| {
        get(around.handler(discovery::discovery))
    }),
    open("/jwks", |around| get(around.handler(jwks::jwks))),
    route("/openapi.json", GET, |around| get(around.handler(openapi::openapi))),
    route("/health/live", GET, |around| get(around.handler(health::live))),
    route("/health/ready", GET, |around| get(around.handler(health::ready))),
    route("/metrics", GET, |around| get(around.handler(health::metrics))),
    route("/assets/style.css", GET, |around| get(around.handler(assets::style))),
    route("/assets/form-post.js", GET, |around| get(around.handler(assets::form_post))),
    route("/assets/copy.js", GET, |around| get(around.handler(assets::copy))),
    route("/assets/logo.svg", GET, |around| get(around.handler(assets::logo))),
    in_sandbox("/", GET, |around| get(around.handler(sandbox::walkthrough::walkthrough))),
    in_sandbox("/sandbox", BOTH, |around| {
        get(around.handler(sandbox::dashboard::get)).post(around.handler(sandbox::dashboard::post))
    }),
    in_sandbox("/sandbox/codes", POST, |around| post(around.handler(sandbox::codes::codes))),
    in_sandbox("/sandbox/clock", "GET, HEAD, POST, DELETE", |around| {
        get(around.handler(sandbox::clock::get))
            .post(around.handler(sandbox::clock::post))
            .delete(around.handler(sandbox::clock::delete))
    }),
    in_sandbox("/sandbox/faults", "GET, HEAD, POST, DELETE", |around| {
        get(around.handler(sandbox::faults::endpoint::get))
            .post(around.handler(sandbox::faults::endpoint::post))
            .delete(around.handler(sandbox::faults::endpoint::delete))
    }),
    in_sandbox("/sandbox/grade", "GET, HEAD, POST, DELETE", |around| {
        get(around.handler(sandbox::grade::endpoint::get))
            .post(around.handler(sandbox::grade::endpoint::post))
            .delete(around.handler(sandbox::grade::endpoint::delete))
    }),
    in_sandbox(sandbox::CALLBACK, BOTH, |around| {
        get(around.handler(sandbox::callback::get)).post(around.handler(sandbox::callback::post))
    }),
];

/// The paths of all routes.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.path)
}

/// The paths of all routes, with the methods that each takes; for tests that hold descriptions
/// against them.
pub fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.path, route.methods))
}

/// The server as a service. `/metrics` is left out where it has a listener of its own.
pub fn router(app: Arc<App>, metrics_apart: bool) -> Router {
    serving(app, |path| !(metrics_apart && path == "/metrics"))
}

/// What a listener for `/metrics` serves: them, and how the server is.
pub fn metrics_router(app: Arc<App>) -> Router {
    serving(app, |path| path == "/metrics" || path.starts_with("/health/"))
}

/// Those routes of which `wanted` is true.
fn serving(app: Arc<App>, wanted: impl Fn(&str) -> bool) -> Router {
    let mounted = |route: &&Route| {
        (route.mounted == Mounted::Always || app.is_sandbox()) && wanted(route.path)
    };
    let mut router = Router::new();
    for Route { path, methods, endpoint, cross, mounted } in ROUTES.iter().filter(mounted) {
        let around = Around::new(path, cross.cors(&app), *mounted == Mounted::InSandbox);
        let other_methods = around.handler(
            move |State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap| async move {
                Refused::method(shape_of(uri.path(), &headers), &app, methods)
            },
        );
        router = router.route(path, endpoint(&around).fallback(other_methods));
    }
    let elsewhere = Around::new(UNMATCHED, Cors::Never, false);
    router.fallback(elsewhere.handler(not_found)).with_state(app)
}

impl Cross {
    fn cors(self, app: &Arc<App>) -> Cors {
        match self {
            Self::Nobody => Cors::Never,
            Self::Everybody => {
                Cors::Always(CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]))
            }
            Self::PublicClients => Cors::ToPages(cors_for_public_clients(app.clone())),
        }
    }
}

fn cors_for_public_clients(app: Arc<App>) -> CorsLayer {
    let known = move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| app.is_origin_of_public_client(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(known))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            HeaderName::from_static("idempotency-replayed"),
        ])
        .max_age(Duration::from_secs(600))
}

async fn not_found(State(app): State<Arc<App>>, uri: Uri, request: Request) -> Refused {
    Refused::not_found(shape_of(uri.path(), request.headers()), &app)
}
