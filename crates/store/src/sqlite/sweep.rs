//! What is short-lived and swept once it is over, in small steps: never on the way of a token.

use super::Sqlite;
use super::times::sweep_by;
use super::writer::Batch;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use crate::record::{SweepTime, Swept};
use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::grant::GrantId;
use rusqlite::params;

impl Sqlite {
    pub(crate) fn sweep(&self, time: SweepTime) -> Pending<Swept> {
        self.writer.queue(move |batch| {
            let now = sweep_by(batch.db, time)?;
            let run = |sql: &str, before: i64| -> rusqlite::Result<u64> {
                let removed = batch.db.prepare_cached(sql)?.execute(params![before, STEP])?;
                Ok(u64::try_from(removed).unwrap_or(u64::MAX))
            };
            let sessions = run("DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= ?1 LIMIT ?2)", now.unix())?;
            let sign_in_failures = run(
                "DELETE FROM sign_in_failure WHERE id IN (SELECT id FROM sign_in_failure WHERE at <= ?1 LIMIT ?2)",
                now.plus(-FAILURE_WINDOW).unix(),
            )?;
            let audit_entries = run(
                "DELETE FROM audit WHERE (grant_id, event, hour) IN (SELECT grant_id, event, hour FROM audit WHERE hour < ?1 LIMIT ?2)",
                now.plus(-AUDIT_KEPT_FOR).unix().div_euclid(HOUR),
            )?;
            let codes = run(
                "DELETE FROM code WHERE grant_id IN (SELECT grant_id FROM code WHERE grant_id < ?1 LIMIT ?2)",
                GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number(),
            )?;
            let authorizations = run(
                "DELETE FROM \"authorization\" WHERE id IN (SELECT id FROM \"authorization\" WHERE expires_at <= ?1 LIMIT ?2)",
                now.unix(),
            )?;
            let (unredeemed, more) = sweep_unredeemed(batch, now)?;
            let more = more || [sessions, sign_in_failures, audit_entries, codes, authorizations].iter().any(|count| *count >= STEP.into());
            Ok(Swept { sessions, sign_in_failures, audit_entries, unredeemed, codes, authorizations, more })
        })
    }
}

/// Removes consents whose code was never redeemed; gives how many, and whether there are more to look at. Grant ids are ordered by time, so a
/// mark says up to where that was seen to.
fn sweep_unredeemed(batch: &Batch<'_>, now: Timestamp) -> rusqlite::Result<(u64, bool)> {
    let db = batch.db;
    let to = GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number();
    let mark: i64 = super::meta(db, "unredeemed_swept_up_to")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    // One that is ahead was set by a wrong clock, and hides what came since.
    let from = if mark > to { 0 } else { mark };
    let mut query = db.prepare_cached(
        "SELECT grant_id, next_slip = 0 AND ended = 0 FROM counterfoil WHERE grant_id > ?1 AND grant_id < ?2 ORDER BY grant_id LIMIT ?3",
    )?;
    let seen =
        query.query_map(params![from, to, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(i64, bool)>>>()?;
    let Some((last, _)) = seen.last() else { return Ok((0, false)) };
    let mut removed = 0;
    for (grant, _) in seen.iter().filter(|(_, unredeemed)| *unredeemed) {
        db.prepare_cached("DELETE FROM counterfoil WHERE grant_id = ?1")?.execute([grant])?;
        db.prepare_cached("DELETE FROM terms WHERE grant_id = ?1")?.execute([grant])?;
        removed += 1;
    }
    super::set_meta(db, "unredeemed_swept_up_to", &last.to_string())?;
    Ok((removed, seen.len() == STEP as usize))
}
