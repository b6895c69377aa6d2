//! Which client is asking, and has it proven it (RFC 6749 section 2.3): one file a method.

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

/// Why a request proves no client. Each endpoint has its own word for it; the private reason is the
/// same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unproven {
    /// The credentials contradict each other: 400 `invalid_request`.
    Contradiction(&'static str),
    /// No client id (a header that can't be read holds none), or no secret from a client that is
    /// not registered `none`, an unknown one too.
    Missing(&'static str),
    /// An unknown client with a secret, or a wrong secret.
    Wrong(&'static str),
}

impl Unproven {
    /// Why, for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Contradiction(reason) | Self::Missing(reason) | Self::Wrong(reason) => reason,
        }
    }
}

/// What a client proves itself with.
struct Credentials {
    id: String,
    secret: Option<Secret>,
}

/// The client that sent a request, proven by its secret or registered as public.
///
/// # Errors
/// [`Unproven`].
pub fn prove(
    app: &App,
    headers: &HeaderMap,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Arc<Client>, Unproven> {
    let Credentials { id, secret } = match one(headers, &AUTHORIZATION) {
        Ok(Some(header)) => basic::read(header, form)?,
        Ok(None) => post::read(form)?,
        Err(_) if headers.get_all(AUTHORIZATION).iter().count() > 1 => {
            return Err(Unproven::Contradiction("two Authorization headers"));
        }
        Err(_) => return Err(Unproven::Missing("the Authorization header is not text")),
    };
    let client = app.client(&id);
    match secret {
        None => none::prove(client),
        Some(secret) => secret::prove(app, client, &secret, now),
    }
}
