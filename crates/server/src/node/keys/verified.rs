//! ID tokens that were verified lately, in bounded memory: successes alone.

use std::sync::Arc;

use counterfoil_core::id_token::{Fingerprint, IdToken};
use quick_cache::sync::Cache;

/// Tokens that are kept; each takes about 250 bytes.
const MOST: usize = 32_768;

/// The tokens. They belong to a ring of keys, and are forgotten with it: none is good for longer
/// than the key that signed it.
#[derive(Debug)]
pub struct VerifiedTokens(Cache<Fingerprint, Arc<IdToken>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl VerifiedTokens {
    /// What a token says, if it was verified lately.
    pub fn get(&self, token: &Fingerprint) -> Option<Arc<IdToken>> {
        self.0.get(token)
    }

    /// Keeps what a verified token says.
    pub fn keep(&self, token: Fingerprint, says: Arc<IdToken>) {
        self.0.insert(token, says);
    }
}
