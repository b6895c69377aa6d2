//! Access tokens: opaque to clients, authenticated by a MAC that covers the grant's seal, stored
//! nowhere.
//!
//! `cfa_` and base64url of version (1 byte), slip key id (2), grant id (8), issue time (8), expiry
//! (8), scopes (1) and an HMAC-SHA-256 (32) over these, the issuer, the kind and the seal. The seal
//! itself is not in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::grant::{GrantId, Seal};
use crate::mac::MAC_LENGTH;
use crate::scope::Scopes;
use crate::secret::{Secret, same};
use crate::slip::array;
use crate::slip_keys::{SlipKeyId, SlipKeys};

/// The prefix by which secret scanners recognise an access token.
pub const PREFIX: &str = "cfa_";
const VERSION: u8 = 1;
const PAYLOAD_LENGTH: usize = 1 + 2 + 8 + 8 + 8 + 1;
const LENGTH: usize = PAYLOAD_LENGTH + MAC_LENGTH;
const ENCODED_LENGTH: usize = (LENGTH * 4).div_ceil(3);

/// An access token that is authentic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessToken {
    /// The key that authenticates it.
    pub key: SlipKeyId,
    /// The grant that it belongs to.
    pub grant: GrantId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it allows.
    pub scopes: Scopes,
}

/// What an access token says, not yet believed: the row that it names must be read first, since its
/// MAC covers the seal.
pub struct Unproven {
    says: AccessToken,
    bytes: [u8; LENGTH],
}

impl AccessToken {
    /// The token as its bearer holds it; `None` where `self.key` is not one of `keys`.
    pub fn write(&self, seal: &Seal, keys: &SlipKeys) -> Option<Secret> {
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION;
        bytes[1..3].copy_from_slice(&self.key.0.to_be_bytes());
        bytes[3..11].copy_from_slice(&self.grant.number().to_be_bytes());
        bytes[11..19].copy_from_slice(&self.issued_at.unix().to_be_bytes());
        bytes[19..27].copy_from_slice(&self.expires_at.unix().to_be_bytes());
        bytes[27] = self.scopes.bits();
        let mac = keys.mac(self.key, PREFIX, &bytes[..PAYLOAD_LENGTH], seal.expose())?;
        bytes[PAYLOAD_LENGTH..].copy_from_slice(&mac);
        let mut text = String::with_capacity(PREFIX.len() + ENCODED_LENGTH);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Some(Secret::new(text))
    }

    /// Reads what a token says. `None` where it is not shaped like one.
    pub fn read(text: &str) -> Option<Unproven> {
        let encoded = text.strip_prefix(PREFIX)?;
        if encoded.len() != ENCODED_LENGTH {
            return None;
        }
        let mut bytes = [0; LENGTH];
        if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()? != LENGTH || bytes[0] != VERSION
        {
            return None;
        }
        let says = AccessToken {
            key: SlipKeyId(u16::from_be_bytes(array(&bytes[1..3])?)),
            grant: GrantId::from_number(i64::from_be_bytes(array(&bytes[3..11])?))?,
            issued_at: Timestamp::from_unix(i64::from_be_bytes(array(&bytes[11..19])?)),
            expires_at: Timestamp::from_unix(i64::from_be_bytes(array(&bytes[19..27])?)),
            scopes: Scopes::from_bits(bytes[27])?,
        };
        Some(Unproven { says, bytes })
    }
}

impl Unproven {
    /// The grant that the token names, whose counterfoil holds the seal that proves it.
    pub fn grant(&self) -> GrantId {
        self.says.grant
    }

    /// The key that the token names.
    pub fn key(&self) -> SlipKeyId {
        self.says.key
    }

    /// The token, if its MAC is right under the seal of the grant that it names.
    pub fn prove(self, seal: &Seal, keys: &SlipKeys) -> Option<AccessToken> {
        let (payload, mac) = self.bytes.split_at(PAYLOAD_LENGTH);
        let expected = keys.mac(self.says.key, PREFIX, payload, seal.expose())?;
        same(&expected, mac).then_some(self.says)
    }

    /// What the token says, to show it. Nothing may be decided by the result.
    pub fn unauthenticated(&self) -> AccessToken {
        self.says
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
        assert_eq!(read().prove(&Seal::from_bytes([9; 16]), &keys), Some(token()));
        assert_eq!(read().prove(&Seal::from_bytes([8; 16]), &keys), None);
        assert_eq!(read().prove(&Seal::from_bytes([9; 16]), &test_keys("https://b.example")), None);
    }

    proptest! {
        #[test]
        fn no_other_spelling_is_accepted(at in 0_usize..ENCODED_LENGTH + 4, byte in 0_u8..128) {
            let (keys, seal) = (test_keys("https://a.example"), Seal::from_bytes([9; 16]));
            let mut other = token().write(&seal, &keys).unwrap().expose().as_bytes().to_vec();
            prop_assume!(other[at] != byte);
            other[at] = byte;
            let read = AccessToken::read(std::str::from_utf8(&other).unwrap());
            prop_assert!(read.and_then(|token| token.prove(&seal, &keys)).is_none());
        }
    }
}
