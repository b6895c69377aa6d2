//! Removals of clients and customers, worked off grant by grant: what they ended was dead from
//! their own write on. Every node does it; what another has taken is left to it.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use futures_util::FutureExt as _;

use super::Postgres;
use super::grants::end;
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use crate::pending::Pending;

/// Grants that one step of a removal looks at: each that is ended takes four round trips.
const REMOVED_AT_ONCE: u32 = 50;

impl Postgres {
    pub(crate) fn work_off_removals(&self, now: Timestamp) -> Pending<bool> {
        self.write(now, |write, now| work_off(write, *now).boxed())
    }
}

async fn work_off(write: &mut Write<'_>, now: Timestamp) -> Result<bool, Trouble> {
    let first = "SELECT id, client, provider, customer, era, done_up_to FROM removal WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(removal) = write.row(first, &[]).await? else {
        return Ok(false);
    };
    let columns = Columns::of(&removal, "removal");
    let (id, client, done_up_to): (i64, &str, i64) =
        (columns.get(0)?, columns.get(1)?, columns.get(5)?);
    let (provider, customer, era): (&str, &str, i64) =
        (columns.get(2)?, columns.get(3)?, columns.get(4)?);
    let step = i64::from(REMOVED_AT_ONCE);
    let (seen, by) = if client.is_empty() {
        let next = "SELECT grant_id, customer_era < $3 FROM terms WHERE parent IS NULL AND provider = $4 AND customer = $5 AND grant_id > $1 ORDER BY grant_id LIMIT $2";
        (
            write.rows(next, &[&done_up_to, &step, &era, &provider, &customer]).await?,
            EndedBy::CustomerRemoved,
        )
    } else {
        // No index leads from a client to its grants: all are looked at, a step at a time.
        let next = "SELECT grant_id, parent IS NULL AND client = $4 AND client_era < $3 FROM terms WHERE grant_id > $1 ORDER BY grant_id LIMIT $2";
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
    write
        .execute(
            "UPDATE removal SET done_up_to = $2, done = $3 WHERE id = $1",
            &[&id, &up_to, &done],
        )
        .await?;
    Ok(true)
}
