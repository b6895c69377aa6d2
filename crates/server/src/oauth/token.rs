//! `POST /token` (RFC 6749 section 3.2): authenticates the client, finds the grant type, and passes
//! on to that grant type's file.

mod authorization_code;
mod issue;
mod refresh;
mod request;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::grant::{GrantId, Terms};
use serde_json::json as value;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::grants::find::{Owner, of_client};
use crate::http::body::oauth_form;
use crate::http::operation::{Operation, optional, post, required};
use crate::http::refused::Refused;
use crate::node::app::App;
use crate::oauth::client_request::{ClientEndpoint, ClientRequest, credentials};
use request::TokenRequest;

const ENDPOINT: ClientEndpoint = ClientEndpoint {
    path: "/token",
    missing: Refusal::InvalidClient,
    wrong: Refusal::InvalidClient,
};

/// The endpoint. The order of checks is the contract's: size, method, form, credentials, client,
/// grant type, may the client use it.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`.
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let now = app.clock.now();
    // Taken apart, because extractors for headers and URI would copy them.
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let request = ClientRequest::read(&app, ENDPOINT, &headers, &bytes, now).await?;
    match TokenRequest::read(&request)? {
        TokenRequest::AuthorizationCode(exchange) => {
            authorization_code::redeem(&request, exchange).await
        }
        TokenRequest::RefreshToken(refresh) => refresh::redeem(&request, refresh).await,
    }
}

/// The terms of the grant that an authentic slip names, if they belong to this client.
///
/// # Errors
/// `refusal`, or 503.
async fn terms_of(
    request: &ClientRequest<'_>,
    grant: GrantId,
    refusal: Refusal,
) -> Result<Arc<Terms>, Refused> {
    let owner = of_client(request.app, &request.client, grant).await;
    let reason = match owner.map_err(Refused::unavailable)? {
        Owner::Own(terms) => return Ok(terms),
        Owner::Another => "the token was issued to another client",
        Owner::Unknown => "the grant is not known",
    };
    Err(request.refuse(refusal, reason).of(None, Some(grant)))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let token = || ObjectBuilder::new().schema_type(Type::String);
    let tokens = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("access_token", token())
        .property("token_type", token().enum_values(Some(["Bearer"])))
        .property("expires_in", ObjectBuilder::new().schema_type(Type::Integer))
        .property("id_token", token())
        .property("refresh_token", token().description(Some("With `offline_access`. Single use.")))
        .property("scope", token())
        .required("access_token")
        .required("token_type")
        .required("expires_in")
        .required("id_token")
        .required("scope");
    let example = value!({
        "access_token": "cfa_AQAB...",
        "token_type": "Bearer",
        "expires_in": 86400,
        "id_token": "eyJhbGciOi...",
        "refresh_token": "cfr_AQAB...",
        "scope": "openid profile offline_access",
    });
    let retry_key = optional("Idempotency-Key", 255, "Makes a refresh repeatable for 10 minutes.");
    vec![
        post("Exchange a code, or refresh")
            .by_client()
            .headers([retry_key.of_at_least(16).such_as("c3b1f6d0-7c2e-4a52-9d35-2f0f8f6f5f0a")])
            .form(
                [
                    required("grant_type", 64, "What is redeemed.")
                        .one_of(&["authorization_code", "refresh_token"]),
                    optional("code", 512, "The code."),
                    optional("redirect_uri", 2048, "The one of the authorization request."),
                    optional("code_verifier", 128, "PKCE (RFC 7636)."),
                    optional("refresh_token", 512, "The refresh token."),
                    optional("scope", 256, "Narrows the scope of the new access token."),
                ]
                .into_iter()
                .chain(credentials()),
            )
            .json_like(200, "New tokens.", tokens, example)
            .refusal(400, "Refused; nothing was claimed.")
            .refusal(401, "`invalid_client`")
            .refusal(
                503,
                "The server can't answer; a redemption may have been done. Repeat with the same \
                 Idempotency-Key.",
            ),
    ]
}
