//! What can go wrong with a measurement.

use std::io;
use std::path::{Path, PathBuf};

/// Why nothing was measured. The texts are for the person who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or directory can't be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no process.
    #[error("{program} can't be started: {error}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// A server is not ready to be measured.
    #[error("{name} did not get ready: {problem}")]
    NotReady {
        /// What it is called.
        name: String,
        /// What it said.
        problem: String,
    },
    /// A store could not be made.
    #[error("the store of {name} could not be made: {problem}")]
    Store {
        /// Whose.
        name: String,
        /// What the store said.
        problem: String,
    },
    /// What is asked for makes no sense.
    #[error("{0}")]
    Plan(String),
    /// A server answers wrongly, or not at all.
    #[error("{name} can't be measured: {problem}")]
    Answers {
        /// What it is called.
        name: String,
        /// An example.
        problem: String,
    },
    /// Something of the system failed.
    #[error("{0}")]
    System(String),
}

impl BenchError {
    /// For a file or directory that can't be used.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}
