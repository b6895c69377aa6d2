//! The token-management test plan: 11 cases, 16 checks, in the order and the words of its table,
//! over real HTTP.

use counterfoil_core::dialect::Dialect;
use serde_json::{Value, json};

use crate::setting::{OTHER, RECIPIENT, Sandbox, Tokens};

const WRONG_SECRET: (&str, &str) = (RECIPIENT.0, "not-the-secret");

/// What the two dialects answer in each situation of the table.
struct Expected {
    sandbox: Sandbox,
    used_refresh_token: Value,
    revoke_without_secret: (u16, Value),
    revoke_with_wrong_secret: Value,
    bad_code: Value,
    other_redirect_uri: Value,
    no_grant_type: Value,
    unknown_grant_type: Value,
}

async fn both_dialects() -> [Expected; 2] {
    let described = |error: &str, description: &str| json!({ "error": error, "error_description": description });
    let plain = |error: &str| json!({ "error": error });
    let code_of_the_plan = "Invalid or expired code parameter.";
    [
        Expected {
            sandbox: Sandbox::speaking(Dialect::Network).await,
            used_refresh_token: described(
                "invalid_request",
                "Refresh token is invalid or has already been claimed by another client.",
            ),
            revoke_without_secret: (400, plain("invalid_request")),
            revoke_with_wrong_secret: plain("unauthorized_client"),
            bad_code: described("invalid_request", code_of_the_plan),
            other_redirect_uri: described(
                "invalid_request",
                "redirect_uri did not match URI from initial request.",
            ),
            no_grant_type: plain("invalid_grant"),
            unknown_grant_type: plain("invalid_grant"),
        },
        Expected {
            sandbox: Sandbox::speaking(Dialect::Rfc).await,
            used_refresh_token: plain("invalid_grant"),
            revoke_without_secret: (401, plain("invalid_client")),
            revoke_with_wrong_secret: plain("invalid_client"),
            bad_code: plain("invalid_grant"),
            other_redirect_uri: plain("invalid_grant"),
            no_grant_type: plain("invalid_request"),
            unknown_grant_type: plain("unsupported_grant_type"),
        },
    ]
}

fn not_authorized() -> Value {
    json!({ "code": 602, "message": "Customer not authorized" })
}

fn invalid_client() -> Value {
    json!({ "error": "invalid_client", "error_description": "Invalid client credentials." })
}

/// A new ID token that `/accounts` accepts, at both its paths, and a new refresh token; both
/// usable.
async fn assert_refreshed(sandbox: &Sandbox, before: &Tokens) {
    let after = sandbox.refresh(RECIPIENT, &before.refresh_token).await.tokens();
    assert_ne!(after.id_token, before.id_token);
    assert_ne!(after.refresh_token, before.refresh_token);
    for path in ["/accounts", "/accounts/v2/sandbank"] {
        assert_eq!(sandbox.bearer(path, &after.id_token).await.status, 200);
    }
    sandbox.refresh(RECIPIENT, &after.refresh_token).await.tokens();
}

#[tokio::test]
async fn refresh_an_id_token() {
    for Expected { sandbox, .. } in both_dialects().await {
        let tokens = sandbox.tokens(RECIPIENT).await;
        assert_refreshed(&sandbox, &tokens).await;
    }
}

#[tokio::test]
async fn refresh_an_expired_id_token() {
    for Expected { sandbox, .. } in both_dialects().await {
        let tokens = sandbox.tokens(RECIPIENT).await;
        sandbox.advance("24h1s").await;
        sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
        assert_refreshed(&sandbox, &tokens).await;
    }
}

#[tokio::test]
async fn revoke_an_id_token() {
    for Expected { sandbox, .. } in both_dialects().await {
        let tokens = sandbox.tokens(RECIPIENT).await;
        let revoked = sandbox.revoke(RECIPIENT, &tokens.id_token).await;
        assert_eq!((revoked.status, revoked.text.as_str()), (200, ""));
        sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
        sandbox.bearer("/accounts/v2/sandbank", &tokens.id_token).await.is(401, not_authorized());
    }
}

#[tokio::test]
async fn refresh_with_a_used_refresh_token() {
    for Expected { sandbox, used_refresh_token, .. } in both_dialects().await {
        let tokens = sandbox.tokens(RECIPIENT).await;
        sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
        sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, used_refresh_token);
    }
}

#[tokio::test]
async fn refresh_with_an_invalid_client_secret() {
    for Expected { sandbox, .. } in both_dialects().await {
        let tokens = sandbox.tokens(RECIPIENT).await;
        sandbox.refresh(WRONG_SECRET, &tokens.refresh_token).await.is(401, invalid_client());
    }
}

#[tokio::test]
async fn revoke_with_an_invalid_client_secret() {
    for Expected {
        sandbox, revoke_without_secret: (status, body), revoke_with_wrong_secret, ..
    } in both_dialects().await
    {
        let tokens = sandbox.tokens(RECIPIENT).await;
        sandbox
            .post("/revoke", &[("client_id", RECIPIENT.0), ("token", &tokens.id_token)])
            .await
            .is(status, body);
        sandbox.revoke(WRONG_SECRET, &tokens.id_token).await.is(401, revoke_with_wrong_secret);
        assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    }
}

#[tokio::test]
async fn obtain_a_token_with_an_invalid_authorization_code() {
    for Expected { sandbox, bad_code, .. } in both_dialects().await {
        let code = sandbox.code(RECIPIENT.0).await;
        sandbox.advance("5m1s").await;
        sandbox.exchange(RECIPIENT, &code).await.is(400, bad_code.clone());
        sandbox.exchange(RECIPIENT, "incorrect").await.is(400, bad_code);
    }
}

#[tokio::test]
async fn obtain_a_token_with_an_incorrect_redirect_uri() {
    for Expected { sandbox, other_redirect_uri, .. } in both_dialects().await {
        let code = sandbox.code(RECIPIENT.0).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "http://localhost:3000/callback"),
        ];
        sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, other_redirect_uri);
        sandbox.exchange(RECIPIENT, &code).await.tokens();
    }
}

#[tokio::test]
async fn obtain_a_token_with_a_missing_or_incorrect_grant_type() {
    for Expected { sandbox, no_grant_type, unknown_grant_type, .. } in both_dialects().await {
        let code = sandbox.code(RECIPIENT.0).await;
        let callback = sandbox.callback();
        let form = [("code", code.as_str()), ("redirect_uri", &callback)];
        sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, no_grant_type);
        let form =
            [("grant_type", "wishful_thinking"), ("code", &code), ("redirect_uri", &callback)];
        sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, unknown_grant_type);
    }
}

#[tokio::test]
async fn obtain_a_token_with_incorrect_client_credentials() {
    for Expected { sandbox, .. } in both_dialects().await {
        let code = sandbox.code(RECIPIENT.0).await;
        sandbox.exchange(("nobody", RECIPIENT.1), &code).await.is(401, invalid_client());
        sandbox.exchange(WRONG_SECRET, &code).await.is(401, invalid_client());
        sandbox.exchange((RECIPIENT.0, OTHER.1), &code).await.is(401, invalid_client());
        sandbox.exchange(RECIPIENT, &code).await.tokens();
    }
}

#[tokio::test]
async fn refresh_a_token_without_a_refresh_token() {
    let missing =
        json!({ "error": "invalid_request", "error_description": "No refresh token in request." });
    for Expected { sandbox, .. } in both_dialects().await {
        sandbox
            .post_as(RECIPIENT, "/token", &[("grant_type", "refresh_token")])
            .await
            .is(400, missing.clone());
    }
}
