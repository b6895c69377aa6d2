//! Which client is asking, and has it proven it (RFC 6749 section 2.3).

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use counterfoil_core::basic;
use counterfoil_core::client::{Client, SecretDigest};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::secret::Secret;

use crate::http::refused::Refused;
use crate::http::request::{malformed, one};
use crate::node::app::App;

/// The credentials do not prove a client. Each endpoint has its own word for it; the private reason
/// is the same.
#[derive(Debug)]
pub enum Unproven {
    /// No client id (a header that can't be read holds none), or no secret from a client that is
    /// not registered `none`, an unknown one too.
    Missing(&'static str),
    /// An unknown client with a secret, or a wrong secret.
    Wrong(&'static str),
}

impl Unproven {
    /// Why, for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(reason) | Self::Wrong(reason) => reason,
        }
    }
}

/// The client that sent a request, proven by its secret or registered as public.
///
/// An unknown client costs the same work as a wrong secret: one digest.
///
/// # Errors
/// The outer error is 400 `invalid_request`, for credentials that contradict each other; the inner
/// one is for the endpoint to spell.
pub fn authenticate(
    app: &App,
    headers: &HeaderMap,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Result<Arc<Client>, Unproven>, Refused> {
    let (id, secret) = match one(headers, &AUTHORIZATION) {
        Err(_) if headers.get_all(AUTHORIZATION).iter().count() > 1 => {
            return Err(malformed(app, "two Authorization headers"));
        }
        Err(_) => {
            return Ok(Err(Unproven::Missing("the Authorization header is not text")));
        }
        Ok(None) => {
            (form.get("client_id").map(str::to_owned), form.get("client_secret").map(Secret::new))
        }
        Ok(Some(header)) => {
            if form.get("client_secret").is_some() {
                return Err(malformed(app, "credentials in the header and in the body"));
            }
            let Ok(basic) = basic::parse(header.as_bytes()) else {
                return Ok(Err(Unproven::Missing(
                    "the Authorization header holds no readable Basic credentials",
                )));
            };
            if form.get("client_id").is_some_and(|id| id != basic.id) {
                return Err(malformed(app, "the client_id in the body is not that of the header"));
            }
            let sent = !basic.secret.expose().is_empty();
            (Some(basic.id), sent.then_some(basic.secret))
        }
    };
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(Err(Unproven::Missing("no client_id")));
    };
    let client = app.client(&id);
    Ok(match (client, secret) {
        (Some(client), None) if client.settings.is_public() => Ok(client),
        (_, None) => Err(Unproven::Missing("no client_secret")),
        (client, Some(secret)) => {
            let digest = SecretDigest::of(&secret, &app.keys.ring().pepper);
            match client {
                Some(client) if client.settings.is_public() => {
                    Err(Unproven::Wrong("a secret from a public client"))
                }
                Some(client) if client.is_proven_by(&digest, now) => Ok(client),
                Some(_) => Err(Unproven::Wrong("the client secret is wrong")),
                None => Err(Unproven::Wrong("the client is unknown")),
            }
        }
    })
}
