//! What can go wrong with a copy.

use crate::error::OpenError;

/// Why a store was not copied. The texts are for the operator. The source is as it was; the target,
/// where anything was written to it, is marked as unfinished and is served by nobody.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Source or target can't be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Both are files.
    #[error(
        "both stores are SQLite files: stop the server and move the file, or use `counterfoil backup` and `counterfoil restore`"
    )]
    Files,
    /// Both are in databases.
    #[error(
        "both stores are in PostgreSQL, whose own tools copy a database: pg_dump and pg_restore, or replication; stop every server first"
    )]
    Databases,
    /// The target is in use.
    #[error(
        "{0} is no new place: there are rows of a store in it. Name a file that does not exist, or an empty database"
    )]
    NotNew(String),
    /// The copy was made before.
    #[error(
        "{from} was copied to {to} before, and that copy is whole: serve it by setting `store` to it"
    )]
    Done {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// Servers use the source.
    #[error(
        "{store} is in use by running servers ({connections} connections called `counterfoil`): stop every one of them first"
    )]
    Served {
        /// The source.
        store: String,
        /// How many there are.
        connections: i64,
    },
    /// A row can't be copied.
    #[error(
        "the row {row} of the table {table} in {store} can't be copied: its {column} {problem}"
    )]
    Row {
        /// The source.
        store: String,
        /// The table.
        table: &'static str,
        /// Its key.
        row: String,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Both were read again after the copy.
    #[error(
        "the copy was read again and is not what the source is: in the table {table} {difference}. If a server wrote to the source meanwhile, stop it; \
         then run the copy again"
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// How many rows there are on either side, or that the same number of rows says other
        /// things.
        difference: String,
    },
    /// Without its keys a store is worthless.
    #[error("the keys could not travel with the store, which is worthless without them: {0}")]
    Keys(String),
    /// The target was taken over.
    #[error("another copy to {0} was begun meanwhile; let it finish")]
    TakenOver(String),
    /// A store failed meanwhile.
    #[error("{store} failed: {problem}; run the copy again, which starts over")]
    Failed {
        /// Which.
        store: String,
        /// What it said.
        problem: String,
    },
}
