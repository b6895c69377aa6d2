//! Retrying a refresh whose answer was lost: `Idempotency-Key`, and `on_lost_answer = "repeat"` for
//! clients that can't send it.

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, plain, refresh_refused, send};

const KEY: &str = "b1946ac9-2492-4d23-8f0a-6f1c2d3e4f50";
const ANOTHER_KEY: &str = "0cc175b9-c0f1-46b6-a831-c399e2697726";
const REPLAYED: &str = "idempotency-replayed";

/// A refresh with these further parameters and `Idempotency-Key` headers.
async fn refresh(
    sandbox: &Sandbox,
    client: (&str, &str),
    token: &str,
    more: &[(&str, &str)],
    keys: &[&str],
) -> Answer {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend_from_slice(more);
    let mut request =
        sandbox.http.post(sandbox.url("/token")).basic_auth(client.0, Some(client.1)).form(&form);
    for key in keys {
        request = request.header("idempotency-key", *key);
    }
    send(request).await
}

/// Holds that `again` gives the refresh token of `first` with fresh tokens of the day.
async fn assert_repeats(sandbox: &Sandbox, first: &Answer, again: &Answer) {
    let (one, two) = (first.tokens(), again.tokens());
    assert_eq!(one.refresh_token, two.refresh_token);
    assert_ne!(one.id_token, two.id_token);
    assert_eq!((first.header(REPLAYED), again.header(REPLAYED)), ("", "true"));
    sandbox.assert_good(&one).await;
    sandbox.assert_good(&two).await;
}

/// Holds that it is refused as a claimed token.
fn assert_strict(again: &Answer) {
    again.is(400, refresh_refused());
    assert_eq!(again.header(REPLAYED), "");
}

#[tokio::test]
async fn the_same_key_gives_the_same_refresh_token_again() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    for wait in ["0s", "5m", "4m50s"] {
        sandbox.advance(wait).await;
        let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
        assert_repeats(&sandbox, &first, &again).await;
    }
    assert_eq!(
        sandbox
            .audit(&tokens)
            .await
            .iter()
            .map(|(event, _)| event.as_str())
            .collect::<std::collections::HashSet<_>>(),
        ["refresh_repeated"].into()
    );
    assert_eq!(sandbox.audited(&tokens, "refresh_repeated").await, 3);
    sandbox.refreshed(RECIPIENT, &first.tokens()).await;
}

#[tokio::test]
async fn ten_minutes_after_the_first_redemption_the_key_is_worth_nothing() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    sandbox.advance("9m").await;
    let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    assert_repeats(&sandbox, &first, &again).await;
    // Counted from the first redemption, not from the last repeat.
    sandbox.outwait(60).await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await);
    assert_eq!(sandbox.audited(&tokens, "refresh_token_replayed").await, 1);
    sandbox.refreshed(RECIPIENT, &first.tokens()).await;
}

#[tokio::test]
async fn another_key_or_none_gets_the_strict_answer() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, ANOTHER_KEY).await);
    assert_strict(
        &sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, &KEY.to_uppercase()).await,
    );
    assert_strict(&sandbox.refresh(RECIPIENT, &tokens.refresh_token).await);
    // And none of them spoils the right one.
    let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    assert_repeats(&sandbox, &first, &again).await;
}

#[tokio::test]
async fn a_first_try_without_a_key_is_not_repeated_with_one() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.refreshed(RECIPIENT, &tokens).await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await);
}

#[tokio::test]
async fn a_repeat_is_the_same_request() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let token = tokens.refresh_token.as_str();
    let narrow = [("scope", "openid")];
    let first = refresh(&sandbox, RECIPIENT, token, &narrow, &[KEY]).await;
    assert_strict(&refresh(&sandbox, RECIPIENT, token, &[], &[KEY]).await);
    assert_strict(
        &refresh(&sandbox, RECIPIENT, token, &[("scope", "openid profile")], &[KEY]).await,
    );
    assert_strict(&refresh(&sandbox, OTHER, token, &narrow, &[KEY]).await);
    let again = refresh(&sandbox, RECIPIENT, token, &narrow, &[KEY]).await;
    assert_repeats(&sandbox, &first, &again).await;
    assert_eq!(again.json()["scope"], "openid");
}

#[tokio::test]
async fn a_key_may_be_used_for_many_refresh_tokens() {
    let sandbox = Sandbox::start().await;
    let mut tokens = sandbox.tokens(RECIPIENT).await;
    for _ in 0..3 {
        let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
        let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
        assert_repeats(&sandbox, &first, &again).await;
        tokens = again.tokens();
    }
}

#[tokio::test]
async fn once_the_successor_was_redeemed_nothing_is_repeated() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    let second = sandbox.refreshed(RECIPIENT, &first).await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await);
    sandbox.refreshed(RECIPIENT, &second).await;
}

#[tokio::test]
async fn a_repeat_reopens_no_ended_grant() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    assert_eq!(sandbox.revoke(RECIPIENT, &first.refresh_token).await.status, 200);
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await);
    sandbox.assert_dead(&first).await;
}

#[tokio::test]
async fn a_repeat_outlives_no_grant_that_ended_by_itself() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("duration_days", "1")]).await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("23h55m").await;
    sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    sandbox.advance("5m").await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await);
}

#[tokio::test]
async fn a_bad_or_doubled_header_is_refused_and_claims_nothing() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let token = tokens.refresh_token.as_str();
    let (short, long) = ("x".repeat(15), "x".repeat(256));
    for keys in [
        &[short.as_str()][..],
        &[&long],
        &[""],
        &["with a space in it"],
        &[KEY, KEY],
        &[KEY, ANOTHER_KEY],
        &["sixteen-\u{e9}-characters"],
    ] {
        refresh(&sandbox, RECIPIENT, token, &[], keys).await.is(400, plain("invalid_request"));
    }
    assert_eq!(sandbox.grant(&tokens).await["next_slip"], 1);
    let first = refresh(&sandbox, RECIPIENT, token, &[], &["x".repeat(16).as_str()]).await.tokens();
    refresh(&sandbox, RECIPIENT, &first.refresh_token, &[], &["x".repeat(255).as_str()])
        .await
        .tokens();
}

#[tokio::test]
async fn codes_have_no_retry() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let callback = sandbox.callback();
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &callback)];
    let exchange = async |keys: &[&str]| {
        let request = sandbox
            .http
            .post(sandbox.url("/token"))
            .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
            .form(&form);
        send(keys.iter().fold(request, |request, key| request.header("idempotency-key", *key)))
            .await
    };
    // The header is ignored here, so a bad one or two are no error.
    let first = exchange(&["bad", KEY]).await;
    assert_eq!(first.header(REPLAYED), "");
    first.tokens();
    exchange(&["bad", KEY]).await.is(400, crate::setting::code_refused());
    exchange(&[KEY]).await.is(400, crate::setting::code_refused());
}

#[tokio::test]
async fn public_clients_have_the_key_too() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", crate::setting::APP),
        ("refresh_token", &tokens.refresh_token),
    ];
    let keyed = async || {
        send(sandbox.http.post(sandbox.url("/token")).header("idempotency-key", KEY).form(&form))
            .await
    };
    let first = keyed().await;
    sandbox.advance("1m").await;
    assert_repeats(&sandbox, &first, &keyed().await).await;
}

#[tokio::test]
async fn on_lost_answer_repeat_is_good_for_a_minute() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_lost_answer", "repeat")]).await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    for wait in ["0s", "50s"] {
        sandbox.advance(wait).await;
        let again = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
        assert_repeats(&sandbox, &first, &again).await;
    }
    sandbox.outwait(10).await;
    assert_strict(&sandbox.refresh(RECIPIENT, &tokens.refresh_token).await);
    assert_eq!(sandbox.audited(&tokens, "refresh_repeated").await, 2);
    assert_eq!(sandbox.audited(&tokens, "refresh_token_replayed").await, 1);
    sandbox.refreshed(RECIPIENT, &first.tokens()).await;
}

#[tokio::test]
async fn on_lost_answer_repeats_the_immediate_predecessor_and_the_same_request_alone() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_lost_answer", "repeat")]).await;
    let first = sandbox.tokens(RECIPIENT).await;
    let second = sandbox.refreshed(RECIPIENT, &first).await;
    let narrow =
        refresh(&sandbox, RECIPIENT, &first.refresh_token, &[("scope", "openid")], &[]).await;
    assert_strict(&narrow);
    assert_strict(&refresh(&sandbox, RECIPIENT, &first.refresh_token, &[], &[KEY]).await);
    sandbox.refreshed(RECIPIENT, &second).await;
    assert_strict(&sandbox.refresh(RECIPIENT, &first.refresh_token).await);
}

#[tokio::test]
async fn on_lost_answer_is_not_for_a_first_try_that_carried_a_key() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_lost_answer", "repeat")]).await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    assert_strict(&sandbox.refresh(RECIPIENT, &tokens.refresh_token).await);
    let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await;
    assert_repeats(&sandbox, &first, &again).await;
}

#[tokio::test]
async fn a_clock_moved_back_reopens_no_window() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(OTHER.0, &[("on_lost_answer", "repeat")]).await;
    let (keyed, keyless) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(OTHER).await);
    sandbox.refresh_with_key(RECIPIENT, &keyed.refresh_token, KEY).await.tokens();
    sandbox.refreshed(OTHER, &keyless).await;
    sandbox.advance("-1m").await;
    assert_strict(&sandbox.refresh_with_key(RECIPIENT, &keyed.refresh_token, KEY).await);
    assert_strict(&sandbox.refresh(OTHER, &keyless.refresh_token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_never_a_second_chain() {
    let sandbox = std::sync::Arc::new(Sandbox::start().await);
    let tokens = sandbox.tokens(RECIPIENT).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (sandbox, token) = (sandbox.clone(), tokens.refresh_token.clone());
        tries.spawn(async move { sandbox.refresh_with_key(RECIPIENT, &token, KEY).await });
    }
    let answers = tries.join_all().await;
    let successors: std::collections::HashSet<_> =
        answers.iter().map(|answer| answer.tokens().refresh_token).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.header(REPLAYED) == "true").count(), 49);
    assert_eq!(sandbox.grant(&tokens).await["next_slip"], 2);
}
