//! Verbs for what processes share apart from grants: the sandbox's clock, faults, keys.

use counterfoil_core::clock::Seconds;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::StoredKeys;
use crate::store::{Engine, Store, call, read};

/// What servers on one store share beside its rows.
impl Store {
    /// How far the sandbox's clock is ahead of the machine's, in seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clock_offset(&self) -> Result<Seconds, StoreError> {
        read!(self, clock_offset())
    }

    /// Sets how far the sandbox's clock is ahead.
    pub fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        call!(self, set_clock_offset(offset))
    }

    /// The faults that are set in a sandbox, as they were written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn faults(&self) -> Result<Option<String>, StoreError> {
        read!(self, faults())
    }

    /// Replaces the faults that are set in a sandbox, if they are still `before`. False where
    /// another node came first.
    pub fn swap_faults(&self, before: Option<String>, after: String) -> Pending<bool> {
        call!(self, swap_faults(before, after))
    }

    /// The keys that are kept in the store. A file keeps none: they are in a directory apart from
    /// it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&self) -> Result<Option<StoredKeys>, StoreError> {
        read!(self, keys())
    }

    /// Replaces the keys in the store, if the `before`-th are still there (0: there are none).
    /// False where another node came first.
    pub fn swap_keys(&self, before: i64, document: Vec<u8>) -> Pending<bool> {
        call!(self, swap_keys(before, document))
    }
}
