//! `GET, POST /userinfo` (OpenID Connect Core section 5.3): who the customer is, for an access
//! token.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use counterfoil_core::dialect::{ErrorCode, WireError};
use counterfoil_core::form::Form;
use counterfoil_core::id_token::subject;
use counterfoil_core::scope::Scopes;
use counterfoil_core::token::Token;
use serde::Serialize;

use crate::http::observe::seen;
use crate::http::refused::{Challenge, Refused, Shape};
use crate::http::request::{is_form, oauth_form};
use crate::http::respond::json;
use crate::node::app::App;
use crate::node::follow::Unavailable;
use crate::sandbox::faults::strike;
use crate::tokens::bearer::{Bearer, NotGood, Takes, check, check_token};

#[derive(Serialize)]
struct UserInfo<'a> {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The token in the `Authorization` header.
///
/// # Errors
/// 401 `invalid_token` (RFC 6750 section 3.1).
pub async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refused> {
    let checked = check(&app, &headers, app.clock.now(), Takes::AccessToken).await;
    answer(&app, checked).await
}

/// The token there, or in the body, as `access_token` of a form (RFC 6750 section 2.2).
///
/// # Errors
/// As [`get`]; 400 `invalid_request` where it is in both places, or the form can't be read; 413 and
/// 408 as for any form.
pub async fn post(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let bytes = if is_form(&parts.headers) {
        oauth_form(&app, &parts.headers, parts.uri.query(), body).await?
    } else {
        Bytes::new()
    };
    let form = Form::parse_oauth(&bytes).map_err(Refused::bearer_request)?;
    let now = app.clock.now();
    let checked = match form.get("access_token") {
        None => check(&app, &parts.headers, now, Takes::AccessToken).await,
        Some(_) if parts.headers.contains_key(AUTHORIZATION) => {
            return Err(Refused::bearer_request(
                "there is a token in the header and one in the body",
            ));
        }
        Some(token) => check_token(&app, Token::parse(token), now, Takes::AccessToken).await,
    };
    answer(&app, checked).await
}

async fn answer(
    app: &App,
    checked: Result<Result<Bearer, NotGood>, Unavailable>,
) -> Result<Response, Refused> {
    let bearer = checked.map_err(Refused::unavailable)?.map_err(|not_good| {
        let challenge =
            if not_good.sent { Challenge::BearerInvalidToken } else { Challenge::Bearer };
        let wire = WireError { status: 401, error: ErrorCode::InvalidToken, description: None };
        Refused::wire(wire, Some(challenge), not_good.reason).of(None, not_good.grant)
    })?;
    let struck =
        strike(app, "/userinfo", Shape::OAuth, &bearer.terms.client, Some(&bearer.terms.customer))
            .await;
    struck.map_err(|refused| refused.of(None, Some(bearer.terms.grant)))?;
    let name = bearer.scopes.contains(Scopes::PROFILE).then_some(bearer.terms.name.as_str());
    let body = UserInfo { sub: subject(&bearer.terms.customer, &app.keys.ring().subjects), name };
    Ok(seen(json(StatusCode::OK, &body), &bearer.terms.client, bearer.terms.grant))
}
