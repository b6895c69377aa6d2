//! A route: its path, methods, and everything that applies to every request to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::routing::MethodRouter;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::http::around::{Around, Cors};
use crate::http::body::LARGEST_BODY;
use crate::http::operation::{Operation, refusal};
use crate::http::refused::Refused;
use crate::http::shape::Shape;
use crate::http::shape::shape_of;
use crate::node::app::App;
use crate::node::freshness::DependsOn;

/// The route that logs and metrics show for unknown paths.
const UNMATCHED: &str = "unmatched";

/// `GET`, which implies `HEAD`.
pub const GET: &str = "GET, HEAD";
/// `POST` alone.
pub const POST: &str = "POST";
/// `GET` and `POST`.
pub const GET_AND_POST: &str = "GET, HEAD, POST";

/// The handlers of a route, wrapped.
pub type Endpoint = fn(&Arc<Around>) -> MethodRouter<Arc<App>>;

/// What the OpenAPI document says of each method of a route.
pub type Describe = fn() -> Vec<Operation>;

/// Which other sites' scripts may call a route (CORS).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CrossOrigin {
    /// None.
    Nobody,
    /// All: the answers are public.
    Everybody,
    /// Those of public clients.
    PublicClients,
}

/// A route.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its path, also its name in logs and metrics.
    pub path: &'static str,
    /// The value of `Allow`.
    pub methods: &'static str,
    /// The shape of its answers; `None` follows the request's `Accept`.
    shape: Option<Shape>,
    cross_origin: CrossOrigin,
    depends_on: DependsOn,
    /// The largest body it accepts, in bytes.
    largest_body: usize,
    endpoint: Endpoint,
    /// What the OpenAPI document says of each of its methods.
    describe: Describe,
}

impl Route {
    const fn new(
        path: &'static str,
        methods: &'static str,
        shape: Option<Shape>,
        endpoint: Endpoint,
        describe: Describe,
    ) -> Self {
        Self {
            path,
            methods,
            shape,
            cross_origin: CrossOrigin::Nobody,
            depends_on: DependsOn::StateAndTime,
            largest_body: LARGEST_BODY,
            endpoint,
            describe,
        }
    }

    /// A route with OAuth's errors.
    pub const fn oauth(
        path: &'static str,
        methods: &'static str,
        endpoint: Endpoint,
        describe: Describe,
    ) -> Self {
        Self::new(path, methods, Some(Shape::OAuth), endpoint, describe)
    }

    /// A route with FDX's errors.
    pub const fn data(
        path: &'static str,
        methods: &'static str,
        endpoint: Endpoint,
        describe: Describe,
    ) -> Self {
        Self::new(path, methods, Some(Shape::Fdx), endpoint, describe)
    }

    /// A page, whose errors are pages too.
    pub const fn page(
        path: &'static str,
        methods: &'static str,
        endpoint: Endpoint,
        describe: Describe,
    ) -> Self {
        Self::new(path, methods, Some(Shape::Page), endpoint, describe)
    }

    /// A route for people and programs, whose errors follow `Accept`.
    pub const fn any(
        path: &'static str,
        methods: &'static str,
        endpoint: Endpoint,
        describe: Describe,
    ) -> Self {
        Self::new(path, methods, None, endpoint, describe)
    }

    /// Allows scripts of every site: the answers are public.
    pub const fn for_everybody(self) -> Self {
        Self { cross_origin: CrossOrigin::Everybody, ..self }
    }

    /// Allows scripts of public clients.
    pub const fn for_public_clients(self) -> Self {
        Self { cross_origin: CrossOrigin::PublicClients, ..self }
    }

    /// Declares that the answers do not depend on the time.
    pub const fn at_any_time(self) -> Self {
        Self { depends_on: DependsOn::State, ..self }
    }

    /// Declares that the answers depend on nothing that changes.
    pub const fn always(self) -> Self {
        Self { depends_on: DependsOn::Nothing, ..self }
    }

    /// Accepts bodies of up to `largest_body` bytes.
    pub const fn with_bodies_of(self, largest_body: usize) -> Self {
        Self { largest_body, ..self }
    }

    /// What the OpenAPI document says of it: of each method what its handler says, and what any
    /// request to the route can be answered.
    pub(crate) fn described(&self) -> Vec<Operation> {
        let mut operations = (self.describe)();
        for operation in &mut operations {
            let mut refusals = std::mem::take(&mut operation.refusals);
            if operation.has_form {
                refusals.entry(408).or_insert("The body takes too long to come in.");
                refusals.entry(413).or_insert("The body is too large.");
            } else {
                refusals.entry(413).or_insert("There is a body, and it is too large.");
            }
            refusals.entry(400).or_insert("The request can't be read.");
            refusals.entry(431).or_insert("The head is larger than 32 KiB.");
            refusals.entry(500).or_insert("Something here is broken.");
            refusals.entry(503).or_insert(
                "The server can't answer now; a write may have been done. Retry-After says when to \
                 try again.",
            );
            for (status, description) in refusals {
                let answer = || refusal(self.shape, description);
                operation.answers.entry(status).or_insert_with(answer);
            }
        }
        operations
    }

    /// Replaces the handlers.
    pub const fn answered_by(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }
}

/// A service with these routes.
pub fn router(app: Arc<App>, routes: impl IntoIterator<Item = Route>) -> Router {
    let mut router = Router::new();
    for Route { path, methods, shape, cross_origin, depends_on, largest_body, endpoint, .. } in
        routes
    {
        let around = Arc::new(Around {
            route: path,
            metrics: app.metrics.route(path),
            shape,
            cors: cross_origin.cors(&app),
            depends_on,
            largest_body,
        });
        let other_methods = around.handler(move |uri: Uri, headers: HeaderMap| async move {
            let shape = shape.unwrap_or_else(|| shape_of(uri.path(), &headers));
            Refused::method(shape, methods)
        });
        router = router.route(path, endpoint(&around).fallback(other_methods));
    }
    let elsewhere = Arc::new(Around {
        route: UNMATCHED,
        metrics: app.metrics.route(UNMATCHED),
        shape: None,
        cors: Cors::Never,
        depends_on: DependsOn::Nothing,
        largest_body: LARGEST_BODY,
    });
    router.fallback(elsewhere.handler(not_found)).with_state(app)
}

async fn not_found(uri: Uri, request: Request) -> Refused {
    Refused::not_found(shape_of(uri.path(), request.headers()))
}

impl CrossOrigin {
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
