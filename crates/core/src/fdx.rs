//! The parts of the FDX API that a token authority needs: data clusters and errors.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The data clusters of FDX, in the order of their bits.
pub const CLUSTERS: [&str; 14] = [
    "ACCOUNT_BASIC",
    "ACCOUNT_DETAILED",
    "BALANCES",
    "BILLS",
    "CUSTOMER_CONTACT",
    "CUSTOMER_PERSONAL",
    "IMAGES",
    "INVESTMENTS",
    "NOTIFICATIONS",
    "PAYMENT_SUPPORT",
    "REWARDS",
    "STATEMENTS",
    "TAX",
    "TRANSACTIONS",
];

/// A set of FDX data clusters: kinds of data that a customer may share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DataClusters(u16);

/// A data cluster that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no data cluster `{0}`; they are {list}", list = CLUSTERS.join(", "))]
pub struct UnknownCluster(pub String);

impl DataClusters {
    /// The clusters with these names.
    ///
    /// # Errors
    /// The first name that does not exist.
    pub fn from_names<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, UnknownCluster> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            match CLUSTERS.iter().position(|known| *known == name) {
                Some(bit) => Ok(Self(set.0 | 1 << bit)),
                None => Err(UnknownCluster(name.chars().take(64).collect())),
            }
        })
    }

    /// Reads a stored number. Bits that only a newer version knows are dropped.
    pub const fn known_among(bits: i64) -> Self {
        Self((bits & ((1 << CLUSTERS.len()) - 1)) as u16)
    }

    /// The clusters with these names; unknown ones are skipped.
    pub fn known_in<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let bits =
            names.into_iter().filter_map(|name| CLUSTERS.iter().position(|known| *known == name));
        Self(bits.fold(0, |set, bit| set | 1 << bit))
    }

    /// The set as a number.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The names of the clusters in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        CLUSTERS
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & 1 << bit != 0)
            .map(|(_, name)| name)
    }
}

impl Serialize for DataClusters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for DataClusters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Self::from_names(names.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}

/// An error at a data path, with code and message as in FDX. The network sends the code as an
/// integer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdxError {
    /// A parameter, or the request itself, can't be read.
    InvalidInput,
    /// The provider in the path is not the token's.
    Forbidden,
    /// No such path. FDX has no code for it.
    NotFound,
    /// The path does not take this method. FDX has no code for it.
    MethodNotAllowed,
    /// A body larger than any that is read. FDX has no code for it.
    PayloadTooLarge,
    /// A bug.
    InternalServerError,
    /// The store can't answer.
    SubsystemUnavailable,
    /// Closed for a planned while.
    ScheduledMaintenance,
    /// The customer is not known to the bank's system.
    CustomerNotFound,
    /// Token missing, invalid or expired, or its grant ended.
    CustomerNotAuthorized,
    /// An account that is not in the consent, or does not exist.
    AccountNotFound,
    /// A malformed start or end date.
    InvalidDates,
    /// An empty range of dates, or one beyond what may be asked for.
    InvalidDateRange,
    /// A kind of account that has no such data.
    AccountTypeNotSupported,
    /// The account was closed.
    AccountClosed,
    /// An unknown major version in the path.
    VersionNotSupported,
    /// Too many requests.
    TooManyRequests,
}

impl FdxError {
    /// The errors with an FDX code, which a sandbox can be told to answer with.
    pub const CODED: [Self; 14] = [
        Self::InvalidInput,
        Self::Forbidden,
        Self::InternalServerError,
        Self::SubsystemUnavailable,
        Self::ScheduledMaintenance,
        Self::CustomerNotFound,
        Self::CustomerNotAuthorized,
        Self::AccountNotFound,
        Self::InvalidDates,
        Self::InvalidDateRange,
        Self::AccountTypeNotSupported,
        Self::AccountClosed,
        Self::VersionNotSupported,
        Self::TooManyRequests,
    ];

    /// The error with this FDX code.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::CODED.into_iter().find(|error| error.on_wire().1 == code)
    }

    /// HTTP status, FDX code and message.
    pub const fn on_wire(self) -> (u16, u16, &'static str) {
        match self {
            Self::InvalidInput => (400, 401, "Invalid input"),
            Self::Forbidden => (403, 403, "Forbidden"),
            Self::NotFound => (404, 404, "Not found"),
            Self::MethodNotAllowed => (405, 405, "Method not allowed"),
            Self::PayloadTooLarge => (413, 413, "Payload too large"),
            Self::InternalServerError => (500, 500, "Internal server error"),
            Self::SubsystemUnavailable => (503, 501, "Subsystem unavailable"),
            Self::ScheduledMaintenance => (503, 503, "Scheduled maintenance"),
            Self::CustomerNotFound => (404, 601, "Customer not found"),
            Self::CustomerNotAuthorized => (401, 602, "Customer not authorized"),
            Self::AccountNotFound => (404, 701, "Account not found"),
            Self::InvalidDates => (400, 702, "Invalid start or end date"),
            Self::InvalidDateRange => (400, 703, "Invalid date range"),
            Self::AccountTypeNotSupported => (422, 704, "Account type not supported"),
            Self::AccountClosed => (409, 705, "Account is closed"),
            Self::VersionNotSupported => (501, 1106, "Version not supported"),
            Self::TooManyRequests => (429, 1207, "Too many requests"),
        }
    }
}

impl fmt::Display for FdxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, code, message) = self.on_wire();
        write!(f, "{code} {message}")
    }
}

/// The `accountId` of an FDX account entity such as `{"depositAccount": {"accountId": "..."}}`.
pub fn account_id(entity: &serde_json::Value) -> Option<&str> {
    let mut kinds = entity.as_object()?.values();
    let id = kinds.next()?.get("accountId")?.as_str()?;
    (kinds.next().is_none() && !id.is_empty() && id.len() <= 256 && !id.contains(',')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters() {
        let set = DataClusters::from_names(["TRANSACTIONS", "ACCOUNT_BASIC"]).unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), ["ACCOUNT_BASIC", "TRANSACTIONS"]);
        assert_eq!(DataClusters::known_among(i64::from(set.bits()) | 1 << 14 | 1 << 40), set);
        assert!(DataClusters::from_names(["GOSSIP"]).is_err());
        assert_eq!(DataClusters::known_in(["GOSSIP", "TRANSACTIONS", "ACCOUNT_BASIC"]), set);
    }

    #[test]
    fn account_ids() {
        assert_eq!(
            account_id(&serde_json::json!({"depositAccount": {"accountId": "a1"}})),
            Some("a1")
        );
        assert_eq!(account_id(&serde_json::json!({"depositAccount": {}})), None);
        assert_eq!(account_id(&serde_json::json!([])), None);
    }
}
