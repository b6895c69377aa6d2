//! `/userinfo` and `/introspect`.

use serde_json::json;

use crate::setting::{APP, OTHER, RECIPIENT, Sandbox, claims, invalid_client, plain, send};

#[tokio::test]
async fn userinfo_takes_the_access_token_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let sub = claims(&tokens.id_token)["sub"].clone();
    let expected = json!({ "sub": sub, "name": "Ada Quill" });
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(200, expected.clone());
    send(sandbox.http.post(sandbox.url("/userinfo")).bearer_auth(&tokens.access_token))
        .await
        .is(200, expected);
    sandbox.bearer("/userinfo", &tokens.id_token).await.is(401, plain("invalid_token"));
    let code = sandbox.code_with(RECIPIENT.0, &[("scope", "openid")]).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(200, json!({ "sub": sub }));
}

#[tokio::test]
async fn a_client_introspects_its_own_tokens() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let id = claims(&tokens.id_token);
    for (token, kind) in [
        (&tokens.id_token, "Bearer"),
        (&tokens.access_token, "Bearer"),
        (&tokens.refresh_token, "refresh_token"),
    ] {
        let answer = sandbox.introspect(RECIPIENT, token).await.json();
        assert_eq!(answer["active"], true);
        assert_eq!(answer["client_id"], RECIPIENT.0);
        assert_eq!(answer["token_type"], kind);
        assert_eq!(answer["scope"], "openid profile offline_access");
        for claim in ["iss", "sub", "aud", "iat", "grant_id", "connectorId"] {
            assert_eq!(answer[claim], id[claim], "{claim} of {kind}");
        }
    }
    let form = [("token", tokens.id_token.as_str()), ("token_type_hint", "nonsense")];
    assert_eq!(sandbox.post_as(RECIPIENT, "/introspect", &form).await.json()["active"], true);
}

#[tokio::test]
async fn a_client_introspects_no_tokens_of_others_unless_it_is_a_resource_server() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let all = [&tokens.id_token, &tokens.access_token, &tokens.refresh_token];
    for token in all {
        sandbox.introspect(OTHER, token).await.is(200, json!({ "active": false }));
    }
    sandbox.set_client(OTHER.0, &[("resource_server", "true")]).await;
    for token in all {
        let answer = sandbox.introspect(OTHER, token).await.json();
        assert_eq!((&answer["active"], &answer["client_id"]), (&json!(true), &json!(RECIPIENT.0)));
    }
}

#[tokio::test]
async fn of_refresh_tokens_only_the_current_one_is_active_and_asking_is_no_replay() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_replay", "revoke")]).await;
    let first = sandbox.tokens(RECIPIENT).await;
    let second = sandbox.refreshed(RECIPIENT, &first).await;
    sandbox.advance("1h").await;
    sandbox.introspect(RECIPIENT, &first.refresh_token).await.is(200, json!({ "active": false }));
    assert_eq!(sandbox.introspect(RECIPIENT, &second.refresh_token).await.json()["active"], true);
    assert_eq!(sandbox.audit(&first).await, []);
    sandbox.assert_good(&second).await;
}

#[tokio::test]
async fn who_may_not_introspect() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    sandbox
        .post("/introspect", &[("client_id", APP), ("token", &tokens.access_token)])
        .await
        .is(401, invalid_client());
    sandbox
        .post("/introspect", &[("token", tokens.access_token.as_str())])
        .await
        .is(401, invalid_client());
    sandbox
        .introspect((RECIPIENT.0, "wrong"), &tokens.access_token)
        .await
        .is(401, invalid_client());
    sandbox.post_as(RECIPIENT, "/introspect", &[]).await.is(400, plain("invalid_request"));
    let code = sandbox.code(RECIPIENT.0).await;
    for unknown in ["x", &code] {
        sandbox.introspect(RECIPIENT, unknown).await.is(200, json!({ "active": false }));
    }
    sandbox.exchange(RECIPIENT, &code).await.tokens();
}
