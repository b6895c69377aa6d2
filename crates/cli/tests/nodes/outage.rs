//! A database that goes away and comes back.

use counterfoil_testing::Postgres;
use tokio::task::block_in_place;

use super::bank::{Bank, until};
use crate::setting::{Server, Tokens};

/// What a node answers at once: to a refresh, to a resource request, whether it is ready, and
/// whether it is alive.
async fn seen(node: &Server, bank: &Bank, tokens: &Tokens) -> [u16; 4] {
    let (refresh, accounts, ready, live) = tokio::join!(
        node.refresh(bank.shop(), &tokens.refresh_token),
        node.accounts(&tokens.id_token),
        node.get("/health/ready"),
        node.get("/health/live")
    );
    [refresh.status, accounts.status, ready.status, live.status]
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_node_answers_503_and_it_serves_again_by_itself() {
    let postgres = Postgres::start(&[]);
    let bank = Bank::on(&postgres.fresh_database());
    let [a, b] = bank.nodes();
    let nodes = [a, b];
    let ids: Vec<u32> = nodes.iter().map(Server::id).collect();
    let mut tokens = bank.grants(&nodes, 1).await.remove(0);
    block_in_place(|| postgres.kill());
    let (at_a, at_b) =
        tokio::join!(seen(&nodes[0], &bank, &tokens), seen(&nodes[1], &bank, &tokens));
    assert_eq!((at_a, at_b), ([503, 503, 503, 200], [503, 503, 503, 200]));
    for node in &nodes {
        // When it has been away for longer than a node trusts what it knows, nobody is kept
        // waiting.
        until("it is noticed", async || node.get("/jwks").await.status == 503).await;
        let refused = node.refresh(bank.shop(), &tokens.refresh_token).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
        assert_eq!(refused.member("error"), "temporarily_unavailable");
        assert_eq!(seen(node, &bank, &tokens).await, [503, 503, 503, 200]);
    }
    block_in_place(|| postgres.start_again());
    for node in &nodes {
        until("it is ready", async || node.get("/health/ready").await.status == 200).await;
        assert_eq!(node.accounts(&tokens.id_token).await.status, 200);
        tokens = node.refresh(bank.shop(), &tokens.refresh_token).await.tokens();
    }
    assert_eq!(nodes.each_ref().map(Server::id), *ids);
    for node in nodes {
        node.stop();
    }
}
