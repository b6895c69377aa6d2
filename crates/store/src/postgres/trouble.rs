//! What can go wrong on the way to the database and back, and what it says of a write that was under way.

use crate::error::{OpenError, StoreError};
use tokio_postgres::error::SqlState;

/// Why something did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{}", in_full(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The database answers, but is not to be used: not durable, in recovery, of another schema.
    #[error("{0}")]
    Unready(String),
    /// The database was put back to an earlier state than this process has seen.
    #[error("{}", StoreError::Forgot)]
    Forgot,
    /// No answer in time. The connection is given up.
    #[error("no answer in time")]
    Late,
    #[error("the row {id} of {table} holds what can't be: {problem}")]
    Corrupt { table: &'static str, id: String, problem: String },
}

/// The driver's errors say little by themselves.
fn in_full(e: &tokio_postgres::Error) -> String {
    match (e.as_db_error(), std::error::Error::source(e)) {
        (Some(said), _) => said.to_string(),
        (None, Some(cause)) => format!("{e}: {cause}"),
        (None, None) => e.to_string(),
    }
}

impl Trouble {
    /// The same for the person who started the process.
    pub(super) fn at_start(self, store: &str) -> OpenError {
        let store = store.to_owned();
        match self {
            Self::Unready(problem) => OpenError::NotDurable { store, problem },
            trouble => OpenError::Unreachable { store, problem: trouble.to_string() },
        }
    }

    /// Another transaction was in the way. Nothing took effect, and another try may.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Database(e) = self else { return false };
        e.code().is_some_and(|code| *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Somebody holds a lock for longer than this waits. Nothing took effect.
    pub(super) fn is_locked(&self) -> bool {
        let Self::Database(e) = self else { return false };
        e.code().is_some_and(|code| *code == SqlState::LOCK_NOT_AVAILABLE)
    }

    /// The connection or the server behind it is of no more use. Whether what was under way took effect is not known.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Self::Late | Self::Unready(_) => true,
            Self::Corrupt { .. } | Self::Forgot => false,
            Self::Database(e) => match e.code() {
                None => true,
                Some(code) => {
                    // Shutting down, starting up, out of connections, broken connections, and a primary that became a standby.
                    let class = &code.code()[..2];
                    class == "08" || class == "53" || code.code().starts_with("57P") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                }
            },
        }
    }
}

impl From<&Trouble> for StoreError {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Corrupt { table, id, problem } => Self::Corrupt { table, id: id.clone(), problem: problem.clone() },
            Trouble::Forgot => Self::Forgot,
            trouble => Self::Database(trouble.to_string()),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        Self::from(&trouble)
    }
}
