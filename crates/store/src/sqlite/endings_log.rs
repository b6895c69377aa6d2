//! What the store knows of its endings log.

use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::meta::meta;
use crate::endings_log::{KnownLog, Place};
use crate::error::StoreError;
use crate::pending::Pending;

/// The logs that the store knows.
pub(super) fn known(db: &Connection) -> rusqlite::Result<Vec<KnownLog>> {
    let row = |row: &rusqlite::Row<'_>| {
        Ok(KnownLog {
            node: row.get(0)?,
            line: row.get(1)?,
            written: row.get(2)?,
            host: row.get(3)?,
            path: row.get(4)?,
        })
    };
    db.prepare("SELECT node, line, written, host, path FROM endings_log ORDER BY node")?
        .query_map([], row)?
        .collect()
}

/// Gives `count` more lines of a node their numbers, in the transaction of what they say; gives the
/// last number. Also notes up to where lines are on disk.
pub(super) fn number(
    db: &Connection,
    (node, place): (&str, &Place),
    count: i64,
    written: i64,
) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO endings_log VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (node) DO UPDATE SET line = line + excluded.line, written = max(written, excluded.written) RETURNING line",
    )?
    .query_row(params![node, count, written, place.host, place.path()], |row| row.get(0))
}

/// Notes up to where a node's lines are on disk.
pub(super) fn note_written(db: &Connection, node: &str, written: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE endings_log SET written = ?2 WHERE node = ?1 AND written < ?2")?
        .execute(params![node, written])
        .map(drop)
}

/// Notes where a node's log lies now.
pub(super) fn note_place(db: &Connection, node: &str, place: &Place) -> rusqlite::Result<()> {
    let note = "UPDATE endings_log SET host = ?2, path = ?3 WHERE node = ?1 AND (host <> ?2 OR path <> ?3)";
    db.execute(note, params![node, place.host, place.path()]).map(drop)
}

/// Has the store know of all lines of a node up to `line`: they were applied.
pub(super) fn reaches(db: &Connection, node: &str, line: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO endings_log VALUES (?1, ?2, ?2, '', '') \
         ON CONFLICT (node) DO UPDATE SET line = max(line, excluded.line), written = max(written, excluded.written)",
    )?
    .execute(params![node, line])
    .map(drop)
}

/// The last number that was given to a line of `node`.
pub(super) fn last(db: &Connection, node: &str) -> rusqlite::Result<i64> {
    let last = db
        .prepare_cached("SELECT line FROM endings_log WHERE node = ?1")?
        .query_row([node], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

impl Sqlite {
    pub(crate) fn id(&self) -> Result<String, StoreError> {
        let reader = self.readers.reader();
        Ok(meta(&reader, "id")?.unwrap_or_default())
    }

    pub(crate) fn endings_logs(&self) -> Result<Vec<KnownLog>, StoreError> {
        let reader = self.readers.reader();
        Ok(known(&reader)?)
    }

    pub(crate) fn settle_endings(&self) -> Pending<()> {
        self.writer.queue(|batch| {
            batch.settles_endings();
            Ok(())
        })
    }
}
