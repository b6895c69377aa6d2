//! Where a store is, as people write it.

use std::fmt;
use std::path::PathBuf;

use crate::postgres::{POOL_SIZE, PostgresAddress};

/// Where a store is: `sqlite:PATH` or `postgres://...`.
#[derive(Clone, Debug)]
pub enum StoreAddress {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A database of a server, or of a primary and its standbys.
    Postgres(Box<PostgresAddress>),
}

impl StoreAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// What a store is written like, or what is wrong with this one.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                PostgresAddress::parse(text).map(|address| Self::Postgres(Box::new(address)))
            }
            // What was written may hold a password, so it is not said again.
            _ => {
                Err("the store must be written as sqlite:PATH or postgres://USER@HOST/DATABASE"
                    .into())
            }
        }
    }

    /// How many files, sockets included, the store opens only when there is work for them.
    pub fn opened_later(&self) -> usize {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(_) => POOL_SIZE,
        }
    }
}

impl fmt::Display for StoreAddress {
    /// Without any password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}
