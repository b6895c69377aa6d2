//! The customer's page of connected apps.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;
mod visitor;

use setting::{Answer, OTHER, RECIPIENT, Sandbox, Tokens};
use visitor::{Visitor, assert_page, forms};

#[tokio::test]
async fn connected_apps_are_the_customers_own_and_can_be_ended() {
    let sandbox = Sandbox::start().await;
    let ledger = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("1s").await;
    let rainy = sandbox.tokens(OTHER).await;
    let foreign = sandbox.code_with(OTHER.0, &[("customer", "customer_2")]).await;
    let foreign = Tokens::of(&sandbox.exchange(OTHER, &foreign).await);
    let ended = sandbox.tokens(RECIPIENT).await;
    sandbox.revoke(RECIPIENT, &ended.id_token).await;
    let listed = |page: &Answer| -> Vec<String> { forms(page).iter().filter_map(|(_, hidden)| hidden.get("grant").cloned()).collect() };

    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    assert_page(&page, 200, "Connected apps");
    assert_eq!(listed(&page), [rainy.grant(), ledger.grant()]);
    assert!(page.text.contains("<bdi>Household, ending in\u{a0}4321</bdi>"), "{}", page.text);
    let csrf = forms(&page)[0].1["csrf"].clone();

    let mut other = Visitor::new(&sandbox);
    let of_another = other.connected_apps("customer_2").await;
    assert_eq!(listed(&of_another), [foreign.grant()]);
    let csrf_of_another = forms(&of_another)[0].1["csrf"].clone();
    for bad in ["", "x", &csrf_of_another] {
        let form = [("csrf", bad), ("grant", &ledger.grant()), ("decision", "end")];
        assert_page(&visitor.post("/connected-apps", &form).await, 400, "This page is too old");
        assert_page(&visitor.post("/sign-out", &[("csrf", bad)]).await, 400, "This page is too old");
    }
    let foreign_grant = [("csrf", csrf.as_str()), ("grant", &foreign.grant()), ("decision", "end")];
    assert_page(&visitor.post("/connected-apps", &foreign_grant).await, 404, "There is no such page");
    for bad in [&[("grant", "x"), ("decision", "end")][..], &[("grant", &ledger.grant())], &[("decision", "end")]] {
        assert_page(&visitor.post("/connected-apps", &[bad, &[("csrf", &csrf)]].concat()).await, 400, "This request can’t be read");
    }
    let nobody = [("csrf", csrf.as_str()), ("grant", &ledger.grant()), ("decision", "end")];
    assert_page(&Visitor::new(&sandbox).post("/connected-apps", &nobody).await, 400, "This page is too old");
    assert!(!visitor.get(&format!("/connected-apps?ended={}", ledger.grant())).await.text.contains("has ended"), "it has not");
    assert!(!visitor.get(&format!("/connected-apps?ended={}", foreign.grant())).await.text.contains("has ended"));
    for tokens in [&ledger, &rainy, &foreign] {
        assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    }

    // The last form on the page is that of the oldest grant.
    let answer = visitor.submit(&page, &[("decision", "end")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, format!("/connected-apps?ended={}", ledger.grant()).as_str()));
    let page = visitor.get(answer.header("location")).await;
    assert!(page.text.contains("The access of Pocket Ledger has ended.") && listed(&page) == [rainy.grant()], "{}", page.text);
    for token in [&ledger.id_token, &ledger.access_token] {
        assert_eq!(sandbox.accounts(token).await.status, 401);
    }
    assert_eq!(sandbox.refresh(RECIPIENT, &ledger.refresh_token).await.status, 400);
    assert_eq!(sandbox.accounts(&rainy.id_token).await.status, 200);

    assert_eq!(visitor.post("/sign-out", &[("csrf", &csrf)]).await.status, 303);
    assert_page(&visitor.get("/connected-apps").await, 200, "Sign in to Sandbank");
}

#[tokio::test]
async fn no_connected_app_is_lost_among_old_ones() {
    let sandbox = Sandbox::start().await;
    let oldest = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("1s").await;
    for _ in 0..500 {
        sandbox.code(RECIPIENT.0).await;
    }
    sandbox.advance("10m").await;
    let page = Visitor::new(&sandbox).connected_apps("customer_1").await;
    assert_eq!(page.text.matches("name=\"grant\"").count(), 1);
    assert!(page.text.contains(&oldest.grant()));
}

#[tokio::test]
async fn a_token_that_came_again_is_shown_to_the_customer() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let mut visitor = Visitor::new(&sandbox);
    let warning = "had already been used was presented again";
    assert!(!visitor.connected_apps("customer_1").await.text.contains(warning));
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    assert!(!visitor.get("/connected-apps").await.text.contains(warning));
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 400);
    assert!(visitor.get("/connected-apps").await.text.contains(warning));
}
