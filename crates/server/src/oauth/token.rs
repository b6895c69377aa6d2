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

use crate::grants::find::{Owner, of_client};
use crate::http::body::oauth_form;
use crate::http::refused::Refused;
use crate::node::app::App;
use crate::oauth::client_request::{ClientEndpoint, ClientRequest};
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
