//! Checkpoints on a connection of their own, in small steps, so that no commit waits for one; and a bound on the write-ahead log.

use super::reader::Readers;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often what was committed is copied into the file, while commits come in. Each time, commits wait for the disk: more often means more
/// of them, seldom means longer (docs/performance.md).
pub const EVERY: Duration = Duration::from_millis(300);
/// Bytes in the log from which it is restarted, for which writers wait a moment. The file shrinks back to them after a burst.
pub(super) const BOUND: u64 = 64 << 20;

/// The thread that checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Whether something was committed since the last checkpoint began.
    dirty: AtomicBool,
    wal_bytes: AtomicU64,
}

impl Checkpointer {
    pub(crate) fn start(db: Connection, readers: Arc<Readers>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { dirty: AtomicBool::new(true), ..Shared::default() });
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
                while !shared.stop.load(Ordering::Acquire) {
                    if shared.dirty.swap(false, Ordering::AcqRel)
                        && let Err(error) = readers.while_none_stays(|| step(&db, &shared))
                    {
                        tracing::warn!(%error, "a checkpoint failed; the write-ahead log grows until one succeeds");
                    }
                    std::thread::park_timeout(EVERY);
                }
            })?
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// To be called after each commit.
    pub(crate) fn nudge(&self) -> impl Fn() + Send + 'static {
        let shared = self.shared.clone();
        move || shared.dirty.store(true, Ordering::Release)
    }

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.shared.wal_bytes.load(Ordering::Relaxed)
    }
}

fn step(db: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let pages: i64 = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    let bytes = u64::try_from(pages).unwrap_or(0) * u64::from(super::PAGE_SIZE);
    shared.wal_bytes.store(bytes, Ordering::Relaxed);
    if bytes > BOUND {
        // Nearly all is copied already, so writers wait for the rest alone.
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    }
    Ok(())
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
