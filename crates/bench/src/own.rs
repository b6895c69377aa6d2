//! Counterfoil itself: `counterfoil serve` on a store filled for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use counterfoil_core::client::{ClientSettings, SecretDigest};
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_server::keys::{Keys, Ring};
use counterfoil_store::{Store, hide_schema_2, keep_to_level_1};

use crate::child::{self, RunningServer};
use crate::contender::{Client, ClientAuth, Contender, Workload};
use crate::directory;
use crate::error::BenchError;
use crate::full_store;
use crate::grants::{CLIENT, Grants, MOST_BEARERS, PROVIDER, REDIRECT_URI};
use crate::place::Place;
use crate::plan::{Mode, Plan};
use crate::tokens::{self, ISSUER};

/// Customers that are added at once.
const AT_ONCE: usize = 1_000;

/// Which versions a store is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Schema {
    /// This one.
    Newest,
    /// Those before the second schema.
    First,
}

/// A store with keys, a client and tokens, for as many nodes as there are to be.
#[derive(Debug)]
pub(crate) struct Fixture {
    place: Place,
    workload: Workload,
    /// What it is and how large, for people.
    store: String,
}

/// Makes a store as `plan` says, with keys and a client, and starts `binary serve` on it. Blocks;
/// not to be called within a runtime.
///
/// # Errors
/// [`BenchError`].
pub fn start(binary: &Path, plan: &Plan) -> Result<Contender, BenchError> {
    let (furnished, first) = Fixture::for_binary(binary, plan)?;
    let path = if plan.mode == Mode::Refresh { "/token" } else { "/accounts" };
    let (mut urls, mut processes) = (Vec::new(), Vec::new());
    let others = (1..plan.nodes).map(|node| furnished.start(binary, plan, node));
    for started in std::iter::once(Ok(first)).chain(others) {
        let started = started?;
        urls.push(format!("http://{}{path}", started.address));
        processes.push(started.process);
    }
    let store = match plan.nodes {
        1 => furnished.store.clone(),
        nodes => format!("{}, {nodes} nodes", furnished.store),
    };
    Ok(Contender {
        name: plan.name.clone(),
        note: format!("{}, {store}, log = \"error\"", plan.alg),
        urls,
        workload: furnished.workload,
        pids: processes.iter().map(|process| process.0.id()).collect(),
        processes,
        place: Some(furnished.place),
    })
}

/// What a build says to a store that is newer than it knows, where it knows the first alone.
const KNOWS_THE_FIRST_SCHEMA: &str = "knows schemas up to 1";

impl Fixture {
    /// Makes a store that `binary` can use, also where that is of a version before the second
    /// schema, and starts the first node on it.
    fn for_binary(binary: &Path, plan: &Plan) -> Result<(Self, RunningServer), BenchError> {
        let furnished = Self::new(plan, Schema::Newest)?;
        let furnished = match furnished.start(binary, plan, 0) {
            Ok(started) => return Ok((furnished, started)),
            Err(BenchError::NotReady { problem, .. })
                if problem.contains(KNOWS_THE_FIRST_SCHEMA) =>
            {
                Self::new(plan, Schema::First)?
            }
            Err(error) => return Err(error),
        };
        let started = furnished.start(binary, plan, 0)?;
        Ok((furnished, started))
    }

    /// Makes a store as `plan` says. Blocks; not to be called within a runtime.
    ///
    /// # Errors
    /// [`BenchError`].
    pub(crate) fn new(plan: &Plan, schema: Schema) -> Result<Self, BenchError> {
        let (place, grants) = full_store::make(plan)?;
        let store = full_store::describe(&place, plan.grants);
        let failed = |problem: String| BenchError::Store { name: plan.name.clone(), problem };
        let secret = tokens::client_secret();
        let ring = full_store::runtime()?
            .block_on(furnish(&place, plan, grants, &secret, schema))
            .map_err(failed)?;
        let workload = match plan.mode {
            Mode::Refresh => Workload::Refresh {
                client: Client { id: CLIENT.into(), secret: Some(secret), auth: ClientAuth::Post },
                tokens: tokens::refresh_tokens(grants, plan.chains, &ring.slips)?,
            },
            Mode::Bearer { .. } => {
                let key = ring.signing_key(plan.alg, grants.now);
                let key =
                    key.ok_or_else(|| BenchError::System(format!("there is no {} key", plan.alg)))?;
                Workload::Bearer { tokens: tokens::id_tokens(grants, plan.chains, key)? }
            }
        };
        Ok(Self { place, workload, store })
    }

    /// Starts a node.
    ///
    /// # Errors
    /// [`BenchError`].
    pub(crate) fn start(
        &self,
        binary: &Path,
        plan: &Plan,
        node: usize,
    ) -> Result<RunningServer, BenchError> {
        let arguments: [OsString; 3] =
            ["serve".into(), "--config".into(), configuration(&self.place, node)?.into()];
        child::start(&plan.name, binary, &arguments, plan.cores.as_deref(), self.place.directory())
    }

    /// The bodies of requests, each the first refresh of a chain.
    pub(crate) fn refreshes(&self) -> Vec<String> {
        let Workload::Refresh { client, tokens } = &self.workload else {
            return Vec::new();
        };
        let secret = client.secret.as_deref().unwrap_or_default();
        let body = |token| {
            format!(
                "grant_type=refresh_token&refresh_token={token}&client_id={}&client_secret={secret}",
                client.id
            )
        };
        tokens.iter().map(body).collect()
    }
}

/// Makes keys, the client and, where accounts are asked for, the customers that have some. Gives
/// the keys.
async fn furnish(
    place: &Place,
    plan: &Plan,
    grants: Grants,
    secret: &str,
    schema: Schema,
) -> Result<Arc<Ring>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let options = full_store::options(place).map_err(|e| words(&e))?;
    if schema == Schema::First {
        keep_to_level_1(&options).await.map_err(|e| words(&e))?;
    }
    let store = Store::open(options.clone()).await.map_err(|e| words(&e))?;
    let directory = keys(place);
    let keys = match store.is_shared() {
        true => Keys::in_store(&store, Some(&directory), ISSUER, grants.now).await,
        false => Keys::open(&directory, ISSUER, grants.now),
    };
    let ring = keys.map_err(|e| words(&e))?.ring();
    let mut settings = ClientSettings::new("Budget App");
    settings.redirect_uris = vec![REDIRECT_URI.into()];
    settings.id_token_signed_response_alg = plan.alg;
    let digest = SecretDigest::of(&Secret::new(secret), &ring.pepper);
    store
        .add_client(CLIENT.into(), settings, Some(digest), grants.now)
        .await
        .map_err(|e| words(&e))?;
    if plan.mode != Mode::Refresh {
        let numbers: Vec<u64> = grants.bearers(plan.chains.min(MOST_BEARERS)).collect();
        for numbers in numbers.chunks(AT_ONCE) {
            let adding: Vec<_> = numbers
                .iter()
                .map(|n| store.add_customer(directory::customer(grants, *n), LetterCase::Matters))
                .collect();
            for added in adding {
                added.await.map_err(|e| words(&e))?;
            }
        }
    }
    drop(store);
    if schema == Schema::First {
        hide_schema_2(&options).await.map_err(|e| words(&e))?;
    }
    Ok(ring)
}

/// Where the keys are; in a database they are encrypted under the one there.
fn keys(place: &Place) -> PathBuf {
    place.directory().join("keys")
}

/// Writes the configuration of a node.
fn configuration(place: &Place, node: usize) -> Result<PathBuf, BenchError> {
    let directory = place.directory();
    let path = directory.join(format!("node-{node}.toml"));
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text = format!(
        "issuer = {}\nlisten = \"127.0.0.1:0\"\nstore = {}\nkeys = {}\nendings_log = {}\nlog = \"error\"\n\n\
         [[provider]]\nid = {}\nname = \"Example Bank\"\n",
        quoted(ISSUER),
        quoted(&full_store::address(place)),
        quoted(&keys(place).to_string_lossy()),
        quoted(&directory.join(format!("endings-{node}.jsonl")).to_string_lossy()),
        quoted(PROVIDER),
    );
    std::fs::write(&path, text).map_err(BenchError::file(&path))?;
    Ok(path)
}
