//! Answers, with the headers that every answer of their kind carries.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use counterfoil_core::oauth_error::ErrorCode;
use serde::Serialize;

/// JSON that must not be cached.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be serialised");
            let body = format!(r#"{{"error":"{}"}}"#, ErrorCode::ServerError.as_str());
            json_bytes(StatusCode::INTERNAL_SERVER_ERROR, body.into_bytes())
        }
    }
}

/// JSON that is already serialised.
pub fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// Where the forms of a page may lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forms {
    /// To this server only.
    StayHere,
    /// To an app, and on from there. Chromium applies `form-action` to every redirect after a form,
    /// and where an app's callback redirects to (another origin, or the app's own scheme) is
    /// unknown here. So these pages set none.
    LeadToApp,
}

impl Forms {
    /// The whole policy. Pages that lead to an app omit only `form-action`; they contain no markup
    /// but ours.
    const fn content_security_policy(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::StayHere => {
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
            }
            Self::LeadToApp => {
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https:; frame-ancestors 'none'; base-uri 'none'"
            }
        })
    }
}

/// An HTML page.
pub fn page(status: StatusCode, html: String, forms: Forms) -> Response {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, forms.content_security_policy());
    response
}

/// 303 to `location`, which the browser follows with GET and without a `Referer`.
pub fn see_other(location: &str) -> Response {
    let mut response = empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::from_str(location) {
        Ok(location) => drop(headers.insert(LOCATION, location)),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

/// Forbids caching.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The same for HTTP/1.0 caches, sent in addition wherever an answer may contain tokens (RFC 6749
/// section 5.1).
pub const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
