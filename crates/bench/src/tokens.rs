//! Tokens of the grants that a store is filled with.

use counterfoil_core::access_token::AccessToken;
use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_core::grant::Terms;
use counterfoil_core::id_token::{self, NewIdToken};
use counterfoil_core::jws::{Algorithm, SigningKey};
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_core::slip_keys::SlipKeys;

use crate::error::BenchError;
use crate::grants::{Grants, SLIP_KEY};

/// Who issues them.
pub(crate) const ISSUER: &str = "https://bench.example";

/// A secret of the client, as long as the server makes them.
pub(crate) fn client_secret() -> String {
    format!("cf_secret_{}", "0".repeat(64))
}

/// Slip keys that no server knows, for tokens that are never checked.
pub(crate) fn nobodys_keys() -> SlipKeys {
    SlipKeys::new(ISSUER.into(), SLIP_KEY, vec![(SLIP_KEY, MacKey::new(&[1; 32]))])
}

/// The first refresh token of as many grants as there are to be chains.
///
/// # Errors
/// [`BenchError::System`] where `keys` lack the key of a new server.
pub(crate) fn refresh_tokens(
    grants: Grants,
    chains: usize,
    keys: &SlipKeys,
) -> Result<Vec<String>, BenchError> {
    let token = |n| {
        let slip = Slip {
            key: SLIP_KEY,
            grant: grants.id(n),
            number: 1,
            issued_at: grants.now,
            seal: grants.seal(n),
        };
        slip.write(keys).map(|token| token.expose().to_owned())
    };
    let tokens: Option<_> = grants.spread(chains).map(token).collect();
    tokens.ok_or_else(|| BenchError::System(format!("there is no slip key {SLIP_KEY}")))
}

/// ID tokens, each of another grant while there are as many, up to the most that have accounts.
///
/// # Errors
/// [`BenchError::System`] where nothing can be signed.
pub(crate) fn id_tokens(
    grants: Grants,
    many: usize,
    key: &SigningKey,
) -> Result<Vec<String>, BenchError> {
    let token = |n| {
        key.sign(&claims(&grants.terms(n), key.alg, grants.now)?)
            .map_err(|e| BenchError::System(e.to_string()))
    };
    grants.bearers(many).map(token).collect()
}

/// The claims of an ID token, issued at `now`.
///
/// # Errors
/// [`BenchError::System`].
pub(crate) fn claims(terms: &Terms, alg: Algorithm, now: Timestamp) -> Result<Vec<u8>, BenchError> {
    let new = NewIdToken {
        subjects: &MacKey::new(&[1; 32]),
        issuer: ISSUER,
        now,
        expires_at: now.plus(DAY),
        nonce: None,
        access_token: &access_token(terms, now)?,
        alg,
        random: random::bytes(),
    };
    id_token::claims(terms, &new).map_err(|e| BenchError::System(e.to_string()))
}

/// An access token that is as long as any, and worthless.
///
/// # Errors
/// [`BenchError::System`].
pub(crate) fn access_token(terms: &Terms, now: Timestamp) -> Result<Secret, BenchError> {
    let says = AccessToken {
        key: SLIP_KEY,
        grant: terms.grant,
        issued_at: now,
        expires_at: now.plus(DAY),
        scopes: terms.scopes,
    };
    let seal = Grants { count: 1, now }.seal(0);
    says.write(&seal, &nobodys_keys())
        .ok_or_else(|| BenchError::System(format!("there is no slip key {SLIP_KEY}")))
}
