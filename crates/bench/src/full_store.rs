//! A store that is filled with grants, for one server that is measured.

use std::path::{Path, PathBuf};

use counterfoil_core::clock::Clock;
use counterfoil_store::{Filling, OpenOptions, StoreAddress, StoreKind};
use tokio::runtime::Runtime;

use crate::error::BenchError;
use crate::grants::Grants;
use crate::place::Place;
use crate::plan::{Mode, Plan, StorePlace};
use crate::stop::stop_signal;
use crate::tokens::ISSUER;

/// The name of the file.
const FILE: &str = "store.db";

/// Makes a place with a store in it, filled as `plan` says.
///
/// # Errors
/// [`BenchError`].
pub(crate) fn make(plan: &Plan) -> Result<(Place, Grants), BenchError> {
    if plan.grants == 0 || plan.chains == 0 {
        return Err(BenchError::Plan("there must be at least one grant and one chain".into()));
    }
    if plan.mode == Mode::Refresh && plan.chains as u64 > plan.grants {
        return Err(BenchError::Plan(format!(
            "{} chains need as many grants, and there are {}",
            plan.chains, plan.grants
        )));
    }
    if plan.nodes == 0 || plan.nodes > 1 && matches!(plan.store, StorePlace::Sqlite(_)) {
        return Err(BenchError::Plan(
            "a SQLite store is served by one node; name a postgres:// store for more".into(),
        ));
    }
    let grants = Grants { count: plan.grants, now: Clock::live().now() };
    runtime()?.block_on(async {
        let place = match &plan.store {
            StorePlace::Sqlite(directory) => Place::new(directory)?,
            StorePlace::Postgres(address) => Place::with_database(address).await?,
        };
        let failed = |problem: String| BenchError::Store { name: plan.name.clone(), problem };
        let filling = Filling {
            grants: plan.grants,
            terms: move |n| grants.terms(n),
            counterfoil: move |n| (grants.id(n), grants.counterfoil(n)),
        };
        let options = options(&place)?;
        tokio::select! {
            filled = filling.fill(&options) => filled.map_err(|e| failed(e.to_string()))?,
            told = stop_signal() => return Err(told),
        }
        Ok((place, grants))
    })
}

/// How the store in `place` is opened.
///
/// # Errors
/// [`BenchError::Plan`].
pub(crate) fn options(place: &Place) -> Result<OpenOptions, BenchError> {
    Ok(OpenOptions {
        address: StoreAddress::parse(&address(place)).map_err(BenchError::Plan)?,
        kind: StoreKind::Live,
        issuer: ISSUER.into(),
        endings_log: None,
        holder: "counterfoil bench".into(),
    })
}

/// What the store in `place` is, which was just filled with `grants`, and how large.
pub(crate) fn describe(place: &Place, grants: u64) -> String {
    match std::fs::metadata(file(place.directory())) {
        Ok(meta) => format!("SQLite, FULL, {} bytes a grant", meta.len().div_ceil(grants.max(1))),
        Err(_) => "PostgreSQL".into(),
    }
}

/// The address of the store in `place`, as in a configuration.
pub(crate) fn address(place: &Place) -> String {
    place.database().unwrap_or_else(|| format!("sqlite:{}", file(place.directory()).display()))
}

/// The file of the store in `directory`.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// A runtime to make stores with.
///
/// # Errors
/// [`BenchError::System`].
pub(crate) fn runtime() -> Result<Runtime, BenchError> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|e| BenchError::System(format!("there is no runtime: {e}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use counterfoil_core::claim::Claim;
    use counterfoil_core::grant::{CodeBinding, Seal};
    use counterfoil_core::jws::Algorithm;
    use counterfoil_core::pkce::Challenge;
    use counterfoil_core::slip::Slip;
    use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation};
    use counterfoil_store::{NewGrant, Redeem, Redeemed, Store, SweepTime};

    use super::*;
    use crate::grants::REDIRECT_URI;

    /// What a living grant may take on disk: terms, counterfoil and index.
    const BYTES: u64 = 400;
    const COUNT: u64 = 10_000;

    fn bytes_of(place: &Place) -> u64 {
        std::fs::metadata(file(place.directory())).unwrap().len()
    }

    async fn redeem(store: &Store, grants: Grants, n: u64, number: u64, seal: Seal) -> Redeemed {
        let terms = Arc::new(grants.terms(n));
        let counterfoil = grants.counterfoil(n);
        let slip = Slip {
            key: counterfoil.slip_key,
            grant: terms.grant,
            number,
            issued_at: grants.now,
            seal,
        };
        let claim = Claim::from_bytes([0; Claim::LENGTH]);
        let presented = Presentation {
            slip,
            claim,
            now: grants.now,
            on_replay: OnReplay::Refuse,
            on_lost_answer: OnLostAnswer::Strict,
        };
        let successor_expires_at = counterfoil.expires_at;
        store
            .redeem(Redeem {
                presented,
                successor_expires_at,
                slip_key: counterfoil.slip_key,
                terms,
            })
            .await
            .unwrap()
    }

    #[test]
    fn tokens_of_a_filled_store_are_good_and_its_grants_are_small() {
        let store = StorePlace::Sqlite(std::env::temp_dir());
        let plan = Plan {
            name: "a".into(),
            mode: Mode::Refresh,
            alg: Algorithm::Es256,
            grants: COUNT,
            chains: 1,
            store,
            nodes: 1,
            cores: None,
        };
        let (place, grants) = make(&plan).unwrap();
        assert!(bytes_of(&place) <= COUNT * BYTES, "{} bytes a grant", bytes_of(&place) / COUNT);
        runtime().unwrap().block_on(async {
            let store = Store::open(options(&place).unwrap()).await.unwrap();
            for n in grants.spread(20) {
                assert_eq!(*store.terms(grants.id(n)).await.unwrap().unwrap(), grants.terms(n));
                assert!(matches!(
                    redeem(&store, grants, n, 1, grants.seal(n)).await,
                    Redeemed::Torn(_)
                ));
            }
        });
    }

    /// Not as they are filled in, but as they come one by one, in no order of customers, each with
    /// a code that is redeemed.
    #[test]
    fn a_grant_that_came_by_itself_is_small() {
        let grants = Grants { count: COUNT, now: Clock::live().now() };
        let place = Place::new(&std::env::temp_dir()).unwrap();
        runtime().unwrap().block_on(async {
            let store = Store::open(options(&place).unwrap()).await.unwrap();
            store.note_time(grants.now).await.unwrap();
            for batch in (0..COUNT).collect::<Vec<_>>().chunks(1_000) {
                let new = |n: &u64| {
                    let row = grants.counterfoil(*n);
                    let mut challenge = [0; 32];
                    challenge[..8].copy_from_slice(&n.to_be_bytes());
                    let code = CodeBinding {
                        redirect_uri: REDIRECT_URI.into(),
                        challenge: Some(Challenge::from_bytes(challenge)),
                        nonce: Some(format!("{n:022x}")),
                    };
                    NewGrant {
                        terms: grants.terms(*n),
                        code,
                        seal: row.seal,
                        code_expires_at: row.expires_at,
                        slip_key: row.slip_key,
                    }
                };
                let made: Vec<_> = batch.iter().map(|n| store.create_grant(new(n))).collect();
                for made in made {
                    made.await.unwrap();
                }
                let redeemed = batch.iter().map(|n| redeem(&store, grants, *n, 0, grants.seal(*n)));
                for redeemed in redeemed {
                    assert!(matches!(redeemed.await, Redeemed::Torn(_)));
                }
                // What codes were bound to goes after two days, and most of these are older.
                while store.sweep(SweepTime { now: grants.now, ahead: 0 }).await.unwrap().more {}
            }
        });
        assert!(bytes_of(&place) <= COUNT * BYTES, "{} bytes a grant", bytes_of(&place) / COUNT);
    }
}
