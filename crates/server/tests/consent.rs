//! Consent, as a program walks it over plain HTTP: from the request to the accounts, and every way
//! in which it can go wrong.

use serde_json::Value;

use crate::setting::{OTHER, RECIPIENT, Sandbox, claims};
use crate::visitor::{
    Visitor, assert_error, assert_page, grants, offered, query_of, redirected, request,
};

#[tokio::test]
async fn from_request_to_accounts() {
    let sandbox = Sandbox::start().await;
    for path in ["/authorize", "/auth"] {
        for posted in [false, true] {
            let mut visitor = Visitor::new(&sandbox);
            let query = request(&sandbox, &[]);
            let page = match posted {
                false => visitor.get(&format!("{path}?{query}")).await,
                true => {
                    let fields = query_of(&format!("http://x/?{query}"));
                    let form: Vec<(&str, &str)> = fields
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.as_str()))
                        .collect();
                    let answer = visitor.post(path, &form).await;
                    visitor.follow(answer).await
                }
            };
            assert_page(&page, 200, "Sign in to Sandbank");
            let consent = visitor.sign_in(&page, "customer_1").await;
            assert_page(&consent, 200, "Give Pocket Ledger access to your accounts?");
            assert_eq!(offered(&consent), ["c1-checking", "c1-savings", "c1-card"]);

            let answer = visitor.allow(&consent, &["c1-card", "c1-checking", "c1-card"]).await;
            assert!(answer.header("location").starts_with(&sandbox.callback()));
            let fields = redirected(&answer);
            assert_eq!(
                (fields["state"].as_str(), fields["iss"].as_str(), fields.len()),
                ("a&b=\"c\" d", sandbox.issuer.as_str(), 3)
            );
            let tokens = sandbox.exchange(RECIPIENT, &fields["code"]).await.tokens();
            assert_eq!(claims(&tokens.id_token)["nonce"], "n-1");
            let accounts = sandbox.accounts(&tokens.id_token).await.json();
            let ids: Vec<&Value> = accounts["accounts"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|a| a.as_object().unwrap().values())
                .map(|a| &a["accountId"])
                .collect();
            assert_eq!(ids, ["c1-checking", "c1-card"]);
        }
    }
}

#[tokio::test]
async fn whoever_signed_in_lately_goes_straight_to_consent() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    assert_page(
        &visitor.authorize(&[("client_id", OTHER.0)]).await,
        200,
        "Give Rainy Day access to your accounts?",
    );
    sandbox.advance("30m").await;
    assert_page(&visitor.authorize(&[]).await, 200, "Sign in to Sandbank");
}

#[tokio::test]
async fn a_no_goes_back_and_makes_nothing() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    assert_error(
        &sandbox,
        &visitor.submit(&sign_in, &[("decision", "deny")]).await,
        "access_denied",
    );
    let consent = visitor.consent(&[]).await;
    assert_error(
        &sandbox,
        &visitor.submit(&consent, &[("account", "c1-card"), ("decision", "deny")]).await,
        "access_denied",
    );
    assert_page(
        &visitor.submit(&consent, &[("account", "c1-card")]).await,
        400,
        "This request can’t be read",
    );
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn accounts_must_be_chosen_and_be_the_customers_own() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    for accounts in [&["c2-checking"][..], &["c1-checking", "c2-checking"], &["nothing"]] {
        assert_page(&visitor.allow(&consent, accounts).await, 400, "This request can’t be read");
    }
    let again = visitor.allow(&consent, &[]).await;
    assert_page(&again, 400, "Give Pocket Ledger access to your accounts?");
    assert!(
        again.text.contains("<title>Error: ") && again.text.contains("No account is chosen"),
        "{}",
        again.text
    );
    assert_eq!(grants(&sandbox).await.len(), 0);
    redirected(&visitor.allow(&again, &["c1-card"]).await);
    assert_eq!(grants(&sandbox).await.len(), 1);
}

#[tokio::test]
async fn a_doubled_allow_makes_one_grant() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    let first = visitor.allow(&consent, &["c1-card"]).await;
    assert_eq!(redirected(&visitor.allow(&consent, &["c1-card"]).await), redirected(&first));
    assert_eq!(grants(&sandbox).await.len(), 1);

    let tokens = sandbox.exchange(RECIPIENT, &redirected(&first)["code"]).await.tokens();
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 400, "You have already answered");
    assert_page(
        &visitor.submit(&consent, &[("decision", "deny")]).await,
        400,
        "You have already answered",
    );
    assert_eq!(grants(&sandbox).await.len(), 1);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
}

#[tokio::test]
async fn a_customer_without_accounts_can_only_go_back() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&page, "customer_5").await;
    assert_page(&consent, 200, "There is nothing to share");
    assert!(!consent.text.contains("value=\"allow\"") && consent.text.contains("value=\"deny\""));
    assert_page(&visitor.allow(&consent, &[]).await, 400, "There is nothing to share");
    assert_error(
        &sandbox,
        &visitor.submit(&consent, &[("decision", "deny")]).await,
        "access_denied",
    );
    assert_eq!(grants(&sandbox).await.len(), 0);
}
