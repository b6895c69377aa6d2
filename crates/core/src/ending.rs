//! How a grant can end before its time. All ways go through one store verb; this says which way it was.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who or what ended a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The client, at `/revoke`.
    Client,
    /// The customer, on their page.
    Customer,
    /// The operator, with `counterfoil grant end`.
    Operator,
    /// A redeemed code came again from its own client (RFC 6749 section 4.1.2).
    CodeReplay,
    /// A claimed refresh token came again, and the client's `on_replay` is `revoke` (RFC 9700 section 4.14.2).
    RefreshTokenReplay,
    /// The client was removed.
    ClientRemoved,
    /// The customer was removed.
    CustomerRemoved,
}

impl EndedBy {
    /// Every way a grant can end.
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
        }
    }

    /// Reads the word back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// The `INITIATOR` of the FDX consent notification.
    pub const fn initiator(self) -> &'static str {
        match self {
            Self::Customer | Self::CustomerRemoved => "INDIVIDUAL",
            Self::Client => "DATA_RECIPIENT",
            Self::Operator | Self::CodeReplay | Self::RefreshTokenReplay | Self::ClientRemoved => "DATA_PROVIDER",
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for way in EndedBy::ALL {
            assert_eq!(EndedBy::from_name(way.name()), Some(way));
        }
    }
}
