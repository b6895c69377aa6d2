//! ID tokens that come back: whether one of our keys signed it, and its claims.

use std::sync::Arc;

use counterfoil_core::id_token::{Fingerprint, IdToken};
use counterfoil_core::jws::Compact;

use crate::node::app::App;
use crate::node::known_keys::ring_named_by;
use crate::node::poll::Unavailable;

/// Why an ID token can't be read.
#[derive(Debug)]
pub enum IdTokenError {
    /// It is not ours, and why.
    NotOurs(&'static str),
    /// The store can't answer.
    Unavailable(Unavailable),
}

impl From<Unavailable> for IdTokenError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// Reads an ID token. Callers check its expiry and its grant.
///
/// # Errors
/// [`IdTokenError`].
pub async fn read(app: &App, token: &Compact<'_>) -> Result<Arc<IdToken>, IdTokenError> {
    let fingerprint = Fingerprint::of(token.text());
    if let Some(known) = app.keys.ring().verified.get(&fingerprint) {
        return Ok(known);
    }
    let payload = payload(app, token).await?;
    let Ok(claims) = serde_json::from_slice::<IdToken>(&payload) else {
        return Err(IdTokenError::NotOurs("its claims are not those of an ID token"));
    };
    if claims.iss != app.settings.issuer {
        return Err(IdTokenError::NotOurs("it is of another issuer"));
    }
    let claims = Arc::new(claims);
    app.keys.ring().verified.keep(fingerprint, claims.clone());
    Ok(claims)
}

/// The claims, as JSON, of a token signed by one of our keys.
///
/// # Errors
/// [`IdTokenError`].
pub async fn payload(app: &App, token: &Compact<'_>) -> Result<Vec<u8>, IdTokenError> {
    let ring = ring_named_by(app, token).await?;
    let unsigned = IdTokenError::NotOurs("it is not a token that a key of ours signed");
    ring.verify(token).ok_or(unsigned)
}
