//! What is swept, by age and in small steps, and what is worked off: never on the way of a token. Every node does it; what another has taken is left to it.

use super::Postgres;
use super::grants::end;
use super::row::Columns;
use super::shared::{meta, set_meta};
use super::trouble::Trouble;
use super::write::Write;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, GRANTS_KEPT_FOR, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use counterfoil_core::clock::{HOUR, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use futures_util::FutureExt as _;

impl Postgres {
    pub(crate) fn sweep(&self, now: Timestamp) -> Pending<bool> {
        self.write(now, |write, now| sweep(write, *now).boxed())
    }

    pub(crate) fn work_off_removals(&self, now: Timestamp) -> Pending<bool> {
        self.write(now, |write, now| work_off(write, *now).boxed())
    }
}

async fn sweep(write: &mut Write<'_>, now: Timestamp) -> Result<bool, Trouble> {
    let before = |age: Seconds| now.plus(-age).unix();
    let old = GrantId::new(now.plus(-GRANTS_KEPT_FOR), [0; 4]).number();
    let step = i64::from(STEP);
    let mut removed = 0;
    for (sql, before) in [
        ("DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)", now.unix()),
        (
            "DELETE FROM sign_in_failure WHERE id IN (SELECT id FROM sign_in_failure WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            before(FAILURE_WINDOW),
        ),
        (
            "DELETE FROM sign_in_turn WHERE customer IN (SELECT customer FROM sign_in_turn WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            before(FAILURE_WINDOW),
        ),
        (
            "DELETE FROM audit WHERE (grant_id, event, hour) IN \
                (SELECT grant_id, event, hour FROM audit WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            before(AUDIT_KEPT_FOR).div_euclid(HOUR),
        ),
        ("DELETE FROM ending WHERE grant_id IN (SELECT grant_id FROM ending WHERE grant_id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)", old),
        (
            "DELETE FROM counterfoil WHERE grant_id IN (SELECT grant_id FROM counterfoil WHERE grant_id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            old,
        ),
        ("DELETE FROM terms WHERE grant_id IN (SELECT grant_id FROM terms WHERE grant_id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)", old),
        (
            "DELETE FROM code WHERE grant_id IN (SELECT grant_id FROM code WHERE grant_id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number(),
        ),
        (
            "DELETE FROM \"authorization\" WHERE id IN \
                (SELECT id FROM \"authorization\" WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now.unix(),
        ),
    ] {
        removed += write.execute(sql, &[&before, &step]).await?;
    }
    let more = sweep_unredeemed(write, now).await?;
    Ok(more || removed >= u64::from(STEP))
}

/// Removes consents whose code was never redeemed. Grant ids are ordered by time, so a mark says up to where that was seen to. Grants are made with the
/// clocks of many nodes and seen to two days later, so none comes in behind the mark.
async fn sweep_unredeemed(write: &mut Write<'_>, now: Timestamp) -> Result<bool, Trouble> {
    const MARK: &str = "unredeemed_swept_up_to";
    let from: i64 = meta(write, MARK).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let to = GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number();
    let next =
        "SELECT grant_id, next_slip = 0 AND NOT ended FROM counterfoil WHERE grant_id > $1 AND grant_id < $2 ORDER BY grant_id LIMIT $3";
    let seen = write.rows(next, &[&from, &to, &i64::from(STEP)]).await?;
    let Some(last) = seen.last() else { return Ok(false) };
    let last: i64 = Columns::of(last, "counterfoil").get(0)?;
    let mut unredeemed: Vec<i64> = Vec::new();
    for row in &seen {
        let columns = Columns::of(row, "counterfoil");
        if columns.get(1)? {
            unredeemed.push(columns.get(0)?);
        }
    }
    // A code is good for minutes, so none of these is redeemed meanwhile.
    write.execute("DELETE FROM counterfoil WHERE grant_id = ANY($1) AND next_slip = 0 AND NOT ended", &[&unredeemed]).await?;
    let without =
        "DELETE FROM terms WHERE grant_id = ANY($1) AND NOT EXISTS (SELECT FROM counterfoil WHERE counterfoil.grant_id = terms.grant_id)";
    write.execute(without, &[&unredeemed]).await?;
    set_meta(write, MARK, &last.to_string()).await?;
    Ok(seen.len() == STEP as usize)
}

/// Grants that one step of a removal looks at: each that is ended takes four round trips.
const REMOVED_AT_ONCE: u32 = 50;

async fn work_off(write: &mut Write<'_>, now: Timestamp) -> Result<bool, Trouble> {
    let first =
        "SELECT id, client, provider, customer, era, done_up_to FROM removal WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(removal) = write.row(first, &[]).await? else { return Ok(false) };
    let columns = Columns::of(&removal, "removal");
    let (id, client, done_up_to): (i64, &str, i64) = (columns.get(0)?, columns.get(1)?, columns.get(5)?);
    let (provider, customer, era): (&str, &str, i64) = (columns.get(2)?, columns.get(3)?, columns.get(4)?);
    let step = i64::from(REMOVED_AT_ONCE);
    let (seen, by) = if client.is_empty() {
        let next = "SELECT grant_id, customer_era < $3 FROM terms WHERE parent IS NULL AND provider = $4 AND customer = $5 AND grant_id > $1 ORDER BY grant_id LIMIT $2";
        (write.rows(next, &[&done_up_to, &step, &era, &provider, &customer]).await?, EndedBy::CustomerRemoved)
    } else {
        // No index leads from a client to its grants: all are looked at, a step at a time.
        let next =
            "SELECT grant_id, parent IS NULL AND client = $4 AND client_era < $3 FROM terms WHERE grant_id > $1 ORDER BY grant_id LIMIT $2";
        (write.rows(next, &[&done_up_to, &step, &era, &client]).await?, EndedBy::ClientRemoved)
    };
    let mut up_to = done_up_to;
    for row in &seen {
        let columns = Columns::of(row, "terms");
        up_to = columns.get(0)?;
        if columns.get(1)?
            && let Some(grant) = GrantId::from_number(up_to)
        {
            end(write, grant, by, now).await?;
        }
    }
    let done = seen.len() < REMOVED_AT_ONCE as usize;
    write.execute("UPDATE removal SET done_up_to = $2, done = $3 WHERE id = $1", &[&id, &up_to, &done]).await?;
    Ok(true)
}
