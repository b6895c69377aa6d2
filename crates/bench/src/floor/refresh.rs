//! A refresh with nothing but what it can't do without: a form, a row, a signature, an answer.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::clock::{Clock, DAY};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::response::ResponseTemplate;
use super::slip::Slip;

/// A counterfoil to move on by one.
#[derive(Debug)]
pub(super) struct Tear {
    pub(super) grant: i64,
    pub(super) number: i64,
    pub(super) expires_at: i64,
    pub(super) claim: [u8; 17],
    pub(super) now: i64,
    /// Told whether it was moved, once that is durable.
    pub(super) reply: oneshot::Sender<bool>,
}

#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) tears: UnboundedSender<Tear>,
    pub(super) answer: ResponseTemplate,
    pub(super) clock: Clock,
}

pub(super) async fn token(State(refresh): State<Arc<Refresh>>, form: Bytes) -> Response {
    let Some(slip) = Slip::of_form(&form) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let now = refresh.clock.now();
    let mut claim = [0; 17];
    claim[1..9].copy_from_slice(&slip.number.to_be_bytes());
    let (reply, torn) = oneshot::channel();
    let (grant, number) = (slip.grant, slip.number);
    // Once there is no writer, there are no answers either.
    let _ = refresh.tears.send(Tear {
        grant,
        number,
        expires_at: now.plus(90 * DAY).unix(),
        claim,
        now: now.unix(),
        reply,
    });
    // Signed while the row is written.
    let body = refresh.answer.to(&slip);
    match (torn.await, body) {
        (Ok(true), Ok(body)) => json(body),
        (Ok(false), _) => StatusCode::BAD_REQUEST.into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// JSON that must not be cached.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
