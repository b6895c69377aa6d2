//! Removals of clients and customers, worked off grant by grant: what they ended was dead from
//! their own write on.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use rusqlite::{OptionalExtension, Row, params};

use super::Sqlite;
use super::batch::Batch;
use super::grants::end;
use crate::limits::STEP;
use crate::pending::Pending;

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
    pub(crate) fn work_off_removals(&self, now: Timestamp) -> Pending<bool> {
        let epoch = self.epoch.clone();
        self.writer.queue(move |batch| work_off(batch, now, epoch.now()))
    }
}

fn work_off(batch: &mut Batch<'_>, now: Timestamp, epoch: u32) -> rusqlite::Result<bool> {
    let removal = |row: &Row<'_>| {
        let (client, provider, customer) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Removal {
            id: row.get(0)?,
            client,
            provider,
            customer,
            era: row.get(4)?,
            done_up_to: row.get(5)?,
        })
    };
    let first = batch
        .db
        .prepare_cached("SELECT id, client, provider, customer, era, done_up_to FROM removal WHERE done = 0 ORDER BY id LIMIT 1")?
        .query_row([], removal)
        .optional()?;
    let Some(removal) = first else {
        return Ok(false);
    };
    let seen = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let Removal { client, provider, customer, era, done_up_to, .. } = &removal;
    let (grants, by): (Vec<(i64, bool)>, _) = if client.is_empty() {
        let next = "SELECT grant_id, customer_era < ?3 FROM terms WHERE parent IS NULL AND provider = ?4 AND customer = ?5 AND grant_id > ?1 ORDER BY grant_id LIMIT ?2";
        let mut query = batch.db.prepare_cached(next)?;
        let grants = query.query_map(params![done_up_to, STEP, era, provider, customer], seen)?;
        (grants.collect::<rusqlite::Result<_>>()?, EndedBy::CustomerRemoved)
    } else {
        // No index leads from a client to its grants: all are looked at, a step at a time.
        let next = "SELECT grant_id, parent IS NULL AND client = ?4 AND client_era < ?3 FROM terms WHERE grant_id > ?1 ORDER BY grant_id LIMIT ?2";
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
    batch
        .db
        .prepare_cached("UPDATE removal SET done_up_to = ?2, done = ?3 WHERE id = ?1")?
        .execute(params![removal.id, up_to, done])?;
    Ok(true)
}
