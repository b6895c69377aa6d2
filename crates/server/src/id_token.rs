//! ID tokens that come back: whether a key of ours signed this one, and what it says.

use crate::app::App;
use crate::follow::Unavailable;
use crate::unknown_key::ring_named_by;
use counterfoil_core::id_token::{Fingerprint, Verified};
use counterfoil_core::jws::Compact;
use std::sync::Arc;

/// Reads an ID token; the inner error says why it is none of ours. Whether it has expired, and whether its grant lives, is the caller's to ask.
///
/// # Errors
/// The store can't answer.
pub async fn read(app: &App, token: &str) -> Result<Result<Arc<Verified>, &'static str>, Unavailable> {
    let fingerprint = Fingerprint::of(token);
    if let Some(known) = app.keys.ring().verified.get(&fingerprint) {
        return Ok(Ok(known));
    }
    const UNSIGNED: &str = "it is not a token that a key of ours signed";
    let Some(compact) = Compact::parse(token) else { return Ok(Err(UNSIGNED)) };
    let ring = ring_named_by(app, &compact).await?;
    let Some(payload) = ring.verify(&compact) else { return Ok(Err(UNSIGNED)) };
    let Ok(claims) = serde_json::from_slice::<Verified>(&payload) else { return Ok(Err("its claims are not those of an ID token")) };
    if claims.iss != app.settings.issuer {
        return Ok(Err("it is of another issuer"));
    }
    let claims = Arc::new(claims);
    ring.verified.keep(fingerprint, claims.clone());
    Ok(Ok(claims))
}
