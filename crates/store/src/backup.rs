//! What becomes of a backup.

use std::path::PathBuf;
use std::time::Duration;

/// A backup that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// How long it took, with its check.
    pub took: Duration,
    /// The longest that writes had to wait for it.
    pub longest_stall: Duration,
}

/// Why a backup was not made. The texts are for the operator; no file is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store is in a database.
    #[error(
        "the store is in PostgreSQL, which is backed up by its own means: pg_basebackup with archived logs, or your provider's snapshots. After one \
         was restored, run `counterfoil declare-loss` before any server starts"
    )]
    OfDatabase,
    /// A file of that name is there.
    #[error("{0} is there already, and a backup is written over no file; name another one")]
    Exists(PathBuf),
    /// A partial copy is there.
    #[error(
        "{0} is there: a backup of that name is being made, or was cut short; where none is being made, remove it and try again"
    )]
    Partial(PathBuf),
    /// The file can't be made, written or checked.
    #[error("the backup {path} can't be made: {problem}")]
    File {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The copy is no good.
    #[error(
        "the copy was checked and is damaged: {0}. Look whether the store itself is: PRAGMA integrity_check; an older backup may be the last good one"
    )]
    Damaged(String),
    /// Pages can't be read from the store or written to the copy.
    #[error("the store can't be copied: {0}")]
    Failed(#[from] rusqlite::Error),
    /// The store failed meanwhile, and its file was opened anew.
    #[error(
        "a write to the store failed while it was copied, and the copy was given up: {0}; try again"
    )]
    Interrupted(String),
    /// One at a time.
    #[error("another backup is being made; wait for its end")]
    UnderWay,
    /// The store is being closed, or has no room for another task.
    #[error("the store is being closed or overloaded, and the backup was given up; try again")]
    Closed,
}
