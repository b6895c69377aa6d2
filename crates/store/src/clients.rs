//! Verbs for clients and their secrets.

use counterfoil_core::client::{Client, ClientSettings, SecretDigest};
use counterfoil_core::clock::Timestamp;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{AddClient, AddSecret};
use crate::store::{Engine, Store, call, read};

/// Clients. They are few and kept in memory by the server; the store is where they survive.
impl Store {
    /// Every client, with its live secrets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        read!(self, clients(None))
    }

    /// One client, with its live secrets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn client(&self, id: &str) -> Result<Option<Client>, StoreError> {
        read!(self, clients(Some(id))).map(|mut found| found.pop())
    }

    /// Adds a client, with a secret if it is to have one, or nothing.
    pub fn add_client(
        &self,
        id: String,
        settings: ClientSettings,
        secret: Option<SecretDigest>,
        now: Timestamp,
    ) -> Pending<AddClient> {
        call!(self, add_client(id, settings, secret, now))
    }

    /// Sets the settings of a client; false where there is no such client.
    pub fn set_client(&self, id: String, settings: ClientSettings) -> Pending<bool> {
        call!(self, set_client(id, settings))
    }

    /// Adds a secret to a client and drops the oldest until `keep` older ones are left, at most one
    /// less than [`MOST_SECRETS`](counterfoil_core::client::MOST_SECRETS).
    pub fn add_client_secret(
        &self,
        id: String,
        digest: SecretDigest,
        keep: usize,
        now: Timestamp,
    ) -> Pending<AddSecret> {
        call!(self, add_client_secret(id, digest, keep, now))
    }

    /// Writes down when secrets were last used; a later use that is known already stays.
    pub fn note_secret_uses(&self, uses: Vec<(SecretDigest, Timestamp)>) -> Pending<()> {
        call!(self, note_secret_uses(uses))
    }

    /// Removes a client and ends all its grants at once, by raising its era. Audit entries are
    /// written as [`Store::work_off_removals`] comes to them. False where there is no such client.
    ///
    /// Promise: once answered, no check finds a grant of it living, at no node.
    pub fn remove_client(&self, id: String, now: Timestamp) -> Pending<bool> {
        call!(self, remove_client(id, now))
    }
}
