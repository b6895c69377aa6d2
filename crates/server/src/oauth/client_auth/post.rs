//! `client_secret_post`: id and secret in the body.

use counterfoil_core::form::Form;
use counterfoil_core::secret::Secret;

use super::{ClientAuthError, Credentials};

pub(super) fn read(form: &Form<'_>) -> Result<Credentials, ClientAuthError> {
    let id = form.get("client_id").filter(|id| !id.is_empty());
    let id = id.ok_or(ClientAuthError::Missing("no client_id"))?.to_owned();
    Ok(Credentials { id, secret: form.get("client_secret").map(Secret::new) })
}
