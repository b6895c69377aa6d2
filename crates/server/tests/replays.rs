//! A slip that comes again, and a slip that can't be: always refused; sometimes the grant ends;
//! always on record.

use base64::Engine as _;
use counterfoil_core::access_token::AccessToken;
use counterfoil_core::clock::HOUR;
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_core::slip_keys::{SlipKeyId, SlipKeys};
use counterfoil_store::SweepTime;
use serde_json::Value;

use crate::setting::{
    APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Tokens, VERIFIER, code_refused, described,
    invalid_client, not_authorized, plain, refresh_refused,
};

async fn living(sandbox: &Sandbox, tokens: &Tokens) -> bool {
    let grant = sandbox.grant(tokens).await;
    assert_eq!(grant["living"] == true, grant["ended_by"] == Value::Null);
    grant["living"] == true
}

async fn ended_by(sandbox: &Sandbox, tokens: &Tokens) -> String {
    sandbox.grant(tokens).await["ended_by"].as_str().unwrap_or("nobody").to_owned()
}

/// A claimed refresh token, and the tokens that followed it.
async fn claimed(sandbox: &Sandbox) -> (String, Tokens) {
    let first = sandbox.tokens(RECIPIENT).await;
    (first.refresh_token.clone(), sandbox.refreshed(RECIPIENT, &first).await)
}

async fn claimed_by_public_client(sandbox: &Sandbox) -> (String, Tokens) {
    let first = sandbox.public_tokens().await;
    let second = sandbox.public_refresh(&first.refresh_token).await.tokens();
    (first.refresh_token, second)
}

#[tokio::test]
async fn a_confidential_clients_replay_is_refused_and_nothing_else() {
    let sandbox = Sandbox::start().await;
    let (old, tokens) = claimed(&sandbox).await;
    let latest = sandbox.refreshed(RECIPIENT, &tokens).await;
    for wait in ["0s", "1m", "30d"] {
        sandbox.advance(wait).await;
        for replayed in [&old, &tokens.refresh_token] {
            sandbox.refresh(RECIPIENT, replayed).await.is(400, refresh_refused());
        }
    }
    assert!(living(&sandbox, &latest).await);
    assert_eq!(sandbox.audited(&latest, "refresh_token_replayed").await, 6);
    let metrics = sandbox.get("/metrics").await.text;
    assert!(
        metrics.lines().any(|line| line == r#"counterfoil_slips_total{outcome="claimed"} 6"#),
        "{metrics}"
    );
    let counted = |name: &str| {
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            .unwrap()
    };
    assert!(counted("counterfoil_store_commits_total") > 0, "{metrics}");
    assert!(
        counted("counterfoil_store_redeem_batched_total")
            >= counted("counterfoil_store_redeem_batches_total"),
        "{metrics}"
    );
    assert_eq!(counted("counterfoil_store_endings_forgotten_total"), 0);
    sandbox.refreshed(RECIPIENT, &latest).await;
}

#[tokio::test]
async fn a_public_clients_replay_ends_the_grant() {
    let sandbox = Sandbox::start().await;
    let (old, tokens) = claimed_by_public_client(&sandbox).await;
    sandbox.outwait(10).await;
    sandbox.public_refresh(&old).await.is(400, refresh_refused());
    assert_eq!(ended_by(&sandbox, &tokens).await, "refresh_token_replay");
    sandbox.assert_dead(&tokens).await;
    sandbox.public_refresh(&tokens.refresh_token).await.is(400, refresh_refused());
}

#[tokio::test]
async fn a_race_of_ten_seconds_ends_nothing() {
    let sandbox = Sandbox::start().await;
    let (old, tokens) = claimed_by_public_client(&sandbox).await;
    sandbox.public_refresh(&old).await.is(400, refresh_refused());
    sandbox.advance("5s").await;
    sandbox.public_refresh(&old).await.is(400, refresh_refused());
    assert!(living(&sandbox, &tokens).await);
    sandbox.assert_good(&tokens).await;
    assert_eq!(sandbox.audited(&tokens, "refresh_token_replayed").await, 2);
    sandbox.public_refresh(&tokens.refresh_token).await.tokens();
}

#[tokio::test]
async fn only_the_immediate_predecessor_is_taken_for_a_race() {
    let sandbox = Sandbox::start().await;
    let (old, tokens) = claimed_by_public_client(&sandbox).await;
    let latest = sandbox.public_refresh(&tokens.refresh_token).await.tokens();
    sandbox.public_refresh(&old).await.is(400, refresh_refused());
    assert_eq!(ended_by(&sandbox, &latest).await, "refresh_token_replay");
}

#[tokio::test]
async fn on_replay_can_be_set_either_way() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_replay", "revoke")]).await;
    sandbox.set_client(APP, &[("on_replay", "refuse")]).await;
    let (of_recipient, recipients) = claimed(&sandbox).await;
    let (of_app, apps) = claimed_by_public_client(&sandbox).await;
    sandbox.advance("1h").await;
    sandbox.refresh(RECIPIENT, &of_recipient).await.is(400, refresh_refused());
    sandbox.public_refresh(&of_app).await.is(400, refresh_refused());
    sandbox.assert_dead(&recipients).await;
    sandbox.assert_good(&apps).await;
    assert_eq!(ended_by(&sandbox, &recipients).await, "refresh_token_replay");
    assert_eq!(sandbox.audited(&recipients, "grant_ended").await, 1);
    assert_eq!(sandbox.audited(&recipients, "refresh_token_replayed").await, 1);
}

#[tokio::test]
async fn a_replay_that_is_refused_for_another_reason_ends_nothing() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_replay", "revoke")]).await;
    let (old, tokens) = claimed(&sandbox).await;
    sandbox.advance("1h").await;
    sandbox.refresh(OTHER, &old).await.is(400, refresh_refused());
    sandbox.public_refresh(&old).await.is(400, refresh_refused());
    sandbox.refresh((RECIPIENT.0, "wrong"), &old).await.is(401, invalid_client());
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", old.as_str()), ("scope", "everything")];
    sandbox.post_as(RECIPIENT, "/token", &form).await.is(400, plain("invalid_scope"));
    sandbox.refresh_with_key(RECIPIENT, &old, "too short").await.is(400, plain("invalid_request"));
    assert!(living(&sandbox, &tokens).await);
    assert_eq!(sandbox.audit(&tokens).await, []);
}

#[tokio::test]
async fn an_expired_refresh_token_that_was_never_claimed_is_no_replay() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    sandbox.advance("90d").await;
    sandbox.public_refresh(&tokens.refresh_token).await.is(400, refresh_refused());
    assert!(living(&sandbox, &tokens).await);
    assert_eq!(sandbox.audit(&tokens).await, []);
}

#[tokio::test]
async fn a_redeemed_code_that_comes_again_ends_the_grant() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.outwait(10).await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert_eq!(ended_by(&sandbox, &tokens).await, "code_replay");
    assert_eq!(sandbox.audited(&tokens, "code_replayed").await, 1);
    sandbox.assert_dead(&tokens).await;
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
}

#[tokio::test]
async fn a_doubled_callback_ends_nothing() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    sandbox.advance("5s").await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert!(living(&sandbox, &tokens).await);
    assert_eq!(sandbox.audited(&tokens, "code_replayed").await, 2);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn once_something_was_refreshed_a_code_has_no_ten_seconds() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.refreshed(RECIPIENT, &tokens).await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert_eq!(ended_by(&sandbox, &tokens).await, "code_replay");
}

#[tokio::test]
async fn a_code_of_yesterday_ends_nothing() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.advance("24h").await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert!(living(&sandbox, &tokens).await);
    sandbox.advance("-1h").await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert_eq!(ended_by(&sandbox, &tokens).await, "code_replay");
}

/// What it was bound to is swept by then, so nobody can say whether its client sends it.
#[tokio::test]
async fn a_code_that_comes_again_after_days_is_refused_and_ends_nothing() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.advance("72h").await;
    let clock = &sandbox.app.clock;
    sandbox.app.store.note_time(clock.trusted()).await.unwrap();
    let time = SweepTime { now: clock.now(), ahead: clock.offset() };
    assert_eq!(sandbox.app.store.sweep(time).await.unwrap().codes, 1);
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    assert!(living(&sandbox, &tokens).await);
    assert_eq!(sandbox.audit(&tokens).await, []);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn a_replayed_code_ends_nothing_without_the_right_client_redirect_uri_and_verifier() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(APP, &[("on_replay", "refuse")]).await;
    let code = sandbox
        .code_with(APP, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")])
        .await;
    let callback = sandbox.callback();
    let exchange = async |client: &str, redirect_uri: &str, verifier: &str| -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", &code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let secret = [("client_secret", RECIPIENT.1)];
        let form = if client == APP { form.to_vec() } else { [&form[..], &secret].concat() };
        sandbox.post("/token", &form).await
    };
    let tokens = exchange(APP, &callback, VERIFIER).await.tokens();
    sandbox.advance("1m").await;
    exchange(RECIPIENT.0, &callback, VERIFIER).await.is(400, code_refused());
    let mismatch =
        described("invalid_request", "redirect_uri did not match URI from initial request.");
    exchange(APP, "http://127.0.0.1/callback", VERIFIER).await.is(400, mismatch);
    exchange(APP, &callback, CHALLENGE).await.is(400, plain("invalid_grant"));
    exchange(APP, &callback, "").await.is(400, plain("invalid_grant"));
    assert!(living(&sandbox, &tokens).await);
    assert_eq!(sandbox.audit(&tokens).await, []);
    exchange(APP, &callback, VERIFIER).await.is(400, code_refused());
    assert_eq!(ended_by(&sandbox, &tokens).await, "code_replay");
}

#[tokio::test]
async fn an_expired_code_that_was_never_redeemed_is_no_replay() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    sandbox.advance("1h").await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    // Back in time it is as good as before: nothing was claimed.
    sandbox.advance("-1h").await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    assert_eq!(sandbox.audit(&tokens).await, []);
}

#[tokio::test]
async fn a_flood_is_one_row_an_hour_with_a_count() {
    let sandbox = Sandbox::start().await;
    let (old, tokens) = claimed(&sandbox).await;
    // To the first minute of an hour, so that no other begins meanwhile.
    let past = sandbox.app.clock.now().unix() % HOUR;
    sandbox.advance(&format!("{}s", HOUR - past + 60)).await;
    for _ in 0..40 {
        sandbox.refresh(RECIPIENT, &old).await.is(400, refresh_refused());
    }
    sandbox.advance("1h").await;
    sandbox.refresh(RECIPIENT, &old).await.is(400, refresh_refused());
    let replayed = |count| ("refresh_token_replayed".to_owned(), count);
    assert_eq!(sandbox.audit(&tokens).await, [replayed(1), replayed(40)]);
}

/// The slip keys, as a thief of the key directory has them, or of a shared store that keeps them in
/// the clear.
async fn stolen_keys(sandbox: &Sandbox) -> SlipKeys {
    let document = match sandbox.app.store.keys().await.unwrap() {
        Some(keys) => keys.document,
        None => std::fs::read(sandbox.dir.path().join("keys/keys.json")).unwrap(),
    };
    let file: Value = serde_json::from_slice(&document).unwrap();
    let keys = file["slip"].as_array().unwrap().iter().map(|key| {
        let id = SlipKeyId(u16::try_from(key["id"].as_u64().unwrap()).unwrap());
        (
            id,
            MacKey::new(
                &base64::engine::general_purpose::STANDARD
                    .decode(key["key"].as_str().unwrap())
                    .unwrap(),
            ),
        )
    });
    let keys: Vec<_> = keys.collect();
    let current = keys.iter().map(|(id, _)| *id).max().unwrap();
    SlipKeys::new(sandbox.issuer.clone(), current, keys)
}

#[tokio::test]
async fn who_has_the_key_but_not_the_seal_makes_no_slip() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let keys = stolen_keys(&sandbox).await;
    let own = Slip::read(Kind::RefreshToken, &tokens.refresh_token, &keys).unwrap();
    assert_eq!(own.write(&keys).unwrap().expose(), tokens.refresh_token);
    let seal = Seal::from_bytes([7; 16]);
    for number in [1, 2] {
        let forged = Slip { seal, number, ..own }.write(&keys).unwrap();
        sandbox.refresh(RECIPIENT, forged.expose()).await.is(400, refresh_refused());
        sandbox
            .introspect(RECIPIENT, forged.expose())
            .await
            .is(200, serde_json::json!({ "active": false }));
        let revoked = sandbox.revoke(RECIPIENT, forged.expose()).await;
        assert_eq!((revoked.status, revoked.text.as_str()), (200, ""));
    }
    let forged = Slip { seal, number: 0, ..own }.write(&keys).unwrap();
    sandbox.exchange(RECIPIENT, forged.expose()).await.is(400, code_refused());
    assert_eq!(sandbox.audited(&tokens, "slip_forged").await, 3);
    assert!(living(&sandbox, &tokens).await);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn who_has_the_key_but_not_the_seal_makes_no_access_token() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let keys = stolen_keys(&sandbox).await;
    let own = AccessToken::read(&tokens.access_token).unwrap().unauthenticated();
    let forged = own.write(&Seal::from_bytes([7; 16]), &keys).unwrap();
    sandbox.accounts(forged.expose()).await.is(401, not_authorized());
    sandbox.bearer("/userinfo", forged.expose()).await.is(401, plain("invalid_token"));
    assert_eq!(sandbox.revoke(RECIPIENT, forged.expose()).await.status, 200);
    sandbox.assert_good(&tokens).await;
}

#[tokio::test]
async fn a_slip_ahead_of_its_counterfoil_is_refused() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let keys = stolen_keys(&sandbox).await;
    let own = Slip::read(Kind::RefreshToken, &tokens.refresh_token, &keys).unwrap();
    for number in [2, 3, u64::MAX] {
        let ahead = Slip { number, ..own }.write(&keys).unwrap();
        sandbox.refresh(RECIPIENT, ahead.expose()).await.is(400, refresh_refused());
    }
    assert_eq!(sandbox.audited(&tokens, "slip_ahead").await, 3);
    assert!(living(&sandbox, &tokens).await);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn a_slip_of_another_issuer_is_refused() {
    let (sandbox, elsewhere) = (Sandbox::start().await, Sandbox::start().await);
    let tokens = elsewhere.tokens(RECIPIENT).await;
    // Both have the same keys, so only the issuer tells them apart.
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.accounts(&tokens.access_token).await.is(401, not_authorized());
    elsewhere.refreshed(RECIPIENT, &tokens).await;
}
