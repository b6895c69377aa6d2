//! Browser sessions of customers, and the counting of failed sign-ins.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use futures_util::FutureExt as _;
use tokio_postgres::Row;

use super::Postgres;
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::limits::{FAILURE_WINDOW, MOST_FAILURES, closed_until, closed_until_with};
use crate::pending::Pending;
use crate::record::{Session, SignIn};

impl Postgres {
    pub(crate) fn create_session(
        &self,
        id: [u8; 32],
        session: Session,
        before: Option<[u8; 32]>,
        before_ends: Timestamp,
    ) -> Pending<()> {
        self.write((id, session, before, before_ends.unix()), |write, (id, session, before, before_ends)| {
            async move {
                let Session { customer: CustomerId { provider, customer }, name, authenticated_at, expires_at, customer_era } = session;
                if let Some(before) = before {
                    let before = before.as_slice();
                    let end = "DELETE FROM session WHERE id = $1 AND (provider, customer) <> ($2, $3)";
                    write.execute(end, &[&before, provider, customer]).await?;
                    write.execute("UPDATE session SET expires_at = least(expires_at, $2) WHERE id = $1", &[&before, before_ends]).await?;
                }
                let insert = "INSERT INTO session VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
                let (authenticated_at, expires_at, era) = (authenticated_at.unix(), expires_at.unix(), i64::from(*customer_era));
                write.execute(insert, &[&id.as_slice(), provider, customer, name, &authenticated_at, &expires_at, &era]).await.map(drop)
            }
            .boxed()
        })
    }

    pub(crate) async fn session(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT provider, customer, name, authenticated_at, expires_at, customer_era FROM session \
            WHERE id = $1 AND expires_at > $2 AND customer_era = coalesce((SELECT era FROM era \
                WHERE era.client = '' AND era.provider = session.provider AND era.customer = session.customer), 0)";
        let rows = self.rows(sql, &[&id.as_slice(), &now.unix()]).await?;
        let session = |row: &Row| {
            let columns = Columns::of(row, "session");
            Ok(Session {
                customer: CustomerId { provider: columns.get(0)?, customer: columns.get(1)? },
                name: columns.get(2)?,
                authenticated_at: columns.time(3)?,
                expires_at: columns.time(4)?,
                customer_era: columns.number(5)?,
            })
        };
        rows.first().map(|row| session(row).map_err(|trouble: Trouble| trouble.into())).transpose()
    }

    pub(crate) async fn count_sessions(
        &self,
        id: &CustomerId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM session WHERE provider = $1 AND customer = $2 AND expires_at > $3 AND customer_era = coalesce( \
            (SELECT era FROM era WHERE era.client = '' AND era.provider = $1 AND era.customer = $2), 0)";
        let rows = self.rows(sql, &[&id.provider, &id.customer, &now.unix()]).await?;
        rows.first()
            .map_or(Ok(0), |row| Columns::of(row, "session").number(0).map_err(StoreError::from))
    }

    pub(crate) fn end_session(&self, id: [u8; 32]) -> Pending<()> {
        self.write(id, |write, id| {
            async move {
                write
                    .execute("DELETE FROM session WHERE id = $1", &[&id.as_slice()])
                    .await
                    .map(drop)
            }
            .boxed()
        })
    }

    pub(crate) fn begin_sign_in(&self, customer: [u8; 32], now: Timestamp) -> Pending<SignIn> {
        self.write((customer, now.unix()), |write, (customer, now)| {
            async move {
                let customer = customer.as_slice();
                // Holds every other try to sign in as this customer until this one is counted.
                let turn = "INSERT INTO sign_in_turn VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET at = excluded.at";
                write.execute(turn, &[&customer, now]).await?;
                let latest = write.rows(LATEST_FAILURES, &[&customer, &(now - FAILURE_WINDOW), &(now + FAILURE_WINDOW)]).await?;
                let latest = times(&latest)?;
                if let Some(until) = closed_until(&latest) {
                    return Ok(SignIn::Closed { until });
                }
                let begun = write.row("INSERT INTO sign_in_failure (customer, at) VALUES ($1, $2) RETURNING id", &[&customer, now]).await?;
                let lost = || Trouble::Unready("the database did not say which row it inserted".into());
                let number = Columns::of(&begun.ok_or_else(lost)?, "sign_in_failure").get(0)?;
                Ok(SignIn::Try { number, closes_until: closed_until_with(latest, Timestamp::from_unix(*now)) })
            }
            .boxed()
        })
    }

    pub(crate) async fn sign_in_closed_until(
        &self,
        customer: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (from, until) = (now.unix() - FAILURE_WINDOW, now.unix() + FAILURE_WINDOW);
        let latest = self.rows(LATEST_FAILURES, &[&customer.as_slice(), &from, &until]).await?;
        Ok(closed_until(&times(&latest)?))
    }

    pub(crate) fn forget_failures(&self, customer: [u8; 32]) -> Pending<u64> {
        self.write(customer, |write, customer| forget_failures(write, customer).boxed())
    }

    pub(crate) fn sign_in_succeeded(&self, number: i64) -> Pending<()> {
        self.write(number, |write, number| {
            async move {
                write
                    .execute("DELETE FROM sign_in_failure WHERE id = $1", &[number])
                    .await
                    .map(drop)
            }
            .boxed()
        })
    }
}

/// When the latest tries to sign in as a customer failed that count. Those ahead of a clock that
/// was moved back count too: a step back opens no door.
const LATEST_FAILURES: &str = "SELECT at FROM sign_in_failure WHERE customer = $1 AND at > $2 AND at < $3 ORDER BY at DESC LIMIT 5";
const _: () = assert!(MOST_FAILURES == 5, "the limit above");

fn times(rows: &[Row]) -> Result<Vec<i64>, Trouble> {
    rows.iter().map(|row| Columns::of(row, "sign_in_failure").get(0)).collect()
}

/// Lets tries to sign in as a customer count no more; gives how many there were.
pub(super) async fn forget_failures(
    write: &mut Write<'_>,
    customer: &[u8; 32],
) -> Result<u64, Trouble> {
    write.execute("DELETE FROM sign_in_failure WHERE customer = $1", &[&customer.as_slice()]).await
}
