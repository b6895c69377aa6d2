//! Slips: authorization codes and refresh tokens. Numbered, authenticated by a MAC, stored nowhere.
//!
//! A slip is its kind's prefix and then base64url of
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, now 1 |
//! | 2 | slip key id |
//! | 8 | grant id |
//! | 8 | number: 0 is the authorization code, n the n-th refresh token |
//! | 8 | issue time, unix seconds |
//! | 16 | the grant's seal |
//! | 32 | HMAC-SHA-256 over the kind, the issuer and all of the above |
//!
//! Every field has a fixed length and base64url has one canonical form, so a slip has exactly one
//! spelling; any other is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::grant::{GrantId, Seal};
use crate::mac::MAC_LENGTH;
use crate::secret::{Secret, same};
use crate::slip_keys::{SlipKeyId, SlipKeys};

const VERSION: u8 = 1;
const PAYLOAD_LENGTH: usize = 1 + 2 + 8 + 8 + 8 + 16;
const LENGTH: usize = PAYLOAD_LENGTH + MAC_LENGTH;
/// Characters of base64url for [`LENGTH`] bytes.
const ENCODED_LENGTH: usize = (LENGTH * 4).div_ceil(3);

/// The two kinds of slips.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An authorization code: slip 0.
    Code,
    /// A refresh token: any later slip.
    RefreshToken,
}

impl Kind {
    /// The prefix by which secret scanners recognise a slip.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "cfc_",
            Self::RefreshToken => "cfr_",
        }
    }

    const fn of(number: u64) -> Self {
        if number == 0 { Self::Code } else { Self::RefreshToken }
    }
}

/// A numbered slip of a grant. One that [`Slip::read`] returned is authentic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slip {
    /// The key that authenticates it.
    pub key: SlipKeyId,
    /// The grant that it belongs to.
    pub grant: GrantId,
    /// Its number: 0 is the authorization code.
    pub number: u64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The grant's seal.
    pub seal: Seal,
}

/// Why a text is no slip of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotASlip {
    /// Wrong prefix, length, encoding or version.
    #[error("it is not shaped like a {}", match .0 { Kind::Code => "code", Kind::RefreshToken => "refresh token" })]
    Malformed(Kind),
    /// The key that it names is not one of ours, or was dropped.
    #[error("it names {0}, which is not a key of ours")]
    UnknownKey(SlipKeyId),
    /// The key that it names may be in other hands and is no longer accepted.
    #[error("it names {0}, which others may have, and which was good for a while only")]
    RetiredKey(SlipKeyId),
    /// Its MAC is wrong.
    #[error("its MAC is wrong: it is forged, damaged, or of another issuer")]
    WrongMac,
}

impl Slip {
    /// The slip as its bearer holds it; `None` where `self.key` is not one of `keys`.
    pub fn write(&self, keys: &SlipKeys) -> Option<Secret> {
        let kind = Kind::of(self.number);
        let mut bytes = [0; LENGTH];
        let payload = self.payload();
        bytes[..PAYLOAD_LENGTH].copy_from_slice(&payload);
        bytes[PAYLOAD_LENGTH..].copy_from_slice(&keys.mac(
            self.key,
            kind.prefix(),
            &payload,
            &[],
        )?);
        let mut text = String::with_capacity(kind.prefix().len() + ENCODED_LENGTH);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Some(Secret::new(text))
    }

    /// Reads a slip of `kind` and checks its MAC.
    ///
    /// # Errors
    /// [`NotASlip`].
    pub fn read(kind: Kind, text: &str, keys: &SlipKeys) -> Result<Self, NotASlip> {
        let (slip, bytes) = decode(kind, text).ok_or(NotASlip::Malformed(kind))?;
        let (payload, mac) = bytes.split_at(PAYLOAD_LENGTH);
        let expected = keys
            .mac(slip.key, kind.prefix(), payload, &[])
            .ok_or(NotASlip::UnknownKey(slip.key))?;
        if same(&expected, mac) { Ok(slip) } else { Err(NotASlip::WrongMac) }
    }

    /// Reads a slip of `kind` without its key, to show it. Nothing may be decided by the result.
    pub fn read_unauthenticated(kind: Kind, text: &str) -> Option<Self> {
        decode(kind, text).map(|(slip, _)| slip)
    }

    fn payload(&self) -> [u8; PAYLOAD_LENGTH] {
        let mut payload = [0; PAYLOAD_LENGTH];
        payload[0] = VERSION;
        payload[1..3].copy_from_slice(&self.key.0.to_be_bytes());
        payload[3..11].copy_from_slice(&self.grant.number().to_be_bytes());
        payload[11..19].copy_from_slice(&self.number.to_be_bytes());
        payload[19..27].copy_from_slice(&self.issued_at.unix().to_be_bytes());
        payload[27..].copy_from_slice(self.seal.expose());
        payload
    }
}

fn decode(kind: Kind, text: &str) -> Option<(Slip, [u8; LENGTH])> {
    let encoded = text.strip_prefix(kind.prefix())?;
    if encoded.len() != ENCODED_LENGTH {
        return None;
    }
    let mut bytes = [0; LENGTH];
    // The engine refuses padding and non-zero trailing bits, so one slip has one spelling.
    if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()? != LENGTH || bytes[0] != VERSION {
        return None;
    }
    let slip = Slip {
        key: SlipKeyId(u16::from_be_bytes(array(&bytes[1..3])?)),
        grant: GrantId::from_number(i64::from_be_bytes(array(&bytes[3..11])?))?,
        number: u64::from_be_bytes(array(&bytes[11..19])?),
        issued_at: Timestamp::from_unix(i64::from_be_bytes(array(&bytes[19..27])?)),
        seal: Seal::from_bytes(array(&bytes[27..PAYLOAD_LENGTH])?),
    };
    (Kind::of(slip.number) == kind).then_some((slip, bytes))
}

pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slip_keys::test_keys;

    fn slip(number: u64) -> Slip {
        Slip {
            key: SlipKeyId(2),
            grant: GrantId::from_number(7).unwrap(),
            number,
            issued_at: Timestamp::from_unix(1_790_000_000),
            seal: Seal::from_bytes([9; 16]),
        }
    }

    #[test]
    fn a_slip_comes_back_as_it_was() {
        let keys = test_keys("https://a.example");
        for (number, kind) in
            [(0, Kind::Code), (1, Kind::RefreshToken), (u64::MAX, Kind::RefreshToken)]
        {
            let text = slip(number).write(&keys).unwrap();
            assert_eq!(Slip::read(kind, text.expose(), &keys), Ok(slip(number)));
        }
    }

    #[test]
    fn kinds_issuers_and_keys_are_kept_apart() {
        let keys = test_keys("https://a.example");
        let text = slip(1).write(&keys).unwrap();
        assert_eq!(
            Slip::read(Kind::Code, text.expose(), &keys),
            Err(NotASlip::Malformed(Kind::Code))
        );
        let as_code = text.expose().replace("cfr_", "cfc_");
        assert_eq!(Slip::read(Kind::Code, &as_code, &keys), Err(NotASlip::Malformed(Kind::Code)));
        assert_eq!(
            Slip::read(Kind::RefreshToken, text.expose(), &test_keys("https://b.example")),
            Err(NotASlip::WrongMac)
        );
        let unknown = SlipKeys::new("https://a.example".into(), SlipKeyId(3), vec![]);
        assert_eq!(
            Slip::read(Kind::RefreshToken, text.expose(), &unknown),
            Err(NotASlip::UnknownKey(SlipKeyId(2)))
        );
        assert!(slip(1).write(&unknown).is_none());
    }

    proptest! {
        #[test]
        fn no_other_spelling_is_accepted(at in 0_usize..ENCODED_LENGTH + 4, byte in 0_u8..128) {
            let keys = test_keys("https://a.example");
            let text = slip(5).write(&keys).unwrap();
            let mut other = text.expose().as_bytes().to_vec();
            prop_assume!(other[at] != byte);
            other[at] = byte;
            prop_assert!(Slip::read(Kind::RefreshToken, std::str::from_utf8(&other).unwrap(), &keys).is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*", tail in "[A-Za-z0-9_-]{0,120}") {
            let keys = test_keys("https://a.example");
            for kind in [Kind::Code, Kind::RefreshToken] {
                prop_assert!(Slip::read(kind, &text, &keys).is_err());
                let shaped = format!("{}{tail}", kind.prefix());
                prop_assert!(Slip::read(kind, &shaped, &keys).is_err());
            }
        }
    }
}
