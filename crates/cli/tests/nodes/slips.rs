//! A slip is torn once, at whichever node.

use tokio::task::JoinSet;

use super::bank::{Bank, asked, assert_good};
use crate::setting::{Answer, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_torn_at_one_node_is_torn_at_all() {
    let bank = Bank::new();
    let nodes = bank.nodes::<3>();
    let browser = bank.browser(&nodes[0]).await;
    // A code of one node is exchanged at the next, and good nowhere after that.
    let code = nodes[0].code(&browser, bank.shop().0).await;
    let mut tokens = nodes[1].exchange(bank.shop(), &code).await.tokens();
    for round in 0..9 {
        let torn = tokens;
        tokens = nodes[round % 3].refresh(bank.shop(), &torn.refresh_token).await.tokens();
        for (node, number) in nodes.iter().zip(0..) {
            let again = node.refresh(bank.shop(), &torn.refresh_token).await;
            assert_eq!(again.status, 400, "round {round}, node {number}: {}", again.text);
            assert_good(&asked(node, bank.shop(), &tokens).await);
        }
    }
    assert_eq!(nodes[2].exchange(bank.shop(), &code).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_present_one_slip_at_all_nodes_one_wins() {
    let bank = Bank::new();
    let nodes = bank.nodes::<3>();
    let mut tokens = bank.grants(&nodes, 1).await.remove(0);
    for round in 0..50 {
        let mut asked = JoinSet::new();
        for number in 0..64 {
            let node = &nodes[number % nodes.len()];
            let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token)];
            let (id, secret) = bank.shop();
            asked.spawn(send(
                node.http.post(node.url("/token")).basic_auth(id, Some(secret)).form(&form),
            ));
        }
        let (won, lost): (Vec<Answer>, Vec<Answer>) =
            asked.join_all().await.into_iter().partition(|answer| answer.status == 200);
        let refused = lost.iter().filter(|answer| answer.status == 400).count();
        assert_eq!((won.len(), refused), (1, 63), "round {round}: {lost:?}");
        tokens = won[0].tokens();
    }
    nodes[0].refresh(bank.shop(), &tokens.refresh_token).await.tokens();
}
