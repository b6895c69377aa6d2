//! `id_token_hint` (OpenID Connect Core section 3.1.2.1): the customer whom a request is about, by
//! an ID token of theirs.

use counterfoil_core::dialect::ErrorCode;
use counterfoil_core::jws::Compact;
use serde::Deserialize;

use crate::authorization::request::AuthorizationRequest;
use crate::node::app::App;
use crate::node::poll::Unavailable;
use crate::tokens::id_token;

/// What an ID token says of its customer.
#[derive(Deserialize)]
struct Hinted {
    iss: String,
    aud: String,
    sub: String,
    #[serde(rename = "connectorId")]
    connector_id: String,
}

/// Has `request` ask for the customer of `hint`, an ID token of ours for the same client; it may
/// have expired and its grant may have ended. The inner error is for the client.
///
/// # Errors
/// The store can't answer.
pub async fn heed(
    app: &App,
    request: &mut AuthorizationRequest,
    hint: &str,
) -> Result<Result<(), (ErrorCode, &'static str)>, Unavailable> {
    let invalid = |reason| Ok(Err((ErrorCode::InvalidRequest, reason)));
    let payload = match Compact::parse(hint) {
        Some(token) => id_token::payload(app, &token).await?.unwrap_or_default(),
        None => Vec::new(),
    };
    let hinted = serde_json::from_slice::<Hinted>(&payload)
        .ok()
        .filter(|hinted| hinted.iss == app.settings.issuer);
    let Some(hinted) = hinted else {
        return invalid("the id_token_hint is not an ID token of this server");
    };
    if hinted.aud != request.client {
        return invalid("the id_token_hint is an ID token for another client");
    }
    if request.connector.as_ref().is_some_and(|connector| *connector != hinted.connector_id) {
        return Ok(Err((
            ErrorCode::LoginRequired,
            "the id_token_hint is of a customer of another connector",
        )));
    }
    if app.settings.provider(&hinted.connector_id).is_none() {
        return Ok(Err((
            ErrorCode::LoginRequired,
            "the id_token_hint is of a customer whose connector is gone",
        )));
    }
    request.connector = Some(hinted.connector_id);
    // (S) No more than that: a page that was filled in with the name which the customer signs in
    // with would tell it to whoever holds the token.
    request.subject = Some(hinted.sub);
    Ok(Ok(()))
}
