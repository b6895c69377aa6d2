//! `id_token_hint` (OpenID Connect Core section 3.1.2.1): an ID token that says which customer a
//! request expects.

use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::jws::Compact;
use serde::Deserialize;

use crate::authorization::request::AuthorizationRequest;
use crate::node::app::App;
use crate::node::poll::Unavailable;
use crate::tokens::id_token::{self, IdTokenError};

/// The claims used here.
#[derive(Deserialize)]
struct HintClaims {
    iss: String,
    aud: String,
    sub: String,
    #[serde(rename = "connectorId")]
    connector_id: String,
}

/// Why a hint makes a request fail.
#[derive(Debug)]
pub enum HintError {
    /// What the client is told.
    Refused(AuthorizationError),
    /// The store can't answer.
    Unavailable(Unavailable),
}

/// Makes `request` expect the customer of `hint`, an ID token of ours for the same client; it may
/// have expired and its grant may have ended.
///
/// # Errors
/// [`HintError`].
pub async fn heed(
    app: &App,
    request: &mut AuthorizationRequest,
    hint: &str,
) -> Result<(), HintError> {
    let payload = match Compact::parse(hint) {
        Some(token) => match id_token::payload(app, &token).await {
            Err(IdTokenError::Unavailable(error)) => return Err(HintError::Unavailable(error)),
            payload => payload.unwrap_or_default(),
        },
        None => Vec::new(),
    };
    let claims = serde_json::from_slice::<HintClaims>(&payload)
        .ok()
        .filter(|claims| claims.iss == app.settings.issuer);
    let Some(claims) = claims else {
        return Err(HintError::Refused(AuthorizationError::HintNotOurs));
    };
    if claims.aud != request.client {
        return Err(HintError::Refused(AuthorizationError::HintOfAnotherClient));
    }
    if request.connector.as_ref().is_some_and(|connector| *connector != claims.connector_id) {
        return Err(HintError::Refused(AuthorizationError::HintOfAnotherConnector));
    }
    if app.settings.provider(&claims.connector_id).is_none() {
        return Err(HintError::Refused(AuthorizationError::HintOfRemovedConnector));
    }
    request.connector = Some(claims.connector_id);
    // (S) Only the subject: a page prefilled with the customer's sign-in name would reveal it to
    // the holder of the token.
    request.subject = Some(claims.sub);
    Ok(())
}
