//! The endings that the store knows, as lines of its journal.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use rusqlite::Connection;

use super::meta::meta;
use super::row::{column, time};
use crate::journal::Line;

/// The endings that a crash may have kept out of the journal: the latest, more than one batch
/// makes.
pub(crate) fn recent_endings(db: &Connection) -> rusqlite::Result<Vec<Line>> {
    let grants = "SELECT at, grant_id, ended_by, number FROM ending WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1024";
    endings(
        db,
        grants,
        "SELECT at, client, provider, customer, era FROM removal ORDER BY id DESC LIMIT 256",
    )
}

/// All endings that the store knows.
pub(crate) fn all_endings(db: &Connection) -> rusqlite::Result<Vec<Line>> {
    let grants =
        "SELECT at, grant_id, ended_by, number FROM ending ORDER BY number DESC NULLS LAST";
    endings(db, grants, "SELECT at, client, provider, customer, era FROM removal ORDER BY id DESC")
}

/// Endings as lines of the journal, the oldest first.
fn endings(db: &Connection, grants: &str, removals: &str) -> rusqlite::Result<Vec<Line>> {
    let mut grants = db.prepare(grants)?;
    let mut lines = grants
        .query_map([], |row| {
            Ok(Line::Grant {
                at: time(row, 0)?,
                grant: column(row, 1, GrantId::from_number)?,
                by: EndedBy::from_name(row.get_ref(2)?.as_str()?),
                number: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut removals = db.prepare(removals)?;
    let removed = removals.query_map([], |row| {
        let (at, era) = (time(row, 0)?, row.get(4)?);
        Ok(match row.get_ref(1)?.as_str()? {
            "" => Line::Customer {
                at,
                customer: CustomerId { provider: row.get(2)?, customer: row.get(3)? },
                era,
            },
            client => Line::Client { at, client: client.to_owned(), era },
        })
    })?;
    for removal in removed {
        lines.push(removal?);
    }
    lines.extend(bearers_from(db)?.map(|bearers_from| Line::Lost { bearers_from }));
    lines.reverse();
    Ok(lines)
}

/// Before when bearers were issued that are refused.
pub(super) fn bearers_from(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    Ok(meta(db, "bearers_from")?.and_then(|text| text.parse().ok()).map(Timestamp::from_unix))
}
