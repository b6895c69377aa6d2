//! Verbs for browser sessions and failed sign-ins.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{Session, SignIn};
use crate::store::{Engine, Store, call, read};

/// Browser sessions of customers, and the counting of failed sign-ins.
impl Store {
    /// Keeps a session under the hash of its cookie. The one that the browser had `before` ends: at
    /// once where it is another customer's, else at `before_ends`, since another tab may have sent
    /// its cookie just now.
    pub fn create_session(
        &self,
        id: [u8; 32],
        session: Session,
        before: Option<[u8; 32]>,
        before_ends: Timestamp,
    ) -> Pending<()> {
        call!(self, create_session(id, session, before, before_ends))
    }

    /// The session under this hash, if it is good at `now` and its customer was not removed since
    /// it began.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        read!(self, session(id, now))
    }

    /// How many sessions of a customer are good at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_sessions(&self, id: &CustomerId, now: Timestamp) -> Result<u64, StoreError> {
        read!(self, count_sessions(id, now))
    }

    /// Ends a session.
    pub fn end_session(&self, id: [u8; 32]) -> Pending<()> {
        call!(self, end_session(id))
    }

    /// Asks whether a try to sign in as `customer` (a hash of provider and name) may go on, and
    /// counts it as failed until it succeeds.
    ///
    /// Promise: however many tries run at once, at any number of nodes, no more passwords are
    /// looked at in any 15 minutes than may fail, beside those that were right, unless failures are
    /// forgotten meanwhile.
    pub fn begin_sign_in(&self, customer: [u8; 32], now: Timestamp) -> Pending<SignIn> {
        call!(self, begin_sign_in(customer, now))
    }

    /// Until when no password of `customer` is looked at; `None` where the next try may be made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in_closed_until(
        &self,
        customer: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        read!(self, sign_in_closed_until(customer, now))
    }

    /// Forgets the tries to sign in as `customer` that are counted as failed, and so lets them try
    /// again, at every node; gives how many there were.
    pub fn forget_failures(&self, customer: [u8; 32]) -> Pending<u64> {
        call!(self, forget_failures(customer))
    }

    /// Takes back the failure that a try was counted as: the password was right.
    pub fn sign_in_succeeded(&self, number: i64) -> Pending<()> {
        call!(self, sign_in_succeeded(number))
    }
}
