//! What nodes share beside rows of grants: the number of changes, the sandbox's clock and faults,
//! the keys.

use counterfoil_core::clock::Seconds;
use futures_util::FutureExt as _;

use super::Postgres;
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::StoredKeys;

const READ: &str = "SELECT value FROM meta WHERE key = $1";
const SET: &str =
    "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// To be called by whatever changes what processes keep in memory. The number is drawn, not
/// counted: after the loss of some changes as many others would come to the same count, and a node
/// that knows the lost ones would not look.
pub(super) async fn changed(write: &mut Write<'_>) -> Result<(), Trouble> {
    write
        .execute(
            "UPDATE meta SET value = (random() * 9e15)::bigint::text WHERE key = 'changes'",
            &[],
        )
        .await
        .map(drop)
}

/// What is written down under a key.
pub(super) async fn meta(write: &mut Write<'_>, key: &str) -> Result<Option<String>, Trouble> {
    let found = write.row(READ, &[&key]).await?;
    found.map(|row| Columns::of(&row, "meta").get(0)).transpose()
}

pub(super) async fn set_meta(write: &mut Write<'_>, key: &str, value: &str) -> Result<(), Trouble> {
    write.execute(SET, &[&key, &value]).await.map(drop)
}

/// Writes something, and asks for the right to redeem.
async fn probe(write: &mut Write<'_>) -> Result<(), Trouble> {
    write.execute("UPDATE counterfoil SET ended = ended WHERE false", &[]).await?;
    set_meta(write, "probe", "written").await
}

impl Postgres {
    pub(crate) fn probe(&self) -> Pending<()> {
        let inner = self.inner.clone();
        self.begin(async move {
            inner.write(&(), |write, ()| probe(write).boxed(), false).await?;
            // Endings that could not be written to the journal are written first.
            inner.flush_journal(Vec::new()).await
        })
    }

    pub(crate) async fn clock_offset(&self) -> Result<Seconds, StoreError> {
        Ok(self.meta("clock_offset").await?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        self.write(offset, |write, offset| {
            async move {
                set_meta(write, "clock_offset", &offset.to_string()).await?;
                changed(write).await
            }
            .boxed()
        })
    }

    pub(crate) async fn faults(&self) -> Result<Option<String>, StoreError> {
        self.meta("faults").await
    }

    pub(crate) fn swap_faults(&self, before: Option<String>, after: String) -> Pending<bool> {
        self.write((before, after), |write, (before, after)| {
            async move {
                let swapped = match before {
                    None => write
                        .execute(
                            "INSERT INTO meta VALUES ('faults', $1) ON CONFLICT (key) DO NOTHING",
                            &[after],
                        )
                        .await?,
                    Some(before) => {
                        write
                            .execute(
                                "UPDATE meta SET value = $2 WHERE key = 'faults' AND value = $1",
                                &[before, after],
                            )
                            .await?
                    }
                };
                if swapped == 0 {
                    return Ok(write.again && meta(write, "faults").await?.as_ref() == Some(after));
                }
                changed(write).await.map(|()| true)
            }
            .boxed()
        })
    }

    pub(crate) async fn keys(&self) -> Result<Option<StoredKeys>, StoreError> {
        let rows = self.rows("SELECT version, document FROM keys WHERE id = 1", &[]).await?;
        let read = |columns: Columns<'_>| {
            Ok(StoredKeys { version: columns.get(0)?, document: columns.get(1)? })
        };
        rows.first()
            .map(|row| read(Columns::of(row, "keys")).map_err(|trouble: Trouble| trouble.into()))
            .transpose()
    }

    pub(crate) fn swap_keys(&self, before: i64, document: Vec<u8>) -> Pending<bool> {
        self.write((before, document), |write, (before, document)| {
            async move {
                let after = before + 1;
                let swapped =
                    match before {
                        0 => write
                            .execute(
                                "INSERT INTO keys VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING",
                                &[&after, document],
                            )
                            .await?,
                        _ => write
                            .execute(
                                "UPDATE keys SET version = $2, document = $3 WHERE version = $1",
                                &[before, &after, document],
                            )
                            .await?,
                    };
                if swapped == 0 {
                    let own = "SELECT FROM keys WHERE version = $1 AND document = $2";
                    return Ok(write.again && write.row(own, &[&after, document]).await?.is_some());
                }
                changed(write).await.map(|()| true)
            }
            .boxed()
        })
    }

    pub(super) async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let rows = self.rows(READ, &[&key]).await?;
        rows.first()
            .map(|row| Columns::of(row, "meta").get(0).map_err(StoreError::from))
            .transpose()
    }
}
