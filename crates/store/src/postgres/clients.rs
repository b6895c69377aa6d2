//! Clients and their secrets.

use std::sync::atomic::AtomicI64;

use counterfoil_core::client::{Client, ClientSecret, ClientSettings, MOST_SECRETS, SecretDigest};
use counterfoil_core::clock::Timestamp;
use futures_util::FutureExt as _;

use super::Postgres;
use super::era::remove;
use super::row::Columns;
use super::shared::changed;
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{AddClient, AddSecret};
use crate::removed::Removed;

/// Clients in one statement, so that no secret is missing of a client that is there.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT client.client_id, settings, client.created_at, coalesce(era.era, 0), digest, client_secret.created_at, last_used_at \
             FROM client LEFT JOIN client_secret ON client_secret.client_id = client.client_id \
             LEFT JOIN era ON era.client = client.client_id AND era.provider = '' AND era.customer = '' ",
            $which
        )
    };
}

impl Postgres {
    /// All clients, or the one of this id.
    pub(crate) async fn clients(&self, id: Option<&str>) -> Result<Vec<Client>, StoreError> {
        let rows = match id {
            None => self.rows(select!("ORDER BY client.client_id, client_secret.id"), &[]).await?,
            Some(id) => {
                self.rows(select!("WHERE client.client_id = $1 ORDER BY client_secret.id"), &[&id])
                    .await?
            }
        };
        let mut clients: Vec<Client> = Vec::new();
        for row in &rows {
            let columns = Columns::of(row, "client");
            let id: &str = columns.get(0)?;
            if clients.last().is_none_or(|last| &*last.id != id) {
                let settings: ClientSettings =
                    columns.make(1, |text: &str| ClientSettings::from_document(text).ok())?;
                let (created_at, era) = (columns.time(2)?, columns.number(3)?);
                clients.push(Client {
                    id: id.into(),
                    settings,
                    secrets: Vec::new(),
                    created_at,
                    era,
                });
            }
            if let (Some(client), Some(_)) = (clients.last_mut(), columns.get::<Option<&[u8]>>(4)?)
            {
                let (digest, created_at) = (SecretDigest(columns.bytes(4)?), columns.time(5)?);
                client.secrets.push(ClientSecret {
                    digest,
                    created_at,
                    last_used_at: AtomicI64::new(columns.get(6)?),
                });
            }
        }
        Ok(clients)
    }

    pub(crate) fn add_client(
        &self,
        id: String,
        settings: ClientSettings,
        secret: Option<SecretDigest>,
        now: Timestamp,
    ) -> Pending<AddClient> {
        // These types always serialise.
        let settings = self.inner.level().document(&settings).unwrap_or_default();
        self.write((id, settings, secret, now), |write, (id, settings, secret, now)| {
            async move {
                let insert = "INSERT INTO client VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                if write.execute(insert, &[id, settings, &now.unix()]).await? == 0 {
                    // After a commit of unknown outcome the client that is there may be this call's
                    // own.
                    let own = "SELECT FROM client WHERE client_id = $1 AND settings = $2 AND created_at = $3";
                    if !write.again || write.row(own, &[id, settings, &now.unix()]).await?.is_none() {
                        return Ok(AddClient::Exists);
                    }
                }
                if let Some(digest) = secret {
                    insert_secret(write, id, digest, *now).await?;
                }
                changed(write).await.map(|()| AddClient::Added)
            }
            .boxed()
        })
    }

    pub(crate) fn set_client(&self, id: String, settings: ClientSettings) -> Pending<bool> {
        let settings = self.inner.level().document(&settings).unwrap_or_default();
        self.write((id, settings), |write, (id, settings)| {
            async move {
                let set = write
                    .execute(
                        "UPDATE client SET settings = $2 WHERE client_id = $1",
                        &[id, settings],
                    )
                    .await?;
                changed(write).await.map(|()| set == 1)
            }
            .boxed()
        })
    }

    pub(crate) fn add_client_secret(
        &self,
        id: String,
        digest: SecretDigest,
        keep: usize,
        now: Timestamp,
    ) -> Pending<AddSecret> {
        let keep = i64::try_from(keep.min(MOST_SECRETS - 1)).unwrap_or(0);
        self.write((id, digest, keep, now), |write, (id, digest, keep, now)| {
            async move {
                // Under the lock of the client, so that of two at once the second sees what the
                // first has done.
                if write.row("SELECT FROM client WHERE client_id = $1 FOR UPDATE", &[id]).await?.is_none() {
                    return Ok(AddSecret::NoClient);
                }
                let drop_older = "DELETE FROM client_secret WHERE client_id = $1 AND digest <> $2 AND digest NOT IN \
                    (SELECT digest FROM client_secret WHERE client_id = $1 AND digest <> $2 ORDER BY id DESC LIMIT $3)";
                write.execute(drop_older, &[id, &digest.0.as_slice(), keep]).await?;
                insert_secret(write, id, digest, *now).await?;
                changed(write).await.map(|()| AddSecret::Added)
            }
            .boxed()
        })
    }

    pub(crate) fn note_secret_uses(&self, mut uses: Vec<(SecretDigest, Timestamp)>) -> Pending<()> {
        // In one order at every node, so that none waits for another in a circle.
        uses.sort_unstable_by_key(|(digest, _)| digest.0);
        self.write(uses, |write, uses| {
            async move {
                let digests: Vec<&[u8]> = uses.iter().map(|(digest, _)| digest.0.as_slice()).collect();
                let times: Vec<i64> = uses.iter().map(|(_, at)| at.unix()).collect();
                let note = "UPDATE client_secret SET last_used_at = used.at FROM unnest($1::bytea[], $2::bigint[]) AS used (digest, at) \
                    WHERE client_secret.digest = used.digest AND last_used_at < used.at";
                write.execute(note, &[&digests, &times]).await.map(drop)
            }
            .boxed()
        })
    }

    pub(crate) fn remove_client(&self, id: String, now: Timestamp) -> Pending<bool> {
        self.write((Removed::Client(id), now), |write, (who, now)| remove(write, who, *now).boxed())
    }
}

async fn insert_secret(
    write: &mut Write<'_>,
    id: &str,
    digest: &SecretDigest,
    now: Timestamp,
) -> Result<(), Trouble> {
    let insert = "INSERT INTO client_secret (client_id, digest, created_at, last_used_at) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING";
    write.execute(insert, &[&id, &digest.0.as_slice(), &now.unix()]).await.map(drop)
}
