//! Grants that ended or expired long ago: found, and removed.

use std::collections::BTreeSet;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip_keys::SlipKeyId;
use futures_util::FutureExt as _;
use tokio_postgres::Row;

use super::Postgres;
use super::row::Columns;
use super::times::{latest, sweep_by};
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::limits::{GRANTS_KEPT_FOR, SURVEYED_AT_ONCE};
use crate::pending::Pending;
use crate::record::{OldGrants, SweepTime};

/// Grants with when they were over.
const SURVEY: &str = "SELECT grant_id, ended, CASE WHEN ended THEN coalesce(ending.at, terms.expires_at) ELSE terms.expires_at END \
    FROM terms JOIN counterfoil USING (grant_id) LEFT JOIN ending USING (grant_id) \
    WHERE grant_id > $1 AND grant_id < $2 ORDER BY grant_id LIMIT $3";

/// Those of some grants that were over before a moment, under their lock.
const DUE: &str = "SELECT grant_id FROM counterfoil JOIN terms USING (grant_id) LEFT JOIN ending USING (grant_id) WHERE grant_id = ANY($1) \
    AND CASE WHEN ended THEN coalesce(ending.at, terms.expires_at) ELSE terms.expires_at END < $2 FOR UPDATE OF counterfoil";

impl Postgres {
    pub(crate) async fn old_grants(
        &self,
        after: Option<GrantId>,
        time: SweepTime,
    ) -> Result<OldGrants, StoreError> {
        let Some(database) = self.known_time().await?.database else {
            return Ok(OldGrants::default());
        };
        let cutoff = latest(database, time).plus(-GRANTS_KEPT_FOR);
        // A grant ends after it was made, so none that is younger is due.
        let before = GrantId::new(cutoff, [0; 4]).number();
        let rows = self
            .rows(
                SURVEY,
                &[&after.map_or(-1, GrantId::number), &before, &i64::from(SURVEYED_AT_ONCE)],
            )
            .await?;
        let mut found = OldGrants::default();
        let mut add = |row: &Row| -> Result<(), Trouble> {
            let columns = Columns::of(row, "terms");
            let grant = columns.make(0, GrantId::from_number)?;
            match (columns.get(1)?, columns.time(2)? < cutoff) {
                (true, true) => found.ended.push(grant),
                (false, true) => found.expired.push(grant),
                (_, false) => {}
            }
            found.next = Some(grant);
            Ok(())
        };
        rows.iter().try_for_each(&mut add)?;
        if rows.len() < SURVEYED_AT_ONCE as usize {
            found.next = None;
        }
        Ok(found)
    }

    pub(crate) fn remove_grants(&self, grants: Vec<GrantId>, time: SweepTime) -> Pending<u64> {
        self.write((grants, time), |write, (grants, time)| remove(write, grants, *time).boxed())
    }

    pub(crate) async fn slip_keys_in_use(&self) -> Result<BTreeSet<SlipKeyId>, StoreError> {
        let rows =
            self.rows("SELECT DISTINCT slip_key FROM counterfoil WHERE NOT ended", &[]).await?;
        Ok(rows
            .iter()
            .map(|row| Columns::of(row, "counterfoil").small(0).map(SlipKeyId))
            .collect::<Result<_, Trouble>>()?)
    }

    pub(crate) async fn count_slips_of(
        &self,
        key: SlipKeyId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let count = "SELECT count(*) FROM counterfoil WHERE NOT ended AND slip_key = $1 AND expires_at > $2";
        let rows = self.rows(count, &[&i32::from(key.0), &now.unix()]).await?;
        let count =
            rows.first().map_or(Ok(0), |row| Columns::of(row, "counterfoil").get::<i64>(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(crate) async fn count_grants(&self) -> Result<u64, StoreError> {
        // What the database last estimated, which is good enough; -1 where it has not.
        let estimated =
            "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('counterfoil')";
        let number = |rows: &[Row]| {
            rows.first().map_or(Ok(0), |row| Columns::of(row, "pg_class").get::<i64>(0))
        };
        let count = match number(&self.rows(estimated, &[]).await?)? {
            // An estimate may be of long ago; of few, counting is cheap.
            estimate if estimate >= 100_000 => estimate,
            _ => {
                number(&self.rows("SELECT count(*) FROM counterfoil WHERE NOT ended", &[]).await?)?
            }
        };
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

async fn remove(
    write: &mut Write<'_>,
    grants: &[GrantId],
    time: SweepTime,
) -> Result<u64, Trouble> {
    let cutoff = sweep_by(write, time).await?.plus(-GRANTS_KEPT_FOR).unix();
    let grants: Vec<i64> = grants.iter().map(|grant| grant.number()).collect();
    let rows = write.rows(DUE, &[&grants, &cutoff]).await?;
    let due = rows
        .iter()
        .map(|row| Columns::of(row, "counterfoil").get(0))
        .collect::<Result<Vec<i64>, Trouble>>()?;
    for delete in [
        "DELETE FROM ending WHERE grant_id = ANY($1)",
        "DELETE FROM counterfoil WHERE grant_id = ANY($1)",
        "DELETE FROM terms WHERE grant_id = ANY($1)",
    ] {
        write.execute(delete, &[&due]).await?;
    }
    Ok(due.len().try_into().unwrap_or(u64::MAX))
}
