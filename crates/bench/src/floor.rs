//! The floor: a bare server that does what a request can't do without, on the same store, and
//! nothing else. What it reaches is what the machine allows, so that a share of it means the same
//! on every machine.
//!
//! It checks no client, no MAC and no terms; it has no bounds, no log and no metrics. What it has
//! in common with the server: the HTTP library, the tables and how they are written and read, and
//! what signs.

mod bearer;
mod postgres;
mod refresh;
mod response;
mod serve;
mod slip;
mod sqlite;

pub use serve::{Options, serve};

use std::ffi::OsString;
use std::path::Path;

use counterfoil_core::jws::{self, SigningKey};

use crate::child;
use crate::contender::{Client, ClientAuth, Contender, Workload};
use crate::error::BenchError;
use crate::full_store;
use crate::grants::CLIENT;
use crate::plan::{Mode, Plan};
use crate::tokens;

/// The modes, as the command has them.
pub const MODES: [(&str, Mode); 3] = [
    ("refresh", Mode::Refresh),
    ("bearer", Mode::Bearer { first_sight: false }),
    ("first-sight", Mode::Bearer { first_sight: true }),
];

/// Makes a store as `plan` says, and starts bare servers on it, as many as there are nodes:
/// `binary` with `bench floor`. Blocks; not to be called within a runtime.
///
/// # Errors
/// [`BenchError`].
pub fn start(binary: &Path, plan: &Plan) -> Result<Contender, BenchError> {
    let (place, grants) = full_store::make(plan)?;
    let store = full_store::describe(&place, plan.grants);
    let pkcs8 = jws::generate(plan.alg).map_err(|e| BenchError::System(e.to_string()))?;
    let key_file = place.directory().join("floor.key");
    std::fs::write(&key_file, &*pkcs8).map_err(BenchError::file(&key_file))?;
    let key =
        SigningKey::from_pkcs8(plan.alg, &pkcs8).map_err(|e| BenchError::System(e.to_string()))?;
    let workload = match plan.mode {
        Mode::Refresh => {
            let tokens = tokens::refresh_tokens(grants, plan.chains, &tokens::nobodys_keys())?;
            // As many bytes as the server is sent.
            let client = Client {
                id: CLIENT.into(),
                secret: Some(tokens::client_secret()),
                auth: ClientAuth::Post,
            };
            Workload::Refresh { client, tokens }
        }
        Mode::Bearer { first_sight } => {
            let mut tokens = tokens::id_tokens(grants, plan.chains, &key)?;
            if !first_sight {
                for (token, n) in tokens.iter_mut().zip(grants.bearers(plan.chains)) {
                    token.replace_range(..16, &grants.id(n).to_string());
                }
            }
            Workload::Bearer { tokens }
        }
    };
    let mode =
        MODES.iter().find(|(_, mode)| *mode == plan.mode).map_or("refresh", |(name, _)| name);
    let arguments: [OsString; 10] = [
        "bench".into(),
        "floor".into(),
        "--mode".into(),
        mode.into(),
        "--alg".into(),
        plan.alg.name().into(),
        "--key".into(),
        key_file.into(),
        "--store".into(),
        full_store::address(&place).into(),
    ];
    let path = if plan.mode == Mode::Refresh { "/token" } else { "/accounts" };
    let (mut urls, mut processes) = (Vec::new(), Vec::new());
    for _ in 0..plan.nodes {
        let started =
            child::start(&plan.name, binary, &arguments, plan.cores.as_deref(), place.directory())?;
        urls.push(format!("http://{}{path}", started.address));
        processes.push(started.process);
    }
    Ok(Contender {
        name: plan.name.clone(),
        note: format!("the bare server, {}, {store}; checks nothing", plan.alg),
        urls,
        workload,
        pids: processes.iter().map(|process| process.0.id()).collect(),
        processes,
        place: Some(place),
    })
}

#[cfg(test)]
mod tests;
