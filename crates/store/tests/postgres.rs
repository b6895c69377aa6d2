//! What only a PostgreSQL store has: nodes that start at once, connections that are lost, a
//! database that forgets.

use std::net::SocketAddr;
use std::sync::Arc;

use counterfoil_core::ending::EndedBy;
use counterfoil_core::slip::Slip;
use counterfoil_store::{
    Ending, OpenError, OpenOptions, Redeemed, Store, StoreAddress, StoreKind, Tearing,
};
use counterfoil_testing::{Postgres, fresh_database, psql, shared_postgres};

use crate::proxy::{Cut, Proxy};
use crate::setting::{NOW, grant, presented, race, redeem, refused, torn};

fn options(url: &str) -> OpenOptions {
    OpenOptions {
        address: StoreAddress::parse(url).unwrap(),
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: None,
        holder: "the test".into(),
    }
}

async fn open(url: &str) -> Store {
    Store::open(options(url)).await.unwrap()
}

/// Where the shared cluster listens.
fn shared_address() -> SocketAddr {
    let (_, rest) = shared_postgres().split_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_find_a_database_empty_at_once_make_one_store() {
    for _ in 0..3 {
        let url = fresh_database();
        let opening = (0..8).map(|_| {
            let url = url.clone();
            async move { open(&url).await }
        });
        let nodes = race(opening.collect()).await;
        are_one_store(&nodes).await;
    }
}

async fn are_one_store(nodes: &[Store]) {
    let (code, terms) = grant(&nodes[0], 1).await;
    let slip = torn(redeem(&nodes[1], presented(code, NOW, 1)).await);
    assert!(refused(redeem(&nodes[2], presented(code, NOW.plus(5), 2)).await).contains("claimed"));
    assert_eq!(nodes[3].end_grant(code.grant, EndedBy::Client, NOW).await.unwrap(), Ending::Ended);
    assert!(nodes[4].living(&terms).await.unwrap().is_none());
    assert!(refused(redeem(&nodes[5], presented(slip, NOW, 3)).await).contains("ended"));
}

/// Of many tries at many nodes one wins, every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slip_is_torn_at_one_node_alone() {
    let url = fresh_database();
    let nodes =
        [Arc::new(open(&url).await), Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let (mut slip, _) = grant(&nodes[0], 1).await;
    for round in 0..100_u64 {
        let tries = (0..12_usize).map(|n| {
            let (node, random) = (nodes[n % 3].clone(), round * 100 + n as u64);
            async move { redeem(&node, presented(slip, NOW, random)).await }
        });
        let winners: Vec<Slip> = race(tries.collect())
            .await
            .into_iter()
            .filter_map(|done| match done {
                Redeemed::Torn(torn) => Some(*torn.successor()),
                Redeemed::Refused { .. } => None,
            })
            .collect();
        assert_eq!(winners.len(), 1, "in round {round}");
        slip = winners[0];
    }
    assert_eq!(slip.number, 100);
}

/// A connection is cut a thousand times right after a commit was sent, and some hundred times right
/// before. Nobody is told "claimed" for their own success, and no slip is torn twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_is_known_by_its_claim() {
    const CHAINS: u32 = 12;
    let (url, to) = (fresh_database(), shared_address());
    let proxy = Arc::new(Proxy::before(to).await);
    let store = Arc::new(open(&proxy.url(&url, to)).await);
    let mut slips = Vec::new();
    for n in 0..CHAINS {
        slips.push(grant(&store, n).await.0);
    }
    let (mut round, mut moved) = (0_u64, 0);
    while proxy.cuts() < 1300 {
        // Now and then also the transaction that finds out is cut.
        proxy.cut(
            if round % 13 < 3 { Cut::BeforeCommit } else { Cut::AfterCommit },
            if round % 50 == 49 { 4 } else { 1 },
        );
        let tries: Vec<_> = slips
            .iter()
            .map(|slip| {
                let (store, slip) = (store.clone(), *slip);
                tokio::spawn(async move { redeem(&store, presented(slip, NOW, round)).await })
            })
            .collect();
        for (slip, attempt) in slips.iter_mut().zip(tries) {
            let Redeemed::Torn(done) = attempt.await.unwrap() else {
                panic!("told of its own success in round {round}")
            };
            assert_eq!((done.how(), done.successor().number), (Tearing::InTurn, slip.number + 1));
            *slip = *done.successor();
            moved += 1;
        }
        round += 1;
    }
    for slip in slips {
        assert_eq!(store.counterfoil(slip.grant).await.unwrap().unwrap().next_slip, slip.number);
        assert!(store.audit(slip.grant).await.unwrap().is_empty());
    }
    assert!(store.counts().unknown_outcomes > 0 && moved > 1000);
}

/// The other verbs find out too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_ending_whose_commit_was_lost_is_in_the_journal() {
    let (url, to) = (fresh_database(), shared_address());
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("endings.log");
    let proxy = Proxy::before(to).await;
    let store = Store::open(OpenOptions {
        endings_log: Some(log.clone()),
        ..options(&proxy.url(&url, to))
    })
    .await
    .unwrap();
    for n in 0..20 {
        let (code, terms) = grant(&store, n).await;
        proxy.cut(if n % 2 == 0 { Cut::AfterCommit } else { Cut::BeforeCommit }, 1);
        assert_ne!(
            store.end_grant(code.grant, EndedBy::Customer, NOW).await.unwrap(),
            Ending::NotFound
        );
        assert!(store.living(&terms).await.unwrap().is_none());
        let journal = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            journal.lines().filter(|line| line.contains(&code.grant.to_string())).count(),
            1,
            "{journal}"
        );
    }
    assert_eq!(proxy.cuts(), 20);
    // Nothing of it was acknowledged before it was known, so nobody need be called.
    assert_eq!(store.counts().endings_forgotten, 0);
}

/// The database is killed while slips are redeemed, again and again. What was answered stands, and
/// everybody goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_comes_back_with_its_database() {
    let postgres = Postgres::start(&[]);
    let store = Arc::new(open(&postgres.fresh_database()).await);
    let (mut slip, terms) = grant(&store, 1).await;
    for round in 0..5 {
        slip = torn(redeem(&store, presented(slip, NOW, round)).await);
        postgres.kill();
        let waiting = tokio::spawn({
            let (store, terms) = (store.clone(), terms.clone());
            async move {
                (
                    redeem(&store, presented(slip, NOW, round + 100)).await,
                    store.living(&terms).await,
                )
            }
        });
        postgres.start_again();
        let (redeemed, living) = waiting.await.unwrap();
        slip = torn(redeemed);
        assert_eq!(living.unwrap().unwrap().next_slip, slip.number);
    }
    assert_eq!(slip.number, 10);
}

/// A database that forgot an ending which this node acknowledged is told of it before anybody is
/// answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn endings_are_applied_again_where_the_database_forgot_them() {
    let url = fresh_database();
    let store = open(&url).await;
    store
        .add_client("gone".into(), counterfoil_core::client::ClientSettings::new("Gone"), None, NOW)
        .await
        .unwrap();
    let (code, terms) = grant(&store, 1).await;
    store.end_grant(code.grant, EndedBy::Customer, NOW).await.unwrap();
    store.remove_client("gone".into(), NOW).await.unwrap();
    psql(
        &url,
        "UPDATE counterfoil SET ended = false; DELETE FROM ending; DELETE FROM audit; DELETE FROM era; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert!(store.living(&terms).await.unwrap().is_none());
    let whole = store.grant(code.grant).await.unwrap().unwrap();
    assert_eq!(whole.ended.unwrap().by, EndedBy::Customer);
    assert_eq!(psql(&url, "SELECT client, era FROM era").trim(), "gone|1");
    assert_eq!(store.counts().endings_forgotten, 2);
}

#[tokio::test]
async fn a_database_that_could_forget_is_refused_and_another_programs_too() {
    let url = fresh_database();
    let set = |setting: &str| {
        psql(
            &url,
            &format!(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$"
            ),
        );
    };
    set("synchronous_commit = off");
    let error = Store::open(options(&url)).await.unwrap_err();
    assert!(
        matches!(error, OpenError::NotDurable { .. })
            && error.to_string().contains("synchronous_commit = on"),
        "{error}"
    );
    // A developer's may.
    drop(Store::open(OpenOptions { kind: StoreKind::Sandbox, ..options(&url) }).await.unwrap());

    let url = fresh_database();
    psql(&url, "CREATE TABLE meta (recipes text)");
    assert!(matches!(Store::open(options(&url)).await.unwrap_err(), OpenError::Foreign { .. }));

    let url = fresh_database();
    drop(open(&url).await);
    psql(
        &url,
        "UPDATE refinery_schema_history SET version = 99 WHERE version = (SELECT max(version) FROM refinery_schema_history); UPDATE meta SET value = '99' WHERE key = 'oldest_reader'",
    );
    assert!(matches!(
        Store::open(options(&url)).await.unwrap_err(),
        OpenError::Newer { found: 99, .. }
    ));

    let error = Store::open(options("postgres://nobody@127.0.0.1:1/nothing")).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
}

/// What waits while a statement is under way goes in the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redemptions_that_wait_together_share_a_statement() {
    let store = open(&fresh_database()).await;
    let mut codes = Vec::new();
    for n in 0..200 {
        codes.push(grant(&store, n).await.0);
    }
    let before = store.counts();
    let pending: Vec<_> =
        codes.iter().map(|code| crate::setting::begin(&store, presented(*code, NOW, 1))).collect();
    for (code, pending) in codes.iter().zip(pending) {
        assert_eq!(torn(pending.await.unwrap()), Slip { number: 1, ..*code });
    }
    let after = store.counts();
    assert_eq!(after.redeem_batched - before.redeem_batched, 200);
    assert!(after.redeem_batches - before.redeem_batches < 100, "{after:?}");
}

/// Somebody holds the lock of a counterfoil. Its grant waits; those that share a statement with it
/// do not, and no connection is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_locked_grant_holds_up_no_other() {
    let url = fresh_database();
    let store = open(&url).await;
    let mut codes = Vec::new();
    for n in 0..20 {
        codes.push(grant(&store, n).await.0);
    }
    // Once, so that all connections stand.
    torn(redeem(&store, presented(codes[19], NOW, 0)).await);
    let (client, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute("BEGIN").await.unwrap();
    client
        .query(
            "SELECT FROM counterfoil WHERE grant_id = $1 FOR UPDATE",
            &[&codes[7].grant.number()],
        )
        .await
        .unwrap();
    let lost = store.counts().unknown_outcomes;
    let pending: Vec<_> = codes[..19]
        .iter()
        .map(|code| crate::setting::begin(&store, presented(*code, NOW, 1)))
        .collect();
    let mut locked = None;
    for (n, pending) in pending.into_iter().enumerate() {
        match n {
            7 => locked = Some(pending),
            _ => assert_eq!(torn(pending.await.unwrap()).number, 1),
        }
    }
    client.batch_execute("COMMIT").await.unwrap();
    // It waited for as long as it may, or was in time.
    let redeemed = locked.unwrap().await;
    let redeemed = if let Ok(redeemed) = redeemed {
        redeemed
    } else {
        redeem(&store, presented(codes[7], NOW, 2)).await
    };
    assert_eq!(torn(redeemed).number, 1);
    assert_eq!(store.counts().unknown_outcomes, lost);
}

/// Applying endings that are known writes nothing: a log does not grow with every declared loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn endings_that_are_known_are_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("endings.log");
    let store =
        Store::open(OpenOptions { endings_log: Some(log.clone()), ..options(&fresh_database()) })
            .await
            .unwrap();
    for n in 0..5 {
        let (code, _) = grant(&store, n).await;
        store.end_grant(code.grant, EndedBy::Customer, NOW).await.unwrap();
    }
    let endings = counterfoil_store::Endings::read(std::slice::from_ref(&log)).unwrap();
    let before = std::fs::read_to_string(&log).unwrap();
    assert_eq!(store.declare_loss(&endings, false, NOW.plus(60)).await.unwrap().known, 5);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), before);
}

/// A role that may not make tables is told so.
#[tokio::test]
async fn missing_rights_are_no_damage() {
    let url = fresh_database();
    let role = format!("reader_{}", url.rsplit('/').next().unwrap().replace('-', "_"));
    psql(&url, &format!("CREATE ROLE {role} LOGIN"));
    let (_, rest) = url.split_once('@').unwrap();
    let error = Store::open(options(&format!("postgres://{role}@{rest}"))).await.unwrap_err();
    assert!(
        matches!(error, OpenError::NotWritable { .. })
            && error.to_string().contains("permission denied"),
        "{error}"
    );
}
