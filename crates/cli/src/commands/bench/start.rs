//! `counterfoil bench start`.

use clap::Args;
use counterfoil_bench::start::{Start, measure};
use counterfoil_bench::{Mode, Plan, Spread};
use counterfoil_core::jws::Algorithm;
use serde_json::json;

use super::failure;
use super::ours::place;
use crate::process::block_on;
use crate::{Failure, output};

const HELP: &str = "A store is filled, and `counterfoil serve` is started on it, asked for one refresh, and killed, again and again. What is told is the time from
asking for the process until it says that it is ready, and until the refresh is answered; the store's file is in the system's memory.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Grants in the store
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    grants: u64,
    /// How often it is started
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// A directory to make the SQLite store in, on a disk, or a postgres:// server to make a
    /// database on [default: the system's temporary directory]
    #[arg(long, value_name = "DIR | postgres://...")]
    store: Option<String>,
    /// Print each start as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { grants, rounds, store, json } = arguments;
    let binary = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program can't be found: {error}")))?;
    let plan = Plan {
        name: "counterfoil".into(),
        mode: Mode::Refresh,
        alg: Algorithm::Es256,
        grants,
        chains: rounds.into(),
        store: place(store)?,
        nodes: 1,
        cores: None,
    };
    let spinner = output::spinner("{spinner} {elapsed} {msg}");
    spinner.set_message(format!("filling a store with {grants} grants"));
    let told = spinner.clone();
    let tell =
        move |start: Start| told.set_message(format!("answered after {:.1} ms", start.answered_ms));
    let measured = block_on(async { measure(binary, plan, Box::new(tell)).await.map_err(failure) });
    spinner.finish_and_clear();
    let starts = measured?;
    let spread = |figure: fn(&Start) -> f64| Spread::of(starts.iter().map(figure));
    let (ready, answered) = (spread(|start| start.ready_ms), spread(|start| start.answered_ms));
    if json {
        output::json(
            &json!({ "grants": grants, "ready_ms": ready, "answered_ms": answered, "starts": starts }),
        );
        return Ok(());
    }
    for (what, spread) in [("ready", ready), ("first answer", answered)] {
        if let Some(Spread { median, least, greatest }) = spread {
            output::say(&format!("{what:<12}  {median:.1} ms ({least:.1} to {greatest:.1})"));
        }
    }
    Ok(())
}
