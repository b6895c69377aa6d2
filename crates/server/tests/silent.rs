//! Grants that `prompt=none` makes without asking: each hangs on the consent that it came from, and
//! dies with it.

use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_server::admin::Command;
use counterfoil_store::GrantFilter;
use serde_json::{Value, json};

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, Tokens};
use crate::visitor::{Visitor, assert_error, assert_page, between, forms, redirected};

const QUIET: [(&str, &str); 2] = [("prompt", "none"), ("scope", "openid profile")];

/// First tokens of a consent that the visitor gives on the page.
async fn consent(visitor: &mut Visitor<'_>) -> Tokens {
    let page = visitor.authorize(&[]).await;
    let page = if page.text.contains("name=\"password\"") {
        visitor.sign_in(&page, "customer_1").await
    } else {
        page
    };
    let code = redirected(&visitor.allow(&page, &["c1-card"]).await)["code"].clone();
    visitor.sandbox.exchange(RECIPIENT, &code).await.tokens()
}

/// The code of a sign-in without asking.
async fn silent_code(visitor: &mut Visitor<'_>) -> String {
    redirected(&visitor.authorize(&QUIET).await)["code"].clone()
}

async fn silent(visitor: &mut Visitor<'_>) -> Tokens {
    let code = silent_code(visitor).await;
    visitor.sandbox.exchange(RECIPIENT, &code).await.tokens()
}

async fn terms(
    sandbox: &Sandbox,
    tokens: &Tokens,
) -> std::sync::Arc<counterfoil_core::grant::Terms> {
    sandbox.app.store.terms(GrantId::parse(&tokens.grant()).unwrap()).await.unwrap().unwrap()
}

async fn is_good(sandbox: &Sandbox, tokens: &Tokens) -> bool {
    sandbox.accounts(&tokens.id_token).await.status == 200
}

fn csrf(page: &Answer) -> String {
    forms(page)[0].1["csrf"].clone()
}

/// What ends a consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    CustomerAllOfApp,
    CustomerThisOne,
    ClientByIdToken,
    ClientByRefreshToken,
    Operator,
    ClientRemoved,
    CustomerRemoved,
    CodeReplayed,
    RefreshTokenReplayed,
    Expiry,
}

const ALL: [Ends; 10] = [
    Ends::CustomerAllOfApp,
    Ends::CustomerThisOne,
    Ends::ClientByIdToken,
    Ends::ClientByRefreshToken,
    Ends::Operator,
    Ends::ClientRemoved,
    Ends::CustomerRemoved,
    Ends::CodeReplayed,
    Ends::RefreshTokenReplayed,
    Ends::Expiry,
];

#[tokio::test]
async fn it_is_refused_everywhere_from_the_moment_that_its_consent_ends() {
    for how in ALL {
        let sandbox = Sandbox::start().await;
        sandbox.set_client(RECIPIENT.0, &[("on_replay", "revoke"), ("duration_days", "1")]).await;
        sandbox.set_client(OTHER.0, &[("resource_server", "true")]).await;
        let mut visitor = Visitor::new(&sandbox);
        let page = visitor.authorize(&[]).await;
        let page = visitor.sign_in(&page, "customer_1").await;
        let code = redirected(&visitor.allow(&page, &["c1-card"]).await)["code"].clone();
        let given = sandbox.exchange(RECIPIENT, &code).await.tokens();
        let quiet = silent(&mut visitor).await;
        let on_its_way = silent_code(&mut visitor).await;
        sandbox.assert_good(&quiet).await;
        assert_eq!(sandbox.introspect(OTHER, &quiet.access_token).await.json()["active"], true);

        let own = csrf(&visitor.get("/connected-apps").await);
        let grant = given.grant();
        match how {
            Ends::CustomerAllOfApp | Ends::CustomerThisOne => {
                let what = if how == Ends::CustomerThisOne {
                    ("grant", grant.as_str())
                } else {
                    ("client", RECIPIENT.0)
                };
                assert_eq!(
                    visitor
                        .post("/connected-apps", &[("csrf", &own), what, ("decision", "end")])
                        .await
                        .status,
                    303
                );
            }
            Ends::ClientByIdToken => {
                assert_eq!(sandbox.revoke(RECIPIENT, &given.id_token).await.status, 200)
            }
            Ends::ClientByRefreshToken => {
                assert_eq!(sandbox.revoke(RECIPIENT, &given.refresh_token).await.status, 200)
            }
            Ends::Operator => drop(
                sandbox.admin(Command::GrantEnd { grant: GrantId::parse(&grant).unwrap() }).await,
            ),
            Ends::ClientRemoved => {
                drop(sandbox.admin(Command::ClientRemove { id: RECIPIENT.0.into() }).await)
            }
            Ends::CustomerRemoved => {
                let id = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
                drop(sandbox.admin(Command::CustomerRemove { id }).await);
            }
            Ends::CodeReplayed => {
                // Past the ten seconds in which a doubled callback is forgiven, and past what
                // clocks may differ by.
                sandbox.advance("41s").await;
                assert_eq!(sandbox.exchange(RECIPIENT, &code).await.status, 400);
            }
            Ends::RefreshTokenReplayed => {
                let next = sandbox.refreshed(RECIPIENT, &given).await;
                sandbox.refreshed(RECIPIENT, &next).await;
                assert_eq!(sandbox.refresh(RECIPIENT, &given.refresh_token).await.status, 400);
            }
            Ends::Expiry => sandbox.advance("24h").await,
        }
        assert!(!is_good(&sandbox, &given).await, "{how:?}");
        sandbox.assert_dead_bearers(&quiet).await;
        for token in [&quiet.id_token, &quiet.access_token] {
            sandbox.introspect(OTHER, token).await.is(200, json!({ "active": false }));
        }
        assert!(
            [400, 401].contains(&sandbox.exchange(RECIPIENT, &on_its_way).await.status),
            "{how:?}"
        );
        // The client may say so too, once it is over.
        if how != Ends::ClientRemoved {
            assert_eq!(sandbox.revoke(RECIPIENT, &quiet.id_token).await.status, 200, "{how:?}");
        }
        let shown = sandbox.grant(&quiet).await;
        assert_eq!(
            (&shown["living"], &shown["parent"]),
            (&Value::Bool(false), &json!(grant)),
            "{how:?}"
        );
        // There is nothing to go by any more.
        if !matches!(how, Ends::ClientRemoved | Ends::CustomerRemoved | Ends::Expiry) {
            assert_error(&sandbox, &visitor.authorize(&QUIET).await, "consent_required");
        }
    }
}

#[tokio::test]
async fn it_always_hangs_on_what_the_customer_said() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let given = consent(&mut visitor).await;
    let parent = GrantId::parse(&given.grant());
    for _ in 0..3 {
        sandbox.advance("1s").await;
        let quiet = terms(&sandbox, &silent(&mut visitor).await).await;
        assert_eq!((quiet.parent, &quiet.accounts), (parent, &vec!["c1-card".to_owned()]));
    }
    assert_eq!(terms(&sandbox, &given).await.parent, None);
    // The newest that covers what is asked.
    sandbox.advance("1s").await;
    let newer = consent(&mut visitor).await;
    assert_eq!(
        terms(&sandbox, &silent(&mut visitor).await).await.parent,
        GrantId::parse(&newer.grant())
    );
    sandbox.revoke(RECIPIENT, &newer.id_token).await;
    assert_eq!(terms(&sandbox, &silent(&mut visitor).await).await.parent, parent);
}

/// "The whole grant" is the one that the token is of.
#[tokio::test]
async fn revoking_it_ends_it_alone() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let given = consent(&mut visitor).await;
    let (one, other) = (silent(&mut visitor).await, silent(&mut visitor).await);
    let shown = sandbox.grant(&one).await;
    assert_eq!((&shown["living"], &shown["parent_lives"]), (&json!(true), &json!(true)));
    assert_eq!(sandbox.grant(&given).await["parent_lives"], Value::Null);
    assert_eq!(sandbox.revoke(RECIPIENT, &one.access_token).await.status, 200);
    sandbox.assert_dead_bearers(&one).await;
    for tokens in [&given, &other] {
        sandbox.assert_good(tokens).await;
    }
    assert_eq!(sandbox.grant(&one).await["ended_by"], "client");
    sandbox.refreshed(RECIPIENT, &given).await;
    sandbox.admin(Command::GrantEnd { grant: GrantId::parse(&given.grant()).unwrap() }).await;
    let shown = sandbox.grant(&other).await;
    let told = (&shown["living"], &shown["ended_by"], &shown["parent"], &shown["parent_lives"]);
    assert_eq!(told, (&json!(false), &Value::Null, &json!(given.grant()), &json!(false)));
    assert_eq!(
        sandbox.introspect(RECIPIENT, &other.id_token).await.json(),
        json!({ "active": false })
    );
}

#[tokio::test]
async fn however_many_there_are_none_is_read_or_shown_for_the_next() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let given = consent(&mut visitor).await;
    let customer = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
    let rows = async || {
        let filter = GrantFilter {
            client: Some(RECIPIENT.0.into()),
            customer: Some(customer.clone()),
            limit: 1000,
            before: None,
        };
        sandbox.app.store.grants(&filter).await.unwrap().len()
    };
    let page = async |visitor: &mut Visitor<'_>| {
        let page = visitor.get("/connected-apps").await;
        assert_page(&page, 200, "Connected apps");
        (
            page.text.len(),
            between(&page.text, "data-grant=\"", "\"").map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    silent(&mut visitor).await;
    let before = (page(&mut visitor).await, rows().await);
    for _ in 0..300 {
        silent_code(&mut visitor).await;
    }
    silent(&mut visitor).await;
    assert_eq!((page(&mut visitor).await, rows().await), before);
    assert_eq!((before.0.1, before.1), (vec![given.grant()], 1));
    let listed = Command::GrantList {
        client: None,
        customer: Some(customer.clone()),
        before: None,
        limit: 100,
    };
    assert_eq!(sandbox.admin(listed).await.as_array().unwrap().len(), 1);
}

/// Without `offline_access` the consent itself ends within a day, and nothing that came of it
/// later.
#[tokio::test]
async fn it_lasts_no_longer_than_its_consent() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[("scope", "openid profile")]).await;
    let page = visitor.sign_in(&page, "customer_1").await;
    let code = redirected(&visitor.allow(&page, &["c1-card"]).await)["code"].clone();
    let given = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.advance("20m").await;
    let quiet = silent(&mut visitor).await;
    assert_eq!(terms(&sandbox, &quiet).await.expires_at, terms(&sandbox, &given).await.expires_at);
    sandbox.advance("23h45m").await; // With the minutes in which its code was good.
    sandbox.assert_dead_bearers(&quiet).await;
}
