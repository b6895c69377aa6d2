//! Verbs for what is done without being asked: removals are worked off, and what is over is swept.

use std::collections::BTreeSet;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip_keys::SlipKeyId;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{OldGrants, SweepTime, Swept};
use crate::store::{Engine, Store, call, read};

/// What is done in the background.
impl Store {
    /// Takes one step in removing what is short-lived and over: sessions, failures to sign in,
    /// audit entries beyond their retention, consents that were never completed.
    pub fn sweep(&self, time: SweepTime) -> Pending<Swept> {
        call!(self, sweep(time))
    }

    /// Looks at some of the grants that are old enough to be due for removal, those after `after`;
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn old_grants(
        &self,
        after: Option<GrantId>,
        time: SweepTime,
    ) -> Result<OldGrants, StoreError> {
        read!(self, old_grants(after, time))
    }

    /// Removes those of `grants` that ended or expired long ago; gives how many. Promise: none that
    /// lives, and none for its age.
    pub fn remove_grants(&self, grants: Vec<GrantId>, time: SweepTime) -> Pending<u64> {
        call!(self, remove_grants(grants, time))
    }

    /// The keys that the next slips of grants are made with which nobody has ended, whatever a
    /// clock says of them. May take seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn slip_keys_in_use(&self) -> Result<BTreeSet<SlipKeyId>, StoreError> {
        read!(self, slip_keys_in_use())
    }

    /// How many grants there are whose next slip was made with this key and is good at `now`. May
    /// take seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_slips_of(&self, key: SlipKeyId, now: Timestamp) -> Result<u64, StoreError> {
        read!(self, count_slips_of(key, now))
    }

    /// How many grants there are that nobody has ended; of very many in a database, its own
    /// estimate of all. May take seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_grants(&self) -> Result<u64, StoreError> {
        read!(self, count_grants())
    }

    /// Takes one step in giving each grant that a removal ended its own ending, audit entry and
    /// notification; true where there is more.
    pub fn work_off_removals(&self, now: Timestamp) -> Pending<bool> {
        call!(self, work_off_removals(now))
    }
}
