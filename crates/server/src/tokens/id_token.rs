//! ID tokens that come back: whether one of our keys signed it, and its claims.

use std::sync::Arc;

use counterfoil_core::id_token::{Fingerprint, IdToken};
use counterfoil_core::jws::Compact;

use crate::node::app::App;
use crate::node::known_keys::ring_named_by;
use crate::node::poll::Unavailable;

/// Reads an ID token; the inner error says why it is not ours. Callers check its expiry and its
/// grant.
///
/// # Errors
/// The store can't answer.
pub async fn read(
    app: &App,
    token: &Compact<'_>,
) -> Result<Result<Arc<IdToken>, &'static str>, Unavailable> {
    let fingerprint = Fingerprint::of(token.text());
    if let Some(known) = app.keys.ring().verified.get(&fingerprint) {
        return Ok(Ok(known));
    }
    let payload = match payload(app, token).await? {
        Ok(payload) => payload,
        Err(reason) => return Ok(Err(reason)),
    };
    let Ok(claims) = serde_json::from_slice::<IdToken>(&payload) else {
        return Ok(Err("its claims are not those of an ID token"));
    };
    if claims.iss != app.settings.issuer {
        return Ok(Err("it is of another issuer"));
    }
    let claims = Arc::new(claims);
    app.keys.ring().verified.keep(fingerprint, claims.clone());
    Ok(Ok(claims))
}

/// The claims, as JSON, of a token signed by one of our keys; the inner error says why it is not.
///
/// # Errors
/// The store can't answer.
pub async fn payload(
    app: &App,
    token: &Compact<'_>,
) -> Result<Result<Vec<u8>, &'static str>, Unavailable> {
    let ring = ring_named_by(app, token).await?;
    Ok(ring.verify(token).ok_or("it is not a token that a key of ours signed"))
}
