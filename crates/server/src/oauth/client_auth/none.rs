//! `none`: a public client, which has no secret.

use std::sync::Arc;

use counterfoil_core::client::Client;

use super::Unproven;

pub(super) fn prove(client: Option<Arc<Client>>) -> Result<Arc<Client>, Unproven> {
    client.filter(|client| client.settings.is_public()).ok_or(Unproven::Missing("no client_secret"))
}
