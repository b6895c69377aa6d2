//! What is around every handler: bounds of size and time, which pages may ask (CORS), what becomes
//! of a panic, the headers of every answer, and the log. One function and no layers: each layer of axum's costs every request some allocations.

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
use crate::http::head::check_head;
use crate::http::observe::observe;
use crate::http::refused::{Refused, render};
use crate::http::respond::{NO_CACHE, NO_STORE};
use crate::http::said::{INTERACTION_ID, Said};
use crate::http::shape::Shape;
use crate::http::shape::shape_of;
use crate::node::app::App;
use crate::node::freshness::{self, Basis, DependsOn};
use crate::node::metrics::RouteMetrics;
use crate::node::poll::Unavailable;

/// How long a request may take before it is answered with 503: a write that hangs must not hang its
/// clients.
const LONGEST: Duration = Duration::from_secs(30);

/// What is around the handlers of one route.
pub struct Around {
    /// The route's path, by which logs and metrics name it.
    pub(super) route: &'static str,
    pub(super) metrics: RouteMetrics,
    /// The shape of its answers; by the request's `Accept` where there is none.
    pub(super) shape: Option<Shape>,
    pub(super) cors: Cors,
    pub(super) depends_on: DependsOn,
    /// The largest body that it takes, in bytes.
    pub(super) largest_body: usize,
}

/// To which answers CORS adds its headers.
pub(super) enum Cors {
    /// None.
    Never,
    /// All: they may be kept and then be given to whoever asks.
    Always(CorsLayer),
    /// Those to pages. Nobody keeps these answers, and servers, which send no `Origin`, do without.
    ToPages(CorsLayer),
}

/// A handler with all that is around it.
pub struct Handled<H, T> {
    around: Arc<Around>,
    handler: H,
    /// What the handler takes, by which axum tells kinds of handlers apart.
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
    /// `handler`, with all that is around it.
    pub fn handler<H, T>(self: &Arc<Self>, handler: H) -> Handled<H, T> {
        Handled { around: self.clone(), handler, takes: PhantomData }
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
        let said = if shape == Shape::Fdx { Said::by(request.headers()) } else { Said::default() };
        // Of the body as it came.
        let too_large = declared_too_large(request.body(), self.largest_body);
        // Before the clock is read for anything: another node may have moved it.
        let fresh = freshness::check(&app, self.depends_on).await;
        // Around all that can be answered: a page that may not read a 503 can't know that it is
        // one. Preflights are answered there, also by a node that answers nothing else.
        let mut response = match self.cors.of(request.headers()) {
            None => self.answer(handler, request, shape, too_large, fresh, &app).await,
            Some(cors) => {
                let mut fresh = Some(fresh);
                let service = service_fn(|request| {
                    // Called once at the most.
                    let fresh = fresh.take().unwrap_or(Err(Unavailable::Stale));
                    self.answer(handler.clone(), request, shape, too_large, fresh, &app)
                        .map(Ok::<_, Infallible>)
                });
                let Ok(response) = cors.layer(service).oneshot(request).await;
                response
            }
        };
        render(&mut response, &app.locale);
        // Nobody may keep an answer unless it says otherwise; at data paths it names the request.
        let headers = response.headers_mut();
        if *headers.entry(CACHE_CONTROL).or_insert(NO_STORE) == NO_STORE {
            headers.insert(PRAGMA, NO_CACHE);
        }
        if let Some(id) = &said.interaction_id {
            headers.insert(INTERACTION_ID, id.clone());
        }
        observe(&app, &method, self.route, &self.metrics, &said, start.elapsed(), &mut response);
        response
    }

    /// What a request is answered, whatever becomes of it.
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
        match tokio::time::timeout(LONGEST, handled).await {
            Ok(Ok(response)) => match freshness::check_again(app, basis).await {
                Ok(()) => response,
                Err(error) => Refused::behind(shape, error).into_response(),
            },
            // A bug. The log has where.
            Ok(Err(_)) => Refused::panicked(shape).into_response(),
            // What was queued for the store goes on; whether it took effect is not known here.
            Err(_) => Refused::too_slow(shape).into_response(),
        }
    }
}

impl<H: Clone, T> Clone for Handled<H, T> {
    fn clone(&self) -> Self {
        Self { around: self.around.clone(), handler: self.handler.clone(), takes: PhantomData }
    }
}

impl<H: Handler<T, Arc<App>>, T: 'static> Handler<T, Arc<App>> for Handled<H, T> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: Arc<App>) -> Self::Future {
        Box::pin(async move { self.around.call(self.handler, request, app).await })
    }
}

#[cfg(test)]
mod tests;
