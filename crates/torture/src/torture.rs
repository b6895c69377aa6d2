//! A torture from its first server to its summary.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_store::StoreAddress;
use reqwest::Client;
use tokio::sync::watch;

use crate::chance::Chance;
use crate::client;
use crate::error::TortureError;
use crate::findings::Finding;
use crate::graveyard::Graveyard;
use crate::killer::Killer;
use crate::node::{Node, NotStarted, free_addresses};
use crate::run::{Event, Phase, Run, Tell};
use crate::tally::Tally;
use crate::upgrade::Upgrade;

/// How long a request may take before its answer counts as lost.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often progress is reported.
const TICK: Duration = Duration::from_millis(100);

/// What is tortured, and how.
#[derive(Debug)]
pub struct Options {
    /// The store, as servers take it.
    pub store: String,
    /// When it ends.
    pub limit: Limit,
    /// Servers on the store.
    pub nodes: usize,
    /// Clients that work at the same time.
    pub clients: u16,
    /// A shell command that kills the database and starts it again.
    pub restart_database: Option<String>,
    /// A shell command for the time that a server is dead.
    pub while_down: Option<String>,
    /// The programs that the servers run, one after the other; at least one.
    pub programs: Vec<PathBuf>,
    /// Repeats the choice of moments, nodes and requests.
    pub seed: u64,
}

/// When a torture ends.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// After this time.
    Time(Duration),
    /// After so many kills.
    Kills(u64),
}

/// A torture whose servers run.
pub struct Torture {
    options: Options,
    address: StoreAddress,
    chance: Chance,
    http: Client,
    nodes: Vec<Node>,
}

/// What was done, and what came of it.
pub struct Summary {
    /// What was done.
    pub tally: Tally,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Whether it was broken off because nothing new was to be learnt from more findings.
    pub enough: bool,
    /// Whether everything was checked at the end.
    pub whole: bool,
    /// How long it took.
    pub time: Duration,
    /// Why it ended before its limit, where it did.
    pub problem: Option<TortureError>,
}

impl Torture {
    /// Starts the servers, each up before the next: the first one makes the store and its keys.
    ///
    /// # Errors
    /// They don't start on this store.
    pub async fn start(options: Options) -> Result<Self, TortureError> {
        let address = StoreAddress::parse(&options.store).map_err(TortureError::Usage)?;
        let policy = reqwest::redirect::Policy::none();
        let http = Client::builder().timeout(TIMEOUT).redirect(policy).no_proxy().build()?;
        let addresses = free_addresses(options.nodes);
        let issuer = format!("http://{}", addresses[0]);
        let mut nodes = Vec::with_capacity(options.nodes);
        for (number, address) in (1..).zip(&addresses) {
            let program = options.programs[0].clone();
            let mut node = Node::new(number, program, address, &issuer, &options.store);
            node.spawn().map_err(TortureError::Spawn)?;
            node.ready(&http).await.map_err(not_started)?;
            nodes.push(node);
        }
        Ok(Self { chance: Chance::new(options.seed), options, address, http, nodes })
    }

    /// Tortures the store until the limit, or until `interrupts` grows; once more breaks it off.
    ///
    /// # Errors
    /// A part of it had a bug, or a server can't be killed at the end.
    pub async fn run(
        self,
        interrupts: watch::Receiver<u32>,
        tell: Tell,
    ) -> Result<Summary, TortureError> {
        let Self { options, address, mut chance, http, nodes } = self;
        let origins: Vec<_> = nodes.iter().map(|node| node.origin.clone()).collect();
        let (count, issuer) = (origins.len(), origins[0].clone());
        let run = Arc::new(Run::new(http, origins, tell, options.restart_database.is_some()));
        let graves = Arc::new(Graveyard::default());
        let (time, kills) = match options.limit {
            Limit::Time(time) => (Some(time), None),
            Limit::Kills(kills) => (None, Some(kills)),
        };
        let watchers = [
            tokio::spawn(watch(run.clone(), interrupts, time)),
            tokio::spawn(tell_progress(run.clone())),
        ];
        let working: Vec<_> = (0..usize::from(options.clients))
            .map(|number| {
                let (run, graves, chance) = (run.clone(), graves.clone(), chance.fork());
                tokio::spawn(async move {
                    client::work(&run, &graves, chance, client::of(number)).await
                })
            })
            .collect();
        let upgrade =
            time.and_then(|time| Upgrade::plan(&options.programs, count, time, address, issuer));
        let mut killer = Killer {
            nodes,
            kills,
            restart_database: options.restart_database,
            while_down: options.while_down,
            upgrade,
            chance: chance.fork(),
        };
        let problem = killer.work(&run).await.err();
        run.enter(if problem.is_none() { Phase::Closing } else { Phase::Over });

        let mut living = Vec::with_capacity(working.len());
        for client in working {
            living.push(client.await?);
        }
        let closing = living.into_iter().map(|grant| {
            let (run, graves, chance) = (run.clone(), graves.clone(), chance.fork());
            tokio::spawn(async move { client::close(&run, &graves, chance, grant).await })
        });
        for client in closing.collect::<Vec<_>>() {
            client.await?;
        }
        for watcher in watchers {
            watcher.abort();
        }
        let whole = run.phase() < Phase::Over;
        killer.finish(&run)?;
        let tally = run.tally().clone();
        let (findings, enough) = (run.findings.all(), run.findings.are_enough());
        Ok(Summary { tally, findings, enough, whole, time: run.now(), problem })
    }
}

fn not_started(NotStarted { code, message }: NotStarted) -> TortureError {
    let message = message.strip_prefix("counterfoil: ").unwrap_or(&message).to_owned();
    match code {
        Some(2) => TortureError::Usage(message),
        _ => TortureError::NotStarted(message),
    }
}

/// Closes the run when its time is over or at an interrupt, and breaks it off at one after that.
async fn watch(run: Arc<Run>, mut interrupts: watch::Receiver<u32>, time: Option<Duration>) {
    let over = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => run.reaches(Phase::Closing).await,
        }
    };
    tokio::select! {
        () = over => {}
        Ok(()) = interrupts.changed() => run.tell(Event::Finishing),
    }
    run.enter(Phase::Closing);
    if interrupts.changed().await.is_ok() {
        run.enter(Phase::Over);
    }
}

async fn tell_progress(run: Arc<Run>) {
    loop {
        tokio::time::sleep(TICK).await;
        run.tell(Event::Progress {
            tally: &run.tally().clone(),
            findings: run.findings.count(),
            closing: run.phase() > Phase::Torture,
        });
    }
}
