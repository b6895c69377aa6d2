//! ID tokens (OpenID Connect Core section 2): the claims of ours, and who they are about.

use crate::clock::Timestamp;
use crate::grant::{CustomerId, GrantId, Terms};
use crate::jws::Algorithm;
use crate::mac::MacKey;
use crate::secret::Secret;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// How many accounts the `accounts` claim names at the most; beyond that it is left out.
pub const MOST_ACCOUNTS: usize = 100;

/// Bytes of the claims of most grants.
const USUAL_BYTES: usize = 768;

/// The claims of an ID token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: Timestamp,
    iat: Timestamp,
    auth_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: &'a str,
    jti: &'a str,
    grant_id: GrantId,
    #[serde(rename = "connectorId")]
    connector_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<&'a [String]>,
    products: crate::fdx::DataClusters,
    name: &'a str,
}

/// Which ID token it is: the SHA-256 of all of it, signature and all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of `token`.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

/// What an ID token of ours says of itself, once its signature is verified.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The issuer.
    pub iss: String,
    /// The client.
    pub aud: String,
    /// When it ends.
    pub exp: Timestamp,
    /// When it was issued.
    pub iat: Timestamp,
    /// The grant that it belongs to.
    pub grant_id: GrantId,
}

/// What differs between two ID tokens of one grant.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The key that makes subjects.
    pub subjects: &'a MacKey,
    /// The issuer.
    pub issuer: &'a str,
    /// When it is issued.
    pub now: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether this is the grant's first ID token, which carries the nonce.
    pub first: bool,
    /// The access token of the same answer.
    pub access_token: &'a Secret,
    /// How it will be signed; decides the hash of `at_hash`.
    pub alg: Algorithm,
    /// 128 random bits that make its `jti`.
    pub random: [u8; 16],
}

/// The claims of an ID token of the grant, as JSON.
///
/// # Errors
/// Where they can't be serialised, which none of our values makes happen.
pub fn claims(terms: &Terms, issue: &Issue<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let claims = Claims {
        iss: issue.issuer,
        sub: &subject(&terms.customer, issue.subjects),
        aud: &terms.client,
        exp: issue.expires_at,
        iat: issue.now,
        auth_time: terms.authenticated_at,
        nonce: if issue.first { terms.nonce.as_deref() } else { None },
        at_hash: &at_hash(issue.access_token, issue.alg),
        jti: &URL_SAFE_NO_PAD.encode(issue.random),
        grant_id: terms.grant,
        connector_id: &terms.customer.provider,
        accounts: (terms.accounts.len() <= MOST_ACCOUNTS).then_some(&terms.accounts),
        products: terms.clusters,
        name: &terms.name,
    };
    let mut json = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut json, &claims)?;
    Ok(json)
}

/// The `sub` of a customer: the same for one customer at one provider for ever, another for the same id at another provider, and not to be
/// told from the name that they sign in with, nor that from it: `key` is the server's alone.
pub fn subject(customer: &CustomerId, key: &MacKey) -> String {
    let mac = key.mac(&[b"sub", customer.provider.as_bytes(), customer.customer.as_bytes()]);
    URL_SAFE_NO_PAD.encode(&mac[..16])
}

/// OpenID Connect Core section 3.1.3.6: half of the access token's hash, by the hash of the signature. Ed25519's is SHA-512.
fn at_hash(access_token: &Secret, alg: Algorithm) -> String {
    let algorithm = if alg == Algorithm::EdDsa { &digest::SHA512 } else { &digest::SHA256 };
    let hash = digest::digest(algorithm, access_token.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_stable_and_kept_apart() {
        let key = MacKey::new(&[1; 32]);
        let at = |provider: &str, customer: &str| subject(&CustomerId { provider: provider.into(), customer: customer.into() }, &key);
        assert_eq!(at("sandbank", "customer_1"), at("sandbank", "customer_1"));
        assert_ne!(at("a", "bc"), at("ab", "c"));
    }
}
