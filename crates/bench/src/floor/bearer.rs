//! A bearer check with nothing but what it can't do without: a token, a row, an answer; where
//! tokens are new, a signature.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use counterfoil_core::jws::{Compact, SigningKey};
use serde::Deserialize;

use super::refresh::json;
use super::{postgres, sqlite};
use crate::directory;
use crate::grants::Grants;

#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) counterfoils: Counterfoils,
    /// The key that tokens are verified with; where there is none, they begin with the id of their
    /// grant.
    pub(super) verified_with: Option<SigningKey>,
    pub(super) body: Bytes,
}

/// Where counterfoils are read.
#[derive(Debug)]
pub(super) enum Counterfoils {
    InFile(sqlite::Readers),
    InDatabase(postgres::Reader),
}

#[derive(Deserialize)]
struct Claims {
    grant_id: GrantId,
}

/// A body as long as the server's.
pub(super) fn body(now: Timestamp) -> Bytes {
    directory::body(&Grants { count: 1, now }.accounts(0)).into()
}

pub(super) async fn accounts(State(bearer): State<Arc<Bearer>>, headers: HeaderMap) -> Response {
    let Some(grant) = bearer.grant(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let living = match &bearer.counterfoils {
        Counterfoils::InFile(readers) => readers.is_living(grant.number()).ok(),
        Counterfoils::InDatabase(reader) => reader.is_living(grant.number()).await,
    };
    match living {
        Some(true) => json(bearer.body.clone()),
        Some(false) => StatusCode::UNAUTHORIZED.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Bearer {
    fn grant(&self, headers: &HeaderMap) -> Option<GrantId> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        match &self.verified_with {
            Some(key) => {
                let claims: Claims =
                    serde_json::from_slice(&key.verify(&Compact::parse(token)?)?).ok()?;
                Some(claims.grant_id)
            }
            None => GrantId::parse(token.get(..16)?),
        }
    }
}
