//! What every verb of the store promises.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;

use counterfoil_core::claim::{Claim, Request};
use counterfoil_core::clock::DAY;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presented, Refused, RefusedReason, Verdict, judge};
use counterfoil_store::{
    Account, AddCustomer, CreateGrant, Customer, Ending, GrantFilter, NewCustomer, OpenError, Redeem, Redeemed, SignIn, Store, StoreKind,
    Tearing,
};
use proptest::prelude::*;
use setting::{CODE_LIFETIME, KEY, NOW, customer, grant, options, presented, redeem, store};
use std::sync::Arc;

fn torn(redeemed: Redeemed) -> Slip {
    match redeemed {
        Redeemed::Torn(torn) => *torn.successor(),
        Redeemed::Refused { reason, .. } => panic!("refused: {reason}"),
    }
}

fn refused(redeemed: Redeemed) -> String {
    match redeemed {
        Redeemed::Torn(torn) => panic!("torn: {torn:?}"),
        Redeemed::Refused { reason, .. } => reason,
    }
}

#[tokio::test]
async fn a_slip_is_torn_once_and_names_its_successor() {
    let (store, _dir) = store();
    let (code, _) = grant(&store, 1).await;
    let first = torn(redeem(&store, presented(code, NOW, 1)).await);
    assert_eq!((first.number, first.issued_at, first.seal), (1, NOW, code.seal));
    let reason = refused(redeem(&store, presented(code, NOW.plus(5), 2)).await);
    assert_eq!(reason, "slip 0 was claimed 5 seconds ago; the counterfoil stands at 1");
    let second = torn(redeem(&store, presented(first, NOW.plus(6), 3)).await);
    assert_eq!(second.number, 2);
    assert_eq!(store.audit(code.grant).unwrap()[0].event, "code_replayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_concurrent_redemptions_one_wins() {
    let (store, _dir) = store();
    let store = Arc::new(store);
    let (code, _) = grant(&store, 1).await;
    let mut slip = code;
    for round in 0..3_u64 {
        let tries: Vec<_> = (0..100)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { redeem(&store, presented(slip, NOW, round * 100 + n)).await })
            })
            .collect();
        let mut winners = Vec::new();
        for attempt in tries {
            if let Redeemed::Torn(torn) = attempt.await.unwrap() {
                winners.push(*torn.successor());
            }
        }
        assert_eq!(winners.len(), 1);
        slip = winners[0];
    }
    assert_eq!(slip.number, 3);
}

#[tokio::test]
async fn an_expired_slip_and_an_unknown_grant_are_refused() {
    let (store, _dir) = store();
    let (code, _) = grant(&store, 1).await;
    let late = NOW.plus(CODE_LIFETIME + 3);
    assert_eq!(refused(redeem(&store, presented(code, late, 1)).await), "slip 0 expired 3 seconds ago");
    let stranger = Slip { grant: counterfoil_core::grant::GrantId::from_number(5).unwrap(), ..code };
    assert_eq!(refused(redeem(&store, presented(stranger, NOW, 1)).await), "the grant is not known");
    let forged = Slip { seal: Seal::from_bytes([0; 16]), ..code };
    assert!(refused(redeem(&store, presented(forged, NOW, 1)).await).contains("stolen slip key"));
    assert_eq!(torn(redeem(&store, presented(code, NOW, 1)).await).number, 1);
}

#[tokio::test]
async fn a_slip_ahead_of_its_counterfoil_is_refused_and_recorded() {
    let (store, _dir) = store();
    let (code, _) = grant(&store, 1).await;
    let ahead = Slip { number: 7, ..code };
    assert!(refused(redeem(&store, presented(ahead, NOW, 1)).await).contains("ahead of its counterfoil, which stands at 0"));
    let largest = Slip { number: u64::MAX, ..code };
    refused(redeem(&store, presented(largest, NOW, 1)).await);
    let audit = store.audit(code.grant).unwrap();
    assert_eq!((audit[0].event.as_str(), audit[0].count), ("slip_ahead", 2));
}

#[tokio::test]
async fn an_ended_grant_is_dead_at_once_and_for_good() {
    let (store, dir) = store();
    let (code, terms) = grant(&store, 1).await;
    let slip = torn(redeem(&store, presented(code, NOW, 1)).await);
    assert!(store.living(&terms).unwrap().is_some());
    assert_eq!(store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap(), Ending::Ended);
    assert!(store.living(&terms).unwrap().is_none());
    assert_eq!(refused(redeem(&store, presented(slip, NOW, 2)).await), "slip 1: the grant was ended");
    assert_eq!(store.end_grant(code.grant, EndedBy::Customer, NOW.plus(1)).await.unwrap(), Ending::AlreadyEnded);
    let unknown = counterfoil_core::grant::GrantId::from_number(5).unwrap();
    assert_eq!(store.end_grant(unknown, EndedBy::Client, NOW).await.unwrap(), Ending::NotFound);

    let whole = store.grant(code.grant).unwrap().unwrap();
    assert_eq!(whole.ended.unwrap().by, EndedBy::Client);
    assert_eq!(store.outgoing_events(10).unwrap(), [("CONSENT_REVOKED".to_owned(), code.grant, "DATA_RECIPIENT".to_owned())]);
    let journal = std::fs::read_to_string(dir.path().join("endings.log")).unwrap();
    assert_eq!(journal, format!("{{\"at\":{},\"grant\":\"{}\",\"by\":\"client\"}}\n", NOW.unix(), code.grant));

    drop(store);
    let store = Store::open(options(&dir)).unwrap();
    assert!(store.living(&terms).unwrap().is_none());
}

#[tokio::test]
async fn an_ending_that_a_crash_kept_out_of_the_journal_is_added_at_the_next_start() {
    let (store, dir) = store();
    let (code, _) = grant(&store, 1).await;
    store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap();
    drop(store);
    let log = dir.path().join("endings.log");
    let whole = std::fs::read_to_string(&log).unwrap();
    for left in ["", "{\"at\":17"] {
        std::fs::write(&log, left).unwrap();
        drop(Store::open(options(&dir)).unwrap());
        let now = std::fs::read_to_string(&log).unwrap();
        assert_eq!(now.lines().last().unwrap(), whole.trim_end());
    }
}

#[tokio::test]
async fn a_doubled_consent_makes_one_grant() {
    let (store, _dir) = store();
    let new = setting::new_grant(1);
    assert!(matches!(store.create_grant(new.clone()).await.unwrap(), CreateGrant::Created));
    let CreateGrant::Exists(existing) = store.create_grant(new.clone()).await.unwrap() else { panic!("made twice") };
    assert_eq!(existing.0, new.terms);
    assert_eq!(existing.1.next_slip, 0);
}

#[tokio::test]
async fn removing_a_customer_ends_their_grants_with_one_write() {
    let (store, dir) = store();
    let added = store
        .add_customer(NewCustomer {
            customer: Customer { id: customer(), name: "Ada".into(), password: Secret::new("$argon2id$x"), created_at: NOW },
            accounts: vec![Account { id: "a1".into(), entity: "{}".into() }],
        })
        .await
        .unwrap();
    assert_eq!(added, AddCustomer::Added);
    let mut all = Vec::new();
    for n in 0..450 {
        all.push(grant(&store, n).await.1);
    }
    assert!(store.remove_customer(customer(), NOW).await.unwrap());
    assert!(!store.remove_customer(customer(), NOW).await.unwrap());
    assert!(all.iter().all(|terms| store.living(terms).unwrap().is_none()));
    assert!(store.accounts(&customer()).unwrap().is_empty());
    assert!(std::fs::read_to_string(dir.path().join("endings.log")).unwrap().contains("\"customer\":\"ada\",\"era\":1"));

    // Another customer of the same name gets grants that live; the old ones stay dead, also after a restart.
    let mut anew = setting::new_grant(1000);
    anew.terms.customer_era = store.customer_era(&customer());
    store.create_grant(anew.clone()).await.unwrap();
    assert!(store.living(&anew.terms).unwrap().is_some());
    drop(store);
    let store = Store::open(options(&dir)).unwrap();
    assert!(store.living(&all[0]).unwrap().is_none());
    while store.work_off_removals(NOW).await.unwrap() {}
    assert_eq!(store.outgoing_events(1000).unwrap().len(), 450);
    assert_eq!(store.grant(all[3].grant).unwrap().unwrap().ended.unwrap().by, EndedBy::CustomerRemoved);
    assert!(store.living(&anew.terms).unwrap().is_some());
}

#[tokio::test]
async fn five_failures_close_the_door_for_fifteen_minutes_from_the_first() {
    let (store, _dir) = store();
    let ada = [1; 32];
    for minute in 0..5 {
        assert!(matches!(store.begin_sign_in(ada, NOW.plus(minute * 60)).await.unwrap(), SignIn::Try(_)));
    }
    assert_eq!(store.begin_sign_in(ada, NOW.plus(14 * 60 + 59)).await.unwrap(), SignIn::Refused);
    assert!(matches!(store.begin_sign_in([2; 32], NOW.plus(300)).await.unwrap(), SignIn::Try(_)));
    let SignIn::Try(number) = store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap() else { panic!("still closed") };
    assert_eq!(store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap(), SignIn::Refused);
    store.sign_in_succeeded(number).await.unwrap();
    assert!(matches!(store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap(), SignIn::Try(_)));
}

#[tokio::test]
async fn old_consents_that_were_never_completed_are_swept() {
    let (store, _dir) = store();
    let (unredeemed, _) = grant(&store, 1).await;
    let (kept, _) = grant(&store, 2).await;
    torn(redeem(&store, presented(kept, NOW, 1)).await);
    while store.sweep(NOW.plus(DAY)).await.unwrap() {}
    assert!(store.terms(unredeemed.grant).unwrap().is_some());
    while store.sweep(NOW.plus(3 * DAY)).await.unwrap() {}
    assert!(store.terms(unredeemed.grant).unwrap().is_none());
    assert!(store.counterfoil(kept.grant).unwrap().is_some());
    while store.sweep(NOW.plus(800 * DAY)).await.unwrap() {}
    assert!(store.counterfoil(kept.grant).unwrap().is_none() && store.terms(kept.grant).unwrap().is_none());
}

#[tokio::test]
async fn grants_are_listed_by_page_and_filter() {
    let (store, _dir) = store();
    for n in 0..5 {
        grant(&store, n).await;
    }
    let page = store.grants(&GrantFilter { limit: 3, ..GrantFilter::default() }).unwrap();
    let rest = store.grants(&GrantFilter { limit: 3, before: Some(page[2].terms.grant), ..GrantFilter::default() }).unwrap();
    assert_eq!((page.len(), rest.len()), (3, 2));
    let of = |client: &str| GrantFilter { client: Some(client.into()), customer: Some(customer()), limit: 10, ..GrantFilter::default() };
    assert_eq!(store.grants(&of("app")).unwrap().len(), 5);
    assert_eq!(store.grants(&of("other")).unwrap().len(), 0);
    assert!(page[0].is_living(NOW) && !page[0].is_living(NOW.plus(366 * DAY)));
}

#[test]
fn one_process_owns_the_file_and_a_store_knows_what_it_is() {
    let (open, dir) = store();
    let error = Store::open(options(&dir)).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { holder, .. } if holder.contains("the test, process")), "{error}");
    drop(open);
    let sandbox = counterfoil_store::OpenOptions { kind: StoreKind::Sandbox, ..options(&dir) };
    assert!(matches!(Store::open(sandbox).unwrap_err(), OpenError::WrongKind { .. }));
    let other = counterfoil_store::OpenOptions { issuer: "https://b.example".into(), ..options(&dir) };
    assert!(matches!(Store::open(other).unwrap_err(), OpenError::OtherIssuer { .. }));
    Store::open(options(&dir)).unwrap();
}

#[test]
fn foreign_and_damaged_files_are_told_apart_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = options(&dir).path;
    std::fs::write(&path, "not a database, but long enough to be looked at by whoever opens it as one, which takes 100 bytes or more")
        .unwrap();
    assert!(matches!(Store::open(options(&dir)).unwrap_err(), OpenError::Foreign { .. }));
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipes (x)").unwrap();
    assert!(matches!(Store::open(options(&dir)).unwrap_err(), OpenError::Foreign { .. }));
    std::fs::remove_file(&path).unwrap();
    drop(Store::open(options(&dir)).unwrap());
    rusqlite::Connection::open(&path).unwrap().execute_batch("UPDATE refinery_schema_history SET version = 99").unwrap();
    assert!(matches!(Store::open(options(&dir)).unwrap_err(), OpenError::Newer { found: 99, .. }));
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len().min(1024);
    bytes[200..page].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Store::open(options(&dir)).unwrap_err(), OpenError::Damaged { .. }));
    let nowhere = counterfoil_store::OpenOptions { path: dir.path().join("missing/store.db"), ..options(&dir) };
    assert!(matches!(Store::open(nowhere).unwrap_err(), OpenError::NoDirectory(_)));
}

/// Raises the store's epoch, as whoever restores a backup must.
fn declare_loss(store: Store, dir: &tempfile::TempDir) -> Store {
    drop(store);
    let raise = "UPDATE meta SET value = '1' WHERE key = 'epoch'";
    rusqlite::Connection::open(options(dir).path).unwrap().execute_batch(raise).unwrap();
    Store::open(options(dir)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// The gate in SQL and the verdict in Rust are one rule: whatever is presented, the store does what the verdict on its row says.
    #[test]
    fn the_gate_agrees_with_the_verdict(
        tries in prop::collection::vec((0_u64..6, prop::option::of(0_u8..2), prop_oneof![Just(0_i64), Just(9), Just(61), Just(301), Just(40 * DAY)],
            any::<bool>(), any::<bool>(), prop::bool::weighted(0.05)), 1..25),
        loss_after in prop::option::of(0_usize..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut store, dir) = store();
            let (code, _) = grant(&store, 1).await;
            let mac = MacKey::new(&[4; 32]);
            let (mut now, mut epoch) = (NOW, 0);
            for (i, (number, retry_key, wait, revoke, repeat, forged)) in tries.into_iter().enumerate() {
                now = now.plus(wait);
                if loss_after == Some(i) {
                    store = declare_loss(store, &dir);
                    epoch = 1;
                }
                let text = number.to_string();
                let request = Request { client: "app", slip: &text, scope: None };
                let slip = Slip { number, seal: if forged { Seal::from_bytes([1; 16]) } else { code.seal }, ..code };
                let presented = Presented {
                    slip, now,
                    claim: match retry_key {
                        Some(key) => Claim::keyed(&mac, &format!("retry-key-{key}"), request),
                        None => Claim::keyless(&mac, (i as u64).to_be_bytes(), request),
                    },
                    on_replay: if revoke { OnReplay::Revoke } else { OnReplay::Refuse },
                    on_lost_answer: if repeat { OnLostAnswer::Repeat } else { OnLostAnswer::Strict },
                };
                let row = store.counterfoil(code.grant).unwrap().unwrap();
                let verdict = judge(&row, &presented, epoch);
                let done = store.redeem(Redeem { presented, successor_expires_at: now.plus(30 * DAY), slip_key: KEY }).await.unwrap();
                let after = store.counterfoil(code.grant).unwrap().unwrap();
                match (verdict, done) {
                    (Verdict::Redeem, Redeemed::Torn(torn)) => {
                        assert_eq!(torn.how(), Tearing::InTurn);
                        assert_eq!((after.next_slip, after.redeemed_at, after.claim), (number + 1, now, Some(presented.claim)));
                    }
                    (Verdict::RedeemAfterLoss, Redeemed::Torn(torn)) => {
                        assert_eq!((torn.how(), torn.successor().number), (Tearing::AfterLoss, number + 1));
                        assert_eq!((after.next_slip, after.epoch), (number + 1, 1));
                    }
                    (Verdict::Repeat, Redeemed::Torn(torn)) => {
                        assert_eq!(torn.how(), Tearing::Repeated);
                        assert_eq!((torn.successor().number, torn.successor().issued_at), (row.next_slip, row.redeemed_at));
                        assert_eq!(after, row);
                    }
                    (Verdict::Refuse(refused), Redeemed::Refused { refused: told, reason }) => {
                        assert_eq!(told, Some(refused));
                        assert_eq!(reason, RefusedReason { refused, row: &row, presented: &presented }.to_string());
                        assert_eq!(after.ended, row.ended || refused == Refused::Claimed { ends_grant: true });
                        assert_eq!(after.next_slip, row.next_slip);
                    }
                    (verdict, done) => panic!("{verdict:?} but {done:?}"),
                }
            }
        });
    }
}
