//! OAuth scopes (RFC 6749 section 3.3). There are few, so a set of them is one byte.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Every scope with its bit.
const NAMES: [(&str, u8); 3] = [("openid", 1), ("profile", 2), ("offline_access", 4)];

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scopes(u8);

/// A scope that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no scope `{0}`; the scopes are openid, profile and offline_access")]
pub struct UnknownScope(pub String);

impl Scopes {
    /// No scope at all.
    pub const NONE: Self = Self(0);
    /// OpenID Connect; every authorization asks for it.
    pub const OPENID: Self = Self(1);
    /// The customer's name at `/userinfo`.
    pub const PROFILE: Self = Self(2);
    /// A refresh token.
    pub const OFFLINE_ACCESS: Self = Self(4);
    /// Every scope there is.
    pub const ALL: Self = Self(7);

    /// The scopes named in `text`, separated by spaces; unknown names are skipped.
    pub fn known_in(text: &str) -> Self {
        text.split(' ').filter_map(bit).fold(Self::NONE, |set, bit| Self(set.0 | bit))
    }

    /// The scopes named in `text`, separated by spaces.
    ///
    /// # Errors
    /// The first name that does not exist.
    pub fn parse(text: &str) -> Result<Self, UnknownScope> {
        text.split(' ').filter(|name| !name.is_empty()).try_fold(Self::NONE, |set, name| match bit(
            name,
        ) {
            Some(bit) => Ok(Self(set.0 | bit)),
            None => Err(UnknownScope(name.chars().take(64).collect())),
        })
    }

    /// Reads a transmitted byte; `None` where a bit is not known.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }

    /// Reads a stored number. Bits that only a newer version knows are dropped.
    pub const fn known_among(bits: i64) -> Self {
        Self((bits & Self::ALL.0 as i64) as u8)
    }

    /// The set as a byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every scope of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The scopes that are in both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The scopes of this set that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the scopes in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(_, bit)| self.0 & bit != 0).map(|(name, _)| name)
    }
}

fn bit(name: &str) -> Option<u8> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            f.write_str(if i == 0 { "" } else { " " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let set = Scopes::known_in("openid nonsense offline_access openid");
        assert_eq!(set.to_string(), "openid offline_access");
        assert!(set.contains(Scopes::OPENID) && !set.contains(Scopes::PROFILE));
        assert_eq!(Scopes::parse("openid nonsense"), Err(UnknownScope("nonsense".into())));
        assert_eq!(Scopes::from_bits(8), None);
        assert_eq!(Scopes::known_among(0x70f), Scopes::ALL);
    }
}
