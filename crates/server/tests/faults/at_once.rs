//! Faults that happen at once: keys are rotated, consents taken back, codes and refresh tokens
//! expire; and those that expire when they are redeemed.

use serde_json::{Value, json};

use super::{remaining, set, set_for_recipient};
use crate::setting::{OTHER, RECIPIENT, Sandbox, code_refused, refresh_refused};

fn key_id(id_token: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id_token.split('.').next().unwrap())
        .unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rotated_keys_sign_at_once_and_the_old_ones_still_verify() {
    let sandbox = Sandbox::start().await;
    let published = async || {
        let keys = sandbox.get("/jwks").await.json();
        keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (tokens, other) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(OTHER).await);
    let before = published().await;
    let done = set(&sandbox, &[("fault", "rotate_keys")]).await;
    assert_eq!((&done["fault"], &done["remaining"]), (&json!("rotate_keys"), &json!(0)));
    assert!(remaining(&sandbox).await.is_empty());
    let after = published().await;
    for (client, old) in [(RECIPIENT, &tokens), (OTHER, &other)] {
        let new = sandbox.refreshed(client, old).await;
        let (old_key, new_key) = (key_id(&old.id_token), key_id(&new.id_token));
        // Nobody can have seen it before.
        assert!(
            !before.contains(&new_key) && after.contains(&new_key) && after.contains(&old_key),
            "{before:?} {after:?} {new_key}"
        );
        sandbox.assert_good(&new).await;
        sandbox.assert_good(old).await;
    }
}

#[tokio::test]
async fn a_customer_takes_the_consent_back() {
    let sandbox = Sandbox::start().await;
    let mine = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_2")]).await;
    let of_another_customer = sandbox.exchange(RECIPIENT, &code).await.tokens();
    let of_another_client = sandbox.tokens(OTHER).await;
    let done = set_for_recipient(&sandbox, "revoke_grant", &[("value", "customer_1")]).await;
    assert_eq!(done["remaining"], 0);
    sandbox.assert_dead(&mine).await;
    sandbox.refresh(RECIPIENT, &mine.refresh_token).await.is(400, refresh_refused());
    assert_eq!(sandbox.grant(&mine).await["ended_by"], "customer");
    sandbox.assert_good(&of_another_customer).await;
    sandbox.assert_good(&of_another_client).await;

    // By customer only, for any client; by client only, for any customer.
    set(&sandbox, &[("fault", "revoke_grant"), ("customer", "customer_1")]).await;
    sandbox.assert_dead(&of_another_client).await;
    set_for_recipient(&sandbox, "revoke_grant", &[]).await;
    sandbox.assert_dead(&of_another_customer).await;
}

#[tokio::test]
async fn a_consent_whose_refresh_token_expired_can_still_be_taken_back() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    set_for_recipient(&sandbox, "expire_refresh_token", &[("value", &tokens.refresh_token)]).await;
    sandbox.assert_good(&tokens).await;
    set_for_recipient(&sandbox, "revoke_grant", &[]).await;
    sandbox.assert_dead(&tokens).await;
}

// expire_code, expire_refresh_token

#[tokio::test]
async fn a_code_expires() {
    let sandbox = Sandbox::start().await;
    let (code, kept) = (sandbox.code(RECIPIENT.0).await, sandbox.code(RECIPIENT.0).await);
    set(&sandbox, &[("fault", "expire_code"), ("value", &code)]).await;
    let refused = sandbox.exchange(RECIPIENT, &code).await;
    assert!(refused.header("counterfoil-reason").contains("expired"), "{:?}", refused.headers);
    refused.is(400, code_refused());
    let tokens = sandbox.exchange(RECIPIENT, &kept).await.tokens();

    // A customer's codes, and neither another customer's nor a refresh token.
    let code = sandbox.code(RECIPIENT.0).await;
    let of_another = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_2")]).await;
    set_for_recipient(&sandbox, "expire_code", &[("value", "customer_1")]).await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    sandbox.exchange(RECIPIENT, &of_another).await.tokens();
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn the_next_code_or_refresh_token_that_is_redeemed_has_expired() {
    let sandbox = Sandbox::start().await;
    set_for_recipient(&sandbox, "expire_code", &[("count", "2")]).await;
    set_for_recipient(&sandbox, "expire_refresh_token", &[]).await;
    let other = sandbox.tokens(OTHER).await;
    sandbox.refreshed(OTHER, &other).await;
    assert_eq!(remaining(&sandbox).await, [2, 1]);
    for _ in 0..2 {
        let code = sandbox.code(RECIPIENT.0).await;
        sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    }
    assert_eq!(remaining(&sandbox).await, [1]);
    let tokens = sandbox.tokens(RECIPIENT).await;
    let refused = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    assert!(refused.header("counterfoil-reason").contains("expired"), "{:?}", refused.headers);
    refused.is(400, refresh_refused());
    assert!(remaining(&sandbox).await.is_empty());
    // The token alone has expired: what it was issued with is good until its own time.
    sandbox.assert_good(&tokens).await;
}

#[tokio::test]
async fn a_refresh_token_expires() {
    let sandbox = Sandbox::start().await;
    let (tokens, kept) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(RECIPIENT).await);
    set_for_recipient(&sandbox, "expire_refresh_token", &[("value", &tokens.refresh_token)]).await;
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    let kept = sandbox.refreshed(RECIPIENT, &kept).await;
    let other = sandbox.tokens(OTHER).await;
    set_for_recipient(&sandbox, "expire_refresh_token", &[("customer", "customer_1")]).await;
    sandbox.refresh(RECIPIENT, &kept.refresh_token).await.is(400, refresh_refused());
    sandbox.refreshed(OTHER, &other).await;
}
