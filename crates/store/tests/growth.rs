//! A grant that was refreshed twenty thousand times takes the space of one that was refreshed
//! once.

use counterfoil_core::slip::Slip;
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use counterfoil_testing::{Postgres, psql};

use crate::setting::{NOW, begin, grant, options, path, presented, redeem, torn};

const REFRESHES: u64 = 20_000;
/// Grants beside the one that is refreshed, so that its row is not the only one of its page.
const NEIGHBOURS: u32 = 500;

/// Makes the grants and refreshes one of them once.
async fn prepare(store: &Store) -> Slip {
    for n in 1..=NEIGHBOURS {
        grant(store, n).await;
    }
    let (code, _) = grant(store, 0).await;
    torn(redeem(store, presented(code, NOW, 0)).await)
}

/// Refreshes on; many wait at once, so that what can share a commit does.
async fn refresh(store: &Store, mut slip: Slip) {
    while slip.number < REFRESHES {
        let next = slip.number..(slip.number + 250).min(REFRESHES);
        let pending: Vec<_> = next
            .map(|number| begin(store, presented(Slip { number, ..slip }, NOW, number)))
            .collect();
        for pending in pending {
            slip = torn(pending.await.unwrap());
        }
    }
}

#[tokio::test]
async fn in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let size = || std::fs::metadata(path(&dir)).unwrap().len();
    let store = Store::open(options(&dir)).await.unwrap();
    let slip = prepare(&store).await;
    drop(store);
    let before = size();
    let store = Store::open(options(&dir)).await.unwrap();
    refresh(&store, slip).await;
    assert_eq!(store.counterfoil(slip.grant).await.unwrap().unwrap().next_slip, REFRESHES);
    drop(store);
    assert_eq!(size(), before);
}

#[tokio::test]
async fn in_postgres_by_updates_that_touch_no_index() {
    // A cluster of its own: nothing dead is reused while another transaction is open that is older,
    // be it of another database. Nothing is at stake here, so nobody need wait for the disk.
    let postgres = Postgres::start(&[("synchronous_commit", "off"), ("autovacuum", "off")]);
    let url = postgres.fresh_database();
    let open = || {
        Store::open(OpenOptions {
            address: StoreAddress::parse(&url).unwrap(),
            kind: StoreKind::Sandbox,
            issuer: "https://a.example".into(),
            endings_log: None,
            holder: "the test".into(),
        })
    };
    let size = || {
        psql(
            &url,
            "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace ORDER BY 1",
        )
    };
    let updates = || {
        let seen = psql(
            &url,
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'counterfoil'",
        );
        let (all, hot) = seen.trim().split_once('|').unwrap();
        (all.parse::<u64>().unwrap(), hot.parse::<u64>().unwrap())
    };
    let store = open().await.unwrap();
    let slip = prepare(&store).await;
    let before = size();
    refresh(&store, slip).await;
    assert_eq!(store.counterfoil(slip.grant).await.unwrap().unwrap().next_slip, REFRESHES);
    assert_eq!(size(), before);
    // Connections say what they did when they are closed, at the latest.
    drop(store);
    let told = (0..2000).map(|_| updates()).find(|(all, _)| *all >= REFRESHES);
    let (all, hot) = told.expect("the statistics were not told");
    assert_eq!((all, hot), (REFRESHES, REFRESHES));
}
