//! Nodes that meet an empty database at the same moment.

use std::thread;

use counterfoil_testing::fresh_database;

use super::bank::{ALICE, asked, assert_good, nodes};
use crate::setting::Live;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_starts_at_once_both_come_up_with_the_same_keys() {
    let banks: Vec<_> = (0..5)
        .map(|_| {
            let live = Live::on(&fresh_database());
            let nodes = nodes::<2>(&live);
            (live, nodes)
        })
        .collect();
    let secrets = thread::scope(|scope| {
        let adding: Vec<_> = banks
            .iter()
            .map(|(live, _)| {
                scope.spawn(|| {
                    live.add_customer(ALICE.0, ALICE.1);
                    live.add_client("shop")
                })
            })
            .collect();
        adding.into_iter().map(|added| added.join().unwrap()).collect::<Vec<_>>()
    });
    for ((_, [a, b]), secret) in banks.iter().zip(&secrets) {
        let published = a.get("/jwks").await.json();
        assert!(published["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{published}");
        assert_eq!(published, b.get("/jwks").await.json());
        let shop = ("shop", &**secret);
        let tokens = a.consent(shop, ALICE).await;
        assert_good(&asked(b, shop, &tokens).await);
        let next = b.refresh(shop, &tokens.refresh_token).await.tokens();
        assert_good(&asked(a, shop, &next).await);
    }
}

#[tokio::test]
async fn a_node_without_the_key_of_the_others_says_where_to_get_it() {
    let database = fresh_database();
    let (first, second) = (Live::on(&database), Live::on(&database));
    let _node = first.serve();
    second.admin("client list").refused(1, &["store.key", "copy it here from another node"]);
    assert!(!second.path("keys/store.key").exists());
}
