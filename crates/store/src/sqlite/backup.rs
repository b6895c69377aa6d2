//! Backups while the store is written.
//!
//! The file is copied on the writer's own connection, some pages at a time between two
//! transactions. SQLite itself puts what that connection writes into the copy too, so copying never
//! begins anew; and it reads nothing in between, so the log can be restarted.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::Sqlite;
use super::file::damage;
use crate::backup::{Backup, BackupError};
use crate::files::{beside, create_private_of, sync_directory_of};

/// Pages that may be copied before those before them are on disk: what a commit's own fsync may
/// have to wait for.
const AHEAD: i32 = 4096;
/// How long the writer waits for something to write while the disk is behind with the copy.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// A copy that the writer is to make.
pub(super) struct Copying {
    pub(super) into: Connection,
    pub(super) flusher: Flusher,
    pub(super) reply: oneshot::Sender<Result<Copied, BackupError>>,
}

/// A copy that the writer has made.
pub(super) struct Copied {
    pub(super) into: Connection,
    pub(super) flusher: Flusher,
    pub(super) longest_stall: Duration,
}

impl Sqlite {
    pub(crate) async fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        let began = Instant::now();
        let (partial, into, flusher) = {
            let (to, store) = (to.to_owned(), self.file.metadata().ok());
            aside(move || Partial::make(to, store)).await?
        };
        let (reply, copied) = oneshot::channel();
        self.writer.copy(Copying { into, flusher, reply });
        let copied = copied.await.unwrap_or(Err(BackupError::Closed))?;
        let longest_stall = copied.longest_stall;
        let bytes = aside(move || partial.finish(copied)).await?;
        Ok(Backup { bytes, took: began.elapsed(), longest_stall })
    }
}

/// Does what takes long on a thread that nobody else waits for.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BackupError::Closed))
}

/// The copy while it is not done: `TO.partial`, removed if it never is.
struct Partial {
    to: PathBuf,
    path: PathBuf,
}

impl Partial {
    fn make(
        to: PathBuf,
        store: Option<Metadata>,
    ) -> Result<(Self, Connection, Flusher), BackupError> {
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(to));
        }
        let path = beside(&to, ".partial");
        let file = match create_private_of(store, &path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Partial(path));
            }
            Err(e) => return Err(failed(&to, &e)),
        };
        let partial = Self { to, path };
        let into = Connection::open_with_flags(
            &partial.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // Until it is done it is worth nothing, so nothing protects it.
        into.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1024",
        )?;
        let flusher = Flusher::start(file).map_err(|e| failed(&partial.to, &e))?;
        Ok((partial, into, flusher))
    }

    /// Checks the copy and gives it its name. Gives its size in bytes.
    fn finish(self, Copied { into, flusher, .. }: Copied) -> Result<u64, BackupError> {
        drop(into);
        let failed = |e: std::io::Error| failed(&self.to, &e);
        let file = flusher.end().map_err(failed)?;
        let copy = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // In WAL mode a file can't be read without the right to make others beside it.
        copy.execute_batch("PRAGMA journal_mode = DELETE")?;
        damage(&copy, "quick_check")?.map_or(Ok(()), |found| Err(BackupError::Damaged(found)))?;
        copy.close().map_err(|(_, e)| e)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        // A link, unlike a renaming, never takes the place of a file that came meanwhile. Not every
        // file system has links.
        match std::fs::hard_link(&self.path, &self.to) {
            Ok(()) => std::fs::remove_file(&self.path).map_err(failed)?,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(self.to.clone()));
            }
            Err(_) => std::fs::rename(&self.path, &self.to).map_err(failed)?,
        }
        sync_directory_of(&self.to).map_err(failed)?;
        Ok(bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn failed(to: &Path, e: &std::io::Error) -> BackupError {
    BackupError::File { path: to.to_owned(), problem: e.to_string() }
}

/// Gets the copy to disk while it is made, so that the system never has so much of it waiting that
/// a commit waits too.
pub(super) struct Flusher {
    /// Pages copied since it was last asked to.
    pages: i32,
    wake: SyncSender<()>,
    busy: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<File>>,
}

impl Flusher {
    fn start(file: File) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let busy = Arc::<AtomicBool>::default();
        let shared = busy.clone();
        let thread = std::thread::Builder::new().name("store-backup".into()).spawn(move || {
            let mut flushed = Ok(());
            for () in woken {
                // Once it failed, the copy is lost; the first failure says why.
                flushed = flushed.and_then(|()| file.sync_data());
                shared.store(false, Ordering::Release);
            }
            flushed.map(|()| file)
        })?;
        Ok(Self { pages: 0, wake, busy, thread })
    }

    pub(super) fn wrote(&mut self, pages: i32) {
        self.pages += pages;
    }

    /// Whether copying must wait for the disk.
    pub(super) fn is_behind(&mut self) -> bool {
        if self.pages < AHEAD {
            return false;
        }
        if self.busy.swap(true, Ordering::AcqRel) {
            return true;
        }
        self.pages = 0;
        // A thread that is gone says why at the end.
        let _ = self.wake.try_send(());
        false
    }

    fn end(self) -> std::io::Result<File> {
        drop(self.wake);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread that got it to disk failed")))
    }
}

#[cfg(test)]
mod tests;
