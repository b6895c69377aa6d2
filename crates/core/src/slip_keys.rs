//! The keys that authenticate slips and access tokens, bound to one issuer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mac::{MAC_LENGTH, MacKey};

/// The number of a slip key, from 1. Every slip names its key in the clear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlipKeyId(pub u16);

impl fmt::Display for SlipKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slip-{}", self.0)
    }
}

/// Every slip key that authenticates tokens, and which one makes new ones.
#[derive(Clone, Debug)]
pub struct SlipKeys {
    issuer: String,
    current: SlipKeyId,
    keys: Vec<(SlipKeyId, MacKey)>,
}

impl SlipKeys {
    /// The keys of `issuer`. Without `current` among them nothing can be issued.
    pub fn new(issuer: String, current: SlipKeyId, keys: Vec<(SlipKeyId, MacKey)>) -> Self {
        Self { issuer, current, keys }
    }

    /// The key that new slips and access tokens are made with.
    pub fn current(&self) -> SlipKeyId {
        self.current
    }

    /// Whether `id` is one of them.
    pub fn know(&self, id: SlipKeyId) -> bool {
        self.keys.iter().any(|(known, _)| *known == id)
    }

    /// The MAC of a token of `kind` under key `id`; `None` where we don't have that key, or not any
    /// more.
    pub(crate) fn mac(
        &self,
        id: SlipKeyId,
        kind: &str,
        payload: &[u8],
        seal: &[u8],
    ) -> Option<[u8; MAC_LENGTH]> {
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id)?;
        Some(key.mac(&[kind.as_bytes(), self.issuer.as_bytes(), payload, seal]))
    }
}

#[cfg(test)]
pub(crate) fn test_keys(issuer: &str) -> SlipKeys {
    SlipKeys::new(
        issuer.into(),
        SlipKeyId(2),
        vec![(SlipKeyId(1), MacKey::new(&[1; 32])), (SlipKeyId(2), MacKey::new(&[2; 32]))],
    )
}
