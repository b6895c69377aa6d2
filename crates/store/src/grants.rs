//! Verbs for slips and grants.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, GrantId, Terms};
use counterfoil_core::verdict::Counterfoil;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{AuditEntry, CreateGrant, Ending, Grant, GrantFilter, NewGrant};
use crate::redeem::{Redeem, Redeemed};
use crate::store::{Engine, Store, call, read};

/// Slips and grants.
impl Store {
    /// Redeems a slip, if it is the next one of a living grant and in time; else refuses it,
    /// records what that means, and ends the grant where the verdict says so.
    ///
    /// Promise: of any number of concurrent calls for one slip, at any number of nodes, exactly one
    /// tears it; a refused call changes no counterfoil but to end the grant; once answered `Torn`,
    /// that survives the loss of the process and of power. A call whose commit had an unknown
    /// outcome finds out whether it was its own that took effect, and is never refused for its own
    /// success.
    pub fn redeem(&self, redeem: Redeem) -> Pending<Redeemed> {
        call!(self, redeem(redeem))
    }

    /// Makes a grant. Promise: it is there, with its counterfoil, or it is not at all; a second
    /// call with the same id makes nothing. One that is to hang on a consent is made only where
    /// that one lives.
    pub fn create_grant(&self, grant: NewGrant) -> Pending<CreateGrant> {
        call!(self, create_grant(grant))
    }

    /// The terms of a grant. They never change, so those that were read lately are kept; whether
    /// the grant lives is never answered from them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn terms(&self, grant: GrantId) -> Result<Option<Arc<Terms>>, StoreError> {
        if let Some(known) = self.terms.get(&grant) {
            return Ok(Some(known));
        }
        let since = self.terms.begin();
        let found = read!(self, terms(grant))?;
        if let Some(terms) = &found {
            self.terms.keep(since, grant, terms.clone());
        }
        Ok(found)
    }

    /// What the code of a grant is bound to, for as long as it can be exchanged or replayed; `None`
    /// once that was swept, or where there is no such grant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn code(&self, grant: GrantId) -> Result<Option<CodeBinding>, StoreError> {
        read!(self, code(grant))
    }

    /// The counterfoil of a grant, if the grant is neither ended nor of an earlier era than its
    /// client or customer, and neither is the consent that it hangs on, if it hangs on one: one
    /// read by primary key, every time.
    ///
    /// Promise: once an ending or removal was answered, by whatever node, this gives `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn living(&self, terms: &Arc<Terms>) -> Result<Option<Counterfoil>, StoreError> {
        read!(self, living(terms))
    }

    /// The counterfoil of a grant, ended or not, by primary key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counterfoil(&self, grant: GrantId) -> Result<Option<Counterfoil>, StoreError> {
        read!(self, counterfoil(grant))
    }

    /// Ends a grant: flag, who and why, and audit in one transaction; in the endings journal before
    /// the answer.
    ///
    /// Promise: once answered, no check finds the grant living, at no node, now or after any loss
    /// of process or power.
    pub fn end_grant(&self, grant: GrantId, by: EndedBy, now: Timestamp) -> Pending<Ending> {
        call!(self, end_grant(grant, by, now))
    }

    /// Lets a slip of a living grant expire now, if it is the next: what the user of a sandbox may
    /// ask for. True where it had not.
    ///
    /// Promise: once answered, that slip is refused as expired; no other slip of the grant is.
    pub fn expire_slip(&self, grant: GrantId, number: u64, now: Timestamp) -> Pending<bool> {
        call!(self, expire_slip(grant, number, now))
    }

    /// A grant with all that is known of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grant(&self, grant: GrantId) -> Result<Option<Grant>, StoreError> {
        read!(self, grant(grant))
    }

    /// Grants, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grants(&self, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
        read!(self, grants(filter))
    }

    /// What happened to a grant, the latest first. The same thing again within an hour is one entry
    /// with a count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, grant: GrantId) -> Result<Vec<AuditEntry>, StoreError> {
        read!(self, audit(grant))
    }

    /// Those of `grants` of which a used code or refresh token ever came again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replayed(&self, grants: &[GrantId]) -> Result<Vec<GrantId>, StoreError> {
        read!(self, replayed(grants))
    }
}
