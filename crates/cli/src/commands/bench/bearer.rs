//! `counterfoil bench bearer`.

use clap::Args;
use counterfoil_bench::{Mode, Workload};

use super::elsewhere::Elsewhere;
use super::how::{How, Who};
use super::ours::Ours;
use crate::Failure;

/// Tokens that take turns, where nothing else is said.
const IN_TURN: u64 = 1_000;
/// Tokens a second that no server sees first, where nothing else is said.
const A_SECOND: f64 = 20_000.0;

const HELP: &str =
    "Servers are started side by side as for `bench refresh`, and asked for accounts: `GET /accounts` with an ID token. The floor reads
the counterfoil by its primary key and answers as many bytes as we do; with --first-sight it verifies the signature too.

With --url nothing is started: every token of the file is sent to that URL, in turn or once.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    ours: Ours,
    /// Send each token once, so that its signature must be verified every time; without this,
    /// tokens take turns
    #[arg(long)]
    first_sight: bool,
    /// Tokens to send [default: 1000, or with --first-sight 20000 for each second]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "url")]
    chains: Option<u64>,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { how, ours, first_sight, chains, elsewhere } = arguments;
    let who = match elsewhere.url.clone() {
        None => {
            let whole = (how.seconds + how.warm_up).as_secs_f64() * f64::from(how.rounds);
            let chains = chains.unwrap_or(if first_sight {
                (whole * A_SECOND).ceil() as u64
            } else {
                IN_TURN
            });
            let chains = usize::try_from(chains).map_err(Failure::usage)?;
            Who::Started(ours.field(Mode::Bearer { first_sight }, chains, Vec::new())?)
        }
        Some(url) => {
            let ca = elsewhere.ca.clone();
            Who::Running(
                Box::new(elsewhere.entrant(url, |tokens| Workload::Bearer { tokens })?),
                ca,
            )
        }
    };
    how.measure(who, first_sight).map(drop)
}
