//! The servers that are started to be measured.

use std::path::PathBuf;

use clap::Args;
use counterfoil_bench::{Field, Mode, StorePlace};
use counterfoil_core::jws::Algorithm;
use counterfoil_store::StoreAddress;

use super::algorithm;
use crate::Failure;

#[derive(Args)]
#[command(next_help_heading = "The servers that are started")]
pub(super) struct Ours {
    /// How ID tokens are signed
    #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = algorithm)]
    pub(super) alg: Algorithm,
    /// Grants in each store; of several sizes, servers on stores of each are measured
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) grants: Vec<u64>,
    /// A directory to make SQLite stores in, on a disk, or a postgres:// server to make databases
    /// on [default: the system's temporary directory]
    #[arg(long, value_name = "DIR | postgres://...")]
    pub(super) store: Option<String>,
    /// Servers on a store; more than one on postgres:// alone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// The cores of the servers, as taskset takes them [default: 0, where there are two]
    #[arg(long, value_name = "LIST")]
    server_cores: Option<String>,
    /// Another build of counterfoil to measure next to this one; may be repeated
    #[arg(long, value_name = "BINARY")]
    compare: Vec<PathBuf>,
}

/// What can't be asked of a server that runs already.
pub(super) const OPTIONS: [&str; 6] =
    ["alg", "grants", "store", "nodes", "server_cores", "compare"];

impl Ours {
    /// Who is started.
    pub(super) fn field(
        self,
        mode: Mode,
        chains: usize,
        peers: Vec<String>,
    ) -> Result<Field, Failure> {
        let Self { alg, grants, store, nodes, server_cores, compare } = self;
        let store = place(store)?;
        if nodes > 1 && matches!(store, StorePlace::Sqlite(_)) {
            return Err(Failure::usage(
                "one process owns a SQLite file: --nodes is for a postgres:// store",
            ));
        }
        let binary = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program can't be found: {error}")))?;
        let cores = server_cores.or_else(|| core("0"));
        Ok(Field {
            binary,
            mode,
            alg,
            grants,
            chains,
            store,
            nodes: nodes.into(),
            cores,
            compare,
            peers,
        })
    }
}

/// The core of servers or load, where nothing else is said and there are two.
pub(super) fn core(number: &str) -> Option<String> {
    let two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    two.then(|| number.to_owned())
}

/// Where stores are made. An address is not repeated, since it may hold a password.
pub(super) fn place(store: Option<String>) -> Result<StorePlace, Failure> {
    let Some(store) = store else {
        return Ok(StorePlace::Sqlite(std::env::temp_dir()));
    };
    if store.starts_with("postgres://") || store.starts_with("postgresql://") {
        StoreAddress::parse(&store)
            .map_err(|problem| Failure::usage(format!("--store: {problem}")))?;
        return Ok(StorePlace::Postgres(store));
    }
    let directory = PathBuf::from(store);
    if !directory.is_dir() {
        return Err(Failure::usage(
            "--store: name a directory that there is, to make SQLite stores in, or a postgres:// server",
        ));
    }
    Ok(StorePlace::Sqlite(directory))
}
