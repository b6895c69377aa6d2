//! Why a torture can't continue.

use std::io;

/// Why a torture can't continue.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// A server refused how it was called, such as the store's address.
    #[error("{0}")]
    Usage(String),
    /// No sandbox starts on the store.
    #[error("a sandbox on this store can't be started: {0}")]
    NotStarted(String),
    /// There is no server process.
    #[error("a server can't be started: {0}")]
    Spawn(io::Error),
    /// A server survives SIGKILL.
    #[error("node {node} can't be killed: {error}")]
    Kill {
        /// Its number, from 1.
        node: usize,
        /// What the system says.
        error: io::Error,
    },
    /// A shell command of the user's failed or did not end.
    #[error("{option} `{command}` {problem}")]
    Command {
        /// The option that it was given with.
        option: &'static str,
        /// The command.
        command: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The time was too short for an upgrade.
    #[error("not every server was replaced by every --binary in time; give it more --minutes")]
    UpgradeUnfinished,
    /// There is no HTTP client.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// A part of the torture had a bug.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}
