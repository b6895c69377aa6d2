//! What becomes of a restore.

use std::path::PathBuf;

use counterfoil_core::clock::Doubt;

use crate::endings::EndingsError;
use crate::error::OpenError;
use crate::loss::LossDeclared;

/// A store that was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// What the declared loss came to.
    pub loss: LossDeclared,
    /// Where the store lies that was there before, with its log beside it, if there was one.
    pub old: Option<PathBuf>,
}

/// Why a store was not restored. The texts are for the operator; but for
/// [`RestoreError::Unfinished`], what was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store is in a database.
    #[error(
        "the store is in PostgreSQL: restore the database by its own means while no server runs, and then run `counterfoil declare-loss` before \
         any does"
    )]
    OfDatabase,
    /// The store can't be had, or the backup is not one of it.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The backup can't be read or is damaged.
    #[error("the backup {path} can't be restored: {problem}")]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The journals have nothing in common with the backup.
    #[error(
        "none of the {0} latest endings in the backup is in the endings logs, so these are another store's, or begin after the backup was made, \
         and what was revoked in between would be good again. Name the earlier ones too with --endings; if they are lost, say \
         --accept-lost-endings"
    )]
    OtherEndings(usize),
    /// A journal is another store's.
    #[error(transparent)]
    Endings(#[from] EndingsError),
    /// This machine's clock is not to be believed.
    #[error(transparent)]
    Clock(#[from] Doubt),
    /// The restored store can't be written beside the old one.
    #[error("the restored store can't be written to {path}: {problem}; the store is as it was")]
    Written {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// It was written, and could not take its place.
    #[error(
        "the restored store is ready but could not take its place yet, which the next start will see to: {0}"
    )]
    Unfinished(String),
}
