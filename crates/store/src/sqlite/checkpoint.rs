//! Checkpoints: what was committed is copied from the write-ahead log into the file by a thread
//! that gives way to all others, and the log is begun anew at a bound, by the writer, once nearly
//! all of it is in the file and on disk.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ffi};

use super::file::{BUSY, LOG_BOUND, PAGE_SIZE};
use crate::counts::Counts;

/// How often what was committed is copied into the file, while commits come in.
pub const EVERY: Duration = Duration::from_millis(300);
/// Bytes in the log from which the writer begins it anew at once, and waits for whatever is left to
/// do: only where copying gets too little of the processor for long, or somebody reads for long.
const LOG_MOST: u64 = LOG_BOUND * 2;
/// The most bytes that are left for the writer to copy; usually it is a tenth of that.
const LEFT: u64 = 16 << 20;
/// How nice the thread is: it gets a twentieth of a core where two others want all of it, which is
/// what copying takes of the commits that such a core can make. With 15 the log grew on.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// The longest that the writer waits for reads under way before it puts off beginning the log anew.
const PATIENCE: Duration = Duration::from_millis(5);

/// The thread that checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    wal_bytes: AtomicU64,
    /// Whether the writer is to begin the log anew.
    due: AtomicBool,
    /// Bytes that were in the log when the writer last did. It says that it has them until the next
    /// commit overwrites the first.
    begun_anew_at: AtomicU64,
}

impl Checkpointer {
    /// `file` is the database's, for syncing it. It must be closed after all connections to it:
    /// with the first handle that a process closes, it loses all its locks on the file (POSIX).
    pub(crate) fn start(
        file: Arc<File>,
        db: Connection,
        counts: Arc<Counts>,
    ) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let step = Step { db, file, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
            give_way();
            let mut seen = None;
            while !step.shared.stop.load(Ordering::Acquire) {
                let now = Some(counts.commits.get());
                if now != seen {
                    match step.make() {
                        Ok(Made::AllOfIt) => seen = now,
                        Ok(Made::Nothing) => {}
                        Err(error) => tracing::warn!(%error, "a checkpoint failed; the write-ahead log grows until one succeeds"),
                    }
                }
                std::thread::park_timeout(EVERY);
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What the writer is to do between two transactions.
    pub(crate) fn log(&self) -> Log {
        Log { shared: self.shared.clone() }
    }

    /// Whether the log was begun anew by the writer.
    #[cfg(test)]
    pub(super) fn has_begun_anew(&self) -> bool {
        self.shared.begun_anew_at.load(Ordering::Acquire) > 0
    }

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.shared.wal_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Step {
    db: Connection,
    file: Arc<File>,
    shared: Arc<Shared>,
}

/// What came of a step.
enum Made {
    /// What was committed before it is copied, as far as nobody reads what was before.
    AllOfIt,
    /// Somebody else makes one.
    Nothing,
}

impl Step {
    fn make(&self) -> rusqlite::Result<Made> {
        let Some(log) = self.copy()? else {
            return Ok(Made::Nothing);
        };
        if log.bytes <= LOG_BOUND || log.bytes == self.shared.begun_anew_at.load(Ordering::Acquire)
        {
            return Ok(Made::AllOfIt);
        }
        if log.bytes > LOG_MOST {
            self.shared.due.store(true, Ordering::Release);
        } else {
            // The writer would wait for all of this. What comes in during a long copy is less, and
            // during a long sync little.
            self.copy()?;
            self.sync();
            let left = self.copy()?.map_or(u64::MAX, |log| log.left);
            self.sync();
            self.shared.due.store(left <= LEFT, Ordering::Release);
        }
        Ok(Made::AllOfIt)
    }

    /// Copies what was committed into the file. `None` where somebody else is at it.
    fn copy(&self) -> rusqlite::Result<Option<Checkpoint>> {
        let made = checkpoint(&self.db, "PASSIVE")?;
        if let Some(made) = &made {
            self.shared.wal_bytes.store(made.bytes, Ordering::Relaxed);
        }
        Ok(made)
    }

    /// While commits come in, SQLite leaves this to whoever begins the log anew.
    fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            lost(&error);
        }
    }
}

/// The write-ahead log, for the writer.
#[derive(Debug)]
pub(super) struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// To be called between two transactions of the writer's. Has the next one begin the log anew,
    /// where that is due and nobody reads for long.
    pub(super) fn begin_anew_where_due(&self, db: &Connection) {
        if self.shared.due.swap(false, Ordering::AcqRel) {
            match self.begin_anew(db) {
                Ok(Some(Checkpoint { busy: false, bytes, .. })) => {
                    self.shared.begun_anew_at.store(bytes, Ordering::Release)
                }
                // The checkpointer asks for it again.
                Ok(_) => tracing::debug!(
                    "the write-ahead log could not be begun anew while somebody reads"
                ),
                Err(error) => {
                    tracing::warn!(%error, "the write-ahead log could not be begun anew; it grows until it is")
                }
            }
        }
    }

    fn begin_anew(&self, db: &Connection) -> rusqlite::Result<Option<Checkpoint>> {
        db.busy_timeout(PATIENCE)?;
        let restarted = checkpoint(db, "RESTART");
        db.busy_timeout(BUSY)?;
        restarted
    }
}

/// What a checkpoint says.
struct Checkpoint {
    /// Whether somebody was in its way.
    busy: bool,
    /// Bytes in the log.
    bytes: u64,
    /// How many of them are not in the file yet.
    left: u64,
}

/// `None` where another one is under way.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<Option<Checkpoint>> {
    let made = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let bytes =
            |pages: i64| u64::try_from(pages).ok().map(|pages| pages * u64::from(PAGE_SIZE));
        let (busy, logged, copied): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(bytes(logged).zip(bytes(copied)).map(|(bytes, copied)| Checkpoint {
            busy,
            bytes,
            left: bytes.saturating_sub(copied),
        }))
    });
    if let Err(rusqlite::Error::SqliteFailure(error, _)) = &made
        && error.extended_code == ffi::SQLITE_IOERR_FSYNC
    {
        lost(error);
    }
    made
}

/// After a failed sync nobody knows which pages of the file are on disk: the system may have marked
/// them as written, so that the next sync succeeds without them, and SQLite, which counts them as
/// copied, would let go of the log that has them. A new start copies the whole log again.
fn lost(error: &impl std::fmt::Display) -> ! {
    // The log writes this at once or not at all: while it waited for a reader, the writer could
    // restart the write-ahead log.
    tracing::error!(
        target: "fatal",
        %error,
        "the store's file could not be synced; ending at once, since the next start can repair it from the write-ahead log"
    );
    std::process::abort();
}

/// Has the scheduler give this thread little while others have work: copying took the core from
/// them for milliseconds at a time.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "checkpoints are made with the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_restarted_unless_somebody_reads_for_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n (n); INSERT INTO n VALUES (0)").unwrap();
        let reader = super::super::file::connect(&path).unwrap();
        let log = Log { shared: Arc::default() };
        let restart = || {
            log.shared.due.store(true, Ordering::Release);
            log.begin_anew_where_due(&db);
            log.shared.begun_anew_at.load(Ordering::Acquire) > 0
        };
        reader.execute_batch("BEGIN; SELECT n FROM n").unwrap();
        db.execute("UPDATE n SET n = 1", []).unwrap();
        assert!(!restart(), "somebody reads what was before");
        reader.execute_batch("COMMIT").unwrap();
        assert!(restart());
    }
}
