//! What can go wrong with a store.

use std::path::PathBuf;

/// The store can't answer now. The caller sends 503; what was acknowledged before is not lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: disk full, read-only, an I/O error.
    #[error("the store failed: {0}")]
    Failed(#[from] rusqlite::Error),
    /// More writes are waiting than can be served in time.
    #[error("the store's queue is full")]
    Overloaded,
    /// The writer could not commit, and after reopening the file could not do better.
    #[error("the store can't be written: {0}")]
    NotWritten(String),
    /// It is being closed.
    #[error("the store is closed")]
    Closed,
    /// A row holds what can't be: damage from outside.
    #[error("the row {id} of {table} holds what can't be: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// The column, in SQLite's words.
        problem: String,
    },
}

/// Why a store can't be opened. The texts are for the person who started the process.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory that should hold the file is missing.
    #[error("the directory {0} for the store does not exist; create it and give this user the right to write there")]
    NoDirectory(PathBuf),
    /// Another process has it.
    #[error("the store {path} is in use by {holder}; one process owns a SQLite store at a time")]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// The file, its lock or its directory can't be written or read.
    #[error("the store {path} can't be opened for writing: {problem}")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Something else lies at that path.
    #[error("{path} is not a Counterfoil store: {problem}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// The file is damaged.
    #[error("the store {path} is damaged: {problem}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// A newer Counterfoil wrote it.
    #[error(
        "the store {path} has schema {found}, and this version knows schemas up to {known}; use the version that wrote it or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
    /// It is for something else.
    #[error("the store {path} is a {found} store; `{holder}` needs a {wanted} one")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: &'static str,
        /// Who asked.
        holder: String,
    },
    /// It belongs to another issuer.
    #[error("the store {path} belongs to the issuer {found}, not to {wanted}; tokens of one are worthless at the other")]
    OtherIssuer {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// The endings log can't be written.
    #[error("the endings log {path} can't be written: {problem}")]
    EndingsLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
}
