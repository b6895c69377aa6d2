//! What is short-lived and swept once it is over, in small steps: never on the way of a token.

use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::grant::GrantId;
use rusqlite::params;

use super::Sqlite;
use super::batch::Batch;
use super::meta::{meta, set_meta};
use super::times::sweep_by;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use crate::record::{SweepTime, Swept};

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
            // Versions before this one wrote notifications down that nobody delivers.
            let deliveries = run("DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE id < ?1 LIMIT ?2)", i64::MAX)?;
            let young = sweep_young(batch, now)?;
            let most = [sessions, sign_in_failures, audit_entries, codes, authorizations, deliveries].into_iter().max();
            let more = young.more || most >= Some(STEP.into());
            Ok(Swept { sessions, sign_in_failures, audit_entries, codes, authorizations, more, ..young })
        })
    }
}

/// Looks at grants two days after they were made. Removes consents whose code was never redeemed,
/// and what `prompt=none` made: it could not be refreshed, so it has expired. Grant ids are ordered
/// by time, so a mark says up to where that was seen to.
fn sweep_young(batch: &Batch<'_>, now: Timestamp) -> rusqlite::Result<Swept> {
    const MARK: &str = "unredeemed_swept_up_to";
    let db = batch.db;
    let two_days_ago = now.plus(-UNREDEEMED_KEPT_FOR);
    let to = GrantId::new(two_days_ago, [0; 4]).number();
    let mark: i64 = meta(db, MARK)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    // One that is ahead was set by a wrong clock, and hides what came since.
    let from = if mark > to { 0 } else { mark };
    let mut query = db.prepare_cached(
        // The terms, which are large, of those alone that were redeemed and never refreshed.
        "SELECT grant_id, next_slip = 0 AND ended = 0, next_slip = 1 AND \
             coalesce((SELECT parent IS NOT NULL AND terms.expires_at <= ?3 FROM terms WHERE terms.grant_id = counterfoil.grant_id), 0) \
         FROM counterfoil WHERE grant_id > ?1 AND grant_id < ?2 ORDER BY grant_id LIMIT ?4",
    )?;
    let seen = query
        .query_map(params![from, to, now.unix(), STEP], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, bool, bool)>>>()?;
    let mut swept = Swept { more: seen.len() == STEP as usize, ..Swept::default() };
    for (grant, unredeemed, _) in
        seen.iter().filter(|(_, unredeemed, silent)| *unredeemed || *silent)
    {
        for delete in [
            "DELETE FROM ending WHERE grant_id = ?1",
            "DELETE FROM counterfoil WHERE grant_id = ?1",
            "DELETE FROM terms WHERE grant_id = ?1",
        ] {
            db.prepare_cached(delete)?.execute([grant])?;
        }
        *(if *unredeemed { &mut swept.unredeemed } else { &mut swept.silent }) += 1;
    }
    if let Some((last, ..)) = seen.last() {
        set_meta(db, MARK, &last.to_string())?;
    }
    Ok(swept)
}
