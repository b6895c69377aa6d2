//! What is short-lived and swept once it is over, in small steps: never on the way of a token. Every node does it; what another has taken is left to it.

use super::Postgres;
use super::row::Columns;
use super::shared::{meta, set_meta};
use super::times::sweep_by;
use super::trouble::Trouble;
use super::write::Write;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use crate::record::{SweepTime, Swept};
use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::grant::GrantId;
use futures_util::FutureExt as _;

impl Postgres {
    pub(crate) fn sweep(&self, time: SweepTime) -> Pending<Swept> {
        self.write(time, |write, time| sweep(write, *time).boxed())
    }
}

async fn sweep(write: &mut Write<'_>, time: SweepTime) -> Result<Swept, Trouble> {
    let now = sweep_by(write, time).await?;
    let (failures, step) = (now.plus(-FAILURE_WINDOW).unix(), i64::from(STEP));
    let mut removed = [0; 6];
    for (count, (sql, before)) in removed.iter_mut().zip([
        ("DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)", now.unix()),
        (
            "DELETE FROM sign_in_failure WHERE id IN (SELECT id FROM sign_in_failure WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            failures,
        ),
        (
            "DELETE FROM sign_in_turn WHERE customer IN (SELECT customer FROM sign_in_turn WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            failures,
        ),
        (
            "DELETE FROM audit WHERE (grant_id, event, hour) IN \
                (SELECT grant_id, event, hour FROM audit WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now.plus(-AUDIT_KEPT_FOR).unix().div_euclid(HOUR),
        ),
        (
            "DELETE FROM code WHERE grant_id IN (SELECT grant_id FROM code WHERE grant_id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number(),
        ),
        (
            "DELETE FROM \"authorization\" WHERE id IN \
                (SELECT id FROM \"authorization\" WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now.unix(),
        ),
    ]) {
        *count = write.execute(sql, &[&before, &step]).await?;
    }
    let (unredeemed, more) = sweep_unredeemed(write, now).await?;
    let more = more || removed.iter().any(|count| *count >= u64::from(STEP));
    let [sessions, sign_in_failures, _, audit_entries, codes, authorizations] = removed;
    Ok(Swept { sessions, sign_in_failures, audit_entries, unredeemed, codes, authorizations, more })
}

/// Removes consents whose code was never redeemed; gives how many, and whether there are more to look at. Grant ids are ordered by time, so a mark says up
/// to where that was seen to. Grants are made with the clocks of many nodes and seen to two days later, so none comes in behind the mark.
async fn sweep_unredeemed(write: &mut Write<'_>, now: Timestamp) -> Result<(u64, bool), Trouble> {
    const MARK: &str = "unredeemed_swept_up_to";
    let to = GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number();
    let mark: i64 = meta(write, MARK).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    // One that is ahead was set by a wrong clock, and hides what came since.
    let from = if mark > to { 0 } else { mark };
    let next =
        "SELECT grant_id, next_slip = 0 AND NOT ended FROM counterfoil WHERE grant_id > $1 AND grant_id < $2 ORDER BY grant_id LIMIT $3";
    let seen = write.rows(next, &[&from, &to, &i64::from(STEP)]).await?;
    let Some(last) = seen.last() else { return Ok((0, false)) };
    let last: i64 = Columns::of(last, "counterfoil").get(0)?;
    let mut unredeemed: Vec<i64> = Vec::new();
    for row in &seen {
        let columns = Columns::of(row, "counterfoil");
        if columns.get(1)? {
            unredeemed.push(columns.get(0)?);
        }
    }
    // A code is good for minutes, so none of these is redeemed meanwhile.
    let removed = write.execute("DELETE FROM counterfoil WHERE grant_id = ANY($1) AND next_slip = 0 AND NOT ended", &[&unredeemed]).await?;
    let without =
        "DELETE FROM terms WHERE grant_id = ANY($1) AND NOT EXISTS (SELECT FROM counterfoil WHERE counterfoil.grant_id = terms.grant_id)";
    write.execute(without, &[&unredeemed]).await?;
    set_meta(write, MARK, &last.to_string()).await?;
    Ok((removed, seen.len() == STEP as usize))
}
