//! Client secrets as the server keeps them.

use std::sync::atomic::AtomicI64;

use crate::clock::Timestamp;
use crate::mac::{MAC_LENGTH, MacKey};
use crate::secret::Secret;

/// How many secrets of a client may be live at once: the current one and its replacement.
pub const MOST_SECRETS: usize = 2;

/// HMAC-SHA-256 of a client secret under a pepper that is kept with the keys.
///
/// Secrets are generated with 256 bits, so a slow hash would buy nothing
/// (`docs/decisions/client-secrets.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecretDigest(pub [u8; MAC_LENGTH]);

impl SecretDigest {
    /// The digest of `secret` under `pepper`.
    pub fn of(secret: &Secret, pepper: &MacKey) -> Self {
        Self(pepper.mac(&[b"client secret", secret.expose().as_bytes()]))
    }
}

/// A live secret of a client.
#[derive(Debug)]
pub struct ClientSecret {
    /// All that is kept of it.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last proved the client, in unix seconds; 0 for never. Saved to the store every now
    /// and then.
    pub last_used_at: AtomicI64,
}
