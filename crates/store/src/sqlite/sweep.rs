//! What is swept, by age and in small steps, and what is worked off: never on the way of a token.

use super::Sqlite;
use super::grants::end;
use super::writer::Batch;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, GRANTS_KEPT_FOR, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use counterfoil_core::clock::{HOUR, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use rusqlite::{OptionalExtension, Row, params};

/// A removal that is being worked off.
struct Removal {
    id: i64,
    /// Empty where it is a customer's.
    client: String,
    provider: String,
    customer: String,
    era: u32,
    done_up_to: i64,
}

impl Sqlite {
    pub(crate) fn sweep(&self, now: Timestamp) -> Pending<bool> {
        self.writer.queue(move |batch| {
            let mut removed = 0;
            let before = |age: Seconds| now.plus(-age).unix();
            let mut run = |sql: &str, before: i64| -> rusqlite::Result<()> {
                removed += batch.db.prepare_cached(sql)?.execute(params![before, STEP])?;
                Ok(())
            };
            run("DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= ?1 LIMIT ?2)", now.unix())?;
            run(
                "DELETE FROM sign_in_failure WHERE id IN (SELECT id FROM sign_in_failure WHERE at <= ?1 LIMIT ?2)",
                before(FAILURE_WINDOW),
            )?;
            run(
                "DELETE FROM audit WHERE (grant_id, event, hour) IN (SELECT grant_id, event, hour FROM audit WHERE hour < ?1 LIMIT ?2)",
                before(AUDIT_KEPT_FOR).div_euclid(HOUR),
            )?;
            let old = GrantId::new(now.plus(-GRANTS_KEPT_FOR), [0; 4]).number();
            for table in ["ending", "counterfoil", "terms"] {
                run(&format!("DELETE FROM {table} WHERE grant_id IN (SELECT grant_id FROM {table} WHERE grant_id < ?1 LIMIT ?2)"), old)?;
            }
            run(
                "DELETE FROM code WHERE grant_id IN (SELECT grant_id FROM code WHERE grant_id < ?1 LIMIT ?2)",
                GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number(),
            )?;
            run(
                "DELETE FROM \"authorization\" WHERE id IN (SELECT id FROM \"authorization\" WHERE expires_at <= ?1 LIMIT ?2)",
                now.unix(),
            )?;
            let more = sweep_unredeemed(batch, now)?;
            Ok(more || removed >= STEP as usize)
        })
    }

    pub(crate) fn work_off_removals(&self, now: Timestamp) -> Pending<bool> {
        let epoch = self.epoch.clone();
        self.writer.queue(move |batch| work_off(batch, now, epoch.now()))
    }
}

/// Removes consents whose code was never redeemed. Grant ids are ordered by time, so a mark says up to where that was seen to.
fn sweep_unredeemed(batch: &Batch<'_>, now: Timestamp) -> rusqlite::Result<bool> {
    let db = batch.db;
    let from: i64 = super::meta(db, "unredeemed_swept_up_to")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let to = GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number();
    let mut query = db.prepare_cached(
        "SELECT grant_id, next_slip = 0 AND ended = 0 FROM counterfoil WHERE grant_id > ?1 AND grant_id < ?2 ORDER BY grant_id LIMIT ?3",
    )?;
    let seen =
        query.query_map(params![from, to, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(i64, bool)>>>()?;
    let Some((last, _)) = seen.last() else { return Ok(false) };
    for (grant, _) in seen.iter().filter(|(_, unredeemed)| *unredeemed) {
        db.prepare_cached("DELETE FROM counterfoil WHERE grant_id = ?1")?.execute([grant])?;
        db.prepare_cached("DELETE FROM terms WHERE grant_id = ?1")?.execute([grant])?;
    }
    super::set_meta(db, "unredeemed_swept_up_to", &last.to_string())?;
    Ok(seen.len() == STEP as usize)
}

fn work_off(batch: &mut Batch<'_>, now: Timestamp, epoch: u32) -> rusqlite::Result<bool> {
    let removal = |row: &Row<'_>| {
        let (client, provider, customer) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Removal { id: row.get(0)?, client, provider, customer, era: row.get(4)?, done_up_to: row.get(5)? })
    };
    let first = batch
        .db
        .prepare_cached("SELECT id, client, provider, customer, era, done_up_to FROM removal WHERE done = 0 ORDER BY id LIMIT 1")?
        .query_row([], removal)
        .optional()?;
    let Some(removal) = first else { return Ok(false) };
    let seen = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let Removal { client, provider, customer, era, done_up_to, .. } = &removal;
    let (grants, by): (Vec<(i64, bool)>, _) = if client.is_empty() {
        let next = "SELECT grant_id, customer_era < ?3 FROM terms WHERE parent IS NULL AND provider = ?4 AND customer = ?5 AND grant_id > ?1 ORDER BY grant_id LIMIT ?2";
        let mut query = batch.db.prepare_cached(next)?;
        let grants = query.query_map(params![done_up_to, STEP, era, provider, customer], seen)?;
        (grants.collect::<rusqlite::Result<_>>()?, EndedBy::CustomerRemoved)
    } else {
        // No index leads from a client to its grants: all are looked at, a step at a time.
        let next =
            "SELECT grant_id, parent IS NULL AND client = ?4 AND client_era < ?3 FROM terms WHERE grant_id > ?1 ORDER BY grant_id LIMIT ?2";
        let mut query = batch.db.prepare_cached(next)?;
        let grants = query.query_map(params![done_up_to, STEP, era, client], seen)?;
        (grants.collect::<rusqlite::Result<_>>()?, EndedBy::ClientRemoved)
    };
    for (grant, _) in grants.iter().filter(|(_, concerned)| *concerned) {
        if let Some(grant) = GrantId::from_number(*grant) {
            end(batch, grant, by, now, epoch)?;
        }
    }
    let done = grants.len() < STEP as usize;
    let up_to = grants.last().map_or(removal.done_up_to, |(grant, _)| *grant);
    batch.db.prepare_cached("UPDATE removal SET done_up_to = ?2, done = ?3 WHERE id = ?1")?.execute(params![removal.id, up_to, done])?;
    Ok(true)
}
