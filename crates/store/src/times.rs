//! What the store knows of time: the newest moment that it was used at, the clock of its database,
//! and rows that a wrong clock has dated ahead.

use counterfoil_core::clock::{StoreTime, Timestamp};
use serde::Serialize;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::store::{Engine, Store, call, read};

/// Rows that a clock which was ahead had marked, and that are as if it had been right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Repaired {
    /// Rows of grants that were given, redeemed or ended in the future.
    pub grants: u64,
    /// Clients and secrets that were made or used then.
    pub clients: u64,
    /// Customers that were added then, and removals.
    pub customers: u64,
    /// Sessions that began then. They are ended.
    pub sessions: u64,
    /// Failures to sign in then. They are forgotten.
    pub sign_in_failures: u64,
    /// Whether bearers issued before a moment in the future were refused; they are before the
    /// present one.
    pub bearers_from: bool,
}

impl Repaired {
    pub(crate) fn add(&mut self, other: Self) {
        self.grants += other.grants;
        self.clients += other.clients;
        self.customers += other.customers;
        self.sessions += other.sessions;
        self.sign_in_failures += other.sign_in_failures;
        self.bearers_from |= other.bearers_from;
    }
}

impl Store {
    /// What is known of time: the moment last [noted](Store::note_time), or of the newest grant,
    /// audit entry or client where none was, and the clock of the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_time(&self) -> Result<StoreTime, StoreError> {
        read!(self, known_time())
    }

    /// Writes down that it is `now`, by a clock that is believed. What is swept is old by this as
    /// well.
    pub fn note_time(&self, now: Timestamp) -> Pending<()> {
        call!(self, note_time(now))
    }

    /// Has nodes go by their own clocks from now on, although the database's shows another time
    /// than `wall`, in milliseconds since 1970; they must still be as far apart as they are now.
    /// Notes the time too.
    pub fn accept_clock(&self, wall: i64) -> Pending<()> {
        call!(self, accept_clock(wall))
    }

    /// Gives what is dated more than [`SKEW`](counterfoil_core::clock::SKEW) ahead of `now` the
    /// dates that it would have had, as if it had happened `now`: lifetimes stay as long as they
    /// were. Grant ids stay, and so does what the audit says. Notes the time too.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn repair_times(&self, now: Timestamp) -> Result<Repaired, StoreError> {
        let (mut repaired, mut after) = (Repaired::default(), 0);
        loop {
            let (some, next) = call!(self, repair_counterfoils(after, now)).await?;
            repaired.grants += some;
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        repaired.add(call!(self, repair_dates(now)).await?);
        // Terms that are kept in memory may be among them. Other processes are told of a change.
        self.forget_kept();
        Ok(repaired)
    }
}
