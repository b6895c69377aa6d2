//! What only the sandbox has, as its contract says; and that a live server has none of it.

use counterfoil_store::StoreKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{
    APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Setting, claims, code_refused,
    invalid_client, not_authorized, plain, refresh_refused, send,
};

/// A request for a code for `customer_1`, with these further parameters.
async fn codes(sandbox: &Sandbox, client: &str, more: &[(&str, &str)]) -> Answer {
    let callback = sandbox.callback();
    let mut form = vec![
        ("client_id", client),
        ("redirect_uri", callback.as_str()),
        ("customer", "customer_1"),
    ];
    form.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    form.extend(more.iter().filter(|(_, value)| *value != "[missing]"));
    sandbox.post("/sandbox/codes", &form).await
}

async fn clock(sandbox: &Sandbox, form: &[(&str, &str)]) -> Answer {
    sandbox.post("/sandbox/clock", form).await
}

fn now(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    counterfoil_core::clock::Timestamp::parse_rfc3339(&answer.member("now")).unwrap().unix()
}

fn offset(answer: &Answer) -> i64 {
    answer.json()["offset_seconds"].as_i64().unwrap()
}

// /sandbox/codes

#[tokio::test]
async fn a_code_without_a_browser() {
    let sandbox = Sandbox::start().await;
    let answer = codes(&sandbox, RECIPIENT.0, &[("state", "xyz"), ("nonce", "n")]).await;
    let code = answer.member("code");
    answer.is(201, json!({ "code": code, "state": "xyz", "expires_in": 300 }));
    let exchanged = sandbox.exchange(RECIPIENT, &code).await;
    assert_eq!(exchanged.json()["scope"], "openid profile offline_access");
    let claims = claims(&exchanged.tokens().id_token);
    assert_eq!(
        (&claims["nonce"], &claims["accounts"]),
        (&json!("n"), &json!(["c1-checking", "c1-savings", "c1-card"]))
    );
}

#[tokio::test]
async fn a_code_for_what_was_asked_for() {
    let sandbox = Sandbox::start().await;
    let asked = [
        ("customer", "customer_4"),
        ("connector", "sandbank"),
        ("accounts", "c4-loan,c4-401k"),
        ("scope", "openid offline_access"),
    ];
    let code = codes(&sandbox, RECIPIENT.0, &asked).await.member("code");
    let answer = sandbox.exchange(RECIPIENT, &code).await;
    assert_eq!(answer.json()["scope"], "openid offline_access");
    let claims = claims(&answer.tokens().id_token);
    assert_eq!(
        (&claims["accounts"], &claims["name"]),
        (&json!(["c4-loan", "c4-401k"]), &json!("Dagny Bergström"))
    );
}

#[tokio::test]
async fn what_is_sent_without_a_value_counts_as_not_sent() {
    let sandbox = Sandbox::start().await;
    let empty = [
        "scope",
        "connector",
        "accounts",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ]
    .map(|name| (name, ""));
    let code = codes(&sandbox, RECIPIENT.0, &empty).await.member("code");
    let answer = sandbox.exchange(RECIPIENT, &code).await;
    assert_eq!(answer.json()["scope"], "openid profile offline_access");
}

#[tokio::test]
async fn every_client_and_redirect_uri_of_the_sandbox() {
    let sandbox = Sandbox::start().await;
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    for uri in [
        &*sandbox.callback(),
        "http://127.0.0.1/callback",
        "http://127.0.0.1:49152/callback",
        "http://localhost:3000/callback",
    ] {
        for client in [RECIPIENT.0, OTHER.0, APP] {
            let answer =
                codes(&sandbox, client, &[&challenge[..], &[("redirect_uri", uri)]].concat()).await;
            assert_eq!(answer.status, 201, "{client} {uri} {}", answer.text);
        }
    }
}

#[tokio::test]
async fn refusals_are_those_of_authorize() {
    let sandbox = Sandbox::start().await;
    for (more, error) in [
        (&[("redirect_uri", "[missing]")][..], "invalid_request"),
        (&[("redirect_uri", "https://evil.example/callback")], "invalid_request"),
        (&[("redirect_uri", "http://localhost:3001/callback")], "invalid_request"),
        (&[("customer", "[missing]")], "invalid_request"),
        (&[("customer", "customer_9")], "invalid_request"),
        (&[("connector", "elsewhere")], "invalid_request"),
        (&[("accounts", "c2-checking")], "invalid_request"),
        (&[("accounts", "c1-checking,nothing")], "invalid_request"),
        (&[("scope", "profile")], "invalid_scope"),
        (&[("scope", "nonsense")], "invalid_scope"),
        (&[("code_challenge", CHALLENGE)], "invalid_request"),
        (&[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "short"), ("code_challenge_method", "S256")], "invalid_request"),
        (&[("code_challenge_method", "S256")], "invalid_request"),
        (&[("request", "x")], "request_not_supported"),
        (&[("request_uri", "https://a.example")], "request_uri_not_supported"),
        (&[("state", "a"), ("state", "b")], "invalid_request"),
    ] {
        codes(&sandbox, RECIPIENT.0, more).await.is(400, plain(error));
    }
    codes(&sandbox, APP, &[]).await.is(400, plain("invalid_request"));
    assert_eq!(codes(&sandbox, "nobody", &[]).await.status, 400);
    assert_eq!(sandbox.admin(grants()).await, json!([]));
}

fn grants() -> counterfoil_server::admin::Command {
    counterfoil_server::admin::Command::GrantList {
        client: None,
        customer: None,
        before: None,
        limit: 100,
    }
}

#[tokio::test]
async fn codes_asked_for_at_once_are_many() {
    let sandbox = Sandbox::start().await;
    let (one, two, three) = tokio::join!(
        codes(&sandbox, RECIPIENT.0, &[]),
        codes(&sandbox, RECIPIENT.0, &[]),
        codes(&sandbox, RECIPIENT.0, &[])
    );
    let grants: std::collections::HashSet<_> = [
        sandbox.exchange(RECIPIENT, &one.member("code")).await.tokens().grant(),
        sandbox.exchange(RECIPIENT, &two.member("code")).await.tokens().grant(),
        sandbox.exchange(RECIPIENT, &three.member("code")).await.tokens().grant(),
    ]
    .into();
    assert_eq!(grants.len(), 3);
}

// /sandbox/clock

#[tokio::test]
async fn the_clock_tells_and_moves() {
    let sandbox = Sandbox::start().await;
    let start = sandbox.get("/sandbox/clock").await;
    let text = start.member("now");
    assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    assert_eq!(offset(&start), 0);
    let about = |answer: &Answer, expected: i64| {
        assert!((expected..expected + 20).contains(&now(answer)), "{}", answer.text)
    };
    for (advance, by, in_all) in [
        ("25h", 90_000, 90_000),
        ("5m1s", 301, 90_301),
        ("90d", 7_776_000, 7_866_301),
        ("-90d", -7_776_000, 90_301),
        ("0s", 0, 90_301),
    ] {
        let before = now(&sandbox.get("/sandbox/clock").await);
        let answer = clock(&sandbox, &[("advance", advance)]).await;
        assert_eq!(offset(&answer), in_all);
        about(&answer, before + by);
        about(&sandbox.get("/sandbox/clock").await, before + by);
    }
    let answer = clock(&sandbox, &[("set", "2031-05-06T07:08:09Z")]).await;
    about(&answer, 1_935_817_689);
    about(&clock(&sandbox, &[("set", "2031-05-06T09:08:09+02:00")]).await, 1_935_817_689);
    let answer = send(sandbox.http.delete(sandbox.url("/sandbox/clock"))).await;
    assert_eq!(offset(&answer), 0);
    about(&answer, now(&start));
}

#[tokio::test]
async fn what_the_clock_does_not_take() {
    let sandbox = Sandbox::start().await;
    for form in [
        &[][..],
        &[("advance", "")],
        &[("advance", "soon")],
        &[("advance", "1mo")],
        &[("advance", "1y")],
        &[("advance", "40000d")],
        &[("set", "tomorrow")],
        &[("set", "2031-05-06")],
        &[("set", "9999-01-01T00:00:00Z")],
        &[("advance", "1h"), ("set", "2031-05-06T07:08:09Z")],
        &[("advance", "1h"), ("advance", "1h")],
    ] {
        clock(&sandbox, form).await.is(400, plain("invalid_request"));
    }
    assert_eq!(offset(&sandbox.get("/sandbox/clock").await), 0);
}

#[tokio::test]
async fn everything_follows_the_clock_and_what_was_done_stays_done() {
    let sandbox = Sandbox::start().await;
    let (code, redeemed) = (sandbox.code(RECIPIENT.0).await, sandbox.code(RECIPIENT.0).await);
    let (ended, tokens) =
        (sandbox.tokens(RECIPIENT).await, sandbox.exchange(RECIPIENT, &redeemed).await.tokens());
    let claimed = sandbox.tokens(RECIPIENT).await;
    sandbox.refreshed(RECIPIENT, &claimed).await;
    sandbox.revoke(RECIPIENT, &ended.id_token).await;
    sandbox.advance("91d").await;
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    send(sandbox.http.delete(sandbox.url("/sandbox/clock"))).await;
    sandbox.assert_good(&tokens).await;
    sandbox.assert_dead(&ended).await;
    sandbox.refresh(RECIPIENT, &claimed.refresh_token).await.is(400, refresh_refused());
    sandbox.refreshed(RECIPIENT, &tokens).await;
    sandbox.exchange(RECIPIENT, &code).await.tokens();
}

#[tokio::test]
async fn a_restart_keeps_the_clock() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("25h").await;
    let sandbox = sandbox.restarted().await;
    assert_eq!(offset(&sandbox.get("/sandbox/clock").await), 90_000);
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

// Who may ask

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused() {
    let sandbox = Sandbox::start().await;
    let get = |name: &'static str, value: &str| {
        sandbox.http.get(sandbox.url("/sandbox/clock")).header(name, value)
    };
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.0.1",
        "10.0.0.1:80",
    ] {
        send(get("host", host)).await.is(403, plain("access_denied"));
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "127.0.0.9:9", "[::1]:8080"] {
        assert_eq!(send(get("host", host)).await.status, 200, "{host}");
    }
    for origin in [
        "https://evil.example",
        "http://evil.example:8080",
        "null",
        "http://localhost.evil.example",
        "x",
    ] {
        send(get("origin", origin)).await.is(403, plain("access_denied"));
    }
    for origin in [&sandbox.issuer, "http://localhost:3000", "http://127.0.0.1"] {
        assert_eq!(send(get("origin", origin)).await.status, 200, "{origin}");
    }
}

#[tokio::test]
async fn every_sandbox_path_is_guarded() {
    let sandbox = Sandbox::start().await;
    let callback = sandbox.callback();
    let form = [
        ("client_id", RECIPIENT.0),
        ("redirect_uri", &callback),
        ("customer", "customer_1"),
        ("advance", "1h"),
    ];
    for (method, path) in [
        (Method::POST, "/sandbox/codes"),
        (Method::GET, "/sandbox/clock"),
        (Method::POST, "/sandbox/clock"),
        (Method::DELETE, "/sandbox/clock"),
    ] {
        for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
            let request = sandbox
                .http
                .request(method.clone(), sandbox.url(path))
                .header(name, value)
                .form(&form);
            send(request).await.is(403, plain("access_denied"));
        }
    }
    let request =
        sandbox.http.get(sandbox.url("/sandbox/callback?code=x")).header("host", "evil.example");
    assert_eq!(send(request).await.status, 403);
    assert_eq!(offset(&sandbox.get("/sandbox/clock").await), 0);
    assert_eq!(sandbox.admin(grants()).await, json!([]));
}

#[tokio::test]
async fn the_callback_shows_the_code_and_how_to_use_it() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let shown = sandbox.get(&format!("/sandbox/callback?code={code}&state=x")).await;
    assert!(shown.status == 200 && shown.text.contains(&code) && shown.text.contains("curl"));
    let posted = sandbox.post("/sandbox/callback", &[("code", &code)]).await;
    assert!(posted.status == 200 && posted.text.contains(&code));
}

// The reason, and the live server

/// Requests that are refused, one or more for every kind of path.
async fn refusals(sandbox: &Sandbox) -> Vec<Answer> {
    let large = "x".repeat(70_000);
    vec![
        sandbox.post("/token", &[]).await,
        sandbox.get("/token").await,
        sandbox.post("/token", &[("x", &large)]).await,
        sandbox.post_as(RECIPIENT, "/token", &[]).await,
        sandbox.refresh(RECIPIENT, "cfr_x").await,
        sandbox.exchange(RECIPIENT, "cfc_x").await,
        sandbox.revoke((RECIPIENT.0, "wrong"), "x").await,
        sandbox.post_as(RECIPIENT, "/revoke", &[]).await,
        sandbox.introspect((RECIPIENT.0, "wrong"), "x").await,
        sandbox.accounts("x").await,
        sandbox.get("/accounts").await,
        sandbox.get("/accounts/unknown").await,
        sandbox.get("/userinfo").await,
        sandbox.get("/nothing").await,
        sandbox.post("/jwks", &[]).await,
        sandbox.get("/authorize").await,
        sandbox.get("/authorize?client_id=sandbox-recipient&redirect_uri=http://localhost:3000/callback").await,
        sandbox.get("/consent").await,
    ]
}

#[tokio::test]
async fn in_the_sandbox_every_refusal_says_why() {
    let sandbox = Sandbox::start().await;
    for answer in refusals(&sandbox).await {
        assert!(answer.status >= 300, "{answer:?}");
        assert!(answer.header("counterfoil-reason").len() > 5, "{answer:?}");
    }
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.refreshed(RECIPIENT, &tokens).await;
    sandbox.advance("12s").await;
    let replayed = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    let reason = replayed.header("counterfoil-reason");
    assert!(
        reason.starts_with("slip 1 was claimed 1")
            && reason.ends_with(" seconds ago; the counterfoil stands at 2"),
        "{reason}"
    );
    assert_eq!(sandbox.accounts(&tokens.id_token).await.header("counterfoil-reason"), "");
}

async fn live() -> Sandbox {
    Sandbox::with(Setting { kind: StoreKind::Live, ..Setting::default() }).await
}

#[tokio::test]
async fn a_live_server_does_not_say_why() {
    let live = live().await;
    for answer in refusals(&live).await {
        assert!(answer.status >= 300, "{answer:?}");
        assert_eq!(answer.header("counterfoil-reason"), "", "{answer:?}");
    }
    live.post("/token", &[]).await.is(401, invalid_client());
}

#[tokio::test]
async fn a_live_server_has_no_sandbox() {
    let live = live().await;
    for path in [
        "/sandbox",
        "/sandbox/codes",
        "/sandbox/clock",
        "/sandbox/callback",
        "/sandbox/faults",
        "/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer =
                send(live.http.request(method, live.url(path)).form(&[("advance", "1h")])).await;
            answer.is(404, plain("not_found"));
        }
    }
    assert_eq!(
        live.get("/.well-known/openid-configuration").await.json()["counterfoil_sandbox"],
        Value::Null
    );
    assert_eq!(live.get("/health/ready").await.status, 200);
}
