//! Columns: what they hold, and those that both engines read a counterfoil and a code from.

use std::borrow::Cow;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A number of 64 bits.
    Integer,
    /// A number of 32 bits, where PostgreSQL has one.
    Small,
    /// Yes or no; 1 or 0 in SQLite.
    Flag,
    Text,
    Bytes,
}

/// A value of a column, as either engine has it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

impl Value<'_> {
    pub(crate) fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Those of a counterfoil.
macro_rules! counterfoil_columns {
    () => {
        "seal, next_slip, counterfoil.expires_at, claim, redeemed_at, slip_key, epoch, ended"
    };
}
/// Whether the consent that the grant of `terms` hangs on, if it hangs on one, is there and not
/// ended.
macro_rules! parent_lives {
    () => {
        "terms.parent IS NULL OR coalesce((SELECT NOT above.ended FROM counterfoil AS above WHERE above.grant_id = terms.parent), false)"
    };
}
/// What a code is bound to: in a row of its own or, as version 1 wrote it, in the terms.
macro_rules! read_code {
    () => {
        "SELECT redirect_uri, challenge, nonce FROM code WHERE grant_id = $1 \
         UNION ALL SELECT redirect_uri, challenge, nonce FROM terms WHERE grant_id = $1 AND redirect_uri <> '' LIMIT 1"
    };
}
pub(crate) use {counterfoil_columns, parent_lives, read_code};

/// How many columns a counterfoil has.
pub(crate) const COUNTERFOIL_COLUMNS: usize = 8;
