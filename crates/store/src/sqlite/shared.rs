//! What servers on a database share; here one process has it all.

use counterfoil_core::clock::Seconds;

use super::Sqlite;
use super::meta::{meta, set_meta};
use crate::error::StoreError;
use crate::pending::Pending;
use crate::record::{Changes, StoredKeys};

/// A write that changes something each time.
const PROBE: &str = "INSERT INTO meta VALUES ('probe', '0') ON CONFLICT (key) DO UPDATE SET value = CASE value WHEN '0' THEN '1' ELSE '0' END";

impl Sqlite {
    pub(crate) fn probe(&self) -> Pending<()> {
        self.writer.queue(|batch| {
            batch.acknowledges_ending();
            // A row that stays as it is would be no write: SQLite compares before it touches a
            // page.
            batch.db.prepare_cached(PROBE)?.execute([]).map(drop)
        })
    }

    /// One process owns the file, so nobody else changes anything.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "a verb of both engines")]
    pub(crate) fn changes(&self) -> Result<Changes, StoreError> {
        Ok(Changes { number: 0, database: None })
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "a verb of both engines")]
    pub(crate) fn keys(&self) -> Result<Option<StoredKeys>, StoreError> {
        Ok(None)
    }

    #[allow(clippy::unused_self, reason = "a verb of both engines")]
    pub(crate) fn swap_keys(&self, _before: i64, _document: Vec<u8>) -> Pending<bool> {
        Pending::refused(StoreError::NotWritten("keys are kept apart from a SQLite store".into()))
    }

    pub(crate) fn clock_offset(&self) -> Result<Seconds, StoreError> {
        let reader = self.readers.reader();
        let text = meta(&reader, "clock_offset")?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        self.writer.queue(move |batch| set_meta(batch.db, "clock_offset", &offset.to_string()))
    }

    pub(crate) fn faults(&self) -> Result<Option<String>, StoreError> {
        let reader = self.readers.reader();
        Ok(meta(&reader, "faults")?)
    }

    pub(crate) fn swap_faults(&self, before: Option<String>, after: String) -> Pending<bool> {
        self.writer.queue(move |batch| {
            let found = meta(batch.db, "faults")?;
            if found == before {
                set_meta(batch.db, "faults", &after)?;
            }
            Ok(found == before || (batch.again && found.as_ref() == Some(&after)))
        })
    }
}
