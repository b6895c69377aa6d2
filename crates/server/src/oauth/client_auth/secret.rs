//! Checks a secret, whichever way it was sent.

use std::sync::Arc;

use counterfoil_core::client::{Client, SecretDigest};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::secret::Secret;

use super::ClientAuthError;
use crate::node::app::App;

/// An unknown client costs as much work as a wrong secret: one digest.
pub(super) fn prove(
    app: &App,
    client: Option<Arc<Client>>,
    secret: &Secret,
    now: Timestamp,
) -> Result<Arc<Client>, ClientAuthError> {
    let digest = SecretDigest::of(secret, &app.keys.ring().pepper);
    match client {
        Some(client) if client.settings.is_public() => {
            Err(ClientAuthError::Wrong("a secret from a public client"))
        }
        Some(client) if client.is_proven_by(&digest, now) => Ok(client),
        Some(_) => Err(ClientAuthError::Wrong("the client secret is wrong")),
        None => Err(ClientAuthError::Wrong("the client is unknown")),
    }
}
