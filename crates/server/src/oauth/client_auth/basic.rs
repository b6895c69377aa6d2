//! `client_secret_basic`: id and secret in the `Authorization` header.

use counterfoil_core::basic;
use counterfoil_core::form::Form;

use super::{Credentials, Unproven};

pub(super) fn read(header: &str, form: &Form<'_>) -> Result<Credentials, Unproven> {
    if form.get("client_secret").is_some() {
        return Err(Unproven::Contradiction("credentials in the header and in the body"));
    }
    let Ok(basic) = basic::parse(header.as_bytes()) else {
        return Err(Unproven::Missing(
            "the Authorization header holds no readable Basic credentials",
        ));
    };
    if form.get("client_id").is_some_and(|id| id != basic.id) {
        return Err(Unproven::Contradiction("the client_id in the body is not that of the header"));
    }
    if basic.id.is_empty() {
        return Err(Unproven::Missing("no client_id"));
    }
    let sent = !basic.secret.expose().is_empty();
    Ok(Credentials { id: basic.id, secret: sent.then_some(basic.secret) })
}
