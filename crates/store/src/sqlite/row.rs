//! Rows become types here; what can't be is a named error, not a default.

use counterfoil_core::claim::Claim;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::pkce::Challenge;
use counterfoil_core::scope::Scopes;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::Counterfoil;
use rusqlite::types::FromSql;
use rusqlite::{Error, Row};

use crate::error::StoreError;

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

/// The terms of a grant from the first columns.
pub(crate) fn terms(row: &Row<'_>) -> rusqlite::Result<Terms> {
    let client: String = row.get(1)?;
    Ok(Terms {
        grant: column(row, 0, GrantId::from_number)?,
        client: client.into(),
        customer: CustomerId { provider: row.get(2)?, customer: row.get(3)? },
        name: row.get(4)?,
        scopes: Scopes::known_among(row.get(5)?),
        clusters: DataClusters::known_among(row.get(6)?),
        accounts: column(row, 7, |text: String| serde_json::from_str(&text).ok())?,
        lookback_days: row.get(8)?,
        created_at: time(row, 9)?,
        expires_at: time(row, 10)?,
        authenticated_at: time(row, 11)?,
        client_era: row.get(12)?,
        customer_era: row.get(13)?,
        parent: column(row, 14, |parent: Option<i64>| match parent {
            None => Some(None),
            Some(parent) => GrantId::from_number(parent).map(Some),
        })?,
    })
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
