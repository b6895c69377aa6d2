//! What is short-lived and swept once it is over, in small steps: never on the way of a token.
//! Every node does it; what another has taken is left to it.

use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::grant::GrantId;
use futures_util::FutureExt as _;

use super::Postgres;
use super::row::Columns;
use super::shared::{meta, set_meta};
use super::times::sweep_by;
use super::trouble::Trouble;
use super::write::Write;
use crate::limits::{AUDIT_KEPT_FOR, FAILURE_WINDOW, STEP, UNREDEEMED_KEPT_FOR};
use crate::pending::Pending;
use crate::record::{SweepTime, Swept};

impl Postgres {
    pub(crate) fn sweep(&self, time: SweepTime) -> Pending<Swept> {
        self.write(time, |write, time| sweep(write, *time).boxed())
    }
}

async fn sweep(write: &mut Write<'_>, time: SweepTime) -> Result<Swept, Trouble> {
    let now = sweep_by(write, time).await?;
    let (failures, step) = (now.plus(-FAILURE_WINDOW).unix(), i64::from(STEP));
    let mut removed = [0; 7];
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
        // Versions before this one wrote notifications down that nobody delivers.
        ("DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE id < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)", i64::MAX),
    ]) {
        *count = write.execute(sql, &[&before, &step]).await?;
    }
    let young = sweep_young(write, now).await?;
    let more = young.more || removed.iter().any(|count| *count >= u64::from(STEP));
    let [sessions, sign_in_failures, _, audit_entries, codes, authorizations, _] = removed;
    Ok(Swept { sessions, sign_in_failures, audit_entries, codes, authorizations, more, ..young })
}

/// Looks at grants two days after they were made. Removes consents whose code was never redeemed,
/// and what `prompt=none` made: it could not be refreshed, so it has expired. Grant ids are ordered
/// by time, so a mark says up to where that was seen to. Grants are made with the clocks of many
/// nodes and seen to two days later, so none comes in behind the mark.
async fn sweep_young(write: &mut Write<'_>, now: Timestamp) -> Result<Swept, Trouble> {
    const MARK: &str = "unredeemed_swept_up_to";
    let to = GrantId::new(now.plus(-UNREDEEMED_KEPT_FOR), [0; 4]).number();
    let mark: i64 = meta(write, MARK).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    // One that is ahead was set by a wrong clock, and hides what came since.
    let from = if mark > to { 0 } else { mark };
    // A code is good for minutes, so none of these is redeemed meanwhile.
    // The terms, which are large, are read of those alone that were redeemed and never refreshed.
    let next = "SELECT grant_id, next_slip = 0 AND NOT ended, next_slip = 1 AND \
            coalesce((SELECT parent IS NOT NULL AND terms.expires_at <= $3 FROM terms WHERE terms.grant_id = counterfoil.grant_id), false) \
        FROM counterfoil WHERE grant_id > $1 AND grant_id < $2 ORDER BY grant_id LIMIT $4";
    let seen = write.rows(next, &[&from, &to, &now.unix(), &i64::from(STEP)]).await?;
    let Some(last) = seen.last() else {
        return Ok(Swept::default());
    };
    let last: i64 = Columns::of(last, "counterfoil").get(0)?;
    let (mut swept, mut over): (_, Vec<i64>) =
        (Swept { more: seen.len() == STEP as usize, ..Swept::default() }, Vec::new());
    for row in &seen {
        let columns = Columns::of(row, "counterfoil");
        match (columns.get(1)?, columns.get(2)?) {
            (false, false) => continue,
            (true, _) => swept.unredeemed += 1,
            (false, true) => swept.silent += 1,
        }
        over.push(columns.get(0)?);
    }
    for delete in [
        "DELETE FROM ending WHERE grant_id = ANY($1)",
        "DELETE FROM counterfoil WHERE grant_id = ANY($1)",
        "DELETE FROM terms WHERE grant_id = ANY($1)",
    ] {
        write.execute(delete, &[&over]).await?;
    }
    set_meta(write, MARK, &last.to_string()).await?;
    Ok(swept)
}
