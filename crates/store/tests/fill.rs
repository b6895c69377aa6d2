//! A store that was filled is as one whose grants were given and redeemed one by one.

use std::sync::Arc;

use counterfoil_core::claim::Claim;
use counterfoil_core::clock::DAY;
use counterfoil_core::grant::{CustomerId, GrantId, Seal, Terms};
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::Counterfoil;
use counterfoil_store::{
    CopyError, Filling, GrantFilter, OpenOptions, Redeem, Redeemed, Store, StoreAddress, StoreKind,
};
use counterfoil_testing::fresh_database;

use crate::setting::{KEY, NOW, new_grant, presented};

/// More than go in one piece.
const GRANTS: u64 = 1_000;

fn terms(n: u64) -> Terms {
    let sometimes = n.is_multiple_of(2);
    Terms {
        customer: CustomerId {
            provider: "examplebank".into(),
            customer: format!("customer-{}", n / 4),
        },
        name: "Ada \"Quill\"".into(),
        accounts: vec![format!("a-{n}"), "b\"".into()],
        lookback_days: sometimes.then_some(90),
        ..new_grant(u32::try_from(n).unwrap()).terms
    }
}

fn id(n: u64) -> GrantId {
    terms(n).grant
}

fn counterfoil(n: u64) -> Counterfoil {
    Counterfoil {
        seal: Seal::from_bytes([u8::try_from(n % 251).unwrap(); 16]),
        next_slip: 1,
        expires_at: NOW.plus(90 * DAY),
        claim: n.is_multiple_of(2).then(|| Claim::from_bytes([0; 17])),
        redeemed_at: NOW.plus(1),
        slip_key: KEY,
        epoch: 0,
        ended: false,
    }
}

fn options(address: StoreAddress) -> OpenOptions {
    OpenOptions {
        address,
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: None,
        holder: "the test".into(),
    }
}

async fn fill(options: &OpenOptions, grants: u64) -> Result<(), CopyError> {
    Filling { grants, terms, counterfoil: |n| (id(n), counterfoil(n)) }.fill(options).await
}

async fn redeem(store: &Store, n: u64, seal: Seal) -> Redeemed {
    let slip = Slip { key: KEY, grant: id(n), number: 1, issued_at: NOW, seal };
    let presented = presented(slip, NOW.plus(2), 1);
    let terms = Arc::new(terms(n));
    store
        .redeem(Redeem {
            presented,
            successor_expires_at: NOW.plus(90 * DAY),
            slip_key: KEY,
            terms,
        })
        .await
        .unwrap()
}

async fn is_filled_once(options: &OpenOptions) {
    fill(options, GRANTS).await.unwrap();
    let again = fill(options, GRANTS).await;
    assert!(matches!(again, Err(CopyError::NotNew(_))), "{again:?}");

    let store = Store::open(options.clone()).await.unwrap();
    for n in [0, 1, 500, GRANTS - 1] {
        assert_eq!(*store.terms(id(n)).await.unwrap().unwrap(), terms(n));
        assert_eq!(store.counterfoil(id(n)).await.unwrap().unwrap(), counterfoil(n));
    }
    assert!(store.terms(id(GRANTS)).await.unwrap().is_none());
    let all = store.grants(&GrantFilter { limit: 2_000, ..GrantFilter::default() }).await.unwrap();
    assert!(all.iter().rev().map(|grant| grant.terms.grant).eq((0..GRANTS).map(id)));
    // By the index.
    let customer = Some(terms(42).customer);
    let theirs =
        store.grants(&GrantFilter { customer, limit: 10, ..GrantFilter::default() }).await.unwrap();
    assert!(theirs.iter().map(|grant| grant.terms.grant).eq([43, 42, 41, 40].map(id)));

    assert!(matches!(
        redeem(&store, 7, Seal::from_bytes([99; 16])).await,
        Redeemed::Refused { .. }
    ));
    assert!(matches!(redeem(&store, 7, counterfoil(7).seal).await, Redeemed::Torn(_)));
    assert_eq!(store.counterfoil(id(7)).await.unwrap().unwrap().next_slip, 2);
    assert_eq!(store.counterfoil(id(8)).await.unwrap().unwrap().next_slip, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_filled_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    is_filled_once(&options(StoreAddress::Sqlite(path.clone()))).await;
    let db = rusqlite::Connection::open(path).unwrap();
    let told = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(told("PRAGMA journal_mode"), "wal");
    assert_eq!(told("PRAGMA integrity_check"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_filled_once() {
    is_filled_once(&options(StoreAddress::parse(&fresh_database()).unwrap())).await;
}
