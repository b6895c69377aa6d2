//! Who takes part in a measurement.

use std::path::PathBuf;

use counterfoil_core::jws::Algorithm;

use crate::figures::Round;
use crate::{BenchError, Contender, Mode, Plan, StorePlace, floor, own, peer};

/// A participant, and its rounds so far.
#[derive(Debug)]
pub struct Entrant {
    /// Who is measured.
    pub contender: Contender,
    /// Grants in its store, where that is known.
    pub grants: Option<u64>,
    /// The entrant whose rate is the floor to its own, by its place among all.
    pub floor: Option<usize>,
    pub(crate) rounds: Vec<Round>,
}

/// The servers to start.
#[derive(Clone, Debug)]
pub struct Field {
    /// This very program.
    pub binary: PathBuf,
    /// What all are measured with.
    pub mode: Mode,
    /// How ID tokens are signed.
    pub alg: Algorithm,
    /// Grants in the stores. Of several sizes, each server that is started on a store of ours is
    /// measured with each.
    pub grants: Vec<u64>,
    /// Tokens to begin with.
    pub chains: usize,
    /// Where stores are made.
    pub store: StorePlace,
    /// How many processes serve a store.
    pub nodes: usize,
    /// The cores that servers are kept to.
    pub cores: Option<String>,
    /// Other builds of this program.
    pub compare: Vec<PathBuf>,
    /// Commands that start peers.
    pub peers: Vec<String>,
}

impl Entrant {
    /// One without a floor.
    pub fn new(contender: Contender) -> Self {
        Self { contender, grants: None, floor: None, rounds: Vec::new() }
    }
}

impl Field {
    /// Starts all servers, one after the other, and reports progress to `tell`. Blocks; not to be
    /// called within a runtime.
    ///
    /// # Errors
    /// One of them can't be started.
    pub fn start(&self, tell: &dyn Fn(String)) -> Result<Vec<Entrant>, BenchError> {
        let mut entrants = Vec::new();
        for &grants in &self.grants {
            let plan = |name: &str| Plan {
                name: name.to_owned(),
                mode: self.mode,
                alg: self.alg,
                grants,
                chains: self.chains,
                store: self.store.clone(),
                nodes: self.nodes,
                cores: self.cores.clone(),
            };
            let mut enter =
                |name: &str, start: &dyn Fn(&Plan) -> Result<Contender, BenchError>, floor| {
                    tell(format!("filling a store with {grants} grants for {name}"));
                    entrants.push(Entrant {
                        grants: Some(grants),
                        floor,
                        ..Entrant::new(start(&plan(name))?)
                    });
                    Ok::<_, BenchError>(entrants.len() - 1)
                };
            let floor = enter("floor", &|plan| floor::start(&self.binary, plan), None)?;
            enter("counterfoil", &|plan| own::start(&self.binary, plan), Some(floor))?;
            for binary in &self.compare {
                enter(
                    &binary.display().to_string(),
                    &|plan| own::start(binary, plan),
                    Some(floor),
                )?;
            }
        }
        for command in &self.peers {
            tell(format!("starting {command}"));
            let mut entrant = Entrant::new(peer::start(
                command,
                self.alg,
                self.chains,
                self.cores.as_deref(),
                &self.directory(),
            )?);
            // The one of the smallest stores is the nearest to what has its data in memory.
            entrant.floor = Some(0);
            entrants.push(entrant);
        }
        Ok(entrants)
    }

    /// Where directories are made.
    fn directory(&self) -> PathBuf {
        match &self.store {
            StorePlace::Sqlite(directory) => directory.clone(),
            StorePlace::Postgres(_) => std::env::temp_dir(),
        }
    }
}
