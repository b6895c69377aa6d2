//! `/revoke`: any token of a grant ends the whole grant, at once and everywhere; every row of its
//! table in both dialects.

use counterfoil_core::dialect::Dialect::{self, Network, Rfc};
use serde_json::Value;

use crate::setting::{APP, Answer, OTHER, RECIPIENT, Sandbox, Tokens, plain, refresh_refused};

/// 200 with nothing in it.
#[track_caller]
fn assert_empty(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{:?}", answer.headers);
    assert_eq!(answer.header("cache-control"), "no-store");
}

/// A refusal in the server's dialect.
#[track_caller]
fn assert_refused(dialect: Dialect, answer: &Answer, network: (u16, &str), rfc: (u16, &str)) {
    let (status, error) = if dialect == Network { network } else { rfc };
    answer.is(status, plain(error));
    assert_eq!(answer.header("www-authenticate").starts_with("Basic "), status == 401);
    assert_eq!(answer.header("cache-control"), "no-store");
}

async fn ended_by(sandbox: &Sandbox, tokens: &Tokens) -> Value {
    sandbox.grant(tokens).await["ended_by"].clone()
}

/// Tokens of two generations of one grant.
async fn two_generations(sandbox: &Sandbox) -> [Tokens; 2] {
    let first = sandbox.tokens(RECIPIENT).await;
    let second = sandbox.refreshed(RECIPIENT, &first).await;
    [first, second]
}

/// Holds that nothing of a grant is taken anywhere any more, and that it was its client that ended
/// it.
async fn assert_ended(sandbox: &Sandbox, tokens: &[Tokens]) {
    for tokens in tokens {
        sandbox.assert_dead(tokens).await;
        sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
        assert_eq!(ended_by(sandbox, tokens).await, "client");
    }
}

#[tokio::test]
async fn any_token_ends_the_whole_grant_at_once() {
    let sandbox = Sandbox::start().await;
    let kinds: [fn(&[Tokens; 2]) -> &String; 6] = [
        |[_, second]| &second.refresh_token,
        |[first, _]| &first.refresh_token,
        |[_, second]| &second.id_token,
        |[first, _]| &first.id_token,
        |[_, second]| &second.access_token,
        |[first, _]| &first.access_token,
    ];
    for of in kinds {
        let tokens = two_generations(&sandbox).await;
        for tokens in &tokens {
            sandbox.assert_good(tokens).await;
        }
        assert_empty(&sandbox.revoke(RECIPIENT, of(&tokens)).await);
        assert_ended(&sandbox, &tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_under_way_gives_nothing_that_outlives_the_ending() {
    let sandbox = Sandbox::start().await;
    for _ in 0..10 {
        let tokens = sandbox.tokens(RECIPIENT).await;
        let refresh = sandbox.refresh(RECIPIENT, &tokens.refresh_token);
        let (refreshed, revoked) =
            tokio::join!(refresh, sandbox.revoke(RECIPIENT, &tokens.id_token));
        assert_empty(&revoked);
        if refreshed.status == 200 {
            assert_ended(&sandbox, &[tokens, refreshed.tokens()]).await;
        } else {
            refreshed.is(400, refresh_refused());
            assert_ended(&sandbox, &[tokens]).await;
        }
    }
}

#[tokio::test]
async fn expired_tokens_end_the_grant_too() {
    let sandbox = Sandbox::start().await;
    let kinds: [fn(&Tokens) -> &String; 3] =
        [|tokens| &tokens.refresh_token, |tokens| &tokens.id_token, |tokens| &tokens.access_token];
    for of in kinds {
        let tokens = sandbox.tokens(RECIPIENT).await;
        sandbox.advance("91d").await;
        sandbox.accounts(&tokens.id_token).await.is(401, crate::setting::not_authorized());
        assert_eq!(ended_by(&sandbox, &tokens).await, Value::Null);
        assert_empty(&sandbox.revoke(RECIPIENT, of(&tokens)).await);
        assert_ended(&sandbox, &[tokens]).await;
    }
}

#[tokio::test]
async fn a_token_much_older_than_the_current_one_ends_the_grant_of_a_confidential_client() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.tokens(RECIPIENT).await;
    let mut tokens = first.clone();
    for _ in 0..5 {
        tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    }
    assert_empty(&sandbox.revoke(RECIPIENT, &first.refresh_token).await);
    assert_ended(&sandbox, &[tokens]).await;
}

#[tokio::test]
async fn only_this_grant_ends() {
    let sandbox = Sandbox::start().await;
    let (one, two, of_other) = (
        sandbox.tokens(RECIPIENT).await,
        sandbox.tokens(RECIPIENT).await,
        sandbox.tokens(OTHER).await,
    );
    assert_empty(&sandbox.revoke(RECIPIENT, &one.id_token).await);
    sandbox.assert_dead(&one).await;
    sandbox.assert_good(&two).await;
    sandbox.assert_good(&of_other).await;
}

#[tokio::test]
async fn a_grant_that_was_ended_already_is_200() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        for token in
            [&tokens.refresh_token, &tokens.refresh_token, &tokens.id_token, &tokens.access_token]
        {
            assert_empty(&sandbox.revoke(RECIPIENT, token).await);
        }
        assert_eq!(sandbox.audited(&tokens, "grant_ended").await, 1);
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_200() {
    let elsewhere = Sandbox::start().await;
    let foreign = elsewhere.tokens(RECIPIENT).await;
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        let (head, _) = tokens.id_token.rsplit_once('.').unwrap();
        let unsigned = format!("{head}.");
        for unknown in [
            "x",
            "cfr_",
            "cfa_x",
            "a.b.c",
            &unsigned,
            &foreign.refresh_token,
            &foreign.id_token,
            &foreign.access_token,
        ] {
            assert_empty(&sandbox.revoke(RECIPIENT, unknown).await);
        }
        sandbox.assert_good(&tokens).await;
    }
    elsewhere.assert_good(&foreign).await;
}

#[tokio::test]
async fn revoking_a_code_has_no_effect() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let code = sandbox.code(RECIPIENT.0).await;
        assert_empty(&sandbox.revoke(RECIPIENT, &code).await);
        assert_empty(&sandbox.revoke(OTHER, &code).await);
        let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
        assert_empty(&sandbox.revoke(RECIPIENT, &code).await);
        sandbox.assert_good(&tokens).await;
    }
}

#[tokio::test]
async fn credentials_that_are_missing() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let token = sandbox.tokens(RECIPIENT).await.refresh_token;
        let token = ("token", token.as_str());
        let secret = ("client_secret", RECIPIENT.1);
        for form in [
            &[token][..],
            &[token, secret],
            &[token, ("client_id", "")],
            &[token, ("client_id", RECIPIENT.0)],
            &[token, ("client_id", RECIPIENT.0), ("client_secret", "")],
            &[token, ("client_id", "nobody")],
            &[],
        ] {
            assert_refused(
                dialect,
                &sandbox.post("/revoke", form).await,
                (400, "invalid_request"),
                (401, "invalid_client"),
            );
        }
        sandbox.refresh(RECIPIENT, token.1).await.tokens();
    }
}

#[tokio::test]
async fn credentials_that_are_wrong() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        for wrong in [
            (RECIPIENT.0, "wrong"),
            (RECIPIENT.0, OTHER.1),
            ("nobody", "wrong"),
            ("nobody", RECIPIENT.1),
            (APP, "any"),
        ] {
            let in_header = sandbox.revoke(wrong, &tokens.refresh_token).await;
            assert_refused(
                dialect,
                &in_header,
                (401, "unauthorized_client"),
                (401, "invalid_client"),
            );
            let form = [
                ("token", tokens.refresh_token.as_str()),
                ("client_id", wrong.0),
                ("client_secret", wrong.1),
            ];
            let in_body = sandbox.post("/revoke", &form).await;
            assert_refused(
                dialect,
                &in_body,
                (401, "unauthorized_client"),
                (401, "invalid_client"),
            );
        }
        sandbox.assert_good(&tokens).await;
    }
}

#[tokio::test]
async fn a_token_that_is_missing() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        for form in [
            &[][..],
            &[("token", "")],
            &[("token_type_hint", "refresh_token")],
            &[("token_type_hint", "nonsense")],
        ] {
            let answer = sandbox.post_as(RECIPIENT, "/revoke", form).await;
            assert_refused(dialect, &answer, (400, "invalid_request"), (400, "invalid_request"));
        }
    }
}

#[tokio::test]
async fn an_unknown_hint_is_refused_by_the_network_and_ignored_by_the_rfc() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        let form = [("token", tokens.refresh_token.as_str()), ("token_type_hint", "pat")];
        let answer = sandbox.post_as(RECIPIENT, "/revoke", &form).await;
        match dialect {
            Network => {
                answer.is(400, plain("unsupported_token_type"));
                sandbox.assert_good(&tokens).await;
            }
            Rfc => {
                assert_empty(&answer);
                sandbox.assert_dead(&tokens).await;
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_hint_is_refused_whatever_the_token() {
    let sandbox = Sandbox::start().await;
    let of_other = sandbox.tokens(OTHER).await;
    for token in ["unknown", &of_other.id_token] {
        let form = [("token", token), ("token_type_hint", "pat")];
        sandbox.post_as(RECIPIENT, "/revoke", &form).await.is(400, plain("unsupported_token_type"));
    }
}

#[tokio::test]
async fn a_wrong_hint_still_finds_the_token() {
    let sandbox = Sandbox::start().await;
    for hint in ["refresh_token", "id_token", "access_token"] {
        let kinds: [fn(Tokens) -> String; 3] =
            [|tokens| tokens.refresh_token, |tokens| tokens.id_token, |tokens| tokens.access_token];
        for of in kinds {
            let tokens = sandbox.tokens(RECIPIENT).await;
            let form = [("token", of(tokens.clone())), ("token_type_hint", hint.to_owned())];
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_empty(&sandbox.post_as(RECIPIENT, "/revoke", &form).await);
            assert_eq!(ended_by(&sandbox, &tokens).await, "client");
        }
    }
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_and_stays_valid() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        for token in [&tokens.refresh_token, &tokens.id_token, &tokens.access_token] {
            let answer = sandbox.revoke(OTHER, token).await;
            assert_refused(dialect, &answer, (400, "invalid_request"), (400, "invalid_grant"));
        }
        sandbox.assert_good(&tokens).await;
        let next = sandbox.refreshed(RECIPIENT, &tokens).await;
        // The same where the grant has ended already.
        assert_empty(&sandbox.revoke(RECIPIENT, &next.id_token).await);
        for token in
            [&tokens.refresh_token, &next.refresh_token, &next.id_token, &next.access_token]
        {
            let answer = sandbox.revoke(OTHER, token).await;
            assert_refused(dialect, &answer, (400, "invalid_request"), (400, "invalid_grant"));
        }
    }
}

#[tokio::test]
async fn a_client_has_its_own_dialect_once_it_is_known() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(OTHER.0, &[("dialect", "rfc")]).await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.revoke(OTHER, &tokens.id_token).await.is(400, plain("invalid_grant"));
    sandbox
        .revoke((OTHER.0, "wrong"), &tokens.id_token)
        .await
        .is(401, plain("unauthorized_client"));
}

async fn revoke_as_app(sandbox: &Sandbox, token: &str) -> Answer {
    sandbox.post("/revoke", &[("client_id", APP), ("token", token)]).await
}

#[tokio::test]
async fn a_public_client_sends_its_id_alone() {
    let sandbox = Sandbox::start().await;
    let kinds: [fn(&Tokens) -> &String; 3] =
        [|tokens| &tokens.refresh_token, |tokens| &tokens.id_token, |tokens| &tokens.access_token];
    for of in kinds {
        let tokens = sandbox.public_tokens().await;
        let form = [("client_id", APP), ("client_secret", "any"), ("token", of(&tokens))];
        sandbox.post("/revoke", &form).await.is(401, plain("unauthorized_client"));
        sandbox.assert_good(&tokens).await;
        assert_empty(&revoke_as_app(&sandbox, of(&tokens)).await);
        sandbox.assert_dead(&tokens).await;
    }
}

#[tokio::test]
async fn an_old_refresh_token_of_a_public_client_counts_up_to_the_immediate_predecessor() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.public_tokens().await;
    let second = sandbox.public_refresh(&first.refresh_token).await.tokens();
    let third = sandbox.public_refresh(&second.refresh_token).await.tokens();
    assert_empty(&revoke_as_app(&sandbox, &first.refresh_token).await);
    sandbox.assert_good(&third).await;
    assert_empty(&revoke_as_app(&sandbox, &second.refresh_token).await);
    sandbox.assert_dead(&third).await;
}

#[tokio::test]
async fn a_public_client_may_not_end_the_grants_of_others() {
    let sandbox = Sandbox::start().await;
    let [first, _] = two_generations(&sandbox).await;
    for token in [&first.refresh_token, &first.id_token, &first.access_token] {
        revoke_as_app(&sandbox, token).await.is(400, plain("invalid_request"));
    }
    sandbox.assert_good(&first).await;
}

#[tokio::test]
async fn secrets_may_come_in_the_body_or_in_the_header() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form =
        [("client_id", RECIPIENT.0), ("client_secret", RECIPIENT.1), ("token", &tokens.id_token)];
    assert_empty(&sandbox.post("/revoke", &form).await);
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form = [("client_id", RECIPIENT.0), ("token", tokens.id_token.as_str())];
    assert_empty(&sandbox.post_as(RECIPIENT, "/revoke", &form).await);
    sandbox.assert_dead(&tokens).await;
}

#[tokio::test]
async fn requests_that_can_not_be_read() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let tokens = sandbox.tokens(RECIPIENT).await;
        let token = ("token", tokens.id_token.as_str());
        let invalid = |answer: Answer| answer.is(400, plain("invalid_request"));
        invalid(sandbox.post_as(RECIPIENT, "/revoke", &[token, token]).await);
        invalid(sandbox.post_as(RECIPIENT, "/revoke?token=x", &[token]).await);
        invalid(
            sandbox.post_as(RECIPIENT, "/revoke", &[token, ("client_secret", RECIPIENT.1)]).await,
        );
        invalid(sandbox.post_as(RECIPIENT, "/revoke", &[token, ("client_id", OTHER.0)]).await);
        let json = sandbox
            .http
            .post(sandbox.url("/revoke"))
            .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
            .json(&plain("x"));
        invalid(crate::setting::send(json).await);
        let large =
            sandbox.post_as(RECIPIENT, "/revoke", &[("token", &"x".repeat(65 * 1024))]).await;
        assert_eq!(large.status, 413);
        let get = sandbox.get("/revoke").await;
        assert_eq!((get.status, get.header("allow")), (405, "POST"));
        sandbox.assert_good(&tokens).await;
    }
}
