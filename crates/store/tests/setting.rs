//! A store in a fresh directory, and grants to put into it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::clock::{DAY, Seconds, Timestamp};
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::mac::MacKey;
use counterfoil_core::scope::Scopes;
use counterfoil_core::slip::Slip;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation};
use counterfoil_store::{
    NewGrant, OpenOptions, Pending, Redeem, Redeemed, Store, StoreAddress, StoreKind,
};
use tempfile::TempDir;
use tokio::sync::Barrier;

pub const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);
pub const KEY: SlipKeyId = SlipKeyId(1);
pub const CODE_LIFETIME: Seconds = 300;
pub const SLIP_LIFETIME: Seconds = 30 * DAY;

pub fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("store.db")
}

pub fn options(dir: &TempDir) -> OpenOptions {
    OpenOptions {
        address: StoreAddress::Sqlite(path(dir)),
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: Some(dir.path().join("endings.log")),
        holder: "the test".into(),
    }
}

pub async fn store() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(options(&dir)).await.unwrap(), dir)
}

pub fn customer() -> CustomerId {
    CustomerId { provider: "bank".into(), customer: "ada".into() }
}

pub fn new_grant(n: u32) -> NewGrant {
    let terms = Terms {
        grant: GrantId::new(NOW, (n << 2).to_be_bytes()),
        client: "app".into(),
        customer: customer(),
        name: "Ada".into(),
        scopes: Scopes::ALL,
        clusters: DataClusters::from_names(["BALANCES"]).unwrap(),
        accounts: vec!["a1".into()],
        lookback_days: None,
        created_at: NOW,
        expires_at: NOW.plus(365 * DAY),
        authenticated_at: NOW,
        client_era: 0,
        customer_era: 0,
        parent: None,
    };
    let code =
        CodeBinding { redirect_uri: "https://app.example/cb".into(), challenge: None, nonce: None };
    NewGrant {
        terms,
        code,
        seal: Seal::from_bytes([7; 16]),
        code_expires_at: NOW.plus(CODE_LIFETIME),
        slip_key: KEY,
    }
}

/// Makes a grant; gives its code and its terms.
pub async fn grant(store: &Store, n: u32) -> (Slip, Arc<Terms>) {
    let new = new_grant(n);
    store.create_grant(new.clone()).await.unwrap();
    let code = Slip { key: KEY, grant: new.terms.grant, number: 0, issued_at: NOW, seal: new.seal };
    (code, Arc::new(new.terms))
}

pub fn presented(slip: Slip, now: Timestamp, random: u64) -> Presentation {
    let request = RequestIdentity { client: "app", slip: "text", scope: None };
    Presentation {
        slip,
        claim: Claim::keyless(&MacKey::new(&[4; 32]), random.to_be_bytes(), request),
        now,
        on_replay: OnReplay::Refuse,
        on_lost_answer: OnLostAnswer::Strict,
    }
}

/// The same request with an `Idempotency-Key`.
pub fn keyed(slip: Slip, now: Timestamp) -> Presentation {
    let text = slip.number.to_string();
    let request = RequestIdentity { client: "app", slip: &text, scope: None };
    Presentation {
        claim: Claim::keyed(&MacKey::new(&[4; 32]), "key", request),
        ..presented(slip, now, 0)
    }
}

/// Begins to redeem a slip of a grant that was made with [`grant`].
pub fn begin(store: &Store, presented: Presentation) -> Pending<Redeemed> {
    begin_for(
        store,
        presented,
        Arc::new(Terms { grant: presented.slip.grant, ..new_grant(0).terms }),
    )
}

pub fn begin_for(store: &Store, presented: Presentation, terms: Arc<Terms>) -> Pending<Redeemed> {
    let successor_expires_at = presented.now.plus(SLIP_LIFETIME);
    store.redeem(Redeem { presented, successor_expires_at, slip_key: KEY, terms })
}

pub async fn redeem(store: &Store, presented: Presentation) -> Redeemed {
    begin(store, presented).await.unwrap()
}

#[track_caller]
pub fn torn(redeemed: Redeemed) -> Slip {
    match redeemed {
        Redeemed::Torn(torn) => *torn.successor(),
        Redeemed::Refused { reason, .. } => panic!("refused: {reason}"),
    }
}

#[track_caller]
pub fn refused(redeemed: Redeemed) -> String {
    match redeemed {
        Redeemed::Torn(torn) => panic!("torn: {torn:?}"),
        Redeemed::Refused { reason, .. } => reason,
    }
}

/// Makes all calls at once and gives their answers. In some round at least two must have been in
/// flight before the first was answered, or nothing was proved.
#[track_caller]
pub fn race<T, F>(calls: Vec<F>) -> impl Future<Output = Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let caller = std::panic::Location::caller();
    async move {
        let ready = Arc::new(Barrier::new(calls.len()));
        let calls: Vec<_> = calls
            .into_iter()
            .map(|call| {
                let ready = ready.clone();
                tokio::spawn(async move {
                    ready.wait().await;
                    let began = Instant::now();
                    (call.await, began, Instant::now())
                })
            })
            .collect();
        let mut done = Vec::new();
        for call in calls {
            done.push(call.await.unwrap());
        }
        let first_answer = done.iter().map(|(_, _, ended)| *ended).min();
        let overlap = done.iter().filter(|(_, began, _)| Some(*began) < first_answer).count();
        must_overlap(caller, overlap > 1);
        done.into_iter().map(|(answer, ..)| answer).collect()
    }
}

/// Fails where not one of the first rounds of a race had calls in flight at once. A busy machine
/// may run the few calls of one round one after the other.
fn must_overlap(caller: &'static std::panic::Location<'static>, overlapped: bool) {
    const ROUNDS: u32 = 5;
    /// By file and line: how many rounds there were, and whether any overlapped.
    type Races = BTreeMap<(&'static str, u32), (u32, bool)>;
    static RACES: Mutex<Races> = Mutex::new(BTreeMap::new());
    let mut races = RACES.lock().unwrap();
    let (rounds, ever) = races.entry((caller.file(), caller.line())).or_default();
    *rounds += 1;
    *ever |= overlapped;
    let (rounds, ever) = (*rounds, *ever);
    drop(races);
    assert!(ever || rounds < ROUNDS, "{caller}: the calls came one after the other, each time");
}
