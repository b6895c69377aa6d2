//! Where a node's endings log lies, and what the store knows of it.

use std::path::{Path, PathBuf};

/// Where a log lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The name of the machine.
    pub(crate) host: String,
    /// Absolute.
    pub(crate) path: PathBuf,
}

impl Place {
    /// Of the log at `path` on this machine.
    pub(crate) fn of(path: &Path) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// The path as the store keeps it.
    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }
}

/// What the store knows of a node's log: a row of `endings_log`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KnownLog {
    pub(crate) node: String,
    /// The last number that was given to a line.
    pub(crate) line: i64,
    /// Up to which line all were on disk.
    pub(crate) written: i64,
    pub(crate) host: String,
    pub(crate) path: String,
}

impl KnownLog {
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        self.host == place.host && self.path == place.path()
    }
}
