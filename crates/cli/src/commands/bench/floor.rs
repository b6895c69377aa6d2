//! `counterfoil bench floor`: the bare server, as a process of its own. `bench` starts it; it ends
//! with its standard input.

use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use counterfoil_bench::floor::{self, MODES, Options};
use counterfoil_core::jws::Algorithm;
use tokio::sync::oneshot;

use crate::process::block_on;
use crate::{Failure, output};

#[derive(Args)]
pub(crate) struct Arguments {
    /// What it is asked for
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(MODES.map(|(name, _)| name)))]
    mode: String,
    /// How it signs
    #[arg(long, value_name = "ALG", value_parser = super::algorithm)]
    alg: Algorithm,
    /// Its signing key: a file with PKCS#8
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Its store, which must be filled: as in a configuration
    #[arg(long, value_name = "ADDRESS")]
    store: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { mode, alg, key, store } = arguments;
    let mode = MODES.iter().find(|(name, _)| *name == mode).map(|(_, mode)| *mode);
    let mode = mode.ok_or_else(|| Failure::usage("there is no such mode"))?;
    let ready = |address| output::say(&format!("ready {address}"));
    block_on(async {
        floor::serve(Options { mode, alg, key, store }, ready, end_of_input())
            .await
            .map_err(Failure::failed)
    })
}

/// The process that started this one keeps its standard input open.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = end.await;
}
