//! Wraps every handler: limits on size and time, CORS, panics, the headers of every answer, and the
//! log. One function instead of layers, because each of axum's layers costs every request some
//! allocations.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, ORIGIN, PRAGMA};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use crate::http::body::declared_too_large;
use crate::http::fdx_headers::{FdxHeaders, INTERACTION_ID};
use crate::http::head::check_head;
use crate::http::observe::observe;
use crate::http::refused::{Refused, render};
use crate::http::respond::{NO_CACHE, NO_STORE};
use crate::http::shape::{Shape, shape_of};
use crate::node::app::App;
use crate::node::freshness::{self, Basis, DependsOn};
use crate::node::metrics::RouteMetrics;
use crate::node::poll::Unavailable;

/// How long a request may take before it gets a 503: a hanging write must not hang its clients.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What wraps the handlers of one route.
pub struct Around {
    /// The route's path, as logs and metrics show it.
    pub(super) route: &'static str,
    pub(super) metrics: RouteMetrics,
    /// The shape of its answers; `None` follows the request's `Accept`.
    pub(super) shape: Option<Shape>,
    pub(super) cors: Cors,
    pub(super) depends_on: DependsOn,
    /// The largest body it accepts, in bytes.
    pub(super) largest_body: usize,
}

/// Which answers get CORS headers.
pub(super) enum Cors {
    /// None.
    Never,
    /// All of them: they are cacheable, so a cached copy may serve any origin.
    Always(CorsLayer),
    /// Only those to requests with an `Origin`. These answers are never cached, and servers send no
    /// `Origin`.
    ToPages(CorsLayer),
}

/// A handler wrapped by its route.
pub struct WrappedHandler<H, T> {
    around: Arc<Around>,
    handler: H,
    /// The handler's arguments, by which axum tells kinds of handlers apart.
    takes: PhantomData<fn() -> T>,
}

impl Cors {
    fn of(&self, headers: &HeaderMap) -> Option<&CorsLayer> {
        match self {
            Self::Always(layer) => Some(layer),
            Self::ToPages(layer) if headers.contains_key(ORIGIN) => Some(layer),
            Self::Never | Self::ToPages(_) => None,
        }
    }
}

impl Around {
    /// Wraps `handler`.
    pub fn handler<H, T>(self: &Arc<Self>, handler: H) -> WrappedHandler<H, T> {
        WrappedHandler { around: self.clone(), handler, takes: PhantomData }
    }

    async fn call<T>(
        &self,
        handler: impl Handler<T, Arc<App>>,
        request: Request,
        app: Arc<App>,
    ) -> Response {
        let start = Instant::now();
        let method = request.method().clone();
        let shape = self.shape.unwrap_or_else(|| shape_of(request.uri().path(), request.headers()));
        let fdx_headers = if shape == Shape::Fdx {
            FdxHeaders::of(request.headers())
        } else {
            FdxHeaders::default()
        };
        // Before anything wraps or consumes the body.
        let too_large = declared_too_large(request.body(), self.largest_body);
        // Before the clock is read for anything: another node may have moved it.
        let fresh = freshness::check(&app, self.depends_on).await;
        // CORS goes around everything that can be answered: a page that can't read a 503 can't tell
        // that it is one. Preflights are answered here too, even by a stale node.
        let mut response = match self.cors.of(request.headers()) {
            None => self.answer(handler, request, shape, too_large, fresh, &app).await,
            Some(cors) => {
                let mut fresh = Some(fresh);
                let service = service_fn(|request| {
                    // Called at most once.
                    let fresh = fresh.take().unwrap_or(Err(Unavailable::Stale));
                    self.answer(handler.clone(), request, shape, too_large, fresh, &app)
                        .map(Ok::<_, Infallible>)
                });
                let Ok(response) = cors.layer(service).oneshot(request).await;
                response
            }
        };
        render(&mut response, &app.locale);
        // Nothing may be cached unless the handler says so; answers at data paths carry the
        // interaction id.
        let headers = response.headers_mut();
        if *headers.entry(CACHE_CONTROL).or_insert(NO_STORE) == NO_STORE {
            headers.insert(PRAGMA, NO_CACHE);
        }
        if let Some(id) = &fdx_headers.interaction_id {
            headers.insert(INTERACTION_ID, id.clone());
        }
        observe(
            &app,
            &method,
            self.route,
            &self.metrics,
            &fdx_headers,
            start.elapsed(),
            &mut response,
        );
        response
    }

    /// The answer to a request, even if its handler panics or hangs.
    async fn answer<T>(
        &self,
        handler: impl Handler<T, Arc<App>>,
        request: Request,
        shape: Shape,
        too_large: Option<&'static str>,
        fresh: Result<Basis, Unavailable>,
        app: &Arc<App>,
    ) -> Response {
        if let Err(bad) = check_head(request.uri(), request.version(), request.headers()) {
            return Refused::bad_head(shape, bad).into_response();
        }
        if let Some(reason) = too_large {
            return Refused::too_large(shape, reason).into_response();
        }
        let basis = match fresh {
            Ok(basis) => basis,
            Err(error) => return Refused::behind(shape, error).into_response(),
        };
        let handled = AssertUnwindSafe(handler.call(request, app.clone())).catch_unwind();
        match tokio::time::timeout(REQUEST_TIMEOUT, handled).await {
            Ok(Ok(response)) => match freshness::check_again(app, basis).await {
                Ok(()) => response,
                Err(error) => Refused::behind(shape, error).into_response(),
            },
            // A bug. The log says where.
            Ok(Err(_)) => Refused::panicked(shape).into_response(),
            // Writes already queued for the store go on; whether they took effect is unknown here.
            Err(_) => Refused::too_slow(shape).into_response(),
        }
    }
}

impl<H: Clone, T> Clone for WrappedHandler<H, T> {
    fn clone(&self) -> Self {
        Self { around: self.around.clone(), handler: self.handler.clone(), takes: PhantomData }
    }
}

impl<H: Handler<T, Arc<App>>, T: 'static> Handler<T, Arc<App>> for WrappedHandler<H, T> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: Arc<App>) -> Self::Future {
        Box::pin(async move { self.around.call(self.handler, request, app).await })
    }
}

#[cfg(test)]
mod tests;
