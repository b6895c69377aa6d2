//! `client_secret_basic`: id and secret in the `Authorization` header.

use counterfoil_core::basic;
use counterfoil_core::form::Form;

use super::{ClientAuthError, Credentials};

pub(super) fn read(header: &str, form: &Form<'_>) -> Result<Credentials, ClientAuthError> {
    if form.get("client_secret").is_some() {
        return Err(ClientAuthError::Contradiction("credentials in the header and in the body"));
    }
    let Ok(basic) = basic::parse(header.as_bytes()) else {
        return Err(ClientAuthError::Missing(
            "the Authorization header holds no readable Basic credentials",
        ));
    };
    if form.get("client_id").is_some_and(|id| id != basic.id) {
        return Err(ClientAuthError::Contradiction(
            "the client_id in the body is not that of the header",
        ));
    }
    if basic.id.is_empty() {
        return Err(ClientAuthError::Missing("no client_id"));
    }
    let sent = !basic.secret.expose().is_empty();
    Ok(Credentials { id: basic.id, secret: sent.then_some(basic.secret) })
}
