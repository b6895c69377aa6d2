//! Browser sessions of customers, and the counting of failed sign-ins.

use super::Postgres;
use super::row::Columns;
use super::trouble::Trouble;
use crate::error::StoreError;
use crate::limits::{FAILURE_WINDOW, MOST_FAILURES};
use crate::pending::Pending;
use crate::record::{Session, SignIn};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use futures_util::FutureExt as _;
use tokio_postgres::Row;

impl Postgres {
    pub(crate) fn create_session(&self, id: [u8; 32], session: Session) -> Pending<()> {
        self.write((id, session), |write, (id, session)| {
            async move {
                let Session { customer: CustomerId { provider, customer }, name, authenticated_at, expires_at, customer_era } = session;
                let insert = "INSERT INTO session VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
                let (authenticated_at, expires_at, era) = (authenticated_at.unix(), expires_at.unix(), i64::from(*customer_era));
                write.execute(insert, &[&id.as_slice(), provider, customer, name, &authenticated_at, &expires_at, &era]).await.map(drop)
            }
            .boxed()
        })
    }

    pub(crate) async fn session(&self, id: &[u8; 32], now: Timestamp) -> Result<Option<Session>, StoreError> {
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

    pub(crate) fn end_session(&self, id: [u8; 32]) -> Pending<()> {
        self.write(id, |write, id| {
            async move { write.execute("DELETE FROM session WHERE id = $1", &[&id.as_slice()]).await.map(drop) }.boxed()
        })
    }

    pub(crate) fn begin_sign_in(&self, customer: [u8; 32], now: Timestamp) -> Pending<SignIn> {
        self.write((customer, now.unix()), |write, (customer, now)| {
            async move {
                let customer = customer.as_slice();
                // Holds every other try to sign in as this customer until this one is counted.
                let turn = "INSERT INTO sign_in_turn VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET at = excluded.at";
                write.execute(turn, &[&customer, now]).await?;
                // Those ahead of a clock that was moved back count too: a step back opens no door.
                let count = "SELECT count(*) FROM sign_in_failure WHERE customer = $1 AND at > $2 AND at < $3";
                let counted = write.row(count, &[&customer, &(now - FAILURE_WINDOW), &(now + FAILURE_WINDOW)]).await?;
                let failures: i64 = counted.map_or(Ok(0), |row| Columns::of(&row, "sign_in_failure").get(0))?;
                if failures >= MOST_FAILURES {
                    return Ok(SignIn::Refused);
                }
                let begun = write.row("INSERT INTO sign_in_failure (customer, at) VALUES ($1, $2) RETURNING id", &[&customer, now]).await?;
                begun.map_or(Ok(SignIn::Refused), |row| Columns::of(&row, "sign_in_failure").get(0).map(SignIn::Try))
            }
            .boxed()
        })
    }

    pub(crate) fn sign_in_succeeded(&self, number: i64) -> Pending<()> {
        self.write(number, |write, number| {
            async move { write.execute("DELETE FROM sign_in_failure WHERE id = $1", &[number]).await.map(drop) }.boxed()
        })
    }
}
