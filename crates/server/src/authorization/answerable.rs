//! Whether a request that was valid when it arrived may still be answered, and denying it.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::client::{Client, GrantType};

use crate::authorization::answer::redirect_error;
use crate::authorization::request::AuthorizationRequest;
use crate::authorization::way_back::already_answered;
use crate::http::refused::Refused;
use crate::node::app::App;

/// The client of a request that was valid when it arrived, if it may still be answered.
///
/// # Errors
/// The error to send the browser back with; a page, if it must no longer be sent back because the
/// client was removed or its redirect URI is no longer registered.
pub fn still_may_ask(app: &App, request: &AuthorizationRequest) -> Result<Arc<Client>, Refused> {
    let client = may_be_answered(app, request)?;
    let refuse =
        |error| redirect_error(app, request, error).and_then(|answer| Err(Refused::by(answer)));
    if !client.settings.grant_types.contains(&GrantType::AuthorizationCode) {
        return refuse(AuthorizationError::NoLongerRegisteredForCodes);
    }
    if client.settings.require_pkce && request.challenge.is_none() {
        return refuse(AuthorizationError::PkceRequiredSince);
    }
    Ok(client)
}

fn may_be_answered(app: &App, request: &AuthorizationRequest) -> Result<Arc<Client>, Refused> {
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "unknown-client",
            "the client was removed meanwhile",
        ));
    };
    if !client.settings.may_redirect_to(&request.redirect_uri) {
        return Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "redirect-uri",
            "the redirect URI is no longer registered",
        ));
    }
    Ok(client)
}

/// Checks that a request was not allowed before: an approval stands, even if an old page is still
/// open.
///
/// # Errors
/// A page that says so.
pub async fn must_be_unanswered(app: &App, request: &AuthorizationRequest) -> Result<(), Refused> {
    match app.store.terms(request.grant).await.map_err(Refused::unavailable_page)? {
        Some(_) => Err(already_answered("the request was allowed before")),
        None => Ok(()),
    }
}

/// Sends the browser back with the customer's refusal, unless the request was allowed before: the
/// approval stands, and the client is not told otherwise.
///
/// # Errors
/// A page.
pub async fn deny(
    app: &App,
    request: &AuthorizationRequest,
    error: AuthorizationError,
) -> Result<Response, Refused> {
    may_be_answered(app, request)?;
    must_be_unanswered(app, request).await?;
    redirect_error(app, request, error)
}
