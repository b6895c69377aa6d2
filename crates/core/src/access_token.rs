//! Access tokens: opaque to clients, authenticated by a MAC that covers the grant's seal, stored
//! nowhere. The seal itself is not in them.
//!
//! `cfa_` and then the token in the layout of its version. All versions ever issued stay readable;
//! each has a length of its own.

mod version_1;

use crate::clock::Timestamp;
use crate::grant::{GrantId, Seal};
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::slip_keys::{SlipKeyId, SlipKeys};

/// The prefix by which secret scanners recognise an access token.
pub const PREFIX: &str = "cfa_";

/// An authentic access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessToken {
    /// The key that authenticates it.
    pub key: SlipKeyId,
    /// The grant that it belongs to.
    pub grant: GrantId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What it allows.
    pub scopes: Scopes,
}

/// An access token whose MAC is not checked yet: that takes the seal, so the row of the grant that
/// it names has to be read first.
#[derive(Debug)]
pub struct UnverifiedAccessToken {
    token: AccessToken,
    bytes: version_1::Bytes,
}

impl AccessToken {
    /// The token as its bearer holds it; `None` where `self.key` is not one of `keys`.
    pub fn write(&self, seal: &Seal, keys: &SlipKeys) -> Option<Secret> {
        version_1::write(self, seal, keys)
    }

    /// Reads a token of any version; `None` where it is not shaped like one.
    pub fn read(text: &str) -> Option<UnverifiedAccessToken> {
        let encoded = text.strip_prefix(PREFIX)?;
        match encoded.len() {
            version_1::ENCODED_LENGTH => {
                let (token, bytes) = version_1::read(encoded)?;
                Some(UnverifiedAccessToken { token, bytes })
            }
            _ => None,
        }
    }
}

impl UnverifiedAccessToken {
    /// The grant that the token names.
    pub fn grant(&self) -> GrantId {
        self.token.grant
    }

    /// The key that the token names.
    pub fn key(&self) -> SlipKeyId {
        self.token.key
    }

    /// The token, if its MAC is right under the seal of the grant that it names.
    pub fn verify(self, seal: &Seal, keys: &SlipKeys) -> Option<AccessToken> {
        version_1::has_right_mac(&self.bytes, self.token.key, seal, keys).then_some(self.token)
    }

    /// What the token says, to show it. Nothing may be decided by the result.
    pub fn unauthenticated(&self) -> AccessToken {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slip_keys::test_keys;

    fn token() -> AccessToken {
        AccessToken {
            key: SlipKeyId(1),
            grant: GrantId::from_number(7).unwrap(),
            issued_at: Timestamp::from_unix(1_790_000_000),
            expires_at: Timestamp::from_unix(1_790_086_400),
            scopes: Scopes::ALL,
        }
    }

    #[test]
    fn only_the_seal_proves_it() {
        let keys = test_keys("https://a.example");
        let text = token().write(&Seal::from_bytes([9; 16]), &keys).unwrap();
        let read = || AccessToken::read(text.expose()).unwrap();
        assert_eq!(read().verify(&Seal::from_bytes([9; 16]), &keys), Some(token()));
        assert_eq!(read().verify(&Seal::from_bytes([8; 16]), &keys), None);
        assert_eq!(
            read().verify(&Seal::from_bytes([9; 16]), &test_keys("https://b.example")),
            None
        );
    }

    proptest! {
        #[test]
        fn no_other_spelling_is_accepted(at in 0_usize..version_1::ENCODED_LENGTH + 4, byte in 0_u8..128) {
            let (keys, seal) = (test_keys("https://a.example"), Seal::from_bytes([9; 16]));
            let mut other = token().write(&seal, &keys).unwrap().expose().as_bytes().to_vec();
            prop_assume!(other[at] != byte);
            other[at] = byte;
            let read = AccessToken::read(std::str::from_utf8(&other).unwrap());
            prop_assert!(read.and_then(|token| token.verify(&seal, &keys)).is_none());
        }
    }
}
