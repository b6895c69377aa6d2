//! What is watched from beginning to end: where secrets are sent.

use super::judge::Verdict;
use crate::app::App;
use crate::sandbox::requests::Observed;
use axum::http::header::AUTHORIZATION;
use counterfoil_core::basic;
use counterfoil_core::client::{Client, SecretDigest};
use counterfoil_core::form::Form;
use counterfoil_core::secret::Secret;
use std::time::Duration;

/// Paths that a client proves itself at.
const PROVES_ITSELF_AT: [&str; 3] = ["/token", "/revoke", "/introspect"];

/// Judges all requests of a client: the secret goes to [`PROVES_ITSELF_AT`] alone and never into a URL, tokens never into a URL.
pub(super) fn secrets<'a>(app: &App, client: &Client, requests: impl Iterator<Item = (Duration, &'a Observed)>) -> Verdict {
    let mut count = 0;
    for (came, request) in requests {
        count += 1;
        if let Some(problem) = problem(app, client, request) {
            let seen = format!("{problem} of {} {}", request.method, request.path());
            return Verdict::failed(seen, "URLs end up in logs and histories, and other paths may be served by others").shown_by(came);
        }
    }
    match count {
        0 => Verdict::not_run("there were no requests"),
        count => Verdict::passed(format!("{count} requests, none with a secret where it does not belong")),
    }
}

fn problem(app: &App, client: &Client, request: &Observed) -> Option<&'static str> {
    let digest = |text: &str| SecretDigest::of(&Secret::new(text), &app.keys.ring().pepper);
    let is_secret = |text: &str| client.secrets.iter().any(|secret| secret.digest == digest(text));
    let query = Form::parse(request.query().as_bytes()).ok()?;
    if query.get("client_secret").is_some() || query.names().any(|name| query.all(name).any(is_secret)) {
        return Some("the client secret in the URL");
    }
    if ["access_token", "refresh_token", "id_token", "token"].iter().any(|name| query.get(name).is_some()) {
        return Some("a token in the URL");
    }
    if PROVES_ITSELF_AT.contains(&request.path()) {
        return None;
    }
    let form = Form::parse(&request.body).ok()?;
    if form.get("client_secret").is_some() || form.names().any(|name| form.all(name).any(is_secret)) {
        return Some("the client secret in the body");
    }
    let in_basic = request.headers.get(AUTHORIZATION.as_str()).and_then(|header| basic::parse(header.as_bytes()).ok());
    if in_basic.is_some_and(|basic| is_secret(basic.secret.expose())) {
        return Some("the client secret in the Authorization header");
    }
    request.headers.iter().any(|(_, value)| is_secret(value)).then_some("the client secret in a header")
}
