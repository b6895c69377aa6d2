//! Rounds: all servers are loaded in turn, again and again, so that what else the machine does
//! affects them alike.

use std::path::Path;
use std::sync::Arc;

use crate::entrants::{Entrant, Field};
use crate::load::{Load, Queues, load};
use crate::machine::Machine;
use crate::report::{Report, Standing};
use crate::stop::stop_signal;
use crate::{BenchError, Mode, Parts, StorePlace, Workload, process};

/// Receives progress messages.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// How all servers are measured.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// How each is loaded in each round.
    pub load: Load,
    /// How often each is.
    pub count: usize,
    /// The cores that the load generator is kept to.
    pub cores: Option<String>,
}

/// What was measured, and the tokens that are left over of each contender.
#[derive(Debug)]
pub struct Measurement {
    /// What was measured.
    pub report: Report,
    /// For each entrant, every token that was not sent yet or that the last answer of its chain
    /// brought.
    pub tokens: Vec<Vec<String>>,
}

impl Rounds {
    /// Starts all servers and measures them. To be called in a runtime of one thread. However it
    /// ends, also by Ctrl-C or SIGTERM, all that was started ends too.
    ///
    /// # Errors
    /// One can't be started or does not answer as it should, or this process was told to stop.
    pub async fn run_field(&self, field: Field, tell: Tell) -> Result<Measurement, BenchError> {
        let (to_start, telling) = (field.clone(), tell.clone());
        let mut starting = tokio::task::spawn_blocking(move || to_start.start(&*telling));
        let started = tokio::select! {
            started = &mut starting => started,
            told = stop_signal() => {
                // Whatever waits for a child gets an error now, and drops what it made.
                process::end_all_children();
                tell("stopping; once more does so without removing what was made".into());
                tokio::select! {
                    _ = &mut starting => {}
                    _ = stop_signal() => {}
                }
                return Err(told);
            }
        };
        let entrants = started.map_err(|error| BenchError::System(error.to_string()))??;
        let stores = match &field.store {
            StorePlace::Sqlite(directory) => Some(directory.as_path()),
            StorePlace::Postgres(_) => None,
        };
        self.keep_to_cores()?;
        // What one request at a time can't do without; of many at once, that says nothing.
        let parts = match (field.mode, stores, entrants.first()) {
            (Mode::Refresh, Some(directory), Some(floor)) if self.load.connections == 1 => {
                tell("measuring the parts of a refresh".into());
                Some(Parts::measure(directory, field.alg, &floor.contender).await?)
            }
            _ => None,
        };
        let mut outcome = self.measure(entrants, stores, &tell).await?;
        outcome.report.alg = Some(field.alg.name().to_owned());
        outcome.report.parts = parts;
        outcome.report.mode = match field.mode {
            Mode::Refresh => "refresh",
            Mode::Bearer { first_sight: false } => "bearer",
            Mode::Bearer { first_sight: true } => "bearer, first sight",
        };
        outcome.report.server_cores = field.cores;
        Ok(outcome)
    }

    /// Measures who is there already.
    ///
    /// # Errors
    /// As [`Rounds::run_field`].
    pub async fn run(
        &self,
        entrants: Vec<Entrant>,
        tell: &Tell,
    ) -> Result<Measurement, BenchError> {
        self.keep_to_cores()?;
        self.measure(entrants, None, tell).await
    }

    fn keep_to_cores(&self) -> Result<(), BenchError> {
        self.cores
            .as_ref()
            .map_or(Ok(()), |cores| process::keep_to(cores).map_err(BenchError::Plan))
    }

    /// `stores` is the directory of SQLite stores, if there are some.
    async fn measure(
        &self,
        mut entrants: Vec<Entrant>,
        stores: Option<&Path>,
        tell: &Tell,
    ) -> Result<Measurement, BenchError> {
        let mut queues: Vec<Queues> = entrants
            .iter_mut()
            .map(|entrant| Queues::of(&mut entrant.contender.workload, &self.load))
            .collect();
        let measuring = async {
            for round in 0..self.count {
                for turn in 0..entrants.len() {
                    let at = (round + turn) % entrants.len();
                    let Entrant { contender, rounds, .. } = &mut entrants[at];
                    tell(format!("round {} of {}: {}", round + 1, self.count, contender.name));
                    rounds.push(load(contender, &mut queues[at], &self.load).await?);
                }
            }
            Ok(())
        };
        tokio::select! {
            measured = measuring => measured?,
            told = stop_signal() => return Err(told),
        }
        let tokens =
            queues.iter().map(|queues| queues.tokens().map(str::to_owned).collect()).collect();
        let mode = if entrants
            .iter()
            .all(|entrant| matches!(entrant.contender.workload, Workload::Refresh { .. }))
        {
            "refresh"
        } else {
            "bearer"
        };
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            mode,
            alg: None,
            connections: self.load.connections,
            seconds: self.load.time.as_secs_f64(),
            warm_up: self.load.warm_up.as_secs_f64(),
            rounds: self.count,
            server_cores: None,
            load_cores: self.cores.clone(),
            machine: Machine::this(stores),
            parts: None,
            contenders: (0..entrants.len()).map(|at| Standing::of(&entrants, at)).collect(),
        };
        Ok(Measurement { report, tokens })
    }
}
