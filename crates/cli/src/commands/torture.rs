//! `counterfoil torture`: proof that nothing acknowledged is lost, whenever a server or the
//! database dies.

mod chance;
mod checker;
mod client;
mod grant;
mod history;
mod killer;
mod node;
mod requests;
mod run;
mod tally;
mod upgrade;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use counterfoil_core::random;
use counterfoil_store::StoreAddress;
use indicatif::ProgressBar;
use reqwest::Client;
use serde_json::Value;

use crate::process::{Signals, block_on};
use crate::{Failure, output};
use chance::Chance;
use killer::Killer;
use node::{Node, NotStarted, free_addresses};
use run::{Phase, Run};
use upgrade::Upgrade;

/// How long a request may take before its answer counts as lost.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the progress is told.
const TICK: Duration = Duration::from_millis(100);

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
    let Arguments {
        store,
        minutes,
        kills,
        nodes,
        clients,
        restart_database,
        while_down,
        binary,
        seed,
        json,
    } = arguments;
    let programs = if binary.is_empty() {
        vec![std::env::current_exe().map_err(Failure::failed)?]
    } else {
        binary
    };
    let seed = seed.unwrap_or_else(|| u64::from(u32::from_be_bytes(random::bytes())));
    let mut chance = Chance::new(seed);
    let policy = reqwest::redirect::Policy::none();
    let http = Client::builder()
        .timeout(TIMEOUT)
        .redirect(policy)
        .no_proxy()
        .build()
        .map_err(Failure::failed)?;

    let nodes = start(nodes.into(), &programs[0], &store, &http).await?;
    // Until now a signal may end this process as it likes.
    let signals = Signals::watch()?;
    let origins: Vec<_> = nodes.iter().map(|node| node.origin.clone()).collect();
    let (count, issuer) = (origins.len(), origins[0].clone());
    let run = Arc::new(Run::new(http, origins, progress, json, restart_database.is_some()));
    let time =
        if kills.is_some() { None } else { Some(minutes.unwrap_or(Duration::from_secs(60))) };
    let watching =
        [tokio::spawn(watch(run.clone(), signals, time)), tokio::spawn(tell(run.clone()))];
    let working: Vec<_> = (0..usize::from(clients))
        .map(|number| {
            let (run, chance) = (run.clone(), chance.fork());
            tokio::spawn(async move { client::work(&run, chance, client::of(number)).await })
        })
        .collect();
    let address = StoreAddress::parse(&store).map_err(Failure::failed)?;
    let upgrade = time.and_then(|time| Upgrade::plan(&programs, count, time, address, issuer));
    let mut killer =
        Killer { nodes, kills, restart_database, while_down, upgrade, chance: chance.fork() };
    let killed = killer.work(&run).await;
    run.enter(if killed.is_ok() { Phase::Closing } else { Phase::Over });

    let mut living = Vec::with_capacity(working.len());
    for client in working {
        living.push(client.await.map_err(Failure::failed)?);
    }
    let closing = living.into_iter().map(|grant| {
        let (run, chance) = (run.clone(), chance.fork());
        tokio::spawn(async move { client::close(&run, chance, grant).await })
    });
    for client in closing.collect::<Vec<_>>() {
        client.await.map_err(Failure::failed)?;
    }
    for watcher in watching {
        watcher.abort();
    }
    let whole = run.phase() < Phase::Over;
    killer.finish(&run)?;
    run.progress.finish_and_clear();
    let summary = Summary { seed, nodes: run.origins.len(), clients, json };
    killed.and(summary.show(&run, whole))
}

/// The servers, each up before the next: the first one makes the store and its keys.
async fn start(
    count: usize,
    program: &Path,
    store: &str,
    http: &Client,
) -> Result<Vec<Node>, Failure> {
    let addresses = free_addresses(count);
    let issuer = format!("http://{}", addresses[0]);
    let mut nodes = Vec::with_capacity(count);
    for (number, address) in (1..).zip(&addresses) {
        let mut node = Node::new(number, program.to_owned(), address, &issuer, store);
        node.spawn().map_err(|e| Failure::failed(format!("a server can't be started: {e}")))?;
        node.ready(http).await.map_err(not_started)?;
        nodes.push(node);
    }
    Ok(nodes)
}

fn not_started(NotStarted { code, message }: NotStarted) -> Failure {
    let message = message.strip_prefix("counterfoil: ").unwrap_or(&message).to_owned();
    match code {
        Some(2) => Failure::Usage(message),
        _ => Failure::Failed(format!("a sandbox on this store can't be started: {message}")),
    }
}

/// Closes the run when its time is over or a signal comes, and breaks it off at a signal after
/// that.
async fn watch(run: Arc<Run>, signals: Signals, time: Option<Duration>) {
    let over = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => run.reaches(Phase::Closing).await,
        }
    };
    tokio::select! {
        () = over => {}
        () = signals.stop() => run.progress.suspend(|| output::note("finishing; once more breaks it off")),
    }
    run.enter(Phase::Closing);
    if let Ok(signals) = Signals::watch() {
        signals.stop().await;
        run.enter(Phase::Over);
    }
}

async fn tell(run: Arc<Run>) {
    loop {
        tokio::time::sleep(TICK).await;
        let tally = run.tally().clone();
        let closing = if run.phase() == Phase::Torture { "" } else { "; checking what is left" };
        run.progress.set_message(format!(
            "{} refreshes, {} revocations, {} kills, {} findings{closing}",
            tally.refreshes,
            tally.revocations,
            tally.kills(),
            run.findings()
        ));
    }
}

/// What the summary tells beside what was done.
struct Summary {
    seed: u64,
    nodes: usize,
    clients: u16,
    json: bool,
}

impl Summary {
    /// Prints what was done, and says how it came out. `whole` is whether everything was checked at
    /// the end.
    fn show(&self, run: &Run, whole: bool) -> Result<(), Failure> {
        let tally = run.tally().clone();
        let (found, enough) = run.take_found();
        let mut summary = serde_json::to_value(&tally).map_err(Failure::failed)?;
        summary["seed"] = self.seed.into();
        summary["nodes"] = self.nodes.into();
        summary["clients"] = self.clients.into();
        summary["seconds"] = run.now().as_secs().into();
        if self.json {
            summary["findings"] = serde_json::to_value(&found).map_err(Failure::failed)?;
            output::json(&summary);
        } else {
            summary["findings"] = Value::from(found.len());
            output::record(&summary);
        }
        match found.len() {
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
}
