//! Grants that ended or expired long ago: found, and removed.

use std::collections::BTreeSet;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip_keys::SlipKeyId;
use rusqlite::{OptionalExtension, params};

use super::Sqlite;
use super::row::{column, named};
use super::times::sweep_by;
use crate::error::StoreError;
use crate::limits::{GRANTS_KEPT_FOR, SURVEYED_AT_ONCE};
use crate::pending::Pending;
use crate::record::{OldGrants, SweepTime};

impl Sqlite {
    pub(crate) fn old_grants(
        &self,
        after: Option<GrantId>,
        time: SweepTime,
    ) -> Result<OldGrants, StoreError> {
        let reader = self.readers.reader();
        let cutoff = sweep_by(&reader, time)?.plus(-GRANTS_KEPT_FOR);
        // A grant ends after it was made, so none that is younger is due.
        let before = GrantId::new(cutoff, [0; 4]).number();
        let mut query = reader.prepare_cached(
            "SELECT grant_id, ended, CASE ended WHEN 0 THEN terms.expires_at ELSE coalesce(ending.at, terms.expires_at) END FROM terms JOIN counterfoil USING (grant_id) LEFT JOIN ending USING (grant_id) \
             WHERE grant_id > ?1 AND grant_id < ?2 ORDER BY grant_id LIMIT ?3",
        )?;
        let mut found = OldGrants::default();
        let mut looked_at = 0;
        let mut rows =
            query.query(params![after.map_or(-1, GrantId::number), before, SURVEYED_AT_ONCE])?;
        while let Some(row) = rows.next()? {
            let grant = column(row, 0, GrantId::from_number).map_err(named("terms", "surveyed"))?;
            let (ended, over_since): (bool, i64) = (row.get(1)?, row.get(2)?);
            match (ended, over_since < cutoff.unix()) {
                (true, true) => found.ended.push(grant),
                (false, true) => found.expired.push(grant),
                (_, false) => {}
            }
            (found.next, looked_at) = (Some(grant), looked_at + 1);
        }
        if looked_at < SURVEYED_AT_ONCE {
            found.next = None;
        }
        Ok(found)
    }

    pub(crate) fn remove_grants(&self, grants: Vec<GrantId>, time: SweepTime) -> Pending<u64> {
        self.writer.queue(move |batch| {
            let db = batch.db;
            let cutoff = sweep_by(db, time)?.plus(-GRANTS_KEPT_FOR).unix();
            let over_since = "SELECT CASE ended WHEN 0 THEN terms.expires_at ELSE coalesce(ending.at, terms.expires_at) END \
                FROM terms JOIN counterfoil USING (grant_id) LEFT JOIN ending USING (grant_id) WHERE grant_id = ?1";
            let mut removed = 0;
            for grant in grants.iter().map(|grant| grant.number()) {
                let over_since: Option<i64> = db.prepare_cached(over_since)?.query_row([grant], |row| row.get(0)).optional()?;
                if over_since.is_some_and(|over_since| over_since < cutoff) {
                    for delete in [
                        "DELETE FROM ending WHERE grant_id = ?1",
                        "DELETE FROM counterfoil WHERE grant_id = ?1",
                        "DELETE FROM terms WHERE grant_id = ?1",
                    ] {
                        db.prepare_cached(delete)?.execute([grant])?;
                    }
                    removed += 1;
                }
            }
            Ok(removed)
        })
    }

    pub(crate) fn slip_keys_in_use(&self) -> Result<BTreeSet<SlipKeyId>, StoreError> {
        let reader = self.readers.reader();
        let mut query =
            reader.prepare("SELECT DISTINCT slip_key FROM counterfoil WHERE ended = 0")?;
        Ok(query
            .query_map([], |row| row.get(0).map(SlipKeyId))?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn count_slips_of(&self, key: SlipKeyId, now: Timestamp) -> Result<u64, StoreError> {
        let reader = self.readers.reader();
        let count = "SELECT count(*) FROM counterfoil WHERE ended = 0 AND slip_key = ?1 AND expires_at > ?2";
        let count: i64 = reader.query_row(count, params![key.0, now.unix()], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(crate) fn count_grants(&self) -> Result<u64, StoreError> {
        let reader = self.readers.reader();
        let count: i64 =
            reader.query_row("SELECT count(*) FROM counterfoil WHERE ended = 0", [], |row| {
                row.get(0)
            })?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
