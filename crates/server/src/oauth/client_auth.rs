//! Client authentication (RFC 6749 section 2.3): one file per method.

mod basic;
mod none;
mod post;
mod secret;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use counterfoil_core::client::Client;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::secret::Secret;

use crate::http::head::one;
use crate::node::app::App;

/// Why a client is not authenticated. Each endpoint maps it to its own error; the private reason is
/// the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAuthError {
    /// Contradictory credentials: 400 `invalid_request`.
    Contradiction(&'static str),
    /// No client id (also if the header is malformed), or no secret from a client, known or not,
    /// that is not registered with `none`.
    Missing(&'static str),
    /// An unknown client with a secret, or a wrong secret.
    Wrong(&'static str),
}

impl ClientAuthError {
    /// The private reason, for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Contradiction(reason) | Self::Missing(reason) | Self::Wrong(reason) => reason,
        }
    }
}

/// A client's credentials.
struct Credentials {
    id: String,
    secret: Option<Secret>,
}

/// Authenticates the client of a request, by its secret or as a registered public client.
///
/// # Errors
/// [`ClientAuthError`].
pub fn prove(
    app: &App,
    headers: &HeaderMap,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Arc<Client>, ClientAuthError> {
    let Credentials { id, secret } = match one(headers, &AUTHORIZATION) {
        Ok(Some(header)) => basic::read(header, form)?,
        Ok(None) => post::read(form)?,
        Err(_) if headers.get_all(AUTHORIZATION).iter().count() > 1 => {
            return Err(ClientAuthError::Contradiction("two Authorization headers"));
        }
        Err(_) => return Err(ClientAuthError::Missing("the Authorization header is not text")),
    };
    let client = app.client(&id);
    match secret {
        None => none::prove(client),
        Some(secret) => secret::prove(app, client, &secret, now),
    }
}
