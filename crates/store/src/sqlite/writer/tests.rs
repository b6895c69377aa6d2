//! Commits whose outcome was not known: they took effect, and the writer was told that they failed.
//! Each verb must find that out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::client::{ClientSettings, SecretDigest};
use counterfoil_core::clock::{DAY, HOUR, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::login::LetterCase;
use counterfoil_core::mac::MacKey;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation};
use tempfile::TempDir;

use super::super::Sqlite;
use crate::agreement::OnDifference;
use crate::journal::Line;
use crate::{
    AddClient, AddCustomer, AddSecret, CreateGrant, Customer, Ending, NewCustomer, NewGrant,
    OpenOptions, Redeem, Redeemed, StoreAddress, StoreKind, Tearing,
};

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);
const KEY: SlipKeyId = SlipKeyId(1);

fn store_in_doubt() -> (Sqlite, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let options = OpenOptions {
        address: StoreAddress::Sqlite(path.clone()),
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: Some(dir.path().join("endings.log")),
        holder: "the test".into(),
    };
    let store = Sqlite::open(&path, &options, OnDifference::Refuse).unwrap();
    store.writer.in_doubt.store(true, Ordering::Relaxed);
    (store, dir)
}

/// The endings in the journal.
fn journal(dir: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(dir.path().join("endings.log")).unwrap();
    text.lines().filter(|line| !line.contains("opened_after")).map(str::to_owned).collect()
}

fn customer() -> CustomerId {
    CustomerId { provider: "bank".into(), customer: "ada".into() }
}

fn code() -> CodeBinding {
    CodeBinding { redirect_uri: "https://app.example/cb".into(), challenge: None, nonce: None }
}

async fn grant(store: &Sqlite) -> (Slip, Arc<Terms>) {
    let terms = Terms {
        grant: GrantId::new(NOW, [1; 4]),
        client: "app".into(),
        customer: customer(),
        name: "Ada".into(),
        scopes: Scopes::ALL,
        clusters: DataClusters::default(),
        accounts: vec![],
        lookback_days: None,
        created_at: NOW,
        expires_at: NOW.plus(365 * DAY),
        authenticated_at: NOW,
        client_era: 0,
        customer_era: 0,
        parent: None,
    };
    let new = NewGrant {
        terms: terms.clone(),
        code: code(),
        seal: Seal::from_bytes([7; 16]),
        code_expires_at: NOW.plus(300),
        slip_key: KEY,
    };
    let CreateGrant::Exists(made) = store.create_grant(new.clone()).await.unwrap() else {
        panic!("the first run was not seen")
    };
    assert_eq!((made.0, made.1.next_slip, made.1.seal), (terms.clone(), 0, new.seal));
    (
        Slip { key: KEY, grant: terms.grant, number: 0, issued_at: NOW, seal: new.seal },
        Arc::new(terms),
    )
}

async fn redeem(store: &Sqlite, slip: Slip, now: Timestamp, random: u8) -> Redeemed {
    let request = RequestIdentity { client: "app", slip: "text", scope: None };
    let presented = Presentation {
        slip,
        claim: Claim::keyless(&MacKey::new(&[4; 32]), [random; 8], request),
        now,
        on_replay: OnReplay::Revoke,
        on_lost_answer: OnLostAnswer::Strict,
    };
    let terms = store.terms(slip.grant).unwrap().unwrap();
    store
        .redeem(Redeem {
            presented,
            successor_expires_at: now.plus(30 * DAY),
            slip_key: KEY,
            terms,
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_redemption_knows_its_own_success_and_a_replay_is_none() {
    let (store, dir) = store_in_doubt();
    let (code, terms) = grant(&store).await;
    let Redeemed::Torn(torn) = redeem(&store, code, NOW, 1).await else {
        panic!("its own success was taken for a replay")
    };
    assert_eq!((torn.how(), torn.successor().number), (Tearing::InTurn, 1));
    let Redeemed::Torn(torn) = redeem(&store, *torn.successor(), NOW, 2).await else {
        panic!("refused")
    };
    assert_eq!(store.counterfoil(code.grant).unwrap().unwrap().next_slip, 2);

    let first = Slip { number: 1, ..*torn.successor() };
    assert!(matches!(redeem(&store, first, NOW.plus(HOUR), 3).await, Redeemed::Refused { .. }));
    assert!(store.living(&terms).unwrap().is_none());
    assert!(journal(&dir)[0].contains("refresh_token_replay"), "{:?}", journal(&dir));
}

#[tokio::test]
async fn an_ending_is_in_the_journal_before_it_is_answered() {
    let (store, dir) = store_in_doubt();
    let (code, terms) = grant(&store).await;
    assert_ne!(
        store.end_grant(code.grant, EndedBy::Customer, NOW).await.unwrap(),
        Ending::NotFound
    );
    assert!(store.living(&terms).unwrap().is_none());
    assert_eq!(journal(&dir).len(), 1);
}

#[tokio::test]
async fn clients_are_added_once_keep_their_secret_and_are_removed_for_good() {
    let (store, dir) = store_in_doubt();
    let secret = |n: u8| SecretDigest([n; 32]);
    let add = |digest| store.add_client("app".into(), ClientSettings::new("App"), digest, NOW);
    assert_eq!(add(Some(secret(1))).await.unwrap(), AddClient::Added);
    assert_eq!(
        store
            .add_client("app".into(), ClientSettings::new("Another"), Some(secret(9)), NOW)
            .await
            .unwrap(),
        AddClient::Exists
    );
    assert_eq!(
        store.add_client_secret("app".into(), secret(2), 1, NOW).await.unwrap(),
        AddSecret::Added
    );
    let digests = |store: &Sqlite| {
        store.clients(None).unwrap()[0].secrets.iter().map(|s| s.digest.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(digests(&store), [1, 2]);
    assert_eq!(
        store.add_client_secret("app".into(), secret(3), 1, NOW).await.unwrap(),
        AddSecret::Added
    );
    assert_eq!(digests(&store), [2, 3]);

    let (_, terms) = grant(&store).await;
    assert!(store.remove_client("app".into(), NOW).await.unwrap());
    assert!(store.living(&terms).unwrap().is_none());
    assert!(store.clients(None).unwrap().is_empty());
    store.writer.in_doubt.store(false, Ordering::Relaxed);
    add(None).await.unwrap();
    assert_eq!(store.clients(None).unwrap()[0].era, 1);
    assert!(journal(&dir)[0].contains("\"client\":\"app\",\"era\":1"));
}

#[tokio::test]
async fn a_declared_loss_is_known_in_memory_too() {
    let (store, dir) = store_in_doubt();
    store.add_client("app".into(), ClientSettings::new("App"), None, NOW).await.unwrap();
    let (code, terms) = grant(&store).await;
    let removal = Line::Client { at: NOW, client: "app".into(), era: 3 };
    store.apply_endings(vec![removal]).await.unwrap();
    assert!(store.living(&terms).unwrap().is_none() && store.clients(None).unwrap().is_empty());
    let (epoch, from) = store.raise_epoch(Some(NOW), BTreeMap::new()).await.unwrap();
    assert_eq!((from, store.bearers_from().unwrap()), (Some(NOW), Some(NOW)));

    // A grant of the new era is written in the epoch that was answered.
    store.writer.in_doubt.store(false, Ordering::Relaxed);
    let anew = Terms { grant: GrantId::new(NOW, [9; 4]), client_era: 3, ..(*terms).clone() };
    store
        .create_grant(NewGrant {
            terms: anew.clone(),
            code: self::code(),
            seal: code.seal,
            code_expires_at: NOW.plus(300),
            slip_key: KEY,
        })
        .await
        .unwrap();
    assert_eq!(store.living(&anew).unwrap().unwrap().epoch, epoch);
    assert!(journal(&dir).iter().any(|line| line.contains("bearers_from")), "{:?}", journal(&dir));
}

#[tokio::test]
async fn customers_are_added_once_and_removed_for_good() {
    let (store, _dir) = store_in_doubt();
    let new = |password: &str| NewCustomer {
        customer: Customer {
            id: customer(),
            name: "Ada".into(),
            password: Some(Secret::new(password)),
            created_at: NOW,
        },
        accounts: vec![],
    };
    assert_eq!(
        store.add_customer(new("salted hash"), LetterCase::Matters).await.unwrap(),
        AddCustomer::Added
    );
    assert_eq!(
        store.add_customer(new("another"), LetterCase::Matters).await.unwrap(),
        AddCustomer::Exists
    );
    let (_, terms) = grant(&store).await;
    assert!(store.remove_customer(customer(), NOW).await.unwrap());
    assert!(store.living(&terms).unwrap().is_none());
    assert_eq!(store.customer_era(&customer()).unwrap(), 1);
}

/// The log is begun anew at its bound, though somebody writes and reads all the time, and its file
/// shrinks back after a burst. Nobody who writes waits for one who reads for long.
#[tokio::test]
async fn the_write_ahead_log_is_bounded() {
    let (store, dir) = store_in_doubt();
    store.writer.in_doubt.store(false, Ordering::Relaxed);
    // Another text each time: SQLite leaves pages alone that would stay as they are.
    let write = |n: usize| {
        let text = ["a", "b"][n % 2].repeat(1 << 20);
        store.writer.queue(move |batch| super::super::meta::set_meta(batch.db, "text", &text))
    };
    let kept = super::super::file::LOG_KEPT;
    let wal = || std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    let long = super::super::file::connect(&dir.path().join("store.db")).unwrap();
    long.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
    for n in 0..220 {
        write(n).await.unwrap();
        store.faults().unwrap();
    }
    assert!(wal() > kept);
    assert!(!store.checkpointer.has_begun_anew(), "somebody reads from it");
    long.execute_batch("COMMIT").unwrap();
    // No pause: where nobody writes for long enough, SQLite begins the log anew by itself.
    for n in 0..2000 {
        write(n).await.unwrap();
        store.faults().unwrap();
        if store.checkpointer.has_begun_anew() {
            write(n + 1).await.unwrap();
            assert!(wal() <= kept);
            return;
        }
    }
    panic!("the log has {} bytes", wal());
}
