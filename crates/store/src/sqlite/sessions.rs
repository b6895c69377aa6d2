//! Browser sessions of customers, and the counting of failed sign-ins.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::row::{named, time};
use crate::error::StoreError;
use crate::limits::{FAILURE_WINDOW, MOST_FAILURES, closed_until, closed_until_with};
use crate::pending::Pending;
use crate::record::{Session, SignIn};

impl Sqlite {
    pub(crate) fn create_session(
        &self,
        id: [u8; 32],
        session: Session,
        before: Option<[u8; 32]>,
        before_ends: Timestamp,
    ) -> Pending<()> {
        self.writer.queue(move |batch| {
            let Session {
                customer: CustomerId { provider, customer },
                name,
                authenticated_at,
                expires_at,
                customer_era,
            } = &session;
            if let Some(before) = before {
                batch
                    .db
                    .prepare_cached(
                        "DELETE FROM session WHERE id = ?1 AND (provider, customer) <> (?2, ?3)",
                    )?
                    .execute(params![before, provider, customer])?;
                batch
                    .db
                    .prepare_cached(
                        "UPDATE session SET expires_at = min(expires_at, ?2) WHERE id = ?1",
                    )?
                    .execute(params![before, before_ends.unix()])?;
            }
            batch
                .db
                .prepare_cached(
                    "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    id,
                    provider,
                    customer,
                    name,
                    authenticated_at.unix(),
                    expires_at.unix(),
                    customer_era
                ])
                .map(drop)
        })
    }

    pub(crate) fn session(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let found = self
            .readers
            .reader()
            .prepare_cached(
                "SELECT provider, customer, name, authenticated_at, expires_at, customer_era FROM session WHERE id = ?1 AND expires_at > ?2",
            )?
            .query_row(params![id, now.unix()], |row| {
                Ok(Session {
                    customer: CustomerId { provider: row.get(0)?, customer: row.get(1)? },
                    name: row.get(2)?,
                    authenticated_at: time(row, 3)?,
                    expires_at: time(row, 4)?,
                    customer_era: row.get(5)?,
                })
            })
            .optional()
            .map_err(named("session", "of a cookie"))?;
        Ok(found.filter(|session| session.customer_era == self.eras.of_customer(&session.customer)))
    }

    pub(crate) fn count_sessions(
        &self,
        id: &CustomerId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM session WHERE provider = ?1 AND customer = ?2 AND expires_at > ?3 AND customer_era = ?4";
        let parameters = params![id.provider, id.customer, now.unix(), self.eras.of_customer(id)];
        let count: i64 =
            self.readers.reader().prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(crate) fn end_session(&self, id: [u8; 32]) -> Pending<()> {
        self.writer.queue(move |batch| {
            batch.db.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([id]).map(drop)
        })
    }

    pub(crate) fn begin_sign_in(&self, customer: [u8; 32], now: Timestamp) -> Pending<SignIn> {
        self.writer.queue(move |batch| {
            let latest = latest_failures(batch.db, &customer, now)?;
            if let Some(until) = closed_until(&latest) {
                return Ok(SignIn::Closed { until });
            }
            batch
                .db
                .prepare_cached("INSERT INTO sign_in_failure (customer, at) VALUES (?1, ?2)")?
                .execute(params![customer, now.unix()])?;
            Ok(SignIn::Try {
                number: batch.db.last_insert_rowid(),
                closes_until: closed_until_with(latest, now),
            })
        })
    }

    pub(crate) fn sign_in_closed_until(
        &self,
        customer: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let reader = self.readers.reader();
        Ok(closed_until(&latest_failures(&reader, customer, now)?))
    }

    pub(crate) fn forget_failures(&self, customer: [u8; 32]) -> Pending<u64> {
        self.writer.queue(move |batch| forget_failures(batch.db, &customer))
    }

    pub(crate) fn sign_in_succeeded(&self, number: i64) -> Pending<()> {
        self.writer.queue(move |batch| {
            batch
                .db
                .prepare_cached("DELETE FROM sign_in_failure WHERE id = ?1")?
                .execute([number])
                .map(drop)
        })
    }
}

/// When the latest tries to sign in as a customer failed that count, the latest first. Those ahead
/// of a clock that was moved back count too: a step back opens no door.
fn latest_failures(
    db: &Connection,
    customer: &[u8; 32],
    now: Timestamp,
) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT at FROM sign_in_failure WHERE customer = ?1 AND at > ?2 AND at < ?3 ORDER BY at DESC LIMIT ?4";
    db.prepare_cached(sql)?
        .query_map(
            params![
                customer,
                now.unix() - FAILURE_WINDOW,
                now.unix() + FAILURE_WINDOW,
                MOST_FAILURES
            ],
            |row| row.get(0),
        )?
        .collect()
}

/// Lets tries to sign in as a customer count no more; gives how many there were.
pub(super) fn forget_failures(db: &Connection, customer: &[u8; 32]) -> rusqlite::Result<u64> {
    let forgotten = db
        .prepare_cached("DELETE FROM sign_in_failure WHERE customer = ?1")?
        .execute([customer])?;
    Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
}
