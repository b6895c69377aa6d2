//! The schema of a file, and its migrations.

use std::path::Path;

use rusqlite::Connection;

use super::file::{create_or_recognise, open_error};
use super::meta::meta;
use crate::error::OpenError;
use crate::level::oldest_reader;
use crate::migrations;

/// The time, as the history of the schema has it.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')";

/// Opens the file of a store that must be there already; also gives its schema.
pub(super) fn existing(path: &Path) -> Result<(Connection, u32), OpenError> {
    let none = || OpenError::NoStore(path.display().to_string());
    // An empty file would be made a store of.
    if std::fs::metadata(path).map_or(true, |meta| meta.len() == 0) {
        return Err(none());
    }
    let db = create_or_recognise(path)?;
    match check_schema(&db, path)? {
        0 => Err(none()),
        found => Ok((db, found)),
    }
}

/// The version of the store's schema; 0 where it has none yet. A newer one than ours is refused,
/// unless it says that we can read it.
pub(super) fn check_schema(db: &Connection, path: &Path) -> Result<u32, OpenError> {
    let failed = |e: rusqlite::Error| open_error(path, &e);
    let found = || match has_table(db, "refinery_schema_history")? {
        true => db.query_row(
            "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        ),
        false => Ok(0),
    };
    let (found, known) = (found().map_err(failed)?, migrations::NEWEST);
    if found > known {
        let oldest_reader =
            oldest_reader(found, meta(db, "oldest_reader").map_err(failed)?.as_deref());
        if oldest_reader > known {
            return Err(OpenError::Newer {
                store: path.display().to_string(),
                found,
                oldest_reader,
                known,
            });
        }
    }
    Ok(found)
}

pub(super) fn migrate(db: &mut Connection, path: &Path, found: u32) -> Result<(), OpenError> {
    if found >= migrations::NEWEST {
        return Ok(());
    }
    let failed = |e: rusqlite::Error| open_error(path, &e);
    // A table that is made again must not take with it what refers to it, and within a transaction
    // this can't be set.
    db.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    for script in migrations::missing(&migrations::SQLITE, found, NOW) {
        let run = |db: &mut Connection| {
            let transaction = db.transaction()?;
            transaction.execute_batch(&script)?;
            transaction.commit()
        };
        run(db).map_err(|e| OpenError::Damaged {
            store: path.display().to_string(),
            problem: format!("its schema could not be brought up to date: {e}"),
        })?;
    }
    db.pragma_update(None, "foreign_keys", true).map_err(failed)
}

pub(super) fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0))
}
