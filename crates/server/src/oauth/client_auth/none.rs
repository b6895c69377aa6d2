//! `none`: a public client, which has no secret.

use std::sync::Arc;

use counterfoil_core::client::Client;

use super::ClientAuthError;

pub(super) fn prove(client: Option<Arc<Client>>) -> Result<Arc<Client>, ClientAuthError> {
    client
        .filter(|client| client.settings.is_public())
        .ok_or(ClientAuthError::Missing("no client_secret"))
}
