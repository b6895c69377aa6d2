//! One process owns a SQLite store: an exclusive lock on a file beside it, which names its holder.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::files::{beside, create_private_of};

/// Held while the store is open; the system frees it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a child process that another thread starts right now has the
    /// file open too, until it executes its program, and the lock would last as long.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The lock file of the store at `path`.
pub(crate) fn file_of(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

impl Lock {
    /// Who has the store at `path`, if somebody has; makes nothing.
    pub(crate) fn holder(path: &Path) -> Option<String> {
        let mut file = File::open(file_of(path)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            Err(TryLockError::Error(_)) => None,
            Ok(()) => {
                drop(Lock(file));
                None
            }
        }
    }

    /// Takes the lock of the store at `path` for `holder`.
    pub(crate) fn take(path: &Path, holder: &str) -> Result<Self, OpenError> {
        let not_writable = |e: std::io::Error| OpenError::NotWritable {
            store: path.display().to_string(),
            problem: e.to_string(),
        };
        let lock = file_of(path);
        let mut file = match create_private_of(std::fs::metadata(path).ok(), &lock) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                File::options().read(true).write(true).open(&lock)
            }
            made => made,
        }
        .map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                    holder: read_holder(&mut file),
                });
            }
            Err(TryLockError::Error(e)) => return Err(not_writable(e)),
        }
        // The name is for a second process's message alone; that it can't be written (a full disk)
        // must not stop the first.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{holder}, process {}", std::process::id()));
        Ok(Self(file))
    }
}

fn read_holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() }
}
