//! Access tokens of version 1: base64url of
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version: 1 |
//! | 2 | slip key id |
//! | 8 | grant id |
//! | 8 | issue time, unix seconds |
//! | 8 | expiry, unix seconds |
//! | 1 | scopes |
//! | 32 | HMAC-SHA-256 over the prefix, the issuer, all of the above and the grant's seal |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{AccessToken, PREFIX};
use crate::clock::Timestamp;
use crate::grant::{GrantId, Seal};
use crate::mac::MAC_LENGTH;
use crate::scope::Scopes;
use crate::secret::{Secret, same};
use crate::slip::array;
use crate::slip_keys::{SlipKeyId, SlipKeys};

const VERSION: u8 = 1;
const PAYLOAD_LENGTH: usize = 1 + 2 + 8 + 8 + 8 + 1;
const LENGTH: usize = PAYLOAD_LENGTH + MAC_LENGTH;
/// Characters of base64url for [`LENGTH`] bytes.
pub(super) const ENCODED_LENGTH: usize = (LENGTH * 4).div_ceil(3);

/// A decoded token with its MAC.
pub(super) type Bytes = [u8; LENGTH];

pub(super) fn write(token: &AccessToken, seal: &Seal, keys: &SlipKeys) -> Option<Secret> {
    let mut bytes = [0; LENGTH];
    bytes[0] = VERSION;
    bytes[1..3].copy_from_slice(&token.key.0.to_be_bytes());
    bytes[3..11].copy_from_slice(&token.grant.number().to_be_bytes());
    bytes[11..19].copy_from_slice(&token.issued_at.unix().to_be_bytes());
    bytes[19..27].copy_from_slice(&token.expires_at.unix().to_be_bytes());
    bytes[27] = token.scopes.bits();
    let mac = keys.mac(token.key, PREFIX, &bytes[..PAYLOAD_LENGTH], seal.expose())?;
    bytes[PAYLOAD_LENGTH..].copy_from_slice(&mac);
    let mut text = String::with_capacity(PREFIX.len() + ENCODED_LENGTH);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    Some(Secret::new(text))
}

pub(super) fn read(encoded: &str) -> Option<(AccessToken, Bytes)> {
    let mut bytes = [0; LENGTH];
    // The engine refuses padding and non-zero trailing bits, so one token has one spelling.
    if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()? != LENGTH || bytes[0] != VERSION {
        return None;
    }
    let token = AccessToken {
        key: SlipKeyId(u16::from_be_bytes(array(&bytes[1..3])?)),
        grant: GrantId::from_number(i64::from_be_bytes(array(&bytes[3..11])?))?,
        issued_at: Timestamp::from_unix(i64::from_be_bytes(array(&bytes[11..19])?)),
        expires_at: Timestamp::from_unix(i64::from_be_bytes(array(&bytes[19..27])?)),
        scopes: Scopes::from_bits(bytes[27])?,
    };
    Some((token, bytes))
}

pub(super) fn has_right_mac(bytes: &Bytes, key: SlipKeyId, seal: &Seal, keys: &SlipKeys) -> bool {
    let (payload, mac) = bytes.split_at(PAYLOAD_LENGTH);
    keys.mac(key, PREFIX, payload, seal.expose()).is_some_and(|expected| same(&expected, mac))
}
