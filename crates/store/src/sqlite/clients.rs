//! Clients and their secrets. They are few and kept in memory by the server; the store is where
//! they survive.

use std::sync::atomic::AtomicI64;

use counterfoil_core::client::{Client, ClientSecret, ClientSettings, MOST_SECRETS, SecretDigest};
use counterfoil_core::clock::Timestamp;
use rusqlite::{Connection, params, params_from_iter};

use super::Sqlite;
use super::era::remove;
use super::row::{column, impossible, named, time};
use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{AddClient, AddSecret};
use crate::removed::Removed;

impl Sqlite {
    /// All clients, or the one of this id.
    pub(crate) fn clients(&self, id: Option<&str>) -> Result<Vec<Client>, StoreError> {
        // Before the rows: a client removed meanwhile has an earlier era than its name has now.
        let eras = self.eras.of_clients();
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(match id {
            None => "SELECT client_id, settings, created_at FROM client ORDER BY client_id",
            Some(_) => "SELECT client_id, settings, created_at FROM client WHERE client_id = ?1",
        })?;
        let mut secrets =
            reader.prepare_cached("SELECT digest, created_at, last_used_at FROM client_secret WHERE client_id = ?1 ORDER BY id")?;
        let clients = query.query_map(params_from_iter(id), |row| {
            let id: String = row.get(0)?;
            let settings: ClientSettings =
                column(row, 1, |text: String| ClientSettings::from_document(&text).ok())?;
            let secrets = secrets
                .query_map([&id], |row| {
                    Ok(ClientSecret {
                        digest: SecretDigest(row.get(0)?),
                        created_at: time(row, 1)?,
                        last_used_at: AtomicI64::new(row.get(2)?),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Client {
                era: eras.get(&id).copied().unwrap_or(0),
                id: id.into(),
                settings,
                secrets,
                created_at: time(row, 2)?,
            })
        })?;
        clients.collect::<rusqlite::Result<_>>().map_err(named("client", "listed"))
    }

    pub(crate) fn add_client(
        &self,
        id: String,
        settings: ClientSettings,
        secret: Option<SecretDigest>,
        now: Timestamp,
    ) -> Pending<AddClient> {
        let level = self.level;
        self.writer.queue(move |batch| {
            let text = level.document(&settings).map_err(|_| impossible(1))?;
            let added = batch.db.execute(
                "INSERT INTO client VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![id, text, now.unix()],
            )?;
            // After a commit of unknown outcome the client that is there may be this call's own.
            let own =
                "SELECT 1 FROM client WHERE client_id = ?1 AND settings = ?2 AND created_at = ?3";
            if added == 0
                && !(batch.again && batch.db.prepare(own)?.exists(params![id, text, now.unix()])?)
            {
                return Ok(AddClient::Exists);
            }
            if let Some(digest) = &secret {
                insert_secret(batch.db, &id, digest, now)?;
            }
            Ok(AddClient::Added)
        })
    }

    pub(crate) fn set_client(&self, id: String, settings: ClientSettings) -> Pending<bool> {
        let level = self.level;
        self.writer.queue(move |batch| {
            let text = level.document(&settings).map_err(|_| impossible(1))?;
            batch
                .db
                .execute("UPDATE client SET settings = ?2 WHERE client_id = ?1", params![id, text])
                .map(|n| n == 1)
        })
    }

    pub(crate) fn add_client_secret(
        &self,
        id: String,
        digest: SecretDigest,
        keep: usize,
        now: Timestamp,
    ) -> Pending<AddSecret> {
        self.writer.queue(move |batch| {
            if !batch.db.prepare_cached("SELECT 1 FROM client WHERE client_id = ?1")?.exists([&id])? {
                return Ok(AddSecret::NoClient);
            }
            batch.db.execute(
                "DELETE FROM client_secret WHERE client_id = ?1 AND digest <> ?2 AND digest NOT IN \
                     (SELECT digest FROM client_secret WHERE client_id = ?1 AND digest <> ?2 ORDER BY id DESC LIMIT ?3)",
                params![id, digest.0, i64::try_from(keep.min(MOST_SECRETS - 1)).unwrap_or(0)],
            )?;
            insert_secret(batch.db, &id, &digest, now)?;
            Ok(AddSecret::Added)
        })
    }

    pub(crate) fn note_secret_uses(&self, uses: Vec<(SecretDigest, Timestamp)>) -> Pending<()> {
        self.writer.queue(move |batch| {
            let mut update =
                batch.db.prepare_cached("UPDATE client_secret SET last_used_at = ?2 WHERE digest = ?1 AND last_used_at < ?2")?;
            uses.iter().try_for_each(|(digest, at)| update.execute(params![digest.0, at.unix()]).map(drop))
        })
    }

    pub(crate) fn remove_client(&self, id: String, now: Timestamp) -> Pending<bool> {
        let (eras, who) = (self.eras.clone(), Removed::Client(id));
        self.writer.queue(move |batch| remove(batch, &eras, &who, now))
    }
}

fn insert_secret(
    db: &Connection,
    id: &str,
    digest: &SecretDigest,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO client_secret (client_id, digest, created_at, last_used_at) VALUES (?1, ?2, ?3, 0) ON CONFLICT DO NOTHING",
        params![id, digest.0, now.unix()],
    )
    .map(drop)
}
