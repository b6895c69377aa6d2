//! Codes and refresh tokens: redeemed once, by their own client, in their time; and what is refused
//! claims nothing.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::setting::{
    APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Tokens, VERIFIER, claims, code_refused,
    described, invalid_client, plain, refresh_refused,
};

/// The one answer that is 200, and all others.
fn winner(answers: Vec<Answer>) -> (Tokens, Vec<Answer>) {
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 99));
    (won[0].tokens(), lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_redemptions_of_one_code_one_wins() {
    let sandbox = Arc::new(Sandbox::start().await);
    let code = sandbox.code(RECIPIENT.0).await;
    let mut tries = JoinSet::new();
    for _ in 0..100 {
        let (sandbox, code) = (sandbox.clone(), code.clone());
        tries.spawn(async move { sandbox.exchange(RECIPIENT, &code).await });
    }
    let (tokens, lost) = winner(tries.join_all().await);
    lost.iter().for_each(|answer| answer.is(400, code_refused()));
    sandbox.assert_good(&tokens).await;
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_redemptions_of_one_refresh_token_one_wins() {
    let sandbox = Arc::new(Sandbox::start().await);
    let first = sandbox.tokens(RECIPIENT).await;
    let mut tries = JoinSet::new();
    for _ in 0..100 {
        let (sandbox, token) = (sandbox.clone(), first.refresh_token.clone());
        tries.spawn(async move { sandbox.refresh(RECIPIENT, &token).await });
    }
    let (tokens, lost) = winner(tries.join_all().await);
    lost.iter().for_each(|answer| answer.is(400, refresh_refused()));
    sandbox.assert_good(&tokens).await;
    sandbox.refreshed(RECIPIENT, &tokens).await;
    assert_eq!(sandbox.audited(&first, "refresh_token_replayed").await, 99);
}

#[tokio::test]
async fn a_chain_of_refreshes() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.tokens(RECIPIENT).await;
    let mut seen = HashSet::from([first.refresh_token.clone()]);
    let mut latest = first.clone();
    for _ in 0..30 {
        latest = sandbox.refreshed(RECIPIENT, &latest).await;
        assert!(seen.insert(latest.refresh_token.clone()));
        assert_eq!(latest.grant(), first.grant());
    }
    // Earlier ID and access tokens stay good until their end; earlier refresh tokens do not.
    sandbox.assert_good(&first).await;
    sandbox.assert_good(&latest).await;
    for used in seen.iter().filter(|token| **token != latest.refresh_token) {
        sandbox.refresh(RECIPIENT, used).await.is(400, refresh_refused());
    }
    sandbox.refreshed(RECIPIENT, &latest).await;
}

#[tokio::test]
async fn a_code_lives_five_minutes() {
    let sandbox = Sandbox::start().await;
    let (early, late) = (sandbox.code(RECIPIENT.0).await, sandbox.code(RECIPIENT.0).await);
    sandbox.advance("4m50s").await;
    sandbox.exchange(RECIPIENT, &early).await.tokens();
    sandbox.advance("10s").await;
    sandbox.exchange(RECIPIENT, &late).await.is(400, code_refused());
}

#[tokio::test]
async fn a_code_of_another_client_is_refused_and_its_own_client_can_still_use_it() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    sandbox.exchange(OTHER, &code).await.is(400, code_refused());
    sandbox.exchange(RECIPIENT, &code).await.tokens();
}

#[tokio::test]
async fn a_refresh_token_of_another_client_is_refused_and_its_own_client_can_still_use_it() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.refresh(OTHER, &tokens.refresh_token).await.is(400, refresh_refused());
    sandbox.public_refresh(&tokens.refresh_token).await.is(400, refresh_refused());
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn a_slip_is_good_for_its_own_grant_type_alone() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    sandbox.refresh(RECIPIENT, &code).await.is(400, refresh_refused());
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.exchange(RECIPIENT, &tokens.refresh_token).await.is(400, code_refused());
    for bearer in [&tokens.id_token, &tokens.access_token] {
        sandbox.exchange(RECIPIENT, bearer).await.is(400, code_refused());
        sandbox.refresh(RECIPIENT, bearer).await.is(400, refresh_refused());
    }
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn a_slip_has_one_spelling() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let good = &tokens.refresh_token;
    let last = good.len() - 1;
    let turned = format!("{}{}", &good[..last], if good.ends_with('A') { 'B' } else { 'A' });
    for other in [
        format!("{good}="),
        format!(" {good}"),
        format!("{good} "),
        good.to_uppercase(),
        good[4..].to_owned(),
        turned,
        "cfr_".into(),
    ] {
        sandbox.refresh(RECIPIENT, &other).await.is(400, refresh_refused());
    }
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn a_wrong_redirect_uri_is_refused_and_the_code_still_works() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let mismatch =
        described("invalid_request", "redirect_uri did not match URI from initial request.");
    let callback = sandbox.callback();
    for wrong in [
        "http://127.0.0.1/callback",
        "nonsense",
        &format!("{callback}/"),
        &format!("{callback}?"),
        &callback.to_uppercase(),
    ] {
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", wrong)];
        sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, mismatch.clone());
    }
    let form = [("grant_type", "authorization_code"), ("code", code.as_str())];
    sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, mismatch);
    sandbox.exchange(RECIPIENT, &code).await.tokens();
}

#[tokio::test]
async fn the_port_of_a_loopback_redirect_uri_must_be_that_of_the_request() {
    let sandbox = Sandbox::start().await;
    let redirect = |uri: &'static str| [("redirect_uri", uri)];
    let form = [
        ("client_id", RECIPIENT.0),
        ("customer", "customer_1"),
        redirect("http://127.0.0.1:5555/callback")[0],
    ];
    let code = sandbox.post("/sandbox/codes", &form).await.member("code");
    let with = async |uri: &'static str| {
        sandbox
            .post_as(
                RECIPIENT,
                "/token",
                &[("grant_type", "authorization_code"), ("code", &code), redirect(uri)[0]],
            )
            .await
    };
    for wrong in ["http://127.0.0.1/callback", "http://127.0.0.1:5556/callback"] {
        let mismatch =
            described("invalid_request", "redirect_uri did not match URI from initial request.");
        with(wrong).await.is(400, mismatch);
    }
    with("http://127.0.0.1:5555/callback").await.tokens();
}

/// An exchange by the public client with this verifier, or with none.
async fn exchange_with_verifier(sandbox: &Sandbox, code: &str, verifier: Option<&str>) -> Answer {
    let callback = sandbox.callback();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", APP),
        ("code", code),
        ("redirect_uri", &callback),
    ];
    form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    sandbox.post("/token", &form).await
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_is_refused_and_the_code_still_works() {
    let sandbox = Sandbox::start().await;
    let code = sandbox
        .code_with(APP, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")])
        .await;
    for wrong in [None, Some(""), Some("short"), Some(CHALLENGE), Some(&*format!("{VERIFIER}x"))] {
        exchange_with_verifier(&sandbox, &code, wrong).await.is(400, plain("invalid_grant"));
    }
    exchange_with_verifier(&sandbox, &code, Some(VERIFIER)).await.tokens();
}

#[tokio::test]
async fn a_verifier_where_no_challenge_was_is_refused_and_the_code_still_works() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let callback = sandbox.callback();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &callback),
        ("code_verifier", VERIFIER),
    ];
    sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, plain("invalid_grant"));
    sandbox.exchange(RECIPIENT, &code).await.tokens();
}

#[tokio::test]
async fn a_confidential_client_may_use_pkce_and_must_then() {
    let sandbox = Sandbox::start().await;
    let code = sandbox
        .code_with(RECIPIENT.0, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")])
        .await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, plain("invalid_grant"));
    let callback = sandbox.callback();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &callback),
        ("code_verifier", VERIFIER),
    ];
    sandbox.post_as(RECIPIENT, "/token", &form).await.tokens();
}

async fn refresh_for(sandbox: &Sandbox, token: &str, scope: &str) -> Answer {
    sandbox
        .post_as(
            RECIPIENT,
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)],
        )
        .await
}

#[tokio::test]
async fn a_narrower_scope_narrows_this_access_token_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let name = async |tokens: &Tokens| {
        sandbox.bearer("/userinfo", &tokens.access_token).await.json()["name"].clone()
    };
    assert_eq!(name(&tokens).await, "Ada Quill");
    let answer = refresh_for(&sandbox, &tokens.refresh_token, "openid").await;
    assert_eq!(answer.json()["scope"], "openid");
    let narrow = answer.tokens();
    assert_eq!(name(&narrow).await, Value::Null);
    assert_eq!(sandbox.introspect(RECIPIENT, &narrow.access_token).await.json()["scope"], "openid");
    assert_eq!(
        sandbox.introspect(RECIPIENT, &narrow.refresh_token).await.json()["scope"],
        "openid profile offline_access"
    );
    let answer = sandbox.refresh(RECIPIENT, &narrow.refresh_token).await;
    assert_eq!(answer.json()["scope"], "openid profile offline_access");
    let wide = answer.tokens();
    assert_eq!(name(&wide).await, "Ada Quill");
    assert_eq!(name(&tokens).await, "Ada Quill");
}

#[tokio::test]
async fn a_scope_beyond_what_was_granted_is_refused_and_claims_nothing() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code_with(RECIPIENT.0, &[("scope", "openid offline_access")]).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    for beyond in ["openid profile", "profile", "openid everything", "OPENID"] {
        refresh_for(&sandbox, &tokens.refresh_token, beyond).await.is(400, plain("invalid_scope"));
    }
    let tokens =
        refresh_for(&sandbox, &tokens.refresh_token, "offline_access openid").await.tokens();
    // A scope sent without a value counts as not sent.
    assert_eq!(
        refresh_for(&sandbox, &tokens.refresh_token, "").await.json()["scope"],
        "openid offline_access"
    );
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code_with(RECIPIENT.0, &[("scope", "openid profile")]).await;
    let answer = sandbox.exchange(RECIPIENT, &code).await;
    let mut members: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_eq!(members, ["access_token", "expires_in", "id_token", "scope", "token_type"]);
    assert_eq!(answer.json()["scope"], "openid profile");
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 86400);
    sandbox.assert_good(&answer.tokens()).await;
}

#[tokio::test]
async fn a_refresh_token_lives_ninety_days_from_its_issue() {
    let sandbox = Sandbox::start().await;
    let mut tokens = sandbox.tokens(RECIPIENT).await;
    for _ in 0..2 {
        sandbox.advance("89d23h59m").await;
        tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    }
    sandbox.advance("90d").await;
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    sandbox
        .introspect(RECIPIENT, &tokens.refresh_token)
        .await
        .is(200, serde_json::json!({ "active": false }));
}

#[tokio::test]
async fn nothing_outlives_the_grant() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.tokens(RECIPIENT).await;
    let mut tokens = first.clone();
    for _ in 0..4 {
        sandbox.advance("80d").await;
        tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    }
    // Half a day before the end of the 365th day.
    sandbox.advance("44d12h").await;
    let answer = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    let last = answer.tokens();
    let claims = claims(&last.id_token);
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!(answer.json()["expires_in"], exp - iat);
    assert!((43_100..=43_200).contains(&(exp - iat)), "{}", exp - iat);
    for token in [&last.access_token, &last.refresh_token] {
        assert_eq!(sandbox.introspect(RECIPIENT, token).await.json()["exp"], exp);
    }
    sandbox.assert_good(&last).await;
    sandbox.advance("12h").await;
    sandbox.assert_dead(&last).await;
    sandbox.refresh(RECIPIENT, &last.refresh_token).await.is(400, refresh_refused());
}

#[tokio::test]
async fn a_client_may_be_registered_for_shorter_grants() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("duration_days", "2")]).await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("36h").await;
    let answer = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    assert!((43_100..=43_200).contains(&answer.json()["expires_in"].as_i64().unwrap()));
    sandbox.advance("12h").await;
    sandbox.refresh(RECIPIENT, &answer.tokens().refresh_token).await.is(400, refresh_refused());
}

#[tokio::test]
async fn refused_attempts_claim_nothing() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let token = tokens.refresh_token.as_str();
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    sandbox.post_as((RECIPIENT.0, "wrong"), "/token", &form).await.is(401, invalid_client());
    sandbox.post("/token", &form).await.is(401, invalid_client());
    sandbox.post_as(OTHER, "/token", &form).await.is(400, refresh_refused());
    sandbox
        .post_as(RECIPIENT, "/token", &[form[0], form[1], form[1]])
        .await
        .is(400, plain("invalid_request"));
    sandbox
        .post_as(RECIPIENT, "/token?scope=openid", &form)
        .await
        .is(400, plain("invalid_request"));
    sandbox
        .post_as(RECIPIENT, "/token", &[form[0], form[1], ("client_secret", RECIPIENT.1)])
        .await
        .is(400, plain("invalid_request"));
    refresh_for(&sandbox, token, "everything").await.is(400, plain("invalid_scope"));
    sandbox.refresh_with_key(RECIPIENT, token, "too short").await.is(400, plain("invalid_request"));
    sandbox.set_client(RECIPIENT.0, &[("grant_types", "authorization_code")]).await;
    sandbox.refresh(RECIPIENT, token).await.is(400, plain("unauthorized_client"));
    sandbox.set_client(RECIPIENT.0, &[("grant_types", "authorization_code,refresh_token")]).await;
    assert_eq!(sandbox.grant(&tokens).await["next_slip"], 1);
    assert_eq!(sandbox.audit(&tokens).await, []);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}
