//! Checkpoints: what was committed is copied from the write-ahead log into the file by a thread that gives way to all others, and the log is
//! begun anew at a bound, by the writer, once nearly all of it is in the file and on disk.

use super::reader::{Commits, Readers};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often what was committed is copied into the file, while commits come in.
pub const EVERY: Duration = Duration::from_millis(300);
/// Bytes in the log from which it is begun anew. The file shrinks back to them after a burst. Whenever that is due, one commit waits for the
/// disk as long as the file's own pages take: at twice the bytes half as often (docs/performance.md).
pub const LOG_BOUND: u64 = 128 << 20;
/// How nice the thread is: a twentieth of a core is left for it where two threads want all of it, which is what copying takes of the commits that
/// such a core can make. With 15 the log grew without bound.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// The longest that the writer waits for reads under way before it puts off beginning the log anew.
const PATIENCE: Duration = Duration::from_millis(5);
/// The longest that anything waits for another program that has the file open.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// The thread that checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Ends after the thread, and after every connection: see [`Checkpointer::start`].
    _file: Arc<File>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    wal_bytes: AtomicU64,
    /// Whether the writer is to begin the log anew.
    due: AtomicBool,
    /// Bytes that were in the log when the writer last did. It says that it has them until the next commit overwrites the first.
    begun_anew_at: AtomicU64,
}

impl Checkpointer {
    /// The database's file is opened once more, for syncing it. It must be closed after all connections to it: with the first handle that a
    /// process closes, it loses all its locks on the file (POSIX).
    pub(crate) fn start(path: &Path, db: Connection, readers: Arc<Readers>, commits: Arc<Commits>) -> std::io::Result<Self> {
        let file = Arc::new(File::open(path)?);
        let shared = Arc::<Shared>::default();
        let step = Step { db, file: file.clone(), readers, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
            give_way();
            let mut seen = None;
            while !step.shared.stop.load(Ordering::Acquire) {
                let now = Some(commits.so_far());
                if now != seen {
                    match step.make() {
                        Ok(()) => seen = now,
                        Err(problem) => tracing::warn!(problem, "a checkpoint failed; the write-ahead log grows until one succeeds"),
                    }
                }
                std::thread::park_timeout(EVERY);
            }
        })?;
        Ok(Self { shared, thread: Some(thread), _file: file })
    }

    /// What the writer is to do between two transactions.
    pub(crate) fn log(&self, readers: Arc<Readers>) -> Log {
        Log { shared: self.shared.clone(), readers }
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
    readers: Arc<Readers>,
    shared: Arc<Shared>,
}

impl Step {
    fn make(&self) -> Result<(), String> {
        let bytes = self.copy()?;
        if bytes > LOG_BOUND && bytes != self.shared.begun_anew_at.load(Ordering::Acquire) {
            // The writer would wait for all of this. What comes in during the long sync is little.
            self.sync()?;
            self.copy()?;
            self.sync()?;
            self.shared.due.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Copies what was committed into the file. Gives how many bytes are in the log.
    fn copy(&self) -> Result<u64, String> {
        self.readers.leave();
        let bytes = checkpoint(&self.db, "PASSIVE").map_err(|e| e.to_string())?.bytes;
        self.shared.wal_bytes.store(bytes, Ordering::Relaxed);
        // Where all was copied, and nobody reads from the log any more, the next commit begins it anew.
        self.readers.leave();
        Ok(bytes)
    }

    /// While commits come in, SQLite leaves this to whoever begins the log anew.
    fn sync(&self) -> Result<(), String> {
        self.file.sync_data().map_err(|e| e.to_string())
    }
}

/// The write-ahead log, for the writer.
#[derive(Debug)]
pub(super) struct Log {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
}

impl Log {
    /// To be called between two transactions of the writer's. Has the next one begin the log anew, where that is due and nobody reads for long.
    pub(super) fn begin_anew_where_due(&self, db: &Connection) {
        if self.shared.due.swap(false, Ordering::AcqRel) {
            match self.begin_anew(db) {
                Ok(Checkpoint { busy: false, bytes }) => self.shared.begun_anew_at.store(bytes, Ordering::Release),
                // The checkpointer asks for it again.
                Ok(_) => tracing::debug!("the write-ahead log could not be begun anew while somebody reads"),
                Err(error) => tracing::warn!(%error, "the write-ahead log could not be begun anew; it grows until it is"),
            }
        }
    }

    fn begin_anew(&self, db: &Connection) -> rusqlite::Result<Checkpoint> {
        db.busy_timeout(PATIENCE)?;
        let restarted = self.readers.while_none_stays(|| checkpoint(db, "RESTART"));
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
}

fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<Checkpoint> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let pages: i64 = row.get(1)?;
        Ok(Checkpoint { busy: row.get(0)?, bytes: u64::try_from(pages).unwrap_or(0) * u64::from(super::PAGE_SIZE) })
    })
}

/// Lets all other threads of this machine go first: copying took the core from them for milliseconds at a time.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "checkpoints are made with the priority of everything else");
    }
}
