//! `counterfoil torture`: proof that nothing acknowledged is lost, whenever a server or the
//! database dies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use counterfoil_core::random;
use counterfoil_store::StoreAddress;
use counterfoil_torture::{Event, Finding, Limit, Options, Summary, Tell, Torture, TortureError};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::process::{Signals, block_on};
use crate::{Failure, output};

const HELP: &str =
    "It starts sandboxes on the store, and clients that refresh, repeat, race, read and revoke; kills the servers with SIGKILL at random
moments; and starts them again. Whoever got no answer, or a 503, repeats the request with the same Idempotency-Key. Every answer is
held against all earlier ones about its grant: a slip is redeemed once, a repeat gives the same token, what ended stays ended, and
no client is refused for its own lost answer. Findings are printed with the history of their grant, and the exit code is 1.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The store, sqlite:PATH or postgres://...; a new one, or a sandbox's
    #[arg(long, value_name = "STORE")]
    store: String,
    /// For how long, such as 1 or 0.5 [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "kills", value_parser = minutes)]
    minutes: Option<Duration>,
    /// Until so many kills instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    kills: Option<u64>,
    /// Servers on the store; more than one on postgres:// alone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// Clients at work side by side
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
    /// A shell command that kills the database with SIGKILL and starts it again; run at random
    /// moments, with postgres:// alone
    #[arg(long, value_name = "COMMAND")]
    restart_database: Option<String>,
    /// A shell command to run whenever a server was killed and before it is started again. One that
    /// puts an old copy of the store in its place shows that loss is found
    #[arg(long, value_name = "COMMAND")]
    while_down: Option<String>,
    /// The program that the servers run, another build of it say [default: this one]. Named several
    /// times, each takes the place of the one before it at every server in turn, within the time;
    /// once the first one is gone the store's level is raised, as `migrate --finish` does. With
    /// postgres:// alone
    #[arg(long, value_name = "PATH", conflicts_with = "kills")]
    binary: Vec<PathBuf>,
    /// Repeat the choice of moments, nodes and requests of another run, as its summary told it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the summary and the findings as JSON
    #[arg(long)]
    json: bool,
}

/// A store in words, for the servers to read again.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "write a number of minutes, such as 1 or 0.5")?;
    let duration =
        Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("it must be more than 0".into()) } else { Ok(duration) }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    // Read here and not by clap, which would say again what it can't read, a password too.
    StoreAddress::parse(&arguments.store)
        .map_err(|problem| Failure::usage(format!("--store: {problem}")))?;
    if arguments.store.starts_with("sqlite:") {
        if arguments.nodes > 1 {
            return Err(Failure::usage(
                "one process owns a SQLite file: --nodes is for a postgres:// store",
            ));
        }
        if arguments.binary.len() > 1 {
            return Err(Failure::usage(
                "one process owns a SQLite file: several --binary are for a postgres:// store",
            ));
        }
        if arguments.restart_database.is_some() {
            return Err(Failure::usage(
                "SQLite has no process of its own to kill: --restart-database is for a postgres:// store",
            ));
        }
    }
    output::wait_for_no_reader()?;
    let progress = output::spinner("{spinner} {elapsed} {msg}");
    let done = block_on(torture(arguments, progress.clone()));
    progress.finish_and_clear();
    done
}

async fn torture(arguments: Arguments, progress: ProgressBar) -> Result<(), Failure> {
    let programs = if arguments.binary.is_empty() {
        vec![std::env::current_exe().map_err(Failure::failed)?]
    } else {
        arguments.binary
    };
    let minutes = arguments.minutes.unwrap_or(Duration::from_secs(60));
    let seed = arguments.seed.unwrap_or_else(|| u64::from(u32::from_be_bytes(random::bytes())));
    let (nodes, clients, json) = (arguments.nodes, arguments.clients, arguments.json);
    let torture = Torture::start(Options {
        store: arguments.store,
        limit: arguments.kills.map_or(Limit::Time(minutes), Limit::Kills),
        nodes: nodes.into(),
        clients,
        restart_database: arguments.restart_database,
        while_down: arguments.while_down,
        programs,
        seed,
    });
    let torture = torture.await.map_err(failure)?;
    // Until here a signal simply ends this process.
    let signals = Signals::watch()?;
    let summary =
        torture.run(signals.count(), tell(progress.clone(), json)).await.map_err(failure)?;
    progress.finish_and_clear();
    show(&summary, json, seed, (nodes, clients))?;
    conclude(summary)
}

fn failure(error: TortureError) -> Failure {
    match error {
        TortureError::Usage(message) => Failure::Usage(message),
        error => Failure::failed(error),
    }
}

/// Shows findings as they come, unless they wait for the summary, and what was done until now.
fn tell(progress: ProgressBar, json: bool) -> Tell {
    Arc::new(move |event| match event {
        Event::Progress { tally, findings, closing } => {
            let closing = if closing { "; checking what is left" } else { "" };
            progress.set_message(format!(
                "{} refreshes, {} revocations, {} kills, {findings} findings{closing}",
                tally.refreshes,
                tally.revocations,
                tally.kills(),
            ));
        }
        Event::Found(number, found) if !json => {
            let text = output::printable(&finding(number, found));
            progress.suspend(|| output::say(&text));
        }
        Event::Found(..) => {}
        Event::Finishing => progress.suspend(|| output::note("finishing; once more breaks it off")),
    })
}

fn finding(number: usize, Finding { fault, what, about, history }: &Finding) -> String {
    let about = about.as_ref().map(|about| format!("\n  {about}")).unwrap_or_default();
    let lines: String = history.iter().map(|line| format!("\n    {line}")).collect();
    format!("finding {number}: {fault}: {what}{about}{lines}\n")
}

fn show(
    summary: &Summary,
    json: bool,
    seed: u64,
    (nodes, clients): (u16, u16),
) -> Result<(), Failure> {
    let mut members = serde_json::to_value(&summary.tally).map_err(Failure::failed)?;
    members["seed"] = seed.into();
    members["nodes"] = nodes.into();
    members["clients"] = clients.into();
    members["seconds"] = summary.time.as_secs().into();
    if json {
        members["findings"] = serde_json::to_value(&summary.findings).map_err(Failure::failed)?;
        output::json(&members);
    } else {
        members["findings"] = Value::from(summary.findings.len());
        output::record(&members);
    }
    Ok(())
}

/// How it came out.
fn conclude(
    Summary { tally, findings, enough, whole, problem, .. }: Summary,
) -> Result<(), Failure> {
    if let Some(problem) = problem {
        return Err(failure(problem));
    }
    match findings.len() {
        0 if !whole => Err(Failure::failed("broken off before everything was checked")),
        0 if tally.refreshes == 0 || tally.kills() == 0 => Err(Failure::failed(
            "nothing was shown: no client refreshed, or nobody was killed; give it more time",
        )),
        0 => Ok(()),
        1 => Err(Failure::failed("1 finding")),
        count if enough => Err(Failure::failed(format!("{count} findings, which is enough"))),
        count => Err(Failure::failed(format!("{count} findings"))),
    }
}
