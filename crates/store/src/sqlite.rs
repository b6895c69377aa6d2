//! The embedded engine: one process owns the file, one thread writes, readers are many and short.

mod checkpoint;
pub(crate) mod clients;
pub(crate) mod customers;
mod era;
pub(crate) mod grants;
pub(crate) mod redeem;
mod row;
pub(crate) mod sessions;
mod sweep;
pub(crate) mod writer;

use crate::error::{OpenError, StoreError};
use crate::journal::Journal;
use crate::lock::Lock;
use crate::{OpenOptions, StoreKind};
use checkpoint::Checkpointer;
use counterfoil_core::clock::Seconds;
use era::Eras;
use refinery::embed_migrations;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use writer::{Pending, Writer};

embed_migrations!("src/migrations/sqlite");

/// Marks a SQLite file as ours: "CTFL".
const APPLICATION_ID: i32 = 0x4354_464c;
/// Small pages, because a batch of random rows is what the log writes; measured, see `examples/hot_row.rs`.
const PAGE_SIZE: u32 = 1024;
/// Connections for reading. A read takes microseconds, so few serve many.
const READERS: usize = 4;

/// A write that changes something each time.
const PROBE: &str =
    "INSERT INTO meta VALUES ('probe', '0') ON CONFLICT (key) DO UPDATE SET value = CASE value WHEN '0' THEN '1' ELSE '0' END";

/// The store. All its verbs may be called from many tasks at once; writes are queued at once and answered after the fsync.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    readers: Vec<Mutex<Connection>>,
    eras: Arc<Eras>,
    /// Raised by a declared loss of data, so at an opening of the file alone.
    epoch: u32,
    checkpointer: Checkpointer,
    _lock: Lock,
}

impl Store {
    /// Opens the store, making or migrating it where needed, and takes its lock.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process. A store that was there is as it was then, unless a migration failed half-way.
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty() && !d.is_dir()) {
            return Err(OpenError::NoDirectory(directory.to_owned()));
        }
        if path.is_dir() {
            return Err(OpenError::Foreign { path: path.to_owned(), problem: "it is a directory".into() });
        }
        let lock = Lock::take(path, &options.holder)?;
        create_private(path).map_err(|e| OpenError::NotWritable { path: path.to_owned(), problem: e.to_string() })?;
        let mut db = create_or_recognise(path)?;
        let schema = check_schema(&db, path)?;
        check_identity(&db, &options)?;
        let mut journal = Journal::open(options.endings_log.clone())?;
        migrate(&mut db, path, schema)?;
        write_identity(&db, &options)?;
        let damaged = |e: rusqlite::Error| open_error(path, &e);
        let epoch = meta(&db, "epoch").map_err(damaged)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let eras = Arc::new(Eras::load(&db).map_err(damaged)?);
        journal.catch_up(grants::recent_endings(&db).map_err(damaged)?)?;
        let readers = (0..READERS).map(|_| connect(path).map(Mutex::new)).collect::<Result<_, _>>().map_err(damaged)?;
        let no_thread =
            |e: std::io::Error| OpenError::NotWritable { path: path.to_owned(), problem: format!("no thread could be started: {e}") };
        let checkpointer = Checkpointer::start(connect(path).map_err(damaged)?).map_err(no_thread)?;
        let writer = Writer::start(path.clone(), db, journal, checkpointer.nudge()).map_err(no_thread)?;
        Ok(Self { writer, readers, eras, epoch, checkpointer, _lock: lock })
    }

    /// Whether the store can be written now, found out by writing.
    pub fn probe(&self) -> Pending<()> {
        self.writer.queue(|batch| {
            batch.acknowledges_ending();
            // A row that stays as it is would be no write: SQLite compares before it touches a page.
            batch.db.prepare_cached(PROBE)?.execute([]).map(drop)
        })
    }

    /// Bytes in the write-ahead log when it was last looked at.
    pub fn wal_bytes(&self) -> u64 {
        self.checkpointer.wal_bytes()
    }

    /// Writes that are waiting for their turn.
    pub fn queued_writes(&self) -> usize {
        self.writer.waiting()
    }

    /// How far the sandbox's clock is ahead of the machine's, in seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clock_offset(&self) -> Result<Seconds, StoreError> {
        let text = meta(&self.reader(), "clock_offset")?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Remembers how far the sandbox's clock is ahead.
    pub fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        self.writer.queue(move |batch| set_meta(batch.db, "clock_offset", &offset.to_string()))
    }

    /// The faults that are set in a sandbox, as they were remembered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn faults(&self) -> Result<Option<String>, StoreError> {
        Ok(meta(&self.reader(), "faults")?)
    }

    /// Remembers the faults that are set in a sandbox.
    pub fn set_faults(&self, faults: String) -> Pending<()> {
        self.writer.queue(move |batch| set_meta(batch.db, "faults", &faults))
    }

    /// A connection for one short read.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        for reader in &self.readers {
            if let Ok(reader) = reader.try_lock() {
                return reader;
            }
        }
        // All are busy for some microseconds. A panic while one was held can't have left it in a transaction.
        self.readers[0].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the file, empty and for this user alone, where there is none. SQLite gives its log the mode of the file.
fn create_private(path: &Path) -> std::io::Result<()> {
    match std::fs::File::options().create_new(true).write(true).mode(0o600).open(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Opens a further connection to the file of an open store. Never makes the file: one that went away must not come back empty.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;",
        checkpoint::BOUND
    ))?;
    Ok(db)
}

/// Opens the file, makes a new one where there is none or an empty one, and refuses what is not ours.
fn create_or_recognise(path: &Path) -> Result<Connection, OpenError> {
    let open = || -> rusqlite::Result<(Connection, i32, i64)> {
        let db = connect(path)?;
        let id = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        Ok((db, id, tables))
    };
    let (db, id, tables) = open().map_err(|e| open_error(path, &e))?;
    let failed = |e: rusqlite::Error| open_error(path, &e);
    if db.is_readonly("main").map_err(failed)? {
        return Err(OpenError::NotWritable { path: path.to_owned(), problem: "this user may only read it".into() });
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
            return Err(OpenError::Foreign { path: path.to_owned(), problem });
        }
    }
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        db.execute_batch("PRAGMA journal_mode = WAL").map_err(failed)?;
    }
    Ok(db)
}

/// The version of the schema that this program knows.
fn known_schema() -> u32 {
    let newest = migrations::runner().get_migrations().iter().map(|migration| migration.version()).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
}

/// The version of the store's schema; 0 where it has none yet. A newer one than ours is refused.
fn check_schema(db: &Connection, path: &Path) -> Result<u32, OpenError> {
    let found = || match has_table(db, "refinery_schema_history")? {
        true => db.query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0)),
        false => Ok(0),
    };
    let (found, known) = (found().map_err(|e: rusqlite::Error| open_error(path, &e))?, known_schema());
    if found > known { Err(OpenError::Newer { path: path.to_owned(), found, known }) } else { Ok(found) }
}

fn migrate(db: &mut Connection, path: &Path, found: u32) -> Result<(), OpenError> {
    if found == known_schema() {
        return Ok(());
    }
    migrations::runner()
        .run(db)
        .map(drop)
        .map_err(|e| OpenError::Damaged { path: path.to_owned(), problem: format!("its schema could not be brought up to date: {e}") })
}

/// Compares what the store is with what is wanted, before anything of it is changed.
fn check_identity(db: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    let path = &options.path;
    let failed = |e: rusqlite::Error| open_error(path, &e);
    let is_new = !has_table(db, "meta").map_err(failed)?;
    let Some(found) = (if is_new { None } else { meta(db, "kind").map_err(failed)? }) else { return Ok(()) };
    if found != options.kind.name() {
        let (wanted, holder) = (options.kind.name(), options.holder.clone());
        return Err(OpenError::WrongKind { path: path.clone(), found, wanted, holder });
    }
    let found = meta(db, "issuer").map_err(failed)?.unwrap_or_default();
    // A sandbox may come back on another port. Tokens of the old issuer are worthless from then on.
    if found != options.issuer && options.kind == StoreKind::Live {
        return Err(OpenError::OtherIssuer { path: path.clone(), found, wanted: options.issuer.clone() });
    }
    Ok(())
}

/// Writes down what a new store is, and whose a sandbox's is now.
fn write_identity(db: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    let write = || match meta(db, "issuer")? {
        Some(found) if found == options.issuer => Ok(()),
        Some(_) => set_meta(db, "issuer", &options.issuer),
        None => db
            .execute("INSERT INTO meta VALUES ('kind', ?1), ('issuer', ?2), ('epoch', '0')", params![options.kind.name(), options.issuer])
            .map(drop),
    };
    write().map_err(|e: rusqlite::Error| open_error(&options.path, &e))
}

fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0))
}

fn meta(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

fn set_meta(db: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute([key, value])
        .map(drop)
}

/// What SQLite said at start, in words for the person who started the process.
fn open_error(path: &Path, e: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode;
    let (path, problem) = (path.to_owned(), e.to_string());
    match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path, problem: "it is not a SQLite file, or an encrypted one".into() },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, problem },
        Some(_) => OpenError::NotWritable { path, problem },
        None => OpenError::Damaged { path, problem },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Redeeming and checking touch one row each, found by primary key alone, however many grants there are.
    #[test]
    fn the_token_path_goes_by_primary_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        create_private(&path).unwrap();
        let mut db = create_or_recognise(&path).unwrap();
        migrate(&mut db, &path, 0).unwrap();
        for (statement, table) in [(redeem::GATE, "counterfoil"), (redeem::READ_COUNTERFOIL, "counterfoil"), (grants::READ_TERMS, "terms")]
        {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let parameters = explain.parameter_count();
            let plan: Vec<String> = explain
                .query_map(rusqlite::params_from_iter(std::iter::repeat_n(0, parameters)), |row| row.get(3))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert_eq!(plan, [format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)")]);
        }
    }
}
