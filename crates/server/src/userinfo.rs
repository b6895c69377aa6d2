//! `GET, POST /userinfo` (OpenID Connect Core section 5.3): who the customer is, for an access token.

use crate::app::App;
use crate::bearer::{Takes, check};
use crate::observe::seen;
use crate::refused::{Challenge, Refused, Shape};
use crate::respond::json;
use crate::sandbox::faults::strike;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use counterfoil_core::dialect::{ErrorCode, WireError};
use counterfoil_core::id_token::subject;
use counterfoil_core::scope::Scopes;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct UserInfo<'a> {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The endpoint.
///
/// # Errors
/// 401 `invalid_token` (RFC 6750 section 3.1).
pub async fn userinfo(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refused> {
    let now = app.clock.now();
    let bearer = check(&app, &headers, now, Takes::AccessToken).await.map_err(Refused::unavailable)?.map_err(|not_good| {
        let challenge = if not_good.sent { Challenge::BearerInvalidToken } else { Challenge::Bearer };
        let wire = WireError { status: 401, error: ErrorCode::InvalidToken, description: None };
        Refused::wire(wire, Some(challenge), not_good.reason).of(None, not_good.grant)
    })?;
    let struck = strike(&app, "/userinfo", Shape::OAuth, &bearer.terms.client, Some(&bearer.terms.customer)).await;
    struck.map_err(|refused| refused.of(None, Some(bearer.terms.grant)))?;
    let name = bearer.scopes.contains(Scopes::PROFILE).then_some(bearer.terms.name.as_str());
    let body = UserInfo { sub: subject(&bearer.terms.customer, &app.keys.ring().subjects), name };
    Ok(seen(json(StatusCode::OK, &body), &bearer.terms.client, bearer.terms.grant))
}
