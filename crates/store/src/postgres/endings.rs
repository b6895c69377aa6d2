//! The endings that the store knows, as lines of its journals.

use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};

use super::connection::Connection;
use super::row::Columns;
use super::trouble::Trouble;
use crate::journal::Line;

/// The endings that a crash may have kept out of the journal: the latest.
pub(super) async fn recent_endings(connection: &mut Connection) -> Result<Vec<Line>, Trouble> {
    let grants = "SELECT at, grant_id, ended_by, number FROM ending WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1024";
    endings(
        connection,
        grants,
        "SELECT at, client, provider, customer, era FROM removal ORDER BY id DESC LIMIT 256",
    )
    .await
}

/// All endings that the store knows.
pub(super) async fn all_endings(connection: &mut Connection) -> Result<Vec<Line>, Trouble> {
    let grants =
        "SELECT at, grant_id, ended_by, number FROM ending ORDER BY number DESC NULLS LAST";
    endings(
        connection,
        grants,
        "SELECT at, client, provider, customer, era FROM removal ORDER BY id DESC",
    )
    .await
}

/// Endings as lines of the journal, the oldest first.
async fn endings(
    connection: &mut Connection,
    grants: &'static str,
    removals: &'static str,
) -> Result<Vec<Line>, Trouble> {
    let mut lines = Vec::new();
    for row in connection.rows(grants, &[]).await? {
        let columns = Columns::of(&row, "ending");
        let (at, grant) = (columns.time(0)?, columns.make(1, GrantId::from_number)?);
        lines.push(Line::Grant {
            at,
            grant,
            by: EndedBy::from_name(columns.get(2)?),
            number: columns.get(3)?,
        });
    }
    for row in connection.rows(removals, &[]).await? {
        let columns = Columns::of(&row, "removal");
        let (at, era) = (columns.time(0)?, columns.number(4)?);
        lines.push(match columns.get::<String>(1)? {
            client if client.is_empty() => Line::Customer {
                at,
                customer: CustomerId { provider: columns.get(2)?, customer: columns.get(3)? },
                era,
            },
            client => Line::Client { at, client, era },
        });
    }
    for row in
        connection.rows("SELECT value::bigint FROM meta WHERE key = 'bearers_from'", &[]).await?
    {
        lines.push(Line::Lost { bearers_from: Columns::of(&row, "meta").time(0)? });
    }
    lines.reverse();
    Ok(lines)
}
