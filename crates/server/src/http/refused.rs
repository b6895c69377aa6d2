//! The only way to an error answer: public words and the private reason, kept apart.

use std::fmt::Display;
use std::sync::Arc;

use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::client::Client;
use counterfoil_core::dialect::{Dialect, Refusal};
use counterfoil_core::failure::Failure;
use counterfoil_core::fdx::FdxError;
use counterfoil_core::grant::GrantId;
use counterfoil_core::oauth_error::{Challenge, OAuthError};
use counterfoil_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::head::BadHead;
use crate::http::observe::LogContext;
use crate::http::respond::{Forms, empty, json, page};
use crate::http::shape::Shape;
use crate::node::guest::Strike;
use crate::pages::{ErrorPage, Locale, WayBack};

/// Seconds until a client should retry after the store could not answer.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// A refusal: the answer, ready to send, with the log context as an extension.
#[derive(Debug)]
pub struct Refused(Box<Response>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "code": 602, "message": "Customer not authorized" }))]
pub(super) struct FdxBody {
    code: u16,
    message: &'static str,
}

impl Refused {
    fn new(response: Response, reason: impl Display) -> Self {
        let mut refused = Self(Box::new(response));
        refused.log_context().reason = Some(reason.to_string());
        refused
    }

    /// Turns an answer into a refusal as it is, such as a redirect with an error.
    pub fn by(response: Response) -> Self {
        Self(Box::new(response))
    }

    fn log_context(&mut self) -> &mut LogContext {
        self.0.extensions_mut().get_or_insert_default()
    }

    fn with_header(mut self, name: axum::http::HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    fn asking_for(self, challenge: Option<Challenge>) -> Self {
        match challenge {
            Some(challenge) => {
                self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge.header()))
            }
            None => self,
        }
    }

    fn spelled(error: OAuthError, reason: impl Display) -> Self {
        Self::new(json(status(error.status), &error), reason).asking_for(error.challenge)
    }

    /// A refusal at an OAuth endpoint, in the dialect of the client or, before the client is known,
    /// of the server.
    pub fn oauth(refusal: Refusal, dialect: Dialect, reason: impl Display) -> Self {
        Self::spelled(refusal.on_wire(dialect), reason)
    }

    /// An error of an authorization request that did not come from a browser.
    pub fn authorization(error: AuthorizationError) -> Self {
        let (code, reason) = error.on_wire();
        Self::spelled(OAuthError { code, ..Failure::Malformed.oauth() }, reason)
    }

    /// A refusal at a data path; a 401 carries `challenge`.
    pub fn fdx(error: FdxError, challenge: Option<Challenge>, reason: impl Display) -> Self {
        let (http, code, message) = error.on_wire();
        let challenge = challenge.filter(|_| http == 401);
        Self::new(json(status(http), &FdxBody { code, message }), reason).asking_for(challenge)
    }

    /// A failure at a path of this shape.
    pub fn failed(shape: Shape, failure: Failure, reason: impl Display) -> Self {
        match shape {
            Shape::OAuth => Self::spelled(failure.oauth(), reason),
            Shape::Fdx => Self::fdx(failure.fdx(), None, reason),
            Shape::Page => Self::page(status(failure.oauth().status), message_of(failure), reason),
        }
    }

    /// An error page. Its texts are the messages `error-<message>-title` and
    /// `error-<message>-text`.
    pub fn page(http: StatusCode, message: &'static str, reason: impl Display) -> Self {
        let mut refused = Self::new(empty(http), reason);
        refused.0.extensions_mut().insert(Message { message, way_back: None });
        refused
    }

    /// The name of the page's messages; `None` if this is no page.
    pub fn message(&self) -> Option<&'static str> {
        self.0.extensions().get().map(|Message { message, .. }| *message)
    }

    /// Replaces the page's message.
    pub fn saying(mut self, message: &'static str) -> Self {
        if let Some(shown) = self.0.extensions_mut().get_mut::<Message>() {
            shown.message = message;
        }
        self
    }

    /// Adds a link back to an app.
    pub fn leading_to(mut self, way_back: Option<WayBack>) -> Self {
        if let Some(shown) = self.0.extensions_mut().get_mut::<Message>() {
            shown.way_back = way_back;
        }
        self
    }

    /// The store can't answer, at an OAuth path.
    pub fn unavailable(error: impl Display) -> Self {
        Self::spelled(Failure::Unavailable.oauth(), error)
            .with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// The store can't answer, at a data path.
    pub fn unavailable_fdx(error: impl Display) -> Self {
        Self::fdx(Failure::Unavailable.fdx(), None, error)
            .with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// The store can't answer, on a page.
    pub fn unavailable_page(error: impl Display) -> Self {
        Self::unavailable_page_of("unavailable", error)
    }

    /// The store can't answer, on a page that must say what was done so far; `message` as for
    /// [`Refused::page`].
    pub fn unavailable_page_of(message: &'static str, error: impl Display) -> Self {
        Self::page(StatusCode::SERVICE_UNAVAILABLE, message, error)
            .with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// A refusal by the sandbox.
    pub fn struck(shape: Shape, strike: Strike) -> Self {
        let reason = "a fault that was set in this sandbox";
        let (failure, after) = match strike {
            Strike::Store(error) if shape == Shape::Fdx => return Self::unavailable_fdx(error),
            Strike::Store(error) => return Self::unavailable(error),
            Strike::Fdx(error) => {
                return Self::fdx(error, Some(Challenge::BearerInvalidToken), reason);
            }
            Strike::Unavailable(after) => (Failure::Unavailable, after),
            Strike::TooManyRequests(after) => (Failure::TooManyRequests, after),
        };
        let refused = match shape {
            Shape::Fdx => Self::fdx(failure.fdx(), None, reason),
            _ => Self::spelled(failure.oauth(), reason),
        };
        refused.with_header(RETRY_AFTER, after.into())
    }

    /// The store can't answer, at a path of this shape.
    pub fn unavailable_at(shape: Shape, error: impl Display) -> Self {
        Self::failed(shape, Failure::Unavailable, error)
            .with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// This node's state may be stale; another node can answer, or this one in a moment.
    pub fn behind(shape: Shape, error: impl Display) -> Self {
        Self::unavailable_at(shape, error).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The answer timed out.
    pub fn too_slow(shape: Shape) -> Self {
        Self::unavailable_at(shape, StoreError::NotWritten("no answer in time".into()))
    }

    /// A handler panicked: a bug. The client only learns that the fault is ours.
    pub fn panicked(shape: Shape) -> Self {
        Self::failed(shape, Failure::Internal, "a handler panicked")
    }

    /// Something impossible happened: keys that don't sign, values that don't serialise.
    pub fn internal(reason: impl Display) -> Self {
        Self::spelled(Failure::Internal.oauth(), reason)
    }

    /// The path does not support this method.
    pub fn method(shape: Shape, allow: &'static str) -> Self {
        Self::failed(shape, Failure::MethodNotAllowed, "the path does not take this method")
            .with_header(ALLOW, HeaderValue::from_static(allow))
    }

    /// The body exceeds the limit.
    pub fn too_large(shape: Shape, reason: impl Display) -> Self {
        Self::failed(shape, Failure::BodyTooLarge, reason)
    }

    /// The head is too large or has no valid `Host`.
    pub fn bad_head(shape: Shape, bad: BadHead) -> Self {
        let (failure, reason) = match bad {
            BadHead::TooLarge => (Failure::HeadTooLarge, "the head is larger than 32 KiB"),
            BadHead::Host(reason) => (Failure::Malformed, reason),
        };
        Self::failed(shape, failure, reason)
    }

    /// No route has this path.
    pub fn not_found(shape: Shape) -> Self {
        Self::failed(shape, Failure::NotFound, "there is no such path")
    }

    /// The status and the private reason, for a page that reports them in its own way.
    pub fn told(&self) -> (StatusCode, &str) {
        let context = self.0.extensions().get::<LogContext>();
        (self.0.status(), context.and_then(|context| context.reason.as_deref()).unwrap_or_default())
    }

    /// Adds client and grant to the log context.
    pub fn of(mut self, client: Option<&Arc<Client>>, grant: Option<GrantId>) -> Self {
        let context = self.log_context();
        context.client = client.map(|client| client.id.clone()).or(context.client.take());
        context.grant = grant.or(context.grant);
        self
    }
}

/// An error page not yet rendered in the language of its reader.
#[derive(Clone)]
struct Message {
    message: &'static str,
    way_back: Option<WayBack>,
}

/// Renders the answer if it is an error page.
pub(super) fn render(response: &mut Response, locale: &Locale) {
    let Some(Message { message, way_back }) = response.extensions_mut().remove() else {
        return;
    };
    let (title, text) = (format!("error-{message}-title"), format!("error-{message}-text"));
    let way_back = way_back.as_ref();
    let forms = if way_back.is_some() { Forms::LeadToApp } else { Forms::StayHere };
    let html = ErrorPage { locale, title: &title, text: &text, way_back }.render();
    let (parts, body) = page(response.status(), html, forms).into_parts();
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
}

/// The message of the page for a failure.
const fn message_of(failure: Failure) -> &'static str {
    match failure {
        Failure::Malformed | Failure::BodyTooSlow => "malformed",
        Failure::NotFound => "not-found",
        Failure::MethodNotAllowed => "method",
        Failure::BodyTooLarge => "too-large",
        Failure::HeadTooLarge => "large-head",
        Failure::Internal => "internal",
        Failure::TooManyRequests | Failure::Unavailable => "unavailable",
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
