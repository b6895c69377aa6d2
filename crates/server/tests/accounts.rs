//! `GET /accounts`: the data path and its bearers.

use base64::Engine as _;
use serde_json::json;

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, claims, not_authorized, plain, send};

#[tokio::test]
async fn accounts_are_those_of_the_consent_and_no_others() {
    let sandbox = Sandbox::start().await;
    let ids = |answer: &Answer| -> Vec<String> {
        let accounts = answer.json()["accounts"].as_array().unwrap().clone();
        accounts
            .iter()
            .map(|entity| counterfoil_core::fdx::account_id(entity).unwrap().to_owned())
            .collect()
    };
    let all = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code_with(RECIPIENT.0, &[("accounts", "c1-card,c1-checking")]).await;
    let some = sandbox.exchange(RECIPIENT, &code).await.tokens();
    for path in ["/accounts", "/accounts/v2/sandbank"] {
        for (tokens, expected) in [
            (&all, &["c1-checking", "c1-savings", "c1-card"][..]),
            (&some, &["c1-checking", "c1-card"]),
        ] {
            assert_eq!(ids(&sandbox.bearer(path, &tokens.id_token).await), expected);
            assert_eq!(ids(&sandbox.bearer(path, &tokens.access_token).await), expected);
        }
        let asked = sandbox.bearer(&format!("{path}?accountIds=c1-card"), &some.id_token).await;
        assert_eq!(ids(&asked), ["c1-card"]);
        let asked = sandbox
            .bearer(&format!("{path}?accountIds=c1-card%2Cc1-checking"), &some.id_token)
            .await;
        assert_eq!(ids(&asked), ["c1-checking", "c1-card"]);
        for outside in ["c1-savings", "c1-card,c1-savings", "c2-checking", "nothing", "c1-card,"] {
            let answer =
                sandbox.bearer(&format!("{path}?accountIds={outside}"), &some.id_token).await;
            answer.is(404, json!({ "code": 701, "message": "Account not found" }));
        }
    }
    assert!(
        sandbox.accounts(&all.id_token).await.json()["accounts"][0]["depositAccount"]["accountId"]
            .is_string()
    );
    assert_eq!(sandbox.accounts(&all.id_token).await.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_customer_without_accounts() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_5")]).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.accounts(&tokens.id_token).await.is(200, json!({ "accounts": [] }));
}

#[tokio::test]
async fn versions_and_providers_of_the_data_path() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    for version in ["v1", "v3", "2", "v2.0", "V2"] {
        let answer =
            sandbox.bearer(&format!("/accounts/{version}/sandbank"), &tokens.id_token).await;
        answer.is(501, json!({ "code": 1106, "message": "Version not supported" }));
    }
    let answer = sandbox.bearer("/accounts/v2/elsewhere", &tokens.id_token).await;
    answer.is(403, json!({ "code": 403, "message": "Forbidden" }));
    sandbox.get("/accounts/v2/elsewhere").await.is(401, not_authorized());
}

#[tokio::test]
async fn a_parameter_that_can_not_be_read() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    for query in ["accountIds=%ff", "accountIds=c1-card&accountIds=c1-checking"] {
        let answer = sandbox.bearer(&format!("/accounts?{query}"), &tokens.id_token).await;
        answer.is(400, json!({ "code": 401, "message": "Invalid input" }));
    }
}

#[tokio::test]
async fn the_interaction_id_is_echoed_or_made_up() {
    const ID: &str = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let get = |path: &str| sandbox.http.get(sandbox.url(path)).bearer_auth(&tokens.id_token);
    for (request, status) in [
        (get("/accounts"), 200),
        (get("/accounts/v2/sandbank"), 200),
        (get("/accounts/v2/elsewhere"), 403),
        (get("/accounts/v3/sandbank"), 501),
        (get("/accounts?accountIds=x"), 404),
        (sandbox.http.get(sandbox.url("/accounts")), 401),
        (sandbox.http.post(sandbox.url("/accounts")), 405),
        (sandbox.http.get(sandbox.url("/accounts/unknown")), 404),
    ] {
        let made_up = send(request.try_clone().unwrap()).await;
        let echoed = send(request.header("x-fapi-interaction-id", ID)).await;
        assert_eq!((made_up.status, echoed.status), (status, status));
        assert_eq!(echoed.header("x-fapi-interaction-id"), ID, "{status}");
        let id = made_up.header("x-fapi-interaction-id");
        assert!(
            id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12]),
            "{status} {id}"
        );
    }
}

#[tokio::test]
async fn bearers_that_are_not_good() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let unused = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    let [header, payload, signature] = tokens.id_token.split('.').collect::<Vec<_>>()[..] else {
        panic!()
    };
    let other = sandbox.tokens(OTHER).await;
    let none =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let swapped = format!("{header}.{}.{signature}", other.id_token.split('.').nth(1).unwrap());
    let mut cut = tokens.access_token.clone();
    cut.pop();
    for bad in [
        "",
        "x",
        &code,
        &unused,
        &tokens.refresh_token,
        &format!("{header}.{payload}."),
        &format!("{none}.{payload}."),
        &format!("{header}.{payload}"),
        &swapped,
        &cut,
        &format!("{}A", tokens.access_token),
        &tokens.access_token.replace("cfa_", "cfr_"),
    ] {
        sandbox.accounts(bad).await.is(401, not_authorized());
        sandbox.bearer("/accounts/v2/sandbank", bad).await.is(401, not_authorized());
        sandbox.bearer("/userinfo", bad).await.is(401, plain("invalid_token"));
    }
    let twice = sandbox
        .http
        .get(sandbox.url("/accounts"))
        .bearer_auth(&tokens.id_token)
        .bearer_auth(&tokens.id_token);
    send(twice).await.is(401, not_authorized());
    // Not from the query either, which ends up in logs.
    sandbox
        .get(&format!("/accounts?access_token={}", tokens.access_token))
        .await
        .is(401, not_authorized());
    let lower = sandbox
        .http
        .get(sandbox.url("/accounts"))
        .header("authorization", format!("bearer {}", tokens.id_token));
    assert_eq!(send(lower).await.status, 200);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn id_and_access_token_expire_together() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    assert_eq!(
        sandbox.introspect(RECIPIENT, &tokens.access_token).await.json()["exp"],
        claims(&tokens.id_token)["exp"]
    );
    sandbox.advance("23h59m").await;
    sandbox.assert_good(&tokens).await;
    sandbox.advance("1m").await;
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.accounts(&tokens.access_token).await.is(401, not_authorized());
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(401, plain("invalid_token"));
    for token in [&tokens.id_token, &tokens.access_token] {
        sandbox.introspect(RECIPIENT, token).await.is(200, json!({ "active": false }));
    }
}
