//! Continuations of authorizations.

use counterfoil_core::clock::Timestamp;
use futures_util::FutureExt as _;
use tokio_postgres::Row;

use super::Postgres;
use super::row::Columns;
use super::trouble::Trouble;
use crate::continuation::Continuation;
use crate::error::StoreError;
use crate::pending::Pending;

impl Postgres {
    pub(crate) fn keep_continuation(
        &self,
        id: [u8; 32],
        continuation: Continuation,
    ) -> Pending<()> {
        self.write((id, continuation), |write, (id, continuation)| {
            async move {
                let Continuation { browser, kind, document, expires_at } = continuation;
                let browser = browser.as_ref().map_or(&[][..], |hash| hash);
                let insert = "INSERT INTO \"authorization\" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
                write.execute(insert, &[&id.as_slice(), &browser, kind, document, &expires_at.unix()]).await.map(drop)
            }
            .boxed()
        })
    }

    pub(crate) async fn continuation(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Continuation>, StoreError> {
        let sql = "SELECT browser, kind, document, expires_at FROM \"authorization\" WHERE id = $1 AND expires_at > $2";
        let rows = self.rows(sql, &[&id.as_slice(), &now.unix()]).await?;
        let continuation = |row: &Row| {
            let columns = Columns::of(row, "authorization");
            Ok(Continuation {
                browser: columns.get::<Vec<u8>>(0)?.try_into().ok(),
                kind: columns.get(1)?,
                document: columns.get(2)?,
                expires_at: columns.time(3)?,
            })
        };
        rows.first()
            .map(|row| continuation(row).map_err(|trouble: Trouble| trouble.into()))
            .transpose()
    }
}
