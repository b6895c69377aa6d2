//! Reads the body of a request as a form, bounded in size and time.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::failure::Failure;
use counterfoil_core::form::Form;
use futures_util::future::poll_immediate;

use crate::http::head::one;
use crate::http::refused::Refused;
use crate::http::shape::Shape;
use crate::node::app::App;

/// The largest body, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;
/// The largest body of a consent form, in bytes. It lists every chosen account; stays below nginx's
/// default of one megabyte.
pub const LARGEST_CONSENT: usize = 960 * 1024;
/// How long a body may take to arrive.
const SLOWEST_BODY: Duration = Duration::from_secs(20);

/// Parameters of `/token`, `/revoke` and `/introspect` that must not appear in the query, which
/// ends up in logs (RFC 6749 section 2.3.1).
const OAUTH_PARAMETERS: [&str; 11] = [
    "client_id",
    "client_secret",
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "refresh_token",
    "scope",
    "token",
    "token_type_hint",
    "access_token",
];

/// Why a body can't be read.
enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
    NotAForm,
}

impl BodyError {
    const fn failure(&self) -> Failure {
        match self {
            Self::TooLarge => Failure::BodyTooLarge,
            Self::TooSlow => Failure::BodyTooSlow,
            Self::Broken | Self::NotAForm => Failure::Malformed,
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::TooSlow => "the body took too long to come in",
            Self::Broken => "the body broke off",
            Self::NotAForm => "the body is not application/x-www-form-urlencoded",
        }
    }
}

async fn read(headers: &HeaderMap, body: Body, largest: usize) -> Result<Bytes, BodyError> {
    let mut whole = pin!(to_bytes(body, largest));
    // A body that arrived with its head needs no timer.
    let read = match poll_immediate(&mut whole).await {
        Some(read) => Ok(read),
        None => tokio::time::timeout(SLOWEST_BODY, whole).await,
    };
    let bytes = match read {
        Err(_) => return Err(BodyError::TooSlow),
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            while let Some(cause) = source {
                if cause.is::<http_body_util::LengthLimitError>() {
                    return Err(BodyError::TooLarge);
                }
                source = cause.source();
            }
            return Err(BodyError::Broken);
        }
    };
    // An empty body needs no type: the missing parameter is reported next.
    if is_form(headers) || (bytes.is_empty() && content_type(headers).is_empty()) {
        Ok(bytes)
    } else {
        Err(BodyError::NotAForm)
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    one(headers, &CONTENT_TYPE).ok().flatten().unwrap_or_default()
}

/// Whether the request declares its body to be a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let media_type = content_type(headers).split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Reads the form of a request to `/token`, `/revoke` or `/introspect`, whose query must hold none
/// of their parameters.
///
/// # Errors
/// 413, 408 or 400 `invalid_request`.
pub async fn oauth_form(
    app: &App,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Body,
) -> Result<Bytes, Refused> {
    let bytes = read(headers, body, LARGEST_BODY)
        .await
        .map_err(|error| Refused::failed(Shape::OAuth, error.failure(), error.reason()))?;
    if let Some(query) = query {
        let query = Form::parse(query.as_bytes()).map_err(|error| malformed(app, error))?;
        if query.names().any(|name| OAUTH_PARAMETERS.contains(&name)) {
            return Err(malformed(app, "an OAuth parameter is in the query"));
        }
    }
    Ok(bytes)
}

/// Why a request is refused before anything else is checked: its declared length is too large. A
/// body without a declared length is cut off while it is read.
pub fn declared_too_large(body: &Body, largest: usize) -> Option<&'static str> {
    (body.size_hint().lower() > largest as u64).then(|| BodyError::TooLarge.reason())
}

/// Reads the form that a page posted.
///
/// # Errors
/// An error page.
pub async fn page_form(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    read(headers, body, LARGEST_BODY).await.map_err(|error| refused_page(&error))
}

/// The fields of a form or query of a page.
///
/// # Errors
/// An error page.
pub fn page_fields(encoded: &[u8]) -> Result<Form<'_>, Refused> {
    Form::parse(encoded).map_err(|error| Refused::page(StatusCode::BAD_REQUEST, "malformed", error))
}

/// Reads the consent form.
///
/// # Errors
/// As [`page_form`].
pub async fn consent_form(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    if body.size_hint().upper().is_some_and(|most| most <= LARGEST_BODY as u64) {
        return page_form(headers, body).await;
    }
    // The sender is still unauthenticated, so only a few large forms may be in memory at once.
    let _turn = app.limits.large_forms.acquire().await.map_err(Refused::unavailable_page)?;
    read(headers, body, LARGEST_CONSENT).await.map_err(|error| refused_page(&error))
}

fn refused_page(error: &BodyError) -> Refused {
    Refused::failed(Shape::Page, error.failure(), error.reason())
}

/// 400 `invalid_request`: the request can't be parsed.
pub fn malformed(app: &App, reason: impl std::fmt::Display) -> Refused {
    Refused::oauth(Refusal::MalformedRequest, app.settings.dialect, reason)
}
