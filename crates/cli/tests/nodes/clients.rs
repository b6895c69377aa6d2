//! What an operator changes of clients holds at every node when the command is done.

use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::bank::{ALICE, Bank, asked, assert_good};

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_secrets_hold_everywhere_when_the_command_is_done() {
    let bank = Bank::new();
    let nodes = bank.nodes::<3>();
    let admin = |words: &str| -> Value { block_in_place(|| bank.live.admin(words)).json() };
    for (dialect, error) in [("rfc", "invalid_grant"), ("network", "invalid_request")] {
        assert_eq!(admin(&format!("client set shop dialect={dialect} --json"))["dialect"], dialect);
        for node in &nodes {
            assert_eq!(node.refresh(bank.shop(), "nonsense").await.member("error"), error);
        }
    }

    let secret = block_in_place(|| bank.live.add_client("till"));
    for node in &nodes {
        let tokens = node.consent(("till", &secret), ALICE).await;
        assert_good(&asked(&nodes[0], ("till", &secret), &tokens).await);
    }
    // A secret that leaked is refused by all, and the new one is known to all.
    let rotated = admin("client rotate-secret till --drop-old --json");
    let next = rotated["client_secret"].as_str().unwrap();
    for node in &nodes {
        node.introspect(("till", &secret), "nonsense")
            .await
            .is(401, json!({ "error": "invalid_client", "error_description": "Invalid client credentials." }));
        node.introspect(("till", next), "nonsense").await.is(200, json!({ "active": false }));
    }
}
