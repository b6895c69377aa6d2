//! `GET, POST /userinfo` (OpenID Connect Core section 5.3): the customer behind an access token.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::form::Form;
use counterfoil_core::id_token::{LONGEST_TOKEN, subject};
use counterfoil_core::scope::Scopes;
use counterfoil_core::token::Token;
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::http::body::{is_form, oauth_form};
use crate::http::observe::with_log_context;
use crate::http::operation::{self, Operation, optional};
use crate::http::refused::Refused;
use crate::http::respond::json;
use crate::node::app::App;
use crate::tokens::bearer::{AcceptedTokens, Bearer, NoBearer, Resource, check, check_header};

const RESOURCE: Resource =
    Resource { path: "/userinfo", is_data: false, accepts: AcceptedTokens::AccessToken };

#[derive(Serialize, ToSchema)]
struct UserInfo<'a> {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// With the token in the `Authorization` header.
///
/// # Errors
/// 401 `invalid_token` (RFC 6750 section 3.1).
pub async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refused> {
    let checked = check_header(&app, RESOURCE, &headers, app.clock.now()).await;
    answer(&app, checked)
}

/// With the token in the header, or in the body as `access_token` of a form (RFC 6750 section 2.2).
///
/// # Errors
/// As [`get`]; 400 `invalid_request` if it is in both, or the form is malformed; 413 and 408 as for
/// any form.
pub async fn post(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let bytes = if is_form(&parts.headers) {
        oauth_form(&app, &parts.headers, parts.uri.query(), body).await?
    } else {
        Bytes::new()
    };
    let malformed = |reason: &dyn Display| {
        Refused::oauth(Refusal::BearerTokenMalformed, app.settings.dialect, reason)
    };
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&error))?;
    let now = app.clock.now();
    let checked = match form.get("access_token") {
        None => check_header(&app, RESOURCE, &parts.headers, now).await,
        Some(_) if parts.headers.contains_key(AUTHORIZATION) => {
            return Err(malformed(&"there is a token in the header and one in the body"));
        }
        Some(token) => check(&app, RESOURCE, Token::parse(token), now).await,
    };
    answer(&app, checked)
}

fn answer(app: &App, checked: Result<Bearer, NoBearer>) -> Result<Response, Refused> {
    let bearer = checked.map_err(|no_bearer| no_bearer.at_oauth(app.settings.dialect))?;
    let name = bearer.scopes.contains(Scopes::PROFILE).then_some(bearer.terms.name.as_str());
    let body = UserInfo { sub: subject(&bearer.terms.customer, &app.keys.ring().subjects), name };
    Ok(with_log_context(json(StatusCode::OK, &body), &bearer.terms.client, bearer.terms.grant))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let answered = |operation: Operation| {
        operation
            .json::<UserInfo<'_>>(
                200,
                "The customer.",
                value!({ "sub": "mO2xRz1Ghc3Q", "name": "Ada Lovelace" }),
            )
            .refusal(401, "`invalid_token`")
    };
    vec![
        answered(operation::get("Who the customer is").by_bearer()),
        answered(
            operation::post("Who the customer is")
                .by_bearer_or_form()
                .form([optional(
                    "access_token",
                    LONGEST_TOKEN,
                    "The token, where it is not in the header (RFC 6750 section 2.2).",
                )])
                .refusal(
                    400,
                    "`invalid_request`: a token in the header and in the body, or a form that can't be read.",
                ),
        ),
    ]
}
