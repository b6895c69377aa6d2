//! The file: made, recognised and opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::files::beside;

/// Marks a SQLite file as ours: "CTFL".
pub(super) const APPLICATION_ID: i32 = 0x4354_464c;
/// Small pages, because a batch of random rows is what the log writes; measured, see
/// `examples/hot_row.rs`.
pub(super) const PAGE_SIZE: u32 = 1024;
/// KiB of pages that a connection keeps: for those that lead to the terms of a million grants.
/// SQLite empties it when the connection begins anew after a commit of another.
pub const CACHE: u32 = 16 << 10;
/// The same of the connection that writes, which nobody empties: most of the counterfoils of a
/// million grants. It takes that as pages are written.
pub const WRITER_CACHE: u32 = 64 << 10;
/// Bytes in the log from which it is begun anew. Whenever that is due, one commit waits for the
/// disk as long as the file's own pages take: at twice the bytes half as often
/// (docs/decisions/store.md).
pub const LOG_BOUND: u64 = 128 << 20;
/// Bytes that the log's file keeps for good, so that they need not be found on the disk again: what
/// is in it by the time that it is begun anew.
pub const LOG_KEPT: u64 = LOG_BOUND / 2 * 3;
/// The longest that anything waits for another program that has the file open.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Makes the file, empty and for its owner alone, where there is none. SQLite gives its log the
/// mode of the file, and its owner.
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    match crate::files::create_private(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Opens a further connection to the file of an open store. Never makes the file: one that went
/// away must not come back empty.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{CACHE}; PRAGMA temp_store = MEMORY;",
        LOG_KEPT
    ))?;
    Ok(db)
}

/// `db`, with the cache of the connection that writes.
pub(super) fn with_large_cache(db: Connection) -> rusqlite::Result<Connection> {
    db.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE))?;
    Ok(db)
}

/// Opens the file to look into it. Where it has no log, nobody has it, and it is taken as it is:
/// SQLite would leave files beside it.
pub(super) fn look_into(path: &Path) -> rusqlite::Result<Connection> {
    let log = std::fs::metadata(beside(path, "-wal")).map_or(0, |meta| meta.len());
    let name =
        path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let how = if log == 0 { "?immutable=1" } else { "" };
    Connection::open_with_flags(
        format!("file:{name}{how}"),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
}

/// Opens the file, makes a new one where there is none or an empty one, and refuses what is not
/// ours.
pub(super) fn create_or_recognise(path: &Path) -> Result<Connection, OpenError> {
    let open = || -> rusqlite::Result<(Connection, i32, i64)> {
        let db = connect(path)?;
        let id = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        Ok((db, id, tables))
    };
    let (db, id, tables) = open().map_err(|e| open_error(path, &e))?;
    let failed = |e: rusqlite::Error| open_error(path, &e);
    if db.is_readonly("main").map_err(failed)? {
        return Err(OpenError::NotWritable {
            store: path.display().to_string(),
            problem: "this user may only read it".into(),
        });
    }
    match (id, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => {
            db.execute_batch(&format!(
                "PRAGMA page_size = {PAGE_SIZE}; VACUUM; PRAGMA journal_mode = WAL; PRAGMA application_id = {APPLICATION_ID};"
            ))
            .map_err(failed)?;
        }
        _ => {
            let problem = "it is the SQLite database of another program".into();
            return Err(OpenError::Foreign { store: path.display().to_string(), problem });
        }
    }
    let mode: String =
        db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        db.execute_batch("PRAGMA journal_mode = WAL").map_err(failed)?;
    }
    Ok(db)
}

/// Has SQLite look through the file; says what is wrong first.
pub(super) fn damage(db: &Connection, check: &str) -> rusqlite::Result<Option<String>> {
    let found: String = db.query_row(&format!("PRAGMA {check}(1)"), [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// What SQLite said at start, in words for the person who started the process.
pub(super) fn open_error(path: &Path, e: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode;
    let (store, problem) = (path.display().to_string(), e.to_string());
    match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign {
            store,
            problem: "it is not a SQLite file, or an encrypted one".into(),
        },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { store, problem },
        Some(_) => OpenError::NotWritable { store, problem },
        None => OpenError::Damaged { store, problem },
    }
}
