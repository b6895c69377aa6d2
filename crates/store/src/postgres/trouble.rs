//! What can go wrong on the way to the database and back, and what it says of a write that was
//! under way.

use tokio_postgres::error::SqlState;

use crate::error::{OpenError, StoreError};

/// Why something did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{}", in_words(.0))]
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

/// The driver's errors say little by themselves, and the database's not what they mean here.
fn in_words(e: &tokio_postgres::Error) -> String {
    match (e.as_db_error(), std::error::Error::source(e)) {
        (Some(said), _) => match meaning(said.code()) {
            Some(meaning) => format!("{meaning} ({said})"),
            None => said.to_string(),
        },
        (None, Some(cause)) => format!("{e}: {cause}"),
        (None, None) => e.to_string(),
    }
}

/// What an error of the database means.
fn meaning(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "55P03" => "another transaction holds a lock for longer than this waits",
        "57014" => "it took longer than it may",
        "40001" | "40P01" => "another transaction was in the way",
        "25006" => {
            "the database takes no writes: it is a standby, or default_transaction_read_only is on"
        }
        "53100" => "the database's disk is full",
        "53200" => "the database is out of memory",
        "53300" => {
            "the database takes no more connections: raise max_connections, or run fewer nodes"
        }
        "57P01" => "the database is being shut down, or somebody ended this connection",
        "57P02" => "the database crashed",
        "57P03" => "the database takes no connections yet: it starts, stops or recovers",
        "3D000" => "there is no such database: create it",
        "42501" => "the role lacks a right",
        code if code.starts_with("28") => {
            "the database refuses the role: look at its name, its password, and pg_hba.conf"
        }
        code if code.starts_with("08") => "the connection to the database was lost",
        _ => return None,
    })
}

impl Trouble {
    /// The same for the person who started the process.
    pub(super) fn at_start(self, store: &str) -> OpenError {
        let store = store.to_owned();
        match self {
            Self::Unready(problem) => OpenError::NotDurable { store, problem },
            Self::Database(e) if e.code().is_some() => {
                OpenError::Unusable { store, problem: in_words(&e) }
            }
            Self::Corrupt { .. } => OpenError::Damaged { store, problem: self.to_string() },
            Self::Forgot => OpenError::StoreIsSaidToForget { store },
            trouble => OpenError::Unreachable { store, problem: trouble.to_string() },
        }
    }

    /// What became of the statement or connection, for the log.
    pub(super) fn headline(&self) -> &'static str {
        match self {
            Self::Late => "the database did not answer in time, and its connection is given up",
            Self::Database(e) if e.code().is_none() => "a connection to the database was lost",
            Self::Database(_) if self.is_loss() => {
                "the database can't be used now, and its connection is given up"
            }
            Self::Database(_) => "the database refused a statement",
            Self::Unready(_) | Self::Forgot => "the database is not to be used",
            Self::Corrupt { .. } => "a row of the database holds what can't be",
        }
    }

    /// Whether it is not known if what was under way took effect: the database has not said that it
    /// failed.
    pub(super) fn leaves_in_doubt(&self) -> bool {
        match self {
            // Of these it says that it does nothing.
            Self::Database(e) => {
                e.code().is_none_or(|code| {
                    !(code.code().starts_with("53") || *code == SqlState::READ_ONLY_SQL_TRANSACTION)
                }) && self.is_loss()
            }
            trouble => trouble.is_loss(),
        }
    }

    /// Another transaction was in the way. Nothing took effect, and another try may.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Database(e) = self else {
            return false;
        };
        e.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        })
    }

    /// Somebody holds a lock for longer than this waits. Nothing took effect.
    pub(super) fn is_locked(&self) -> bool {
        let Self::Database(e) = self else {
            return false;
        };
        e.code().is_some_and(|code| *code == SqlState::LOCK_NOT_AVAILABLE)
    }

    /// The connection or the server behind it is of no more use. Whether what was under way took
    /// effect is not known.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Self::Late | Self::Unready(_) => true,
            Self::Corrupt { .. } | Self::Forgot => false,
            Self::Database(e) => match e.code() {
                None => true,
                Some(code) => {
                    // Shutting down, starting up, out of connections, memory or disk, broken
                    // connections, and a primary that became a standby.
                    let class = &code.code()[..2];
                    class == "08"
                        || class == "53"
                        || code.code().starts_with("57P")
                        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                }
            },
        }
    }
}

impl From<&Trouble> for StoreError {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Corrupt { table, id, problem } => {
                Self::Corrupt { table, id: id.clone(), problem: problem.clone() }
            }
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

#[cfg(test)]
mod tests {
    use counterfoil_testing::fresh_database;
    use tokio_postgres::NoTls;

    use super::*;

    async fn connect(url: &str) -> Result<tokio_postgres::Client, Trouble> {
        let (client, driver) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(driver);
        Ok(client)
    }

    /// What the database says of a batch of statements.
    async fn trouble(url: &str, statements: &str) -> Trouble {
        let client = connect(url).await.unwrap();
        for statement in statements.split('|') {
            if let Err(error) = client.batch_execute(statement).await {
                return error.into();
            }
        }
        panic!("{statements}: nothing went wrong")
    }

    /// Each kind by its own name, and whether its connection, its outcome or neither is lost.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_database_says_is_told_as_what_it_is() {
        let url = fresh_database();
        let holder = connect(&url).await.unwrap();
        for statement in ["CREATE TABLE held (id int)", "BEGIN", "LOCK TABLE held"] {
            holder.batch_execute(statement).await.unwrap();
        }
        for (statements, words, is_loss, in_doubt) in [
            (
                "SET lock_timeout = '10ms'|BEGIN|LOCK TABLE held",
                "another transaction holds a lock",
                false,
                false,
            ),
            (
                "SET statement_timeout = '10ms'|SELECT pg_sleep(9)",
                "it took longer than it may",
                false,
                false,
            ),
            ("BEGIN READ ONLY|CREATE TABLE new (id int)", "takes no writes", true, false),
            (
                "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$",
                "another transaction was in the way",
                false,
                false,
            ),
            ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", "disk is full", true, false),
            (
                "DO $$ BEGIN RAISE SQLSTATE '53300'; END $$",
                "takes no more connections",
                true,
                false,
            ),
            ("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$", "being shut down", true, true),
            ("DO $$ BEGIN RAISE SQLSTATE '42501'; END $$", "lacks a right", false, false),
        ] {
            let trouble = trouble(&url, statements).await;
            let said = trouble.to_string();
            assert!(
                said.contains(words) && !trouble.headline().contains("lost"),
                "{said}: {}",
                trouble.headline()
            );
            assert_eq!(
                (trouble.is_loss(), trouble.leaves_in_doubt()),
                (is_loss, in_doubt),
                "{said}"
            );
        }
        let ended = trouble(&url, "SELECT pg_terminate_backend(pg_backend_pid())").await;
        assert!(ended.leaves_in_doubt(), "{ended}");
        let missing = connect(&format!("{url}_missing")).await.unwrap_err();
        assert!(missing.to_string().contains("there is no such database"), "{missing}");
        assert!(missing.at_start("db").to_string().contains("answers, but can't be used"));
        let away = connect("postgres://nobody@127.0.0.1:1/nothing").await.unwrap_err();
        assert!(
            away.headline().contains("lost")
                && matches!(away.at_start("db"), OpenError::Unreachable { .. })
        );
    }
}
