//! Continuations of authorizations.

use counterfoil_core::clock::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::Sqlite;
use super::row::{named, time};
use crate::continuation::Continuation;
use crate::error::StoreError;
use crate::pending::Pending;

impl Sqlite {
    pub(crate) fn keep_continuation(
        &self,
        id: [u8; 32],
        continuation: Continuation,
    ) -> Pending<()> {
        self.writer.queue(move |batch| {
            let Continuation { browser, kind, document, expires_at } = &continuation;
            let browser = browser.as_ref().map_or(&[][..], |hash| hash);
            batch
                .db
                .prepare_cached(
                    "INSERT OR IGNORE INTO \"authorization\" VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![id, browser, kind, document, expires_at.unix()])
                .map(drop)
        })
    }

    pub(crate) fn continuation(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Continuation>, StoreError> {
        self.readers
            .reader()
            .prepare_cached("SELECT browser, kind, document, expires_at FROM \"authorization\" WHERE id = ?1 AND expires_at > ?2")?
            .query_row(params![id, now.unix()], |row| {
                Ok(Continuation {
                    browser: row.get::<_, Vec<u8>>(0)?.try_into().ok(),
                    kind: row.get(1)?,
                    document: row.get(2)?,
                    expires_at: time(row, 3)?,
                })
            })
            .optional()
            .map_err(named("authorization", "of a page"))
    }
}
