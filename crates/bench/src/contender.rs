//! A server that is measured.

use std::process::Child;

use serde::Deserialize;

use crate::place::Place;
use crate::process;

/// A server under measurement: its URLs, its workload, and the processes that do its work.
#[derive(Debug)]
pub struct Contender {
    /// Its name in table and plot: `counterfoil`, `floor`, or what a peer calls itself.
    pub name: String,
    /// What a reader needs to know to compare it: version, algorithm, store, how durable.
    pub note: String,
    /// Where requests go: the token endpoint, or the resource. One URL a node; connections are
    /// spread over them.
    pub urls: Vec<String>,
    /// What it is asked for.
    pub workload: Workload,
    /// The processes whose CPU time (with that of their descendants) and memory count as its.
    pub pids: Vec<u32>,
    /// Processes that end when this is dropped.
    pub processes: Vec<ProcessGuard>,
    /// The directory of its files, removed with it.
    pub place: Option<Place>,
}

/// What a contender is asked for.
#[derive(Debug)]
pub enum Workload {
    /// Refreshes: each answer's refresh token is the next request's of that chain.
    Refresh {
        /// Who workload.
        client: Client,
        /// The first refresh token of each chain.
        tokens: Vec<String>,
    },
    /// `GET` with a bearer token.
    Bearer {
        /// The tokens, which take turns.
        tokens: Vec<String>,
    },
}

/// Who workload for refreshes.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret; a public client has none.
    pub secret: Option<String>,
    /// How it authenticates.
    pub auth: ClientAuth,
}

/// How a client proves itself (OpenID Connect Core section 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// `client_secret_post`.
    Post,
    /// `client_secret_basic`.
    Basic,
    /// `none`.
    None,
}

/// A process that ends, with all that it has started, when this is dropped.
#[derive(Debug)]
pub struct ProcessGuard(pub Child, pub End);

/// How a process is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// At once.
    Kill,
    /// By closing its standard input and SIGTERM; it is killed if it takes long.
    Terminate,
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        process::end(&mut self.0, self.1);
    }
}
