//! The refresh tokens of the floor: slips like ours, with nothing checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PREFIX: &str = "cfr_";
/// Bytes of a slip; see the layout in `counterfoil_core::slip`.
const LENGTH: usize = 75;
const GRANT: std::ops::Range<usize> = 3..11;
const NUMBER: std::ops::Range<usize> = 11..19;

/// A refresh token that was presented.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slip {
    pub(super) grant: i64,
    pub(super) number: i64,
    bytes: [u8; LENGTH],
}

impl Slip {
    /// The `refresh_token` of a form.
    pub(super) fn of_form(form: &[u8]) -> Option<Self> {
        // No character of a slip is ever escaped.
        let token = form
            .split(|byte| *byte == b'&')
            .find_map(|pair| pair.strip_prefix(b"refresh_token="))?;
        let mut bytes = [0; LENGTH];
        let length = URL_SAFE_NO_PAD
            .decode_slice(token.strip_prefix(PREFIX.as_bytes())?, &mut bytes)
            .ok()?;
        let number_at = |range| {
            Some(i64::from_be_bytes(bytes.get::<std::ops::Range<usize>>(range)?.try_into().ok()?))
        };
        (length == LENGTH).then_some(Self {
            grant: number_at(GRANT)?,
            number: number_at(NUMBER)?,
            bytes,
        })
    }

    /// Adds the refresh token that follows it.
    pub(super) fn write_successor(&self, to: &mut String) {
        let mut bytes = self.bytes;
        bytes[NUMBER].copy_from_slice(&(self.number + 1).to_be_bytes());
        to.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, to);
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_core::clock::Timestamp;
    use counterfoil_core::grant::{GrantId, Seal};
    use counterfoil_core::mac::MacKey;
    use counterfoil_core::slip::{Kind, Slip as Ours};
    use counterfoil_core::slip_keys::{SlipKeyId, SlipKeys};

    use super::*;

    #[test]
    fn a_slip_of_ours_is_read_and_followed() {
        let key = SlipKeyId(1);
        let keys =
            SlipKeys::new("https://a.example".into(), key, vec![(key, MacKey::new(&[1; 32]))]);
        let grant = GrantId::from_number(7).unwrap();
        let ours = Ours {
            key,
            grant,
            number: 5,
            issued_at: Timestamp::from_unix(1_790_000_000),
            seal: Seal::from_bytes([9; 16]),
        };
        let form = format!(
            "grant_type=refresh_token&refresh_token={}&client_id=a",
            ours.write(&keys).unwrap().expose()
        );
        let slip = Slip::of_form(form.as_bytes()).unwrap();
        assert_eq!((slip.grant, slip.number), (7, 5));
        let mut successor = String::new();
        slip.write_successor(&mut successor);
        let successor = Ours::read_unauthenticated(Kind::RefreshToken, &successor).unwrap();
        assert_eq!(successor, Ours { number: 6, ..ours });
        assert!(Slip::of_form(b"grant_type=refresh_token").is_none());
        assert!(Slip::of_form(b"refresh_token=cfr_abc").is_none());
    }
}
