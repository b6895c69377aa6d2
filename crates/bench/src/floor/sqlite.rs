//! The floor's way with SQLite: one thread writes all that is queued in one transaction, another
//! checkpoints, with the store's settings and its way of restarting the log.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterfoil_store::{CACHE, CHECKPOINT_EVERY, LOG_BOUND, LOG_KEPT, WRITER_CACHE, give_way};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::sync::mpsc::UnboundedReceiver;

use super::refresh::Tear;
use crate::error::BenchError;

/// The most rows in one transaction.
const MOST: usize = 1024;
/// Connections for reading.
const READERS: usize = 4;

/// Moves a counterfoil on, by its primary key.
const TEAR: &str = "UPDATE counterfoil SET next_slip = ?2 + 1, expires_at = ?3, claim = ?4, redeemed_at = ?5, slip_key = 1, epoch = 0 \
    WHERE grant_id = ?1 AND next_slip = ?2";
/// Reads a counterfoil, by its primary key.
const READ: &str = "SELECT seal, next_slip, expires_at, claim, redeemed_at, slip_key, epoch, ended FROM counterfoil WHERE grant_id = ?1";

/// Reads of the store.
#[derive(Debug)]
pub(super) struct Readers(Vec<Mutex<Connection>>);

/// Starts the threads that write and checkpoint. They end with the process.
pub(super) fn start(path: &Path, mut tears: UnboundedReceiver<Tear>) -> Result<(), BenchError> {
    let (writer, checkpointer) = (connect(path).map_err(failed)?, connect(path).map_err(failed)?);
    writer.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE)).map_err(failed)?;
    let no_file = |e: std::io::Error| BenchError::System(format!("the floor's store: {e}"));
    let file = File::open(path).map_err(no_file)?;
    let (dirty, due) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (committed, restart) = (dirty.clone(), due.clone());
    std::thread::spawn(move || {
        let mut jobs = Vec::with_capacity(MOST);
        while tears.blocking_recv_many(&mut jobs, MOST) > 0 {
            let written = write(&writer, &jobs);
            committed.store(true, Ordering::Release);
            match written {
                Ok(torn) => {
                    jobs.drain(..).zip(torn).for_each(|(job, torn)| _ = job.reply.send(torn))
                }
                // The waiting task sees that the channel is closed.
                Err(_) => jobs.clear(),
            }
            if restart.swap(false, Ordering::AcqRel) {
                // One that fails is made up for by the next, as with what follows.
                let _ = checkpoint(&writer, "RESTART");
            }
        }
    });
    std::thread::spawn(move || {
        give_way();
        loop {
            std::thread::sleep(CHECKPOINT_EVERY);
            if dirty.swap(false, Ordering::AcqRel) {
                let bytes = checkpoint(&checkpointer, "PASSIVE").unwrap_or(0);
                if bytes > LOG_BOUND {
                    for _ in 0..2 {
                        let _ = checkpoint(&checkpointer, "PASSIVE");
                        let _ = file.sync_data();
                    }
                    due.store(true, Ordering::Release);
                }
            }
        }
    });
    Ok(())
}

/// Gives how many bytes are in the log.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<u64> {
    let pages: i64 =
        db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))?;
    Ok(u64::try_from(pages).unwrap_or(0) << 10)
}

/// One transaction around all of `jobs`. Gives which of them moved their row.
fn write(db: &Connection, jobs: &[Tear]) -> rusqlite::Result<Vec<bool>> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut tear = db.prepare_cached(TEAR)?;
    let torn = jobs
        .iter()
        .map(|job| {
            Ok(tear.execute(params![job.grant, job.number, job.expires_at, job.claim, job.now])?
                == 1)
        })
        .collect();
    db.prepare_cached("COMMIT")?.execute([])?;
    torn
}

fn failed(error: rusqlite::Error) -> BenchError {
    BenchError::System(format!("the floor's store: {error}"))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {LOG_KEPT}; PRAGMA cache_size = -{CACHE}"
    ))?;
    Ok(db)
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, BenchError> {
        let readers =
            (0..READERS).map(|_| connect(path).map(Mutex::new)).collect::<rusqlite::Result<_>>();
        readers.map(Self).map_err(failed)
    }

    /// Whether there is a living counterfoil of this grant. All its columns are read.
    pub(super) fn is_living(&self, grant: i64) -> rusqlite::Result<bool> {
        let free = self.0.iter().find_map(|reader| reader.try_lock().ok());
        let reader =
            free.unwrap_or_else(|| self.0[0].lock().unwrap_or_else(PoisonError::into_inner));
        let mut read = reader.prepare_cached(READ)?;
        let ended = read.query_row([grant], |row| {
            let _: ([u8; 16], i64, i64, Option<[u8; 17]>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let _: (i64, u16, u32) = (row.get(4)?, row.get(5)?, row.get(6)?);
            row.get::<_, bool>(7)
        });
        Ok(ended.optional()? == Some(false))
    }
}
