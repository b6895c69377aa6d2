//! Eras: removing a client or customer ends all their grants with one write, at every node. A grant
//! remembers the eras it was given in; whoever reads one reads them too.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;

use super::row::Columns;
use super::shared::changed;
use super::trouble::Trouble;
use super::write::Write;
use crate::removed::Removed;

/// Removes a client or customer with what hangs on it. Its era is raised, the work of ending its
/// grants one by one is written down, and all checks at all nodes refuse them once this is
/// committed.
pub(super) async fn remove(
    write: &mut Write<'_>,
    who: &Removed,
    now: Timestamp,
) -> Result<bool, Trouble> {
    let [client, provider, customer] = who.name();
    let era: u32 = if delete(write, who).await? {
        let raise = "INSERT INTO era VALUES ($1, $2, $3, 1) ON CONFLICT (client, provider, customer) DO UPDATE SET era = era.era + 1 RETURNING era";
        let Some(raised) = write.row(raise, &[&client, &provider, &customer]).await? else {
            return Ok(false);
        };
        let era: i64 = Columns::of(&raised, "era").get(0)?;
        note(write, who, now, era).await?;
        Columns::of(&raised, "era").number(0)?
    } else if write.again {
        // The first try may have been committed after all. Raising nothing and noting what stands
        // is right either way.
        let stands = "SELECT era FROM era WHERE client = $1 AND provider = $2 AND customer = $3";
        match write.row(stands, &[&client, &provider, &customer]).await? {
            Some(row) => Columns::of(&row, "era").number(0)?,
            None => return Ok(false),
        }
    } else {
        return Ok(false);
    };
    write.lines.push(who.line(now, era));
    changed(write).await.map(|()| true)
}

/// Takes a client or customer away with what hangs on it; false where there is none.
pub(super) async fn delete(write: &mut Write<'_>, who: &Removed) -> Result<bool, Trouble> {
    let gone = match who {
        Removed::Client(id) => {
            let gone = write.execute("DELETE FROM client WHERE client_id = $1", &[id]).await?;
            write.execute("DELETE FROM client_secret WHERE client_id = $1", &[id]).await?;
            gone
        }
        Removed::Customer(CustomerId { provider, customer }) => {
            let gone = write
                .execute(
                    "DELETE FROM customer WHERE provider = $1 AND customer = $2",
                    &[provider, customer],
                )
                .await?;
            write
                .execute(
                    "DELETE FROM session WHERE provider = $1 AND customer = $2",
                    &[provider, customer],
                )
                .await?;
            gone
        }
    };
    Ok(gone == 1)
}

/// Writes down that the grants of earlier eras are to be ended one by one.
pub(super) async fn note(
    write: &mut Write<'_>,
    who: &Removed,
    now: Timestamp,
    era: i64,
) -> Result<(), Trouble> {
    let [client, provider, customer] = who.name();
    let note = "INSERT INTO removal (at, client, provider, customer, era, done_up_to, done) VALUES ($1, $2, $3, $4, $5, 0, false)";
    write.execute(note, &[&now.unix(), &client, &provider, &customer, &era]).await.map(drop)
}
