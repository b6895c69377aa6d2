//! Eras: removing a client or customer ends all their grants with one write. A grant remembers the
//! eras it was given in.
//!
//! One process owns the file, so the eras are kept in memory: only those of names that were ever
//! removed, which are few.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CustomerId, Terms};
use rusqlite::{Connection, OptionalExtension, params};

use super::batch::Batch;
use crate::removed::Removed;

#[derive(Debug)]
pub(crate) struct Eras(RwLock<Raised>);

/// The eras of those that were ever removed; everybody else's is 0.
#[derive(Debug, Default)]
struct Raised {
    clients: HashMap<String, u32>,
    customers: HashMap<CustomerId, u32>,
}

impl Raised {
    fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut raised = Self::default();
        let mut query = db.prepare("SELECT client, provider, customer, era FROM era")?;
        let eras = query.query_map([], |row| {
            let who = match row.get_ref(0)?.as_str()? {
                "" => {
                    Removed::Customer(CustomerId { provider: row.get(1)?, customer: row.get(2)? })
                }
                client => Removed::Client(client.to_owned()),
            };
            Ok((who, row.get(3)?))
        })?;
        for era in eras {
            let (who, era) = era?;
            raised.raise(who, era);
        }
        Ok(raised)
    }

    fn raise(&mut self, who: Removed, era: u32) {
        match who {
            Removed::Client(id) => self.clients.insert(id, era),
            Removed::Customer(id) => self.customers.insert(id, era),
        };
    }
}

impl Eras {
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        Raised::load(db).map(|raised| Self(RwLock::new(raised)))
    }

    /// Has what stands in the database now known once it is committed.
    pub(crate) fn load_anew(self: &Arc<Self>, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let (eras, raised) = (self.clone(), Raised::load(batch.db)?);
        batch.once_committed(move || *eras.write() = raised);
        Ok(())
    }

    pub(crate) fn of_client(&self, client: &str) -> u32 {
        self.read().clients.get(client).copied().unwrap_or(0)
    }

    /// Of all clients that were ever removed.
    pub(crate) fn of_clients(&self) -> HashMap<String, u32> {
        self.read().clients.clone()
    }

    pub(crate) fn of_customer(&self, customer: &CustomerId) -> u32 {
        self.read().customers.get(customer).copied().unwrap_or(0)
    }

    /// Whether neither client nor customer was removed since the grant was given.
    pub(crate) fn are_current(&self, terms: &Terms) -> bool {
        terms.client_era == self.of_client(&terms.client)
            && terms.customer_era == self.of_customer(&terms.customer)
    }

    fn read(&self) -> RwLockReadGuard<'_, Raised> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Raised> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a client or customer with what hangs on it; false where it was not there. Its era is
/// raised, the work of ending its grants one by one is written down, and all checks refuse them
/// once this is committed.
pub(crate) fn remove(
    batch: &mut Batch<'_>,
    eras: &Arc<Eras>,
    who: &Removed,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let era = match era_in(batch.db, who)? {
        before if delete(batch.db, who)? => before + 1,
        // The first run may have been committed after all: what stands is noted once more. Without
        // an era it was not.
        stands if batch.again && stands > 0 => {
            note(batch, eras, who, stands, now);
            return Ok(true);
        }
        _ => return Ok(false),
    };
    write(batch.db, who, era, now)?;
    note(batch, eras, who, era, now);
    Ok(true)
}

/// Removes whoever is still there of an earlier era than a removal that was forgotten made it.
/// False where the removal is known.
///
/// Whoever keeps eras in memory has to load them anew.
pub(crate) fn remove_again(
    batch: &mut Batch<'_>,
    who: &Removed,
    era: u32,
    at: Timestamp,
) -> rusqlite::Result<bool> {
    if era_in(batch.db, who)? >= era {
        return Ok(false);
    }
    delete(batch.db, who)?;
    write(batch.db, who, era, at)?;
    batch.journal(who.line(at, era));
    Ok(true)
}

/// Takes a client or customer away with what hangs on it; false where there is none.
fn delete(db: &Connection, who: &Removed) -> rusqlite::Result<bool> {
    let gone = match who {
        Removed::Client(id) => {
            db.execute("DELETE FROM client_secret WHERE client_id = ?1", [id])?;
            db.execute("DELETE FROM client WHERE client_id = ?1", [id])?
        }
        Removed::Customer(CustomerId { provider, customer }) => {
            let of = [provider, customer];
            db.execute("DELETE FROM session WHERE provider = ?1 AND customer = ?2", of)?;
            // Their accounts go with them.
            db.execute("DELETE FROM customer WHERE provider = ?1 AND customer = ?2", of)?
        }
    };
    Ok(gone == 1)
}

fn era_in(db: &Connection, who: &Removed) -> rusqlite::Result<u32> {
    let stands = "SELECT era FROM era WHERE client = ?1 AND provider = ?2 AND customer = ?3";
    Ok(db.query_row(stands, who.name(), |row| row.get(0)).optional()?.unwrap_or(0))
}

fn write(db: &Connection, who: &Removed, era: u32, at: Timestamp) -> rusqlite::Result<()> {
    let [client, provider, customer] = who.name();
    db.execute(
        "INSERT INTO era VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET era = excluded.era",
        params![client, provider, customer, era],
    )?;
    db.execute(
        "INSERT INTO removal (at, client, provider, customer, era, done_up_to, done) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
        params![at.unix(), client, provider, customer, era],
    )
    .map(drop)
}

/// Has a removal known in the journal and, once it is committed, to the checks.
fn note(batch: &mut Batch<'_>, eras: &Arc<Eras>, who: &Removed, era: u32, at: Timestamp) {
    batch.journal(who.line(at, era));
    let (eras, who) = (eras.clone(), who.clone());
    batch.once_committed(move || eras.write().raise(who, era));
}
