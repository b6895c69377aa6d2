//! What is around every handler, in one layer: bounds of size and time, what becomes of a panic, the headers of every answer, what a
//! sandbox remembers of it, and the log.

use crate::accounts;
use crate::app::App;
use crate::follow;
use crate::observe::observe;
use crate::refused::{Refused, Shape};
use crate::request::{declared_too_large, shape_of};
use crate::respond::NO_STORE;
use crate::sandbox::requests::Watched;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a request may take before it is answered with 503: a write that hangs must not hang its clients.
const LONGEST: Duration = Duration::from_secs(30);

/// What stands for the route of a request to a path that there is none for.
pub(crate) const UNMATCHED: &str = "unmatched";

/// Marks the answer of a handler that panicked.
#[derive(Clone, Copy, Debug)]
struct Panicked;

/// A bug. The log has where; `around`, which knows the path, makes the answer.
pub fn panicked(_: Box<dyn Any + Send>) -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Panicked);
    response
}

/// The layer.
pub async fn around(State(app): State<Arc<App>>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let shape = shape_of(request.uri().path(), request.headers());
    let interaction_id = if shape == Shape::Fdx { accounts::interaction_id(request.headers()) } else { None };
    let route = path.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let too_large = declared_too_large(request.body());
    // Before the clock is read for anything: another node may have moved it.
    let followed = follow::check(&app, route).await;
    let (request, watched) = Watched::begin(&app, request);
    let mut response = match (too_large, followed) {
        (Some(reason), _) => Refused::too_large(shape, &app, reason).into_response(),
        (None, Err(error)) => Refused::behind(shape, &app, error).into_response(),
        (None, Ok(goes_by)) => match tokio::time::timeout(LONGEST, next.run(request)).await {
            Ok(response) if response.extensions().get::<Panicked>().is_some() => Refused::panicked(shape, &app).into_response(),
            Ok(response) => match follow::check_again(&app, goes_by).await {
                Ok(()) => response,
                Err(error) => Refused::behind(shape, &app, error).into_response(),
            },
            // What was queued for the store goes on; whether it took effect is not known here.
            Err(_) => Refused::too_slow(shape, &app).into_response(),
        },
    };
    // Nobody may keep an answer unless it says otherwise; at data paths it names the request.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
    if let Some(id) = interaction_id {
        response.headers_mut().insert(accounts::INTERACTION_ID, id);
    }
    if let Some(watched) = watched {
        response = watched.end(response).await;
    }
    observe(&app, &method, route, start.elapsed(), &mut response);
    response
}
