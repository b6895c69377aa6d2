//! What can go wrong with a store.

use std::path::PathBuf;

use crate::endings::EndingsError;

/// The store can't answer now. The caller sends 503; what was acknowledged before is not lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: disk full, read-only, an I/O error.
    #[error("the store failed: {0}")]
    Failed(#[from] rusqlite::Error),
    /// The database did not answer as it should, or not in time.
    #[error("the database failed: {0}")]
    Database(String),
    /// More writes are waiting than can be served in time.
    #[error("the store's queue is full")]
    Overloaded,
    /// The writer could not commit, and after reopening the file could not do better.
    #[error("the store can't be written: {0}")]
    NotWritten(String),
    /// It is being closed.
    #[error("the store is closed")]
    Closed,
    /// It was copied elsewhere while this process used it.
    #[error("the store was moved to {0}; stop this server")]
    Moved(String),
    /// It is in an earlier state than this process has seen it in.
    #[error(
        "the store has forgotten endings that it knew: it was put back to an earlier state, and what was revoked since would be good again. Run \
         `counterfoil declare-loss` with the endings logs of all nodes; nothing is served until then"
    )]
    Forgot,
    /// Endings that were to be applied are another store's.
    #[error(transparent)]
    Endings(#[from] EndingsError),
    /// A row holds what can't be: damage from outside.
    #[error("the row {id} of {table} holds what can't be: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// The column, in the engine's words.
        problem: String,
    },
}

/// Why a store can't be opened. The texts are for the person who started the process.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory that should hold the file is missing.
    #[error(
        "the directory {0} for the store does not exist; create it and give this user the right to write there"
    )]
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
    #[error("the store {store} can't be opened for writing: {problem}")]
    NotWritable {
        /// Where it is.
        store: String,
        /// What the system said.
        problem: String,
    },
    /// Something else lies at that path.
    #[error("{store} is not a Counterfoil store: {problem}")]
    Foreign {
        /// Where it is.
        store: String,
        /// What it is instead.
        problem: String,
    },
    /// The file is damaged.
    #[error("the store {store} is damaged: {problem}; restore it from a backup")]
    Damaged {
        /// Where it is.
        store: String,
        /// What SQLite said.
        problem: String,
    },
    /// A newer Counterfoil wrote it.
    #[error(
        "the store {store} has schema {found}, which versions can use that know schema {oldest_reader}, and this one knows schemas up to {known}; use the \
         version that wrote it or a newer one"
    )]
    Newer {
        /// Where it is.
        store: String,
        /// Its schema.
        found: u32,
        /// The oldest schema whose versions can use it.
        oldest_reader: u32,
        /// The newest that we know.
        known: u32,
    },
    /// It is older than it must be.
    #[error(
        "the store {store} has schema {found}, not yet {known}: run `counterfoil migrate` first, and replace every node of the version before"
    )]
    Older {
        /// Where it is.
        store: String,
        /// Its schema.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
    /// It is for something else.
    #[error("the store {store} is a {found} store; `{holder}` needs a {wanted} one")]
    WrongKind {
        /// Where it is.
        store: String,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: &'static str,
        /// Who asked.
        holder: String,
    },
    /// It belongs to another issuer.
    #[error(
        "the store {store} belongs to the issuer {found}, not to {wanted}; tokens of one are worthless at the other"
    )]
    OtherIssuer {
        /// Where it is.
        store: String,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// There is none.
    #[error("there is no store at {0}")]
    NoStore(String),
    /// It is a copy that was not finished.
    #[error(
        "the store {0} is an unfinished copy of another; run `counterfoil copy` again, which starts it over"
    )]
    Unfinished(String),
    /// It was copied elsewhere, and is not to be used beside its copy.
    #[error(
        "the store {store} was moved to {to}, which is to be served in its place: set `store` to it. Were both served, every refresh token would be good \
         twice. If the copy was cut short, run `counterfoil copy` once more from and to the same; to come back from {to}, copy it to a new place"
    )]
    Moved {
        /// Where it is.
        store: String,
        /// Where its copy is.
        to: String,
    },
    /// The database does not answer.
    #[error("the database {store} can't be reached: {problem}")]
    Unreachable {
        /// Where it is.
        store: String,
        /// What the system or the database said.
        problem: String,
    },
    /// The database answers, and refuses what is needed.
    #[error("the database {store} answers, but can't be used: {problem}")]
    Unusable {
        /// Where it is.
        store: String,
        /// What the database said.
        problem: String,
    },
    /// What was acknowledged could be lost.
    #[error("the database {store} could lose what was acknowledged: {problem}")]
    NotDurable {
        /// Where it is.
        store: String,
        /// Which setting, and what it must be.
        problem: String,
    },
    /// The endings log can't be written, or is another file.
    #[error("the endings log {path} can't be written: {problem}")]
    EndingsLog {
        /// The file.
        path: PathBuf,
        /// What the system said, or what the file is.
        problem: String,
    },
    /// The endings log is of another store.
    #[error(
        "the endings log {log} is of another store, whose id is {id}: set `endings_log` to this store's own, or move that file to where it belongs"
    )]
    OtherStoresEndings {
        /// The log.
        log: PathBuf,
        /// The id of its store.
        id: String,
    },
    /// The store is in an earlier state than its endings log.
    #[error(
        "the store {store} is in an earlier state than it was: the endings log {log} has lines that it does not know ({lines}), so what was revoked since would \
         be good again"
    )]
    StoreForgot {
        /// Where the store is.
        store: String,
        /// The log.
        log: PathBuf,
        /// How many lines.
        lines: i64,
    },
    /// Another node has found the store in an earlier state than its endings log.
    #[error(
        "the store {store} is in an earlier state than it was, as a node has found by its endings log, so what was revoked since would be good again"
    )]
    StoreIsSaidToForget {
        /// Where the store is.
        store: String,
    },
    /// The endings log is in an earlier state than its store.
    #[error(
        "the endings log {log} is in an earlier state than it was: its last lines are missing ({lines}), so it could not tell a restored store what was \
         revoked. Put the newest file there"
    )]
    EndingsBehind {
        /// The log.
        log: PathBuf,
        /// How many lines.
        lines: i64,
    },
    /// There is no endings log, and the store knows that there was one.
    #[error(
        "the endings log {log} is missing, of which the store knows {lines} lines, so it could not tell a restored store what was revoked. Put the file there; \
         one that was rolled away lies uncompressed beside it"
    )]
    EndingsMissing {
        /// The log.
        log: PathBuf,
        /// How many lines.
        lines: i64,
    },
}

/// What an operator can run where a store can't be opened as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// `counterfoil declare-loss`.
    DeclareLoss,
    /// `counterfoil serve --accept-lost-endings`.
    AcceptLostEndings,
}

impl OpenError {
    /// What the operator can run.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::StoreForgot { .. } | Self::StoreIsSaidToForget { .. } => {
                Some(Remedy::DeclareLoss)
            }
            Self::EndingsBehind { .. } | Self::EndingsMissing { .. } => {
                Some(Remedy::AcceptLostEndings)
            }
            _ => None,
        }
    }
}
