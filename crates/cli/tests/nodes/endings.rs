//! What ended at one node is refused at every other from the next request on.

use std::sync::Arc;

use serde_json::json;
use tokio::task::{JoinSet, block_in_place};

use super::bank::{ALICE, Bank, asked, assert_dead, assert_good};
use crate::setting::{Answer, PROVIDER, Server, Tokens};

/// Grants that are ended side by side.
const LANES: usize = 5;

/// What is asked of one of a grant's tokens; another thing in each round.
async fn ask(
    node: &Server,
    client: (&str, &str),
    tokens: &Tokens,
    round: usize,
) -> (&'static str, Answer) {
    match round % 5 {
        0 => ("accounts with the ID token", node.accounts(&tokens.id_token).await),
        1 => ("accounts with the access token", node.accounts(&tokens.access_token).await),
        2 => (
            "introspection of the refresh token",
            node.introspect(client, &tokens.refresh_token).await,
        ),
        3 => ("introspection of the ID token", node.introspect(client, &tokens.id_token).await),
        _ => (
            "introspection of the access token",
            node.introspect(client, &tokens.access_token).await,
        ),
    }
}

/// Revokes each grant at one node and asks another in the very next request, which knows it from
/// the one before.
async fn revoke_and_ask(
    nodes: Arc<[Server; 3]>,
    bank: Arc<Bank>,
    lane: usize,
    grants: Vec<Tokens>,
) {
    let shop = bank.shop();
    for (round, tokens) in grants.iter().enumerate() {
        let (here, there) =
            (&nodes[(lane + round) % 3], &nodes[(lane + round + 1 + round % 2) % 3]);
        assert_good(&[ask(there, shop, tokens, round).await]);
        let revoked = here
            .revoke(
                shop,
                [&tokens.refresh_token, &tokens.id_token, &tokens.access_token][round % 3],
            )
            .await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
        if round % 4 == 3 {
            let refused = there.refresh(shop, &tokens.refresh_token).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
        } else {
            assert_dead(&[ask(there, shop, tokens, round).await]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_at_one_node_is_refused_at_another_in_the_next_request_1000_times() {
    let bank = Arc::new(Bank::new());
    let nodes = Arc::new(bank.nodes::<3>());
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (bank, nodes) = (bank.clone(), nodes.clone());
        lanes.spawn(async move {
            let grants = bank.grants(&*nodes, 1000 / LANES).await;
            revoke_and_ask(nodes, bank, lane, grants).await;
        });
    }
    lanes.join_all().await;
}

/// Runs `each` so many times, side by side.
async fn side_by_side<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    each: impl Fn(usize) -> F,
) {
    let mut running = JoinSet::new();
    for number in 0..count {
        running.spawn(each(number));
    }
    running.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_removed_is_refused_everywhere_when_the_command_is_done() {
    let bank = Arc::new(Bank::new());
    let nodes = Arc::new(bank.nodes::<3>());
    let one = async |bank: Arc<Bank>, nodes: Arc<[Server; 3]>, number: usize| {
        let id = format!("client-{number}");
        let secret = block_in_place(|| bank.live.add_client(&id));
        let client = (&*id, &*secret);
        let tokens = nodes[number % 3].consent(client, ALICE).await;
        for node in &*nodes {
            assert_good(&asked(node, client, &tokens).await);
        }
        block_in_place(|| bank.live.admin(&format!("client remove {id}"))).says(&["removed"]);
        for node in &*nodes {
            refuses_bearers(node, &tokens).await;
            assert_eq!(node.refresh(client, &tokens.refresh_token).await.status, 401);
            assert_eq!(node.introspect(client, &tokens.refresh_token).await.status, 401);
            assert_eq!(
                node.introspect(bank.shop(), &tokens.refresh_token).await.json(),
                json!({ "active": false })
            );
        }
        if number == 0 {
            // One that is registered anew under the same name has no part in what the old one had.
            let secret = block_in_place(|| bank.live.add_client(&id));
            for node in &*nodes {
                refuses_bearers(node, &tokens).await;
                assert_eq!(node.refresh((&id, &secret), &tokens.refresh_token).await.status, 400);
            }
        }
    };
    side_by_side(20, |number| one(bank.clone(), nodes.clone(), number)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_was_removed_is_refused_everywhere_when_the_command_is_done() {
    let bank = Arc::new(Bank::new());
    let nodes = Arc::new(bank.nodes::<3>());
    let one = async |bank: Arc<Bank>, nodes: Arc<[Server; 3]>, number: usize| {
        let id = format!("customer-{number}");
        block_in_place(|| bank.live.add_customer(&id, "a-password"));
        let tokens = nodes[number % 3].consent(bank.shop(), (&id, "a-password")).await;
        for node in &*nodes {
            assert_good(&asked(node, bank.shop(), &tokens).await);
        }
        block_in_place(|| bank.live.admin(&format!("customer remove {id} --provider {PROVIDER}")))
            .says(&["removed"]);
        for node in &*nodes {
            assert_dead(&asked(node, bank.shop(), &tokens).await);
            assert_eq!(node.refresh(bank.shop(), &tokens.refresh_token).await.status, 400);
        }
    };
    side_by_side(20, |number| one(bank.clone(), nodes.clone(), number)).await;
}

async fn refuses_bearers(node: &Server, tokens: &Tokens) {
    for token in [&tokens.id_token, &tokens.access_token] {
        let answer = node.accounts(token).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
    }
}
