//! Rows become types here; what can't be is a named error, not a default.

use std::error::Error;

use bytes::BytesMut;
use counterfoil_core::claim::Claim;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CodeBinding, Seal, Terms};
use counterfoil_core::pkce::Challenge;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::Counterfoil;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::trouble::Trouble;
use crate::columns::Value;
use crate::terms;

/// The columns of a row of `table`, to be read by their place.
pub(super) struct Columns<'a> {
    row: &'a Row,
    table: &'static str,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row, table: &'static str) -> Self {
        Self { row, table }
    }

    pub(super) fn get<T: FromSql<'a>>(&self, at: usize) -> Result<T, Trouble> {
        self.row.try_get(at).map_err(|e| self.corrupt(&e.to_string()))
    }

    /// Reads column `at` and makes it what it stands for.
    pub(super) fn make<S: FromSql<'a>, T>(
        &self,
        at: usize,
        make: impl FnOnce(S) -> Option<T>,
    ) -> Result<T, Trouble> {
        let name = self.row.columns().get(at).map_or("?", |column| column.name());
        make(self.get(at)?).ok_or_else(|| self.corrupt(&format!("an impossible value in {name}")))
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T, Trouble> {
        self.make(at, |number: i64| T::try_from(number).ok())
    }

    pub(super) fn small<T: TryFrom<i32>>(&self, at: usize) -> Result<T, Trouble> {
        self.make(at, |number: i32| T::try_from(number).ok())
    }

    pub(super) fn time(&self, at: usize) -> Result<Timestamp, Trouble> {
        self.get(at).map(Timestamp::from_unix)
    }

    pub(super) fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], Trouble> {
        self.make(at, |bytes: &[u8]| bytes.try_into().ok())
    }

    /// A counterfoil from the columns from `at` on.
    pub(super) fn counterfoil(&self, at: usize) -> Result<Counterfoil, Trouble> {
        Ok(Counterfoil {
            seal: Seal::from_bytes(self.bytes(at)?),
            next_slip: self.number(at + 1)?,
            expires_at: self.time(at + 2)?,
            claim: self.make(at + 3, |claim: Option<&[u8]>| match claim {
                None => Some(None),
                Some(bytes) => bytes.try_into().ok().map(Claim::from_bytes).map(Some),
            })?,
            redeemed_at: self.time(at + 4)?,
            slip_key: SlipKeyId(self.small(at + 5)?),
            epoch: self.small(at + 6)?,
            ended: self.get(at + 7)?,
        })
    }

    /// The terms of a grant from the first columns.
    pub(super) fn terms(&self) -> Result<Terms, Trouble> {
        let mut values = [const { Value::Null }; terms::WIDTH];
        for (at, place) in values.iter_mut().enumerate() {
            *place = self.get::<Option<_>>(at)?.unwrap_or(Value::Null);
        }
        terms::from_row(&values)
            .map_err(|column| self.corrupt(&format!("an impossible value in {column}")))
    }

    /// What a code is bound to.
    pub(super) fn code(&self) -> Result<CodeBinding, Trouble> {
        Ok(CodeBinding {
            redirect_uri: self.get(0)?,
            challenge: self.make(1, |challenge: Option<&[u8]>| match challenge {
                None => Some(None),
                Some(bytes) => bytes.try_into().ok().map(Challenge::from_bytes).map(Some),
            })?,
            nonce: self.get(2)?,
        })
    }

    fn corrupt(&self, problem: &str) -> Trouble {
        // Every row of ours is known by its first column, where that is a number or a text.
        let id = self
            .row
            .try_get::<_, i64>(0)
            .map(|id| id.to_string())
            .or_else(|_| self.row.try_get::<_, String>(0));
        Trouble::Corrupt {
            table: self.table,
            id: id.unwrap_or_default(),
            problem: problem.to_owned(),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql(ty, out),
            Self::Text(text) => text.as_ref().to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *ty {
            Type::INT8 => i64::from_sql(ty, raw).map(Self::Integer),
            Type::BYTEA => Ok(Self::Bytes(raw)),
            _ => <&str>::from_sql(ty, raw).map(Self::from),
        }
    }

    fn accepts(ty: &Type) -> bool {
        <Self as ToSql>::accepts(ty)
    }
}
