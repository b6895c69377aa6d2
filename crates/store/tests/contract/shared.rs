//! What is kept beside rows of grants, and what a store says of itself.

use std::collections::HashSet;

use counterfoil_core::client::ClientSettings;
use counterfoil_store::{OpenError, OpenOptions, Store, StoreKind};

use crate::contract::bench::Bench;
use crate::setting::NOW;

pub async fn a_store_knows_what_it_is_and_whose(bench: Bench) {
    bench.open().await.probe().await.unwrap();
    let sandbox = OpenOptions { kind: StoreKind::Sandbox, ..bench.options() };
    assert!(matches!(Store::open(sandbox).await.unwrap_err(), OpenError::WrongKind { .. }));
    let other = OpenOptions { issuer: "https://b.example".into(), ..bench.options() };
    assert!(matches!(Store::open(other).await.unwrap_err(), OpenError::OtherIssuer { .. }));
    bench.open().await.probe().await.unwrap();
}

pub async fn the_clock_and_the_faults_are_remembered(bench: Bench) {
    let store = bench.open().await;
    assert_eq!((store.clock_offset().await.unwrap(), store.faults().await.unwrap()), (0, None));
    store.set_clock_offset(-90_000).await.unwrap();
    assert!(store.swap_faults(None, "[1]".into()).await.unwrap());
    assert!(!store.swap_faults(None, "[2]".into()).await.unwrap());
    assert!(store.swap_faults(Some("[1]".into()), "[]".into()).await.unwrap());
    assert!(!store.swap_faults(Some("[1]".into()), "[3]".into()).await.unwrap());
    drop(store);
    let store = bench.open().await;
    assert_eq!(
        (store.clock_offset().await.unwrap(), store.faults().await.unwrap()),
        (-90_000, Some("[]".into()))
    );
}

/// On a shared store each change of what processes keep in memory makes another number of the one
/// that they watch; nothing else does.
pub async fn changes_are_told_where_others_must_learn_of_them(bench: Bench) {
    let store = bench.open().await;
    let mut numbers = HashSet::from([store.changes().await.unwrap().number]);
    store.add_client("other".into(), ClientSettings::new("App"), None, NOW).await.unwrap();
    numbers.insert(store.changes().await.unwrap().number);
    store.set_client("other".into(), ClientSettings::new("Renamed")).await.unwrap();
    numbers.insert(store.changes().await.unwrap().number);
    store.set_clock_offset(5).await.unwrap();
    numbers.insert(store.changes().await.unwrap().number);
    store.swap_faults(None, "[]".into()).await.unwrap();
    numbers.insert(store.changes().await.unwrap().number);
    store.remove_client("other".into(), NOW).await.unwrap();
    let last = store.changes().await.unwrap().number;
    numbers.insert(last);
    assert_eq!(numbers.len(), if store.is_shared() { 6 } else { 1 });
    let (code, _) = crate::setting::grant(&store, 1).await;
    crate::setting::torn(
        crate::setting::redeem(&store, crate::setting::presented(code, NOW, 1)).await,
    );
    assert_eq!(store.changes().await.unwrap().number, last);
}

pub async fn keys_in_a_shared_store_are_replaced_by_whoever_saw_the_last(bench: Bench) {
    let store = bench.open().await;
    assert!(store.keys().await.unwrap().is_none());
    if !store.is_shared() {
        assert!(store.swap_keys(0, b"one".to_vec()).await.is_err());
        return;
    }
    assert!(store.swap_keys(0, b"one".to_vec()).await.unwrap());
    assert!(!store.swap_keys(0, b"another".to_vec()).await.unwrap());
    assert!(store.swap_keys(1, b"two".to_vec()).await.unwrap());
    assert!(!store.swap_keys(1, b"three".to_vec()).await.unwrap());
    let keys = store.keys().await.unwrap().unwrap();
    assert_eq!((keys.version, keys.document), (2, b"two".to_vec()));
}
