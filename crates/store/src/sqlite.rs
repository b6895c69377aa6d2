//! The embedded engine: one process owns the file, one thread writes, readers are many and short.

mod backup;
mod checkpoint;
pub(crate) mod clients;
mod continuation;
pub(crate) mod copy;
mod crowd;
pub(crate) mod customers;
mod endings_log;
mod era;
mod fill;
pub(crate) mod grants;
mod log_file;
pub(crate) mod look;
mod loss;
mod old_grants;
mod reader;
pub(crate) mod redeem;
mod removals;
pub(crate) mod restore;
mod row;
pub(crate) mod sessions;
mod sweep;
mod times;
pub(crate) mod writer;

use crate::agreement::{FIRST_WITH_LOGS, Held, OnDifference, around, look, must_be_apart};
use crate::counts::{Counts, StoreCounts};
use crate::error::{OpenError, StoreError};
use crate::files::{beside, directory_of};
use crate::journal::Journal;
use crate::level::{Level, NEWEST_LEVEL, OLDEST_READER, oldest_reader};
use crate::lock::Lock;
use crate::pending::Pending;
use crate::record::{Changes, StoredKeys};
use crate::{OpenOptions, StoreKind};
use checkpoint::Checkpointer;
pub use checkpoint::{EVERY as CHECKPOINT_EVERY, LOG_BOUND, LOG_KEPT, give_way};
use counterfoil_core::clock::Seconds;
use counterfoil_core::random;

use era::Eras;
pub use log_file::LogFile;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use refinery::embed_migrations;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use loss::Epoch;
use reader::{Commits, Readers};
use writer::{Writer, with_large_cache};

embed_migrations!("src/migrations/sqlite");

/// Marks a SQLite file as ours: "CTFL".
const APPLICATION_ID: i32 = 0x4354_464c;
/// Small pages, because a batch of random rows is what the log writes; measured, see
/// `examples/hot_row.rs`.
const PAGE_SIZE: u32 = 1024;
/// Connections for reading.
const READERS: usize = 4;
/// KiB of pages that a connection keeps: for those that lead to the terms of a million grants.
/// SQLite empties it when the connection begins anew after a commit of another.
pub const CACHE: u32 = 16 << 10;
/// The same of the connection that writes, which nobody empties: most of the counterfoils of a
/// million grants. It takes that as pages are written.
pub const WRITER_CACHE: u32 = 64 << 10;

/// A write that changes something each time.
const PROBE: &str = "INSERT INTO meta VALUES ('probe', '0') ON CONFLICT (key) DO UPDATE SET value = CASE value WHEN '0' THEN '1' ELSE '0' END";

/// The engine. Writes are queued at once and answered after the fsync.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: Writer,
    checkpointer: Checkpointer,
    /// After both, so that the last connection, which checkpoints, is closed by whoever drops this.
    readers: Arc<Readers>,
    eras: Arc<Eras>,
    epoch: Epoch,
    /// Raised while nobody has the file open.
    level: Level,
    /// Whether the endings journal lacked what the store knows.
    endings_differ: bool,
    counts: Arc<Counts>,
    /// After all connections: see [`Checkpointer::start`].
    file: Arc<File>,
    _lock: Lock,
}

impl Sqlite {
    pub(crate) fn open(
        path: &Path,
        options: &OpenOptions,
        on_difference: OnDifference,
    ) -> Result<Self, OpenError> {
        let lock = own(path, options)?;
        let not_writable = |e: std::io::Error| OpenError::NotWritable {
            store: path.display().to_string(),
            problem: e.to_string(),
        };
        let file = create_private(path)
            .and_then(|()| File::open(path))
            .map(Arc::new)
            .map_err(not_writable)?;
        let mut db = create_or_recognise(path)?;
        let schema = check_schema(&db, path)?;
        check_identity(&db, path, options)?;
        let log = options
            .endings_log
            .as_deref()
            .map(|path| look(path).map(|log| (path, log)))
            .transpose()?;
        migrate(&mut db, path, schema)?;
        write_identity(&db, path, options)?;
        let damaged = |e: rusqlite::Error| open_error(path, &e);
        let epoch = Epoch::load(&db).map_err(damaged)?;
        let eras = Arc::new(Eras::load(&db).map_err(damaged)?);
        let level = Level::of(meta(&db, "level").map_err(damaged)?.as_deref());
        // A store of version 1 has no id, and a backup of it may have been given one since: then
        // its log knows.
        let by_log = log.as_ref().filter(|_| schema > 0).and_then(|(_, log)| log.store.as_deref());
        let id = id(&db, by_log).map_err(damaged)?;
        let mut journal = Journal::default();
        let mut endings_differ = false;
        if let Some((log_path, log)) = log {
            let known = endings_log::known(&db).map_err(damaged)?;
            let held = Held::against(
                (log_path, &log),
                (&path.display().to_string(), &id, &known),
                on_difference,
                false,
            )?;
            (endings_differ, journal) = (
                held.difference.is_some(),
                held.open(id, grants::recent_endings(&db).map_err(damaged)?)?,
            );
            if let Some((node, place)) = journal.node() {
                endings_log::note_place(&db, node, place).map_err(damaged)?;
            }
        }
        let commits = Arc::<Commits>::default();
        let readers =
            (0..READERS).map(|_| connect(path)).collect::<Result<_, _>>().map_err(damaged)?;
        let readers = Arc::new(Readers::new(readers, commits.clone()));
        let no_thread = |e: std::io::Error| OpenError::NotWritable {
            store: path.display().to_string(),
            problem: format!("no thread could be started: {e}"),
        };
        let checkpointer = connect(path).map_err(damaged)?;
        let log_file = LogFile::of(&db).map(Arc::new).map_err(not_writable)?;
        let checkpointer = Checkpointer::start(
            file.clone(),
            log_file.clone(),
            checkpointer,
            readers.clone(),
            commits.clone(),
        )
        .map_err(no_thread)?;
        let counts = Arc::<Counts>::default();
        counts.connections.add(READERS + 2);
        let db = with_large_cache(db).map_err(damaged)?;
        let log = checkpointer.log(log_file, readers.clone());
        let writer = Writer::start(path.to_owned(), db, journal, counts.clone(), commits, log)
            .map_err(no_thread)?;
        Ok(Self {
            writer,
            checkpointer,
            readers,
            eras,
            epoch,
            level,
            endings_differ,
            counts,
            file,
            _lock: lock,
        })
    }

    /// Holds an endings log against the store, if there is one yet; changes nothing. A server may
    /// have it.
    pub(crate) fn check_endings(
        path: &Path,
        log: &Path,
        options: &OpenOptions,
    ) -> Result<(), OpenError> {
        must_be_apart(log, path)?;
        look(log)?;
        if std::fs::metadata(path).map_or(true, |meta| meta.len() == 0) {
            return Ok(());
        }
        let failed = |e: rusqlite::Error| open_error(path, &e);
        let db = look_into(path).map_err(failed)?;
        check_identity(&db, path, options)?;
        if check_schema(&db, path)? < FIRST_WITH_LOGS {
            return Ok(());
        }
        let before = endings_log::known(&db).map_err(failed)?;
        let found = look(log)?;
        let known = around(&before, endings_log::known(&db).map_err(failed)?);
        let id = meta(&db, "id").map_err(failed)?.unwrap_or_default();
        Held::against(
            (log, &found),
            (&path.display().to_string(), &id, &known),
            OnDifference::Refuse,
            false,
        )
        .map(drop)
    }

    /// Brings the schema of a store up to date; gives it as it was, and as it is.
    pub(crate) fn migrate(path: &Path, options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        let _lock = own(path, options)?;
        let (mut db, found) = existing(path)?;
        check_identity(&db, path, options)?;
        migrate(&mut db, path, found)?;
        Ok((found, found.max(known_schema())))
    }

    /// Raises the level of a store to the newest; gives it as it was, and as it is.
    pub(crate) fn finish(path: &Path, options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        let _lock = own(path, options)?;
        let (db, found) = existing(path)?;
        check_identity(&db, path, options)?;
        let store = || path.display().to_string();
        if found < known_schema() {
            return Err(OpenError::Older { store: store(), found, known: known_schema() });
        }
        let raise = || -> rusqlite::Result<u32> {
            let transaction = db.unchecked_transaction()?;
            let before = meta(&db, "level")?.and_then(|text| text.parse().ok()).unwrap_or(1);
            if before < NEWEST_LEVEL {
                set_meta(&db, "level", &NEWEST_LEVEL.to_string())?;
                set_meta(&db, "oldest_reader", &OLDEST_READER.to_string())?;
            }
            // Of version 1, and never delivered.
            db.execute("DELETE FROM event", [])?;
            transaction.commit()?;
            Ok(before)
        };
        raise().map(|before| (before, before.max(NEWEST_LEVEL))).map_err(|e| open_error(path, &e))
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

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

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.checkpointer.wal_bytes()
    }

    pub(crate) fn counts(&self) -> StoreCounts {
        self.counts.read()
    }

    pub(crate) fn queued_writes(&self) -> usize {
        self.writer.waiting()
    }

    pub(crate) fn clock_offset(&self) -> Result<Seconds, StoreError> {
        let reader = self.readers.reader()?;
        let text = meta(&reader, "clock_offset")?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn set_clock_offset(&self, offset: Seconds) -> Pending<()> {
        self.writer.queue(move |batch| set_meta(batch.db, "clock_offset", &offset.to_string()))
    }

    pub(crate) fn faults(&self) -> Result<Option<String>, StoreError> {
        let reader = self.readers.reader()?;
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

/// Takes the lock of the store at `path`, and completes a restore that was cut short.
fn own(path: &Path, options: &OpenOptions) -> Result<Lock, OpenError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory(directory.to_owned()));
    }
    if path.is_dir() {
        return Err(OpenError::Foreign {
            store: path.display().to_string(),
            problem: "it is a directory".into(),
        });
    }
    if let Some(log) = &options.endings_log {
        must_be_apart(log, path)?;
    }
    let lock = Lock::take(path, &options.holder)?;
    match restore::complete(path) {
        Ok(None) => {}
        Ok(Some(old)) => {
            tracing::warn!(old = %old.display(), "a restore had been cut short and was completed; the store before it lies apart")
        }
        Err(e) => {
            let problem = format!("a restore was cut short and can't be completed: {e}");
            return Err(OpenError::NotWritable { store: path.display().to_string(), problem });
        }
    }
    Ok(lock)
}

/// Makes the file, empty and for its owner alone, where there is none. SQLite gives its log the
/// mode of the file, and its owner.
fn create_private(path: &Path) -> std::io::Result<()> {
    match crate::files::create_private(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Opens a further connection to the file of an open store. Never makes the file: one that went
/// away must not come back empty.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(checkpoint::BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{CACHE}; PRAGMA temp_store = MEMORY;",
        checkpoint::LOG_KEPT
    ))?;
    Ok(db)
}

/// Opens the file to look into it. Where it has no log, nobody has it, and it is taken as it is:
/// SQLite would leave files beside it.
fn look_into(path: &Path) -> rusqlite::Result<Connection> {
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

/// Opens the file of a store that must be there already; also gives its schema.
fn existing(path: &Path) -> Result<(Connection, u32), OpenError> {
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

/// The version of the schema that this program knows.
fn known_schema() -> u32 {
    let newest =
        migrations::runner().get_migrations().iter().map(|migration| migration.version()).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
}

/// The version of the store's schema; 0 where it has none yet. A newer one than ours is refused,
/// unless it says that we can read it.
fn check_schema(db: &Connection, path: &Path) -> Result<u32, OpenError> {
    let failed = |e: rusqlite::Error| open_error(path, &e);
    let found = || match has_table(db, "refinery_schema_history")? {
        true => db.query_row(
            "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        ),
        false => Ok(0),
    };
    let (found, known) = (found().map_err(failed)?, known_schema());
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

fn migrate(db: &mut Connection, path: &Path, found: u32) -> Result<(), OpenError> {
    if found >= known_schema() {
        return Ok(());
    }
    let failed = |e: rusqlite::Error| open_error(path, &e);
    // A table that is made again must not take with it what refers to it, and within a transaction
    // this can't be set.
    db.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    migrations::runner().run(db).map(drop).map_err(|e| OpenError::Damaged {
        store: path.display().to_string(),
        problem: format!("its schema could not be brought up to date: {e}"),
    })?;
    db.pragma_update(None, "foreign_keys", true).map_err(failed)
}

/// Compares what the store is with what is wanted, before anything of it is changed.
fn check_identity(db: &Connection, path: &Path, options: &OpenOptions) -> Result<(), OpenError> {
    let failed = |e: rusqlite::Error| open_error(path, &e);
    if !has_table(db, "meta").map_err(failed)? {
        return Ok(());
    }
    if meta(db, "copying").map_err(failed)?.is_some() {
        return Err(OpenError::Unfinished(path.display().to_string()));
    }
    let Some(found) = meta(db, "kind").map_err(failed)? else {
        return Ok(());
    };
    if found != options.kind.name() {
        let (wanted, holder) = (options.kind.name(), options.holder.clone());
        return Err(OpenError::WrongKind {
            store: path.display().to_string(),
            found,
            wanted,
            holder,
        });
    }
    let found = meta(db, "issuer").map_err(failed)?.unwrap_or_default();
    // A sandbox may come back on another port. Tokens of the old issuer are worthless from then on.
    if found != options.issuer && options.kind == StoreKind::Live {
        return Err(OpenError::OtherIssuer {
            store: path.display().to_string(),
            found,
            wanted: options.issuer.clone(),
        });
    }
    let moved_to = meta(db, "moved_to").map_err(failed)?;
    moved_to.map_or(Ok(()), |to| Err(OpenError::Moved { store: path.display().to_string(), to }))
}

/// Writes down what a new store is, and whose a sandbox's is now.
fn write_identity(db: &Connection, path: &Path, options: &OpenOptions) -> Result<(), OpenError> {
    let write = || match meta(db, "issuer")? {
        Some(found) if found == options.issuer => Ok(()),
        Some(_) => set_meta(db, "issuer", &options.issuer),
        None => db
            .execute(
                "INSERT INTO meta VALUES ('kind', ?1), ('issuer', ?2), ('epoch', '0')",
                params![options.kind.name(), options.issuer],
            )
            .map(drop),
    };
    write().map_err(|e: rusqlite::Error| open_error(path, &e))
}

/// The store's id; where it has none yet, the one that its endings log has, or one that is drawn.
/// Copies and backups of a store have its id.
fn id(db: &Connection, by_log: Option<&str>) -> rusqlite::Result<String> {
    let drawn = by_log
        .map_or_else(|| format!("{:032x}", u128::from_be_bytes(random::bytes())), str::to_owned);
    db.execute("INSERT INTO meta VALUES ('id', ?1) ON CONFLICT DO NOTHING", [&drawn])?;
    Ok(meta(db, "id")?.unwrap_or(drawn))
}

fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0))
}

fn meta(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn set_meta(db: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value])
    .map(drop)
}

/// Has SQLite look through the file; says what is wrong first.
fn check_pages(db: &Connection, check: &str) -> rusqlite::Result<Result<(), String>> {
    let found: String = db.query_row(&format!("PRAGMA {check}(1)"), [], |row| row.get(0))?;
    Ok(if found == "ok" { Ok(()) } else { Err(found) })
}

/// What SQLite said at start, in words for the person who started the process.
fn open_error(path: &Path, e: &rusqlite::Error) -> OpenError {
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

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// An empty store, and its directory.
    fn empty() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        create_private(&path).unwrap();
        let mut db = create_or_recognise(&path).unwrap();
        migrate(&mut db, &path, 0).unwrap();
        (dir, db)
    }

    /// Redeeming and checking touch one row each, found by primary key alone, however many grants
    /// there are.
    #[test]
    fn the_token_path_goes_by_primary_key_alone() {
        let (_dir, db) = empty();
        for (statement, table) in [
            (redeem::GATE, "counterfoil"),
            (redeem::READ_COUNTERFOIL, "counterfoil"),
            (grants::READ_TERMS, "terms"),
        ] {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let parameters = explain.parameter_count();
            let plan: Vec<String> = explain
                .query_map(rusqlite::params_from_iter(std::iter::repeat_n(0, parameters)), |row| {
                    row.get(3)
                })
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert_eq!(plan, [format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)")]);
        }
    }

    /// Signing in looks at those of the name alone, however many customers there are.
    #[test]
    fn a_customer_is_found_by_indexes() {
        let (_dir, db) = empty();
        let mut explain =
            db.prepare(&format!("EXPLAIN QUERY PLAN {}", customers::READ_NAMED)).unwrap();
        let plan: Vec<String> = explain
            .query_map(["", "", ""], |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        for step in [
            "SEARCH customer USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH customer USING COVERING INDEX sqlite_autoindex_customer_1 (provider=? AND customer=?)",
            "SEARCH customer USING COVERING INDEX customer_by_login (provider=? AND login=?)",
        ] {
            assert!(plan.iter().any(|found| found == step), "{plan:?}");
        }
        assert!(!plan.iter().any(|found| found.contains("SCAN")), "{plan:?}");
    }

    /// SQLite prepares some statements again after their parameters were cleared, as the cache of
    /// statements does after each use. That takes longer than running them.
    #[test]
    fn what_the_token_path_runs_stays_prepared() {
        let (_dir, db) = empty();
        for statement in
            [redeem::GATE, redeem::READ_COUNTERFOIL, grants::READ_TERMS, customers::READ_ACCOUNTS]
        {
            for number in 0..3 {
                let mut prepared = db.prepare_cached(statement).unwrap();
                let parameters = std::iter::repeat_n(number, prepared.parameter_count());
                prepared.query(rusqlite::params_from_iter(parameters)).unwrap().next().unwrap();
            }
            assert_eq!(
                db.prepare_cached(statement).unwrap().get_status(StatementStatus::RePrepare),
                0,
                "{statement}"
            );
        }
    }
}
