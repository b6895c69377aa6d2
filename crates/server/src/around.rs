//! What is around every handler: bounds of size and time, which pages may ask (CORS), what becomes of a panic, the headers of every answer,
//! what a sandbox remembers of it, and the log. One function and no layers: each layer of axum's costs every request some allocations.

use crate::accounts;
use crate::app::App;
use crate::follow;
use crate::observe::observe;
use crate::refused::{Refused, Shape};
use crate::request::{declared_too_large, largest_body_at, shape_at, shape_of};
use crate::respond::NO_STORE;
use crate::sandbox;
use crate::sandbox::requests::Watched;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, ORIGIN};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

/// How long a request may take before it is answered with 503: a write that hangs must not hang its clients.
const LONGEST: Duration = Duration::from_secs(30);

/// What stands for the route of a request to a path that there is none for.
pub(crate) const UNMATCHED: &str = "unmatched";

/// What is around the handlers of one route.
pub(crate) struct Around {
    /// The route's path, by which logs and metrics name it.
    route: &'static str,
    /// How its bodies look, where that does not depend on the request.
    shape: Option<Shape>,
    /// The largest body that it takes, in bytes.
    largest_body: usize,
    cors: Cors,
    /// Whether it is for this machine alone, as what only a sandbox has.
    guarded: bool,
}

/// To which answers CORS adds its headers.
pub(crate) enum Cors {
    /// None.
    Never,
    /// All: they may be kept and then be given to whoever asks.
    Always(CorsLayer),
    /// Those to pages. Nobody keeps these answers, and servers, which send no `Origin`, do without.
    ToPages(CorsLayer),
}

/// A handler with all that is around it.
pub(crate) struct Handled<H, T> {
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
    /// What is around the handlers of the route with this path.
    pub(crate) fn new(route: &'static str, cors: Cors, guarded: bool) -> Arc<Self> {
        Arc::new(Self { route, shape: shape_at(route), largest_body: largest_body_at(route), cors, guarded })
    }

    /// `handler`, with all that is around it.
    pub(crate) fn handler<H, T>(self: &Arc<Self>, handler: H) -> Handled<H, T> {
        Handled { around: self.clone(), handler, takes: PhantomData }
    }

    async fn call<T>(&self, handler: impl Handler<T, Arc<App>>, request: Request, app: Arc<App>) -> Response {
        let start = Instant::now();
        let method = request.method().clone();
        let shape = self.shape.unwrap_or_else(|| shape_of(request.uri().path(), request.headers()));
        let interaction_id = if shape == Shape::Fdx { accounts::interaction_id(request.headers()) } else { None };
        let too_large = declared_too_large(request.body(), self.largest_body);
        // Before the clock is read for anything: another node may have moved it.
        let followed = follow::check(&app, self.route).await;
        let (request, watched) = Watched::begin(&app, request);
        let mut response = match (too_large, followed) {
            (Some(reason), _) => Refused::too_large(shape, &app, reason).into_response(),
            (None, Err(error)) => Refused::behind(shape, &app, error).into_response(),
            (None, Ok(goes_by)) => {
                let handled = AssertUnwindSafe(self.handle(handler, request, &app)).catch_unwind();
                match tokio::time::timeout(LONGEST, handled).await {
                    Ok(Ok(response)) => match follow::check_again(&app, goes_by).await {
                        Ok(()) => response,
                        Err(error) => Refused::behind(shape, &app, error).into_response(),
                    },
                    // A bug. The log has where.
                    Ok(Err(_)) => Refused::panicked(shape, &app).into_response(),
                    // What was queued for the store goes on; whether it took effect is not known here.
                    Err(_) => Refused::too_slow(shape, &app).into_response(),
                }
            }
        };
        // Nobody may keep an answer unless it says otherwise; at data paths it names the request.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
        if let Some(id) = interaction_id {
            response.headers_mut().insert(accounts::INTERACTION_ID, id);
        }
        if let Some(watched) = watched {
            response = watched.end(response).await;
        }
        observe(&app, &method, self.route, start.elapsed(), &mut response);
        response
    }

    async fn handle<T>(&self, handler: impl Handler<T, Arc<App>>, request: Request, app: &Arc<App>) -> Response {
        if self.guarded
            && let Err(refused) = sandbox::guard(app, &request)
        {
            return refused.into_response();
        }
        match self.cors.of(request.headers()) {
            None => handler.call(request, app.clone()).await,
            Some(cors) => {
                let service = service_fn(|request| handler.clone().call(request, app.clone()).map(Ok::<_, Infallible>));
                let Ok(response) = cors.layer(service).oneshot(request).await;
                response
            }
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
