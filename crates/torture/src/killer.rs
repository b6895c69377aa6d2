//! Kills servers and the database at random moments, and starts them again.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::chance::Chance;
use crate::checker::{Fault, Violation};
use crate::error::TortureError;
use crate::node::{Node, NotStarted};
use crate::run::{Phase, Run};
use crate::upgrade::{Step, Upgrade};
/// The longest time from a start to the next kill, and the longest of the short ones, which come
/// while clients are still at their retries.
const LONGEST_LIFE_MS: usize = 1_200;
const SHORT_LIFE_MS: usize = 40;
/// The longest time for which a server is let start that is killed before it is ready.
const LONGEST_START_MS: usize = 150;

/// Which servers are killed, and how.
pub(crate) struct Killer {
    pub(crate) nodes: Vec<Node>,
    /// Ends the torture after so many.
    pub(crate) kills: Option<u64>,
    /// A shell command that kills the database and starts it again.
    pub(crate) restart_database: Option<String>,
    /// A shell command for the time that a server is dead.
    pub(crate) while_down: Option<String>,
    /// The programs that servers are replaced by.
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) chance: Chance,
}

impl Killer {
    /// Kills until the run is closing or there were enough kills, and leaves all servers running.
    ///
    /// # Errors
    /// A server can't be killed, or a command of the user's failed.
    pub(crate) async fn work(&mut self, run: &Run) -> Result<(), TortureError> {
        while run.phase() == Phase::Torture {
            self.upgrade(run).await?;
            let longest = if self.chance.one_in(6) { SHORT_LIFE_MS } else { LONGEST_LIFE_MS };
            tokio::select! {
                () = tokio::time::sleep(self.millis_below(longest)) => self.strike(run).await?,
                () = run.reaches(Phase::Closing) => {}
            }
            let kills = run.tally().kills();
            if self.kills.is_some_and(|enough| kills >= enough) {
                run.enter(Phase::Closing);
            }
        }
        let left = self.upgrade.as_ref().is_some_and(|upgrade| upgrade.next().is_some());
        if left && run.phase() < Phase::Over {
            return Err(TortureError::UpgradeUnfinished);
        }
        Ok(())
    }

    /// Does the steps of an upgrade that are due.
    async fn upgrade(&mut self, run: &Run) -> Result<(), TortureError> {
        while let Some(upgrade) = &mut self.upgrade
            && let Some(step) = upgrade.due(run.now())
        {
            match step {
                Step::Replace { node, program } => {
                    self.nodes[node].program = upgrade.program(program);
                    run.incident(format!(
                        "node {} is replaced by {}",
                        node + 1,
                        self.nodes[node].program.display()
                    ));
                    kill(run, &mut self.nodes[node])?;
                    let began = run.now();
                    self.revive(run, node).await?;
                    run.tally().replaced(run.now().saturating_sub(began));
                }
                Step::Finish => match upgrade.finish().await {
                    Ok(raised) => run.incident(raised),
                    Err(problem) => {
                        run.report(
                            Violation {
                                fault: Fault::ServerFailed,
                                what: format!("the store's level can't be raised: {problem}"),
                            },
                            None,
                        );
                        run.enter(Phase::Over);
                    }
                },
            }
        }
        Ok(())
    }

    /// The places of servers that may be killed: those of the newest program. Once it has changed
    /// the store, others may not be able to start again.
    fn may_be_killed(&self) -> Vec<usize> {
        let newest = self.nodes.first().map(|node| node.program.clone());
        let all = 0..self.nodes.len();
        if self.upgrade.is_none() {
            all.collect()
        } else {
            all.filter(|at| Some(&self.nodes[*at].program) == newest.as_ref()).collect()
        }
    }

    /// Stops all servers at the end.
    ///
    /// # Errors
    /// One can't be killed.
    pub(crate) fn finish(mut self, run: &Run) -> Result<(), TortureError> {
        // Of a run that was broken off, one may be in the middle of its start.
        if run.phase() < Phase::Over {
            self.look_after(run);
        }
        self.nodes.iter_mut().try_for_each(|node| stop(run, node))
    }

    async fn strike(&mut self, run: &Run) -> Result<(), TortureError> {
        self.look_after(run);
        let with_database = self.restart_database.clone().filter(|_| self.chance.one_in(3));
        let may_be = self.may_be_killed();
        let struck = match (&with_database, self.chance.below(4)) {
            // The database alone, or together with a server.
            (Some(_), 1..) => Vec::new(),
            (None, 0) => may_be,
            _ => vec![may_be[self.chance.below(may_be.len())]],
        };
        for at in &struck {
            kill(run, &mut self.nodes[*at])?;
        }
        if let Some(command) = with_database {
            run.tally().kills_of_the_database += 1;
            run.incident("the database is killed".into());
            shell(run, "--restart-database", command).await?;
            run.incident("the database is back".into());
        }
        for at in struck {
            self.revive(run, at).await?;
        }
        Ok(())
    }

    /// Starts a server again, now and then with a kill in the middle of its start.
    async fn revive(&mut self, run: &Run, at: usize) -> Result<(), TortureError> {
        self.use_the_pause(run).await?;
        if self.chance.one_in(8) {
            let pause = self.millis_below(LONGEST_START_MS);
            self.nodes[at].spawn().map_err(TortureError::Spawn)?;
            tokio::time::sleep(pause).await;
            kill(run, &mut self.nodes[at])?;
            self.use_the_pause(run).await?;
        }
        let node = &mut self.nodes[at];
        let started = tokio::select! {
            started = node.start_again(&run.http) => started,
            () = run.reaches(Phase::Over) => return Ok(()),
        };
        match started {
            Ok(()) => {
                run.server_is(at, true);
                run.incident(format!("node {} is back", node.number));
            }
            Err(NotStarted { message, .. }) => {
                let what = format!("node {} does not start again: {message}", node.number);
                run.report(Violation { fault: Fault::ServerFailed, what }, None);
                run.enter(Phase::Over);
            }
        }
        Ok(())
    }

    /// Runs the command that is meant for the time when a server is dead.
    async fn use_the_pause(&self, run: &Run) -> Result<(), TortureError> {
        match &self.while_down {
            Some(command) => shell(run, "--while-down", command.clone()).await,
            None => Ok(()),
        }
    }

    /// Notices servers that ended without being killed.
    fn look_after(&mut self, run: &Run) {
        for node in &mut self.nodes {
            if let Some(status) = node.ended() {
                let what = format!(
                    "node {} ended by itself, {status}: {}",
                    node.number,
                    node.last_words()
                );
                run.report(Violation { fault: Fault::ServerFailed, what }, None);
                run.enter(Phase::Over);
            }
        }
    }

    fn millis_below(&mut self, limit: usize) -> Duration {
        Duration::from_millis(self.chance.below(limit).try_into().unwrap_or_default())
    }
}

fn kill(run: &Run, node: &mut Node) -> Result<(), TortureError> {
    run.server_is(node.number - 1, false);
    stop(run, node)?;
    run.tally().kills_of_nodes += 1;
    run.incident(format!("node {} is killed", node.number));
    Ok(())
}

fn stop(run: &Run, node: &mut Node) -> Result<(), TortureError> {
    node.kill().map_err(|error| TortureError::Kill { node: node.number, error })?;
    if let Some(line) = node.panicked() {
        run.report(
            Violation {
                fault: Fault::ServerFailed,
                what: format!("node {} had a bug: {line}", node.number),
            },
            None,
        );
    }
    Ok(())
}

/// Runs a command of the user's to its end.
async fn shell(run: &Run, option: &'static str, command: String) -> Result<(), TortureError> {
    let failed =
        |problem: String| TortureError::Command { option, command: command.clone(), problem };
    let told = command.clone();
    // Its output is not read to the end: what it starts may live on and hold on to it.
    let to_its_end = tokio::task::spawn_blocking(move || {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &told])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .status()
    });
    let status = tokio::select! {
        status = to_its_end => status?.map_err(|error| failed(error.to_string()))?,
        () = run.reaches(Phase::Over) => return Err(failed("was still running".into())),
    };
    if status.success() { Ok(()) } else { Err(failed(format!("failed, {status}"))) }
}
