//! Leaked secrets: those in a part of a request where none belongs.

use std::borrow::Cow;

use axum::http::header::AUTHORIZATION;
use counterfoil_core::basic;
use counterfoil_core::client::SecretDigest;
use counterfoil_core::form::{Form, decode};
use counterfoil_core::secret::Secret;
use counterfoil_server::App;

use super::RequestRecord;

/// Paths where a client authenticates.
const PROVES_ITSELF_AT: [&str; 3] = ["/token", "/revoke", "/introspect"];
/// Parameters whose values are tokens.
const TOKENS: [&str; 4] = ["access_token", "refresh_token", "id_token", "token"];
/// Prefixes of our tokens, and of JWTs.
const TOKEN_BEGINNINGS: [&str; 4] = ["cfc_", "cfr_", "cfa_", "eyJ"];
/// The shortest text that is taken for a token by its prefix.
const SHORTEST_TOKEN: usize = 40;

/// A secret in the wrong place.
#[derive(Debug)]
pub struct Leak {
    /// What it is and where.
    pub what: &'static str,
    /// The secret itself, so that it can be masked.
    pub secret: String,
}

/// Every leaked secret of a request. A client's secret belongs only at [`PROVES_ITSELF_AT`] (RFC 6749
/// section 2.3.1), and no secret in a URL (RFC 6750 section 5.3). A code is no leak: it returns in the
/// client's own redirect URI.
pub fn leaks(app: &App, request: &RequestRecord) -> Vec<Leak> {
    let (clients, ring) = (app.clients(), app.keys.ring());
    // Only the digest of a secret is known.
    let is_client_secret = |text: &str| {
        let digest = SecretDigest::of(&Secret::new(text), &ring.pepper);
        clients.iter().flat_map(|client| &client.secrets).any(|secret| secret.digest == digest)
    };
    let mut found = Vec::new();
    let mut add = |what, secret: &str| found.push(Leak { what, secret: secret.to_owned() });
    for segment in request.path().split('/') {
        let segment = decode(segment.as_bytes()).unwrap_or(Cow::Borrowed(segment));
        if is_client_secret(&segment) {
            add("the client secret in the URL", &segment);
        } else if segment.len() >= SHORTEST_TOKEN
            && TOKEN_BEGINNINGS.iter().any(|beginning| segment.starts_with(beginning))
        {
            add("a token in the URL", &segment);
        }
    }
    for (name, value) in pairs(request.query().as_bytes()) {
        if name == "client_secret" || is_client_secret(&value) {
            add("the client secret in the URL", &value);
        } else if TOKENS.contains(&name.as_str()) {
            add("a token in the URL", &value);
        }
    }
    if PROVES_ITSELF_AT.contains(&request.path()) {
        return found;
    }
    for (name, value) in pairs(&request.body) {
        if name == "client_secret" || is_client_secret(&value) {
            add("the client secret in the body", &value);
        }
    }
    let basic = request
        .headers
        .get(AUTHORIZATION.as_str())
        .and_then(|header| basic::parse(header.as_bytes()).ok());
    if let Some(basic) = basic.filter(|basic| is_client_secret(basic.secret.expose())) {
        add("the client secret in the Authorization header", basic.secret.expose());
    }
    for (_, value) in request.headers.iter().filter(|(_, value)| is_client_secret(value)) {
        add("the client secret in a header", value);
    }
    found
}

fn pairs(form: &[u8]) -> Vec<(String, String)> {
    let Ok(form) = Form::parse(form) else {
        return Vec::new();
    };
    form.names()
        .flat_map(|name| form.all(name).map(|value| (name.to_owned(), value.to_owned())))
        .collect()
}
