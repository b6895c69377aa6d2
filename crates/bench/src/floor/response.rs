//! The answer to a refresh: as long as ours, with a signature that is good, and with nothing in it
//! that was looked up.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::jws::{KeyError, SigningKey};
use counterfoil_core::scope::Scopes;

use super::slip::Slip;
use crate::error::BenchError;
use crate::grants::Grants;
use crate::tokens;

/// What answers are made of.
#[derive(Debug)]
pub(super) struct ResponseTemplate {
    key: SigningKey,
    /// The claims of an ID token of ours.
    claims: Vec<u8>,
    /// Where the grant's id is in them, in 16 hexadecimal digits.
    grant_at: usize,
    /// What comes before the ID token.
    head: String,
    /// What comes after the refresh token.
    tail: String,
}

impl ResponseTemplate {
    pub(super) fn new(key: SigningKey, now: Timestamp) -> Result<Self, BenchError> {
        let terms = Grants { count: 1, now }.terms(0);
        let claims = tokens::claims(&terms, key.alg, now)?;
        let grant = terms.grant.to_string();
        let grant_at = claims.windows(grant.len()).position(|part| part == grant.as_bytes());
        let grant_at = grant_at.ok_or_else(|| {
            BenchError::System("the claims of an ID token don't name its grant".into())
        })?;
        let access_token = tokens::access_token(&terms, now)?;
        let head = format!(
            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":86400,"id_token":""#,
            access_token.expose()
        );
        Ok(Self { key, claims, grant_at, head, tail: format!(r#"","scope":"{}"}}"#, Scopes::ALL) })
    }

    /// The answer to a refresh with `slip`.
    pub(super) fn to(&self, slip: &Slip) -> Result<String, KeyError> {
        let mut claims = self.claims.clone();
        let digits = &mut claims[self.grant_at..][..16];
        // There is room for exactly these.
        let _ = hex::encode_to_slice(slip.grant.to_be_bytes(), digits);
        let id_token = self.key.sign(&claims)?;
        let mut body =
            String::with_capacity(self.head.len() + id_token.len() + self.tail.len() + 128);
        body.push_str(&self.head);
        body.push_str(&id_token);
        body.push_str(r#"","refresh_token":""#);
        slip.write_successor(&mut body);
        body.push_str(&self.tail);
        Ok(body)
    }
}
