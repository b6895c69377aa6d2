//! Eras: removing a client or customer ends all their grants with one write. A grant remembers the eras it was given in.
//!
//! One process owns the file, so the eras are kept in memory: only those of names that were ever removed, which are few.

use super::writer::Batch;
use crate::journal::Line;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CustomerId, Terms};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Who is removed.
#[derive(Clone)]
pub(crate) enum Removed {
    Client(String),
    Customer(CustomerId),
}

#[derive(Debug)]
pub(crate) struct Eras(RwLock<Raised>);

/// The eras of those that were ever removed; everybody else's is 0.
#[derive(Debug, Default)]
struct Raised {
    clients: HashMap<String, u32>,
    customers: HashMap<CustomerId, u32>,
}

impl Raised {
    fn raise(&mut self, who: Removed, era: u32) {
        match who {
            Removed::Client(id) => self.clients.insert(id, era),
            Removed::Customer(id) => self.customers.insert(id, era),
        };
    }
}

impl Eras {
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut raised = Raised::default();
        let mut query = db.prepare("SELECT client, provider, customer, era FROM era")?;
        let eras = query.query_map([], |row| {
            let who = match row.get_ref(0)?.as_str()? {
                "" => Removed::Customer(CustomerId { provider: row.get(1)?, customer: row.get(2)? }),
                client => Removed::Client(client.to_owned()),
            };
            Ok((who, row.get(3)?))
        })?;
        for era in eras {
            let (who, era) = era?;
            raised.raise(who, era);
        }
        Ok(Self(RwLock::new(raised)))
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
        terms.client_era == self.of_client(&terms.client) && terms.customer_era == self.of_customer(&terms.customer)
    }

    fn read(&self) -> RwLockReadGuard<'_, Raised> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a removal that was committed.
    fn raised(&self, who: Removed, era: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).raise(who, era);
    }
}

/// Removes a client or customer: `delete` takes it and what hangs on it away and says whether it was there. Its era is raised, the work
/// of ending its grants one by one is written down, and all checks refuse them once this is committed.
pub(crate) fn remove(
    batch: &mut Batch<'_>,
    eras: &Arc<Eras>,
    who: &Removed,
    now: Timestamp,
    delete: impl FnOnce(&Connection) -> rusqlite::Result<bool>,
) -> rusqlite::Result<bool> {
    let (client, provider, customer) = match who {
        Removed::Client(id) => (id.as_str(), "", ""),
        Removed::Customer(id) => ("", id.provider.as_str(), id.customer.as_str()),
    };
    let name = [client, provider, customer];
    let era: Option<u32> = if delete(batch.db)? {
        let raise = "INSERT INTO era VALUES (?1, ?2, ?3, 1) ON CONFLICT DO UPDATE SET era = era + 1 RETURNING era";
        let era: u32 = batch.db.query_row(raise, name, |row| row.get(0))?;
        batch.db.execute(
            "INSERT INTO removal (at, client, provider, customer, era, done_up_to, done) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
            params![now.unix(), client, provider, customer, era],
        )?;
        Some(era)
    } else if batch.again {
        // The first run may have been committed after all. Raising nothing and noting what stands is right either way.
        let stands = "SELECT era FROM era WHERE client = ?1 AND provider = ?2 AND customer = ?3";
        batch.db.query_row(stands, name, |row| row.get(0)).optional()?
    } else {
        None
    };
    let Some(era) = era else { return Ok(false) };
    batch.journal(match who.clone() {
        Removed::Client(client) => Line::Client { at: now, client, era },
        Removed::Customer(customer) => Line::Customer { at: now, customer, era },
    });
    let (eras, who) = (eras.clone(), who.clone());
    batch.once_committed(move || eras.raised(who, era));
    Ok(true)
}
