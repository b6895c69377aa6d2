//! What the store knows of time, and rows that a wrong clock has dated ahead.

use counterfoil_core::clock::{HOUR, SKEW, Seconds, StoreTime, Timestamp};
use counterfoil_core::grant::GrantId;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::meta::{meta, set_meta};
use crate::StoreKind;
use crate::error::StoreError;
use crate::limits::SURVEYED_AT_ONCE;
use crate::pending::Pending;
use crate::record::SweepTime;
use crate::times::Repaired;

/// Where the moment is kept that was last noted.
const NEWEST: &str = "newest_moment";

/// The moment that was last noted.
pub(super) fn noted(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    Ok(meta(db, NEWEST)?.and_then(|text| text.parse().ok()).map(Timestamp::from_unix))
}

fn note(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    set_meta(db, NEWEST, &now.unix().to_string())
}

/// (S) The latest moment that may be swept by: the present one, if another had it too.
pub(super) fn sweep_by(db: &Connection, time: SweepTime) -> rusqlite::Result<Timestamp> {
    let noted = noted(db)?.map_or(Timestamp::from_unix(0), |noted| noted.plus(time.ahead));
    Ok(noted.min(time.now))
}

/// What the store knows of time.
pub(super) fn known(db: &Connection) -> rusqlite::Result<StoreTime> {
    let newest = match noted(db)? {
        Some(noted) => Some(noted),
        // A sandbox's grants are dated by a clock that was moved.
        None if meta(db, "kind")?.as_deref() != Some(StoreKind::Live.name()) => None,
        // Of a store that was last used by a version that noted nothing.
        None => {
            let grant: Option<i64> =
                db.query_row("SELECT max(grant_id) FROM terms", [], |row| row.get(0))?;
            let hour: Option<i64> =
                db.query_row("SELECT max(hour) FROM audit", [], |row| row.get(0))?;
            let of_clients = "SELECT max(at) FROM (SELECT max(created_at) AS at FROM client UNION ALL SELECT max(last_used_at) FROM client_secret)";
            let client: Option<i64> = db.query_row(of_clients, [], |row| row.get(0))?;
            let of_grant = grant.and_then(GrantId::from_number).map(GrantId::made_at);
            of_grant
                .max(hour.map(|hour| Timestamp::from_unix(hour.saturating_mul(HOUR))))
                .max(client.map(Timestamp::from_unix))
        }
    };
    Ok(StoreTime { newest, database: None })
}

impl Sqlite {
    pub(crate) fn known_time(&self) -> Result<StoreTime, StoreError> {
        Ok(known(&self.readers.reader())?)
    }

    pub(crate) fn note_time(&self, now: Timestamp) -> Pending<()> {
        self.writer.queue(move |batch| {
            batch.settles_endings();
            note(batch.db, now)
        })
    }

    /// There is no database whose clock could differ.
    pub(crate) fn accept_clock(&self, wall: i64) -> Pending<()> {
        self.note_time(Timestamp::from_unix(wall.div_euclid(1000)))
    }

    pub(crate) fn repair_counterfoils(
        &self,
        after: i64,
        now: Timestamp,
    ) -> Pending<(u64, Option<i64>)> {
        self.writer.queue(move |batch| {
            let last: Option<i64> = batch
                .db
                .prepare_cached("SELECT grant_id FROM counterfoil WHERE grant_id > ?1 ORDER BY grant_id LIMIT 1 OFFSET ?2")?
                .query_row(params![after, SURVEYED_AT_ONCE], |row| row.get(0))
                .optional()?;
            let repair = "UPDATE counterfoil SET expires_at = expires_at - (redeemed_at - ?3), redeemed_at = ?3 \
                WHERE grant_id > ?1 AND grant_id <= ?2 AND redeemed_at > ?4";
            let changed =
                batch.db.prepare_cached(repair)?.execute(params![after, last.unwrap_or(i64::MAX), now.unix(), now.plus(SKEW).unix()])?;
            Ok((u64::try_from(changed).unwrap_or(u64::MAX), last))
        })
    }

    pub(crate) fn repair_dates(&self, now: Timestamp) -> Pending<Repaired> {
        self.writer.queue(move |batch| {
            let db = batch.db;
            let run = |sql: &str| -> rusqlite::Result<u64> {
                let changed = db.prepare(sql)?.execute(params![now.unix(), now.plus(SKEW).unix()])?;
                Ok(u64::try_from(changed).unwrap_or(u64::MAX))
            };
            // A grant that was given ahead of time has an id that says so, and no index is needed
            // to find it.
            let ahead = GrantId::new(now, [0; 4]).number();
            let terms = "UPDATE terms SET expires_at = expires_at - (created_at - ?1), authenticated_at = min(authenticated_at, ?1), created_at = ?1 \
                WHERE grant_id > ?3 AND created_at > ?2";
            let given = db.prepare(terms)?.execute(params![now.unix(), now.plus(SKEW).unix(), ahead])?;
            let from = meta(db, "bearers_from")?.and_then(|text| text.parse::<Seconds>().ok());
            let bearers_from = from.is_some_and(|from| from > now.plus(SKEW).unix());
            if bearers_from {
                set_meta(db, "bearers_from", &now.unix().to_string())?;
            }
            note(db, now)?;
            Ok(Repaired {
                grants: u64::try_from(given).unwrap_or(u64::MAX) + run("UPDATE ending SET at = ?1 WHERE at > ?2")?,
                clients: run("UPDATE client SET created_at = ?1 WHERE created_at > ?2")?
                    + run("UPDATE client_secret SET created_at = min(created_at, ?1), last_used_at = min(last_used_at, ?1) \
                        WHERE created_at > ?2 OR last_used_at > ?2")?,
                customers: run("UPDATE customer SET created_at = ?1 WHERE created_at > ?2")?
                    + run("UPDATE removal SET at = ?1 WHERE at > ?2")?,
                sessions: run("DELETE FROM session WHERE authenticated_at > ?2 AND ?1 > 0")?,
                sign_in_failures: run("DELETE FROM sign_in_failure WHERE at > ?2 AND ?1 > 0")?,
                bearers_from,
            })
        })
    }
}
