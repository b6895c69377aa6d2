//! What a client meets while it is graded: tokens of 20 seconds, a customer who says yes at once,
//! and answers that are not what they should be. How whole clients come out is in the tests of the
//! binary.

use std::collections::HashMap;

use crate::setting::{APP, CHALLENGE, OTHER, RECIPIENT, Sandbox, Tokens, claims, send};

/// Sends the browser of a client's customer to `/authorize`, and gives what it comes back with.
async fn asks(sandbox: &Sandbox, client: &str) -> HashMap<String, String> {
    let callback = sandbox.callback();
    let query = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", &callback),
        ("scope", "openid offline_access"),
        ("state", "ours"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let answer = send(sandbox.http.get(sandbox.url("/authorize")).query(&query)).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let back = url::Url::parse(answer.header("location")).unwrap();
    assert!(back.as_str().starts_with(&callback), "{back}");
    back.query_pairs().into_owned().collect()
}

async fn redeem(sandbox: &Sandbox, client: (&str, &str), code: &str) -> Tokens {
    let callback = sandbox.callback();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("code_verifier", crate::setting::VERIFIER),
    ];
    sandbox.post_as(client, "/token", &form).await.tokens()
}

#[tokio::test]
async fn while_a_client_is_graded_its_customer_says_yes_at_once_and_three_times_the_answer_is_spoiled()
 {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.get("/sandbox/grade").await.json()["state"], "idle");
    let started = sandbox.post("/sandbox/grade", &[("client_id", RECIPIENT.0)]).await;
    assert_eq!((started.status, &started.json()["state"]), (201, &"playing".into()));

    let foreign_state = asks(&sandbox, RECIPIENT.0).await;
    assert_ne!(foreign_state["state"], "ours");
    assert_eq!(foreign_state["iss"], sandbox.issuer);
    let foreign_issuer = asks(&sandbox, RECIPIENT.0).await;
    assert_eq!(foreign_issuer["state"], "ours");
    assert_ne!(foreign_issuer["iss"], sandbox.issuer);
    let no_issuer = asks(&sandbox, RECIPIENT.0).await;
    assert_eq!((no_issuer["state"].as_str(), no_issuer.get("iss")), ("ours", None));
    let right = asks(&sandbox, RECIPIENT.0).await;
    assert_eq!((right["state"].as_str(), &right["iss"]), ("ours", &sandbox.issuer));

    let tokens = redeem(&sandbox, RECIPIENT, &right["code"]).await;
    let lives = |token: &str| {
        claims(token)["exp"].as_i64().unwrap() - claims(token)["iat"].as_i64().unwrap()
    };
    assert_eq!(lives(&tokens.id_token), 20);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    sandbox.advance("21s").await;
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 401);
    assert_eq!(
        sandbox.accounts(&sandbox.refreshed(RECIPIENT, &tokens).await.id_token).await.status,
        200
    );

    // Nobody else notices.
    assert_eq!(lives(&sandbox.tokens(OTHER).await.id_token), 24 * 3600);
    let page = send(sandbox.http.get(sandbox.url("/authorize")).query(&[
        ("response_type", "code"),
        ("client_id", OTHER.0),
        ("redirect_uri", &sandbox.callback()),
        ("scope", "openid"),
    ]));
    assert_eq!(page.await.status, 200);

    // Stopped, it is a client like any other; the scorecard stays.
    let stopped = send(sandbox.http.delete(sandbox.url("/sandbox/grade"))).await.json();
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(lives(&sandbox.tokens(RECIPIENT).await.id_token), 24 * 3600);
    assert_eq!(sandbox.get("/sandbox/grade").await.json()["client_id"], RECIPIENT.0);
    let page =
        send(sandbox.http.get(sandbox.url("/sandbox/grade")).header("accept", "text/html")).await;
    assert!(
        page.header("content-type").starts_with("text/html") && page.text.contains(RECIPIENT.0)
    );
    assert!(!page.text.contains(&tokens.refresh_token) && !page.text.contains(RECIPIENT.1));
    let junit =
        send(sandbox.http.get(sandbox.url("/sandbox/grade")).header("accept", "application/xml"))
            .await;
    assert_eq!(junit.header("content-type"), "application/xml");
    assert!(junit.text.contains("<testsuite name=\"client\""), "{}", junit.text);
}

#[tokio::test]
async fn earlier_consents_have_ended_before_a_grading_is_said_to_have_begun() {
    // More than once, since a consent that ended too late would sometimes seem to end in time.
    for _ in 0..10 {
        let sandbox = Sandbox::start().await;
        let earlier = sandbox.tokens(RECIPIENT).await;
        assert_eq!(sandbox.accounts(&earlier.id_token).await.status, 200);
        sandbox.post("/sandbox/grade", &[("client_id", RECIPIENT.0)]).await;
        assert_eq!(sandbox.accounts(&earlier.id_token).await.status, 401);
    }
}

#[tokio::test]
async fn a_client_that_never_checks_is_found_out() {
    let sandbox = Sandbox::start().await;
    sandbox.post("/sandbox/grade", &[("client_id", RECIPIENT.0)]).await;
    let foreign_state = asks(&sandbox, RECIPIENT.0).await;
    redeem(&sandbox, RECIPIENT, &foreign_state["code"]).await;
    let mut changes = sandbox.guest().grading.changes();
    let scorecard = loop {
        let scorecard = sandbox.get("/sandbox/grade").await.json();
        if scorecard["failed"] == 1 {
            break scorecard;
        }
        changes.changed().await.unwrap();
    };
    let case = &scorecard["plans"][0]["cases"][0];
    assert_eq!((&case["id"], &case["checks"][0]["result"]), (&"state".into(), &"failed".into()));
    assert_eq!(case["exchanges"].as_array().unwrap().len(), 2);
    // Its grant was ended, so that it asks again: the next event.
    assert_eq!(scorecard["under_way"]["id"], "issuer");
}

#[tokio::test]
async fn only_a_client_that_there_is_can_be_graded() {
    let sandbox = Sandbox::start().await;
    let refused = sandbox.post("/sandbox/grade", &[("client_id", "nobody")]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.header("counterfoil-reason").contains("nobody"));
    assert_eq!(sandbox.post("/sandbox/grade", &[("client_id", APP)]).await.status, 201);
    assert_eq!(sandbox.get("/sandbox/grade").await.json()["client_id"], APP);
    // Nor can another one take its place unasked.
    let second = sandbox.post("/sandbox/grade", &[("client_id", OTHER.0)]).await;
    assert_eq!(second.status, 409);
    assert!(second.header("counterfoil-reason").contains(APP));
    assert_eq!(sandbox.get("/sandbox/grade").await.json()["client_id"], APP);
}

#[tokio::test]
async fn a_secret_that_is_known_for_one_late_is_in_no_scorecard() {
    let sandbox = Sandbox::start().await;
    sandbox.post("/sandbox/grade", &[("client_id", RECIPIENT.0)]).await;
    let tokens = sandbox.tokens(OTHER).await;
    let presented = asks(&sandbox, RECIPIENT.0).await;
    // In a path, where no parameter name gives it away, before it is ever sent where it belongs;
    // then another client's refresh token.
    for secret in [RECIPIENT.1, &tokens.refresh_token] {
        sandbox.bearer(&format!("/accounts/v2/{secret}"), "none").await;
    }
    redeem(&sandbox, RECIPIENT, &presented["code"]).await;
    let mut changes = sandbox.guest().grading.changes();
    while sandbox.get("/sandbox/grade").await.json()["failed"] != 1 {
        changes.changed().await.unwrap();
    }
    for (path, accept) in [
        ("/sandbox/grade", "application/json"),
        ("/sandbox/grade", "text/html"),
        ("/sandbox", "text/html"),
    ] {
        let shown = send(sandbox.http.get(sandbox.url(path)).header("accept", accept)).await;
        assert!(shown.text.contains("/accounts/v2/"), "{path} {accept}");
        for secret in [RECIPIENT.1, &tokens.refresh_token, &presented["code"]] {
            assert!(!shown.text.contains(secret), "{secret} in {path} as {accept}");
        }
    }
}

#[tokio::test]
async fn what_a_grading_set_goes_with_it() {
    let sandbox = Sandbox::start().await;
    let faults = || async {
        sandbox.get("/sandbox/faults").await.json()["faults"].as_array().unwrap().len()
    };
    sandbox
        .post("/sandbox/faults", &[("fault", "delay"), ("value", "1ms"), ("client_id", OTHER.0)])
        .await;
    sandbox.post("/sandbox/grade", &[("client_id", RECIPIENT.0)]).await;
    for _ in 0..3 {
        asks(&sandbox, RECIPIENT.0).await;
    }
    let tokens = redeem(&sandbox, RECIPIENT, &asks(&sandbox, RECIPIENT.0).await["code"]).await;
    // At work, it meets the first event that needs a fault: a slow answer upon expiry.
    while faults().await == 1 {
        assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    }
    send(sandbox.http.delete(sandbox.url("/sandbox/grade"))).await;
    assert_eq!(faults().await, 1);
}
