//! How servers are measured, and where the results go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use counterfoil_bench::{BenchError, Entrant, Field, Load, Measurement, Report, Rounds, Tell};
use indicatif::ProgressBar;

use super::failure;
use super::ours::core;
use crate::{Failure, output};

#[derive(Args)]
#[command(next_help_heading = "How it is measured")]
pub(super) struct How {
    /// Connections, each of which has one request under way all the time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long each server is measured in each round
    #[arg(long, value_name = "N", default_value = "10", value_parser = seconds)]
    pub(super) seconds: Duration,
    /// How long it is loaded before that, in seconds
    #[arg(long, value_name = "N", default_value = "2", value_parser = seconds)]
    pub(super) warm_up: Duration,
    /// How often each server's turn comes
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) rounds: u16,
    /// The cores of the load generator, as taskset takes them [default: 1, next to servers that are
    /// started for this, where there are two]
    #[arg(long, value_name = "LIST")]
    load_cores: Option<String>,
    /// Print what was measured as JSON, each round too, instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the rates as an SVG image
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Who is measured.
pub(super) enum Who {
    /// Servers that are started for it.
    Started(Field),
    /// A server that runs already, with certificates to trust instead of the system's.
    Running(Box<Entrant>, Option<PathBuf>),
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 10 or 0.5")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl How {
    /// Measures, and tells what came out. Gives the tokens that are left over of each server.
    /// `once` is whether a bearer token is sent once.
    pub(super) fn measure(self, who: Who, once: bool) -> Result<Vec<Vec<String>>, Failure> {
        let Self { connections, seconds: time, warm_up, rounds, load_cores, json, plot } = self;
        if time.is_zero() {
            return Err(Failure::usage("--seconds: nothing is measured in no time"));
        }
        let folder = |path: &Path| {
            path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
        };
        if let Some(path) = plot.as_ref().filter(|path| !folder(path)) {
            return Err(Failure::usage(format!("{}: there is no such directory", path.display())));
        }
        let (spinner, ca) = (
            output::spinner("{spinner} {elapsed} {msg}"),
            if let Who::Running(_, ca) = &who { ca.clone() } else { None },
        );
        let load = Load { connections: connections.into(), warm_up, time, once, ca };
        let next_to_servers = matches!(who, Who::Started(_));
        let cores = load_cores.or_else(|| if next_to_servers { core("1") } else { None });
        let rounds = Rounds { load, count: rounds.into(), cores };
        let measured = run(&rounds, who, &tell(&spinner));
        spinner.finish_and_clear();
        let Measurement { report, tokens } = measured?;
        show(&report, json, plot.as_deref())?;
        Ok(tokens)
    }
}

/// On one thread, whose cores the load generator has to itself.
fn run(rounds: &Rounds, who: Who, tell: &Tell) -> Result<Measurement, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let measured: Result<Measurement, BenchError> = runtime.block_on(async {
        match who {
            Who::Started(field) => rounds.run_field(field, tell.clone()).await,
            Who::Running(entrant, _) => rounds.run(vec![*entrant], tell).await,
        }
    });
    // Somebody who does not want to wait any longer need not.
    runtime.shutdown_background();
    measured.map_err(failure)
}

/// Reports progress: on a terminal with a spinner, otherwise line by line.
fn tell(spinner: &ProgressBar) -> Tell {
    let spinner = spinner.clone();
    Arc::new(
        move |what| {
            if spinner.is_hidden() { output::note(&what) } else { spinner.set_message(what) }
        },
    )
}

fn show(report: &Report, json: bool, plot: Option<&Path>) -> Result<(), Failure> {
    if json {
        output::json(&serde_json::to_value(report).map_err(Failure::failed)?);
    } else {
        output::say(&output::printable(&report.table()));
    }
    let Some(path) = plot else { return Ok(()) };
    std::fs::write(path, report.plot())
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
