//! Grants: what a customer allowed a client. The terms never change after consent; the counterfoil
//! changes with every redemption.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::fdx::DataClusters;
use crate::pkce::Challenge;
use crate::scope::Scopes;
use crate::secret::same;

/// The id of a grant, which is its consent id and the `grant_id` claim. 63 bits, of which the upper
/// ones are the time of consent.
///
/// It is no secret; what protects a grant is its [`Seal`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GrantId(i64);

/// Bits of a grant id that are random; the bits above them are unix seconds.
const RANDOM_BITS: u32 = 30;

impl GrantId {
    /// An id for a grant made at `now`; `random` makes it unique.
    pub fn new(now: Timestamp, random: [u8; 4]) -> Self {
        let seconds = now.unix().clamp(0, (1 << (63 - RANDOM_BITS)) - 1);
        Self(seconds << RANDOM_BITS | i64::from(u32::from_be_bytes(random) >> (32 - RANDOM_BITS)))
    }

    /// When the grant was made, by the clock of the node that made it.
    pub const fn made_at(self) -> Timestamp {
        Timestamp::from_unix(self.0 >> RANDOM_BITS)
    }

    /// Reads a stored or transmitted number. Negative ones are no ids.
    pub fn from_number(number: i64) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }

    /// The number to store or send.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// As 16 hexadecimal digits. Not with `fmt`, which takes 500 instructions more: every token
    /// names its grant.
    fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        // There is room for exactly these.
        let _ = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        digits
    }

    /// Reads what `Display` writes: 16 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical =
            text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if canonical {
            i64::from_str_radix(text, 16).ok().and_then(Self::from_number)
        } else {
            None
        }
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for GrantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .serialize_str(std::str::from_utf8(&self.digits()).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for GrantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a grant id has 16 hexadecimal digits"))
    }
}

/// 128 random bits of a grant that exist only in its counterfoil and inside its slips.
///
/// Slip keys are not in the database and seals are not with the keys, so stealing either is not
/// enough to make a slip.
#[derive(Clone, Copy)]
pub struct Seal([u8; 16]);

impl Seal {
    /// The seal with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes. They belong in the counterfoil and in slips, and nowhere else.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Seal {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Seal {}

/// A customer as a provider knows them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CustomerId {
    /// The provider's id, called `connector` in requests.
    pub provider: String,
    /// The customer's id at that provider.
    pub customer: String,
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.customer, self.provider)
    }
}

/// What a customer allowed a client. Written once, at consent, and never changed, so it may be
/// cached forever.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The grant's name.
    pub grant: GrantId,
    /// The client that may use it.
    pub client: Arc<str>,
    /// The customer who gave it.
    pub customer: CustomerId,
    /// The customer's name, as the provider gave it at consent.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The kinds of data it allows to see.
    pub clusters: DataClusters,
    /// The ids of the accounts it allows to see.
    pub accounts: Vec<String>,
    /// How many days back the client may look, where that is bounded.
    pub lookback_days: Option<u32>,
    /// When the customer consented; the code was issued then.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When the customer last proved who they are.
    pub authenticated_at: Timestamp,
    /// The era of the client when this was granted. A client removed since has a later one.
    pub client_era: u32,
    /// The era of the customer when this was granted.
    pub customer_era: u32,
    /// The consent that this one hangs on, where `prompt=none` made it of another: it lives no
    /// longer than that one.
    pub parent: Option<GrantId>,
}

impl Terms {
    /// Whether this grant may hang on the consent `above`: one of the same client and customer, of
    /// the same eras, that hangs on none itself and ends no sooner. Once `above` is known not to
    /// have ended, nothing else about it needs checking.
    pub fn may_hang_on(&self, above: &Self) -> bool {
        self.parent == Some(above.grant)
            && above.parent.is_none()
            && (&self.client, &self.customer) == (&above.client, &above.customer)
            && (self.client_era, self.customer_era) == (above.client_era, above.customer_era)
            && self.expires_at <= above.expires_at
    }
}

/// What the code of a grant is bound to. Nothing but the exchange of the code needs it, so it is
/// not kept for as long as the grant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBinding {
    /// Where the code was sent; `/token` must name it again (RFC 6749 section 4.1.3).
    pub redirect_uri: String,
    /// The PKCE challenge of the authorization request (RFC 7636 section 4.4).
    pub challenge: Option<Challenge>,
    /// The `nonce` of the authorization request, for the first ID token.
    pub nonce: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_have_one_spelling() {
        let early = GrantId::new(Timestamp::from_unix(1_790_000_000), [0xff; 4]);
        let late = GrantId::new(Timestamp::from_unix(1_790_000_001), [0; 4]);
        assert!(early < late);
        assert_eq!(late.made_at(), Timestamp::from_unix(1_790_000_001));
        assert_eq!(GrantId::parse(&early.to_string()), Some(early));
        for bad in [
            "",
            "1",
            "FFFFFFFFFFFFFFFF",
            "ffffffffffffffff",
            "+000000000000001",
            "00000000000000001",
        ] {
            assert_eq!(GrantId::parse(bad), None, "{bad}");
        }
    }
}
