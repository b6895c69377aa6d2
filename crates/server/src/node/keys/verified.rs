//! Recently verified ID tokens, in bounded memory; successes only.

use std::sync::Arc;

use counterfoil_core::id_token::{Fingerprint, IdToken};
use quick_cache::sync::Cache;

/// The most tokens cached; each takes about 250 bytes.
const MOST: usize = 32_768;

/// The cache. It belongs to a ring of keys and is dropped with it, so no entry outlives the key
/// that signed it.
#[derive(Debug)]
pub struct VerifiedTokens(Cache<Fingerprint, Arc<IdToken>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl VerifiedTokens {
    /// What a token says, if it is cached.
    pub fn get(&self, token: &Fingerprint) -> Option<Arc<IdToken>> {
        self.0.get(token)
    }

    /// Caches a verified token.
    pub fn keep(&self, token: Fingerprint, says: Arc<IdToken>) {
        self.0.insert(token, says);
    }
}
