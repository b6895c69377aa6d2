//! What is to be measured.

use std::path::PathBuf;

use counterfoil_core::jws::Algorithm;

/// What is to be measured, of each server that is started for it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the server is called in table and plot.
    pub name: String,
    /// What it is asked for.
    pub mode: Mode,
    /// How ID tokens are signed.
    pub alg: Algorithm,
    /// Living grants in its store, at least one.
    pub grants: u64,
    /// Tokens to begin with, at least one. Each refresh token is of another grant, so there must be
    /// as many; bearer tokens are of up to 100,000 grants.
    pub chains: usize,
    /// Where its store is made.
    pub store: StorePlace,
    /// How many processes serve it; more than one only in a database.
    pub nodes: usize,
    /// The cores that it may use, as `taskset -c` takes them; all of them where there are none.
    pub cores: Option<String>,
}

/// What a server is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// To refresh, each answer's refresh token being the next request's.
    Refresh,
    /// For the accounts that a bearer token shows.
    Bearer {
        /// Whether each token is sent once, so that its signature is verified every time.
        first_sight: bool,
    },
}

/// Where a store is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorePlace {
    /// In SQLite, in a directory of its own that is made in this one and removed again.
    Sqlite(PathBuf),
    /// In a database of its own that is made on this server and dropped again: an address whose
    /// user may do that.
    Postgres(String),
}
