//! Eras: removing a client or customer ends all their grants with one write. A grant remembers the eras it was given in.
//!
//! One process owns the file, so the eras are kept in memory: only those of names that were ever removed, which are few.

use super::writer::Batch;
use crate::journal::Line;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CustomerId, Terms};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Who is removed.
pub(crate) enum Removed {
    Client(String),
    Customer(CustomerId),
}

#[derive(Debug)]
pub(crate) struct Eras(RwLock<HashMap<String, u32>>);

fn subject_of_client(client: &str) -> String {
    format!("client {client}")
}

fn subject_of_customer(customer: &CustomerId) -> String {
    // Provider ids hold no spaces, so no two customers share a subject.
    format!("customer {} {}", customer.provider, customer.customer)
}

impl Eras {
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut query = db.prepare("SELECT subject, era FROM era")?;
        let eras = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self(RwLock::new(eras)))
    }

    fn of(&self, subject: impl FnOnce() -> String) -> u32 {
        let eras = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Nothing was ever removed, nearly always: then not even the name is put together.
        if eras.is_empty() { 0 } else { eras.get(&subject()).copied().unwrap_or(0) }
    }

    pub(crate) fn of_client(&self, client: &str) -> u32 {
        self.of(|| subject_of_client(client))
    }

    pub(crate) fn of_customer(&self, customer: &CustomerId) -> u32 {
        self.of(|| subject_of_customer(customer))
    }

    /// Whether neither client nor customer was removed since the grant was given.
    pub(crate) fn are_current(&self, terms: &Terms) -> bool {
        terms.client_era == self.of_client(&terms.client) && terms.customer_era == self.of_customer(&terms.customer)
    }

    /// Takes note of a removal that was committed.
    fn raised(&self, subject: String, era: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(subject, era);
    }
}

/// Raises the era of `subject` within a transaction; gives the new one.
fn raise(db: &Connection, subject: &str) -> rusqlite::Result<u32> {
    db.query_row("INSERT INTO era VALUES (?1, 1) ON CONFLICT (subject) DO UPDATE SET era = era + 1 RETURNING era", [subject], |row| {
        row.get(0)
    })
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
    let (subject, client, customer) = match who {
        Removed::Client(id) => (subject_of_client(id), Some(id), None),
        Removed::Customer(id) => (subject_of_customer(id), None, Some(id)),
    };
    let era = if delete(batch.db)? {
        let era = raise(batch.db, &subject)?;
        batch.db.execute(
            "INSERT INTO removal (at, client, provider, customer, era, done_up_to, done) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
            params![now.unix(), client, customer.map(|id| &id.provider), customer.map(|id| &id.customer), era],
        )?;
        Some(era)
    } else if batch.again {
        // The first run may have been committed after all. Raising nothing and noting what stands is right either way.
        batch.db.query_row("SELECT era FROM era WHERE subject = ?1", [&subject], |row| row.get(0)).optional()?
    } else {
        None
    };
    let Some(era) = era else { return Ok(false) };
    batch.journal(match who {
        Removed::Client(id) => Line::Client { at: now, client: id.clone(), era },
        Removed::Customer(id) => Line::Customer { at: now, customer: id.clone(), era },
    });
    let eras = eras.clone();
    batch.once_committed(move || eras.raised(subject, era));
    Ok(true)
}
