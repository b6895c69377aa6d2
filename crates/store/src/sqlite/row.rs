//! Rows become types here; what can't be is a named error, not a default.

use counterfoil_core::claim::Claim;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CodeBinding, Seal, Terms};
use counterfoil_core::pkce::Challenge;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::Counterfoil;
use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Error, Row};

use crate::columns::Value;
use crate::error::StoreError;
use crate::terms;

/// A value that a column may not hold.
#[derive(Debug, thiserror::Error)]
#[error("an impossible value")]
struct Impossible;

/// The error of a column that holds what can't be.
pub(crate) fn impossible(column: usize) -> Error {
    Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, Box::new(Impossible))
}

/// Reads column `at` and makes it what it stands for.
pub(crate) fn column<S: FromSql, T>(
    row: &Row<'_>,
    at: usize,
    make: impl FnOnce(S) -> Option<T>,
) -> rusqlite::Result<T> {
    make(row.get(at)?).ok_or_else(|| impossible(at))
}

pub(crate) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_unix)
}

/// A counterfoil from the columns from `at` on.
pub(crate) fn counterfoil(row: &Row<'_>, at: usize) -> rusqlite::Result<Counterfoil> {
    Ok(Counterfoil {
        seal: Seal::from_bytes(row.get(at)?),
        next_slip: column(row, at + 1, |n: i64| u64::try_from(n).ok())?,
        expires_at: time(row, at + 2)?,
        claim: row.get::<_, Option<_>>(at + 3)?.map(Claim::from_bytes),
        redeemed_at: time(row, at + 4)?,
        slip_key: SlipKeyId(row.get(at + 5)?),
        epoch: row.get(at + 6)?,
        ended: row.get(at + 7)?,
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Value<'a>> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => std::str::from_utf8(text).map_err(|_| impossible(at))?.into(),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
        ValueRef::Real(_) => return Err(impossible(at)),
    })
}

/// The terms of a grant from the first columns.
pub(crate) fn terms(row: &Row<'_>) -> rusqlite::Result<Terms> {
    let mut values = [const { Value::Null }; terms::WIDTH];
    for (at, place) in values.iter_mut().enumerate() {
        *place = value(row, at)?;
    }
    terms::from_row(&values)
        .map_err(|column| impossible(row.as_ref().column_index(column).unwrap_or(0)))
}

/// What a code is bound to.
pub(crate) fn code(row: &Row<'_>) -> rusqlite::Result<CodeBinding> {
    Ok(CodeBinding {
        redirect_uri: row.get(0)?,
        challenge: row.get::<_, Option<_>>(1)?.map(Challenge::from_bytes),
        nonce: row.get(2)?,
    })
}

/// Names the row in an error that came of an impossible value in it.
pub(crate) fn named(table: &'static str, id: impl ToString) -> impl FnOnce(Error) -> StoreError {
    move |e| match e {
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => {
            StoreError::Corrupt { table, id: id.to_string(), problem: e.to_string() }
        }
        e => StoreError::Failed(e),
    }
}
