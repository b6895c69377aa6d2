//! A server that runs already.

use std::path::PathBuf;

use clap::Args;
use counterfoil_bench::{Contender, Entrant, Workload, read_tokens};

use super::{failure, ours};
use crate::Failure;

#[derive(Args)]
#[command(next_help_heading = "Another server, which runs already")]
pub(super) struct Elsewhere {
    /// Where it is asked; no server is started then
    #[arg(long, value_name = "URL", requires = "tokens", conflicts_with_all = ours::OPTIONS)]
    pub(super) url: Option<String>,
    /// The tokens to begin with, one a line
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) tokens: Option<PathBuf>,
    /// A process of it on this machine, whose CPU time and memory are told, with those that it
    /// started; may be repeated
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Vec<u32>,
    /// The certificates to trust instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca: Option<PathBuf>,
}

impl Elsewhere {
    /// The server at `url`, which is asked with the tokens of the file.
    pub(super) fn entrant(
        self,
        url: String,
        workload: impl FnOnce(Vec<String>) -> Workload,
    ) -> Result<Entrant, Failure> {
        let path = self.tokens.ok_or_else(|| {
            Failure::usage("--tokens is missing: a file with the tokens to begin with, one a line")
        })?;
        let tokens = read_tokens(&path).map_err(failure)?;
        Ok(Entrant::new(Contender {
            name: url.clone(),
            note: "it ran already".into(),
            urls: vec![url],
            workload: workload(tokens),
            pids: self.pid,
            processes: Vec::new(),
            place: None,
        }))
    }
}
