//! The embedded engine: one process owns the file, one thread writes, readers are many and short.

mod backup;
mod batch;
mod checkpoint;
pub(crate) mod clients;
mod continuation;
pub(crate) mod copy;
mod crowd;
pub(crate) mod customers;
mod endings;
mod endings_log;
mod era;
mod file;
mod fill;
pub(crate) mod grants;
mod identity;
pub(crate) mod look;
mod loss;
mod meta;
mod old_grants;
mod ownership;
mod reader;
pub(crate) mod redeem;
mod removals;
mod replacement;
pub(crate) mod restore;
mod row;
mod schema;
pub(crate) mod sessions;
mod shared;
mod sweep;
mod times;
pub(crate) mod writer;

pub use checkpoint::{EVERY as CHECKPOINT_EVERY, give_way};
pub use file::{CACHE, LOG_BOUND, LOG_KEPT, WRITER_CACHE};

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::OpenOptions;
use crate::agreement::{FIRST_WITH_LOGS, Held, OnDifference, around, look, must_be_apart};
use crate::counts::{Counts, StoreCounts};
use crate::error::OpenError;
use crate::journal::Journal;
use crate::level::{Level, NEWEST_LEVEL, OLDEST_READER};
use crate::lock::Lock;
use crate::migrations;
use checkpoint::Checkpointer;
use era::Eras;
use file::{connect, create_or_recognise, create_private, look_into, open_error, with_large_cache};
use identity::{check_identity, id, write_identity};
use loss::Epoch;
use meta::{meta, set_meta};
use ownership::own;
use reader::Readers;
use schema::{check_schema, existing};
use writer::Writer;

/// Connections for reading.
const READERS: usize = 4;

/// The engine. Writes are queued at once and answered after the fsync.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: Writer,
    checkpointer: Checkpointer,
    /// After both, so that the last connection, which checkpoints, is closed by whoever drops this.
    readers: Readers,
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
        let found = check_schema(&db, path)?;
        check_identity(&db, path, options)?;
        let log = options
            .endings_log
            .as_deref()
            .map(|path| look(path).map(|log| (path, log)))
            .transpose()?;
        schema::migrate(&mut db, path, found)?;
        write_identity(&db, path, options)?;
        let damaged = |e: rusqlite::Error| open_error(path, &e);
        let epoch = Epoch::load(&db).map_err(damaged)?;
        let eras = Arc::new(Eras::load(&db).map_err(damaged)?);
        let level = Level::of(meta(&db, "level").map_err(damaged)?.as_deref());
        // A store of version 1 has no id, and a backup of it may have been given one since: then
        // its log knows.
        let by_log = log.as_ref().filter(|_| found > 0).and_then(|(_, log)| log.store.as_deref());
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
                held.open(id, endings::recent_endings(&db).map_err(damaged)?)?,
            );
            if let Some((node, place)) = journal.node() {
                endings_log::note_place(&db, node, place).map_err(damaged)?;
            }
        }
        let readers =
            (0..READERS).map(|_| connect(path)).collect::<Result<_, _>>().map_err(damaged)?;
        let readers = Readers::new(readers);
        let no_thread = |e: std::io::Error| OpenError::NotWritable {
            store: path.display().to_string(),
            problem: format!("no thread could be started: {e}"),
        };
        let counts = Arc::<Counts>::default();
        counts.connections.add(READERS + 2);
        let checkpointer = connect(path).map_err(damaged)?;
        let checkpointer =
            Checkpointer::start(file.clone(), checkpointer, counts.clone()).map_err(no_thread)?;
        let db = with_large_cache(db).map_err(damaged)?;
        let log = checkpointer.log();
        let writer =
            Writer::start(path.to_owned(), db, journal, counts.clone(), log).map_err(no_thread)?;
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
        schema::migrate(&mut db, path, found)?;
        Ok((found, found.max(migrations::NEWEST)))
    }

    /// Raises the level of a store to the newest; gives it as it was, and as it is.
    pub(crate) fn finish(path: &Path, options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        let _lock = own(path, options)?;
        let (db, found) = existing(path)?;
        check_identity(&db, path, options)?;
        let store = || path.display().to_string();
        if found < migrations::NEWEST {
            return Err(OpenError::Older { store: store(), found, known: migrations::NEWEST });
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

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.checkpointer.wal_bytes()
    }

    pub(crate) fn counts(&self) -> StoreCounts {
        self.counts.read()
    }

    pub(crate) fn queued_writes(&self) -> usize {
        self.writer.waiting()
    }
}

#[cfg(test)]
mod tests;
