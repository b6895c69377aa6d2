//! How a grant can end early. All ways go through one verb of the store; this tells them apart.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who or what ended a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// The client, at `/revoke`.
    Client,
    /// The customer, on their page.
    Customer,
    /// The operator, with `counterfoil grant end`.
    Operator,
    /// A redeemed code came again from its own client (RFC 6749 section 4.1.2).
    CodeReplay,
    /// A claimed refresh token came again, and the client's `on_replay` is `revoke` (RFC 9700
    /// section 4.14.2).
    RefreshTokenReplay,
    /// The client was removed.
    ClientRemoved,
    /// The customer was removed.
    CustomerRemoved,
    /// In a way that only a newer version knows. The grant is dead all the same.
    Unknown,
}

impl EndedBy {
    /// Every way that this version knows.
    pub const ALL: [Self; 7] = [
        Self::Client,
        Self::Customer,
        Self::Operator,
        Self::CodeReplay,
        Self::RefreshTokenReplay,
        Self::ClientRemoved,
        Self::CustomerRemoved,
    ];

    /// The word for it in the store, in logs and in answers to the operator.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Customer => "customer",
            Self::Operator => "operator",
            Self::CodeReplay => "code_replay",
            Self::RefreshTokenReplay => "refresh_token_replay",
            Self::ClientRemoved => "client_removed",
            Self::CustomerRemoved => "customer_removed",
            Self::Unknown => "unknown",
        }
    }

    /// Reads what [`EndedBy::name`] wrote.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|way| way.name() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EndedBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EndedBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for way in EndedBy::ALL {
            assert_eq!(EndedBy::from_name(way.name()), way);
        }
        let read = |text: &str| serde_json::from_str::<EndedBy>(text);
        assert_eq!(read("\"code_replay\"").unwrap(), EndedBy::CodeReplay);
        assert_eq!(read("\"by_a_law_of_2031\"").unwrap(), EndedBy::Unknown);
        assert!(read("7").is_err());
    }
}
