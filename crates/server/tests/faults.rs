//! Faults in the sandbox, over HTTP: each of the ten does what the contract says, to its target, as
//! often as it was set.

mod at_once;

use std::time::{Duration, Instant};

use counterfoil_sandbox::requests::HUNG_UP;
use counterfoil_store::StoreKind;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setting::{
    Answer, OTHER, RECIPIENT, Sandbox, Setting, Tokens, claims, code_refused, not_authorized,
    plain, refresh_refused, send,
};

/// Sets a fault.
async fn set(sandbox: &Sandbox, form: &[(&str, &str)]) -> Value {
    let answer = sandbox.post("/sandbox/faults", form).await;
    assert_eq!(answer.status, 201, "{} {:?}", answer.text, answer.headers);
    answer.json()
}

/// Sets a fault for the recipient.
async fn set_for_recipient(sandbox: &Sandbox, fault: &str, more: &[(&str, &str)]) -> Value {
    set(sandbox, &[&[("fault", fault), ("client_id", RECIPIENT.0)], more].concat()).await
}

/// How often each of the waiting faults will strike.
async fn remaining(sandbox: &Sandbox) -> Vec<u64> {
    let listed = sandbox.get("/sandbox/faults").await.json();
    listed["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["remaining"].as_u64().unwrap())
        .collect()
}

async fn delete(sandbox: &Sandbox, query: &str) -> Answer {
    send(sandbox.http.delete(sandbox.url(&format!("/sandbox/faults{query}")))).await
}

// The list

#[tokio::test]
async fn faults_are_listed_and_cleared() {
    let sandbox = Sandbox::start().await;
    sandbox.get("/sandbox/faults").await.is(200, json!({ "faults": [] }));
    let first = set_for_recipient(
        &sandbox,
        "delay",
        &[("value", "2s"), ("count", "3"), ("path", "/token")],
    )
    .await;
    let expected = json!({ "id": "1", "fault": "delay", "client_id": RECIPIENT.0, "customer": null, "path": "/token", "value": "2s", "remaining": 3 });
    assert_eq!(first, expected);
    let second =
        set(&sandbox, &[("fault", "fdx_error"), ("value", "705"), ("customer", "customer_2")])
            .await;
    let third = set(&sandbox, &[("fault", "lose_answer")]).await;
    assert_eq!((&second["remaining"], &third["remaining"]), (&json!(1), &json!(1)));
    sandbox.get("/sandbox/faults").await.is(200, json!({ "faults": [first, second, third] }));
    delete(&sandbox, "?id=2").await.is(200, json!({ "faults": [first, third] }));
    // An id that a script failed to fill in is not all of them.
    assert_eq!(delete(&sandbox, "?id=").await.status, 404);
    let unknown = delete(&sandbox, "?id=2").await;
    assert!(unknown.header("counterfoil-reason").contains("no fault"));
    unknown.is(404, plain("not_found"));
    delete(&sandbox, "").await.is(200, json!({ "faults": [] }));
    delete(&sandbox, "").await.is(200, json!({ "faults": [] }));
    // An id is not given twice.
    assert_eq!(set(&sandbox, &[("fault", "lose_answer")]).await["id"], "4");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason_and_nothing_is_set() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let redeemed = sandbox.code(OTHER.0).await;
    let other = sandbox.exchange(OTHER, &redeemed).await.tokens();
    let client = ("client_id", RECIPIENT.0);
    for (form, reason) in [
        (&[][..], "the faults are lose_answer, delay"),
        (&[("fault", "explode")], "there is no fault `explode`"),
        (&[("fault", "delay")], "delay wants a value"),
        (&[("fault", "delay"), ("value", "soon")], "not a duration"),
        (&[("fault", "delay"), ("value", "-1s")], "is negative"),
        (&[("fault", "delay"), ("value", "26s")], "25s at the most"),
        (&[("fault", "lose_answer"), ("value", "1s")], "takes no value"),
        (&[("fault", "lose_answer"), ("path", "/accounts")], "takes no path"),
        (&[("fault", "lose_answer"), ("customer", "customer_1")], "takes no customer"),
        (&[("fault", "lose_answer"), ("count", "0")], "a count is from 1"),
        (&[("fault", "lose_answer"), ("count", "many")], "a count is from 1"),
        (&[("fault", "lose_answer"), ("client_id", "nobody")], "there is no client `nobody`"),
        (&[("fault", "unavailable"), ("value", "-5s")], "from 0s to 1h"),
        (&[("fault", "too_many_requests"), ("value", "2h")], "from 0s to 1h"),
        (&[("fault", "unavailable"), ("path", "/jwks")], "not at `/jwks`"),
        (
            &[("fault", "unavailable"), ("path", "/token"), ("customer", "customer_1")],
            "at /userinfo and /accounts alone",
        ),
        (&[("fault", "fdx_error")], "wants a value"),
        (&[("fault", "fdx_error"), ("value", "999")], "none of the FDX codes 401, 403"),
        (&[("fault", "fdx_error"), ("value", "705"), ("path", "/token")], "/accounts alone"),
        (
            &[("fault", "fdx_error"), ("value", "705"), ("customer", "customer_9")],
            "there is no such customer",
        ),
        (&[("fault", "skew")], "wants a value"),
        (&[("fault", "skew"), ("value", "1y")], "no fixed length"),
        (&[("fault", "skew"), ("value", "366d")], "365d at the most"),
        (&[("fault", "rotate_keys"), client], "takes no client_id"),
        (&[("fault", "rotate_keys"), ("count", "2")], "its count is 1"),
        (&[("fault", "revoke_grant")], "wants a client_id"),
        (&[("fault", "revoke_grant"), ("value", "customer_9")], "there is no such customer"),
        (
            &[("fault", "revoke_grant"), ("value", "customer_5")],
            "nothing for revoke_grant to strike",
        ),
        // A token that was mistaken for another must not end or expire everything that the client
        // has.
        (
            &[("fault", "revoke_grant"), client, ("value", &tokens.refresh_token)],
            "takes a customer",
        ),
        (
            &[("fault", "expire_refresh_token"), client, ("value", "cfr_mistyped")],
            "none that this sandbox issued",
        ),
        (
            &[("fault", "expire_code"), client, ("value", &tokens.refresh_token)],
            "none that this sandbox issued",
        ),
        (
            &[("fault", "expire_refresh_token"), client, ("value", &other.refresh_token)],
            "another client's",
        ),
        (&[("fault", "expire_code"), ("value", &redeemed)], "was redeemed before"),
        (&[("fault", "expire_code"), ("value", "customer_2")], "nothing for expire_code to strike"),
    ] {
        let answer = sandbox.post("/sandbox/faults", form).await;
        assert_eq!(answer.status, 400, "{reason}: {}", answer.text);
        assert!(
            answer.header("counterfoil-reason").contains(reason),
            "{reason}: {}",
            answer.header("counterfoil-reason")
        );
    }
    assert!(remaining(&sandbox).await.is_empty());
    sandbox.refreshed(RECIPIENT, &tokens).await;
    sandbox.refreshed(OTHER, &other).await;
}

#[tokio::test]
async fn faults_are_kept_over_a_restart() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    set_for_recipient(&sandbox, "unavailable", &[("count", "3")]).await;
    set(&sandbox, &[("fault", "skew"), ("value", "5m")]).await;
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 503);
    let before = sandbox.get("/sandbox/faults").await.json();
    let sandbox = sandbox.restarted().await;
    sandbox.get("/sandbox/faults").await.is(200, before);
    for _ in 0..2 {
        assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 503);
    }
    sandbox.refreshed(RECIPIENT, &tokens).await;
    assert!(remaining(&sandbox).await.is_empty());
    assert_eq!(set(&sandbox, &[("fault", "lose_answer")]).await["id"], "3");
    delete(&sandbox, "").await;
    let sandbox = sandbox.restarted().await;
    assert!(remaining(&sandbox).await.is_empty());
}

#[tokio::test]
async fn a_live_server_has_no_faults() {
    let live = Sandbox::with(Setting { kind: StoreKind::Live, ..Setting::default() }).await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        send(
            live.http
                .request(method, live.url("/sandbox/faults"))
                .form(&[("fault", "lose_answer")]),
        )
        .await
        .is(404, plain("not_found"));
    }
}

#[tokio::test]
async fn nobody_from_elsewhere_sets_faults() {
    let sandbox = Sandbox::start().await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for (name, value) in
            [("host", "evil.example"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let request = sandbox
                .http
                .request(method.clone(), sandbox.url("/sandbox/faults"))
                .header(name, value);
            send(request.form(&[("fault", "lose_answer")])).await.is(403, plain("access_denied"));
        }
    }
    assert!(remaining(&sandbox).await.is_empty());
}

// lose_answer

/// Sends a refresh over a connection of its own and gives every byte that comes back before it is
/// closed.
async fn bytes_of_refresh(sandbox: &Sandbox, token: &str, key: &str) -> Vec<u8> {
    use base64::Engine as _;
    let credentials = base64::engine::general_purpose::STANDARD
        .encode(format!("{}:{}", RECIPIENT.0, RECIPIENT.1));
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    let address = sandbox.url("").replace("http://", "");
    let head = format!(
        "POST /token HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(&address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Where the answer is not lost this waits for the server to close an idle connection, and the
    // test fails by its time.
    let _ = tokio::time::timeout(Duration::from_secs(10), connection.read_to_end(&mut bytes))
        .await
        .unwrap();
    bytes
}

#[tokio::test]
async fn a_lost_answer_was_given_all_the_same() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let key = "0b7d8a3c-1c44-4d61-9f0e-2f1a35a0c9de";
    set_for_recipient(&sandbox, "lose_answer", &[]).await;
    assert_eq!(bytes_of_refresh(&sandbox, &tokens.refresh_token, key).await, b"");
    assert!(remaining(&sandbox).await.is_empty());
    let first = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, key).await;
    assert_eq!(first.header("idempotency-replayed"), "true");
    let second = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, key).await;
    assert_eq!(first.tokens().refresh_token, second.tokens().refresh_token);
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    sandbox.refreshed(RECIPIENT, &second.tokens()).await;
}

#[tokio::test]
async fn only_answers_that_say_yes_are_lost() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    set_for_recipient(&sandbox, "lose_answer", &[("count", "2")]).await;
    let other = sandbox.tokens(OTHER).await;
    sandbox.refreshed(OTHER, &other).await;
    sandbox.refresh(RECIPIENT, "cfr_x").await.is(400, refresh_refused());
    sandbox.post_as(RECIPIENT, "/token", &[]).await;
    assert_eq!(sandbox.revoke(RECIPIENT, "cfr_x").await.status, 200);
    assert_eq!(remaining(&sandbox).await, [2]);
    let callback = sandbox.callback();
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &callback)];
    let request = || {
        sandbox
            .http
            .post(sandbox.url("/token"))
            .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
            .form(&form)
    };
    assert!(request().send().await.is_err());
    assert_eq!(remaining(&sandbox).await, [1]);
    // The code was redeemed.
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
}

// delay, unavailable, too_many_requests

/// The log of requests shows that the client did not wait.
#[tokio::test]
async fn a_client_that_hangs_up_is_seen() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    set_for_recipient(&sandbox, "delay", &[("value", "20s")]).await;
    let requests = &sandbox.guest().requests;
    let mut count = requests.count();
    count.mark_unchanged();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token)];
    let impatient = sandbox
        .http
        .post(sandbox.url("/token"))
        .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
        .form(&form);
    assert!(
        impatient
            .timeout(std::time::Duration::from_millis(200))
            .send()
            .await
            .unwrap_err()
            .is_timeout()
    );
    count.changed().await.unwrap();
    let last = requests.last().pop().unwrap();
    assert_eq!((last.path(), last.status.as_u16()), ("/token", HUNG_UP));
    assert!(last.body.starts_with(b"grant_type=refresh_token"));
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_delay_delays() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let other = sandbox.tokens(OTHER).await;
    set_for_recipient(&sandbox, "delay", &[("value", "300ms"), ("count", "2")]).await;
    sandbox.refreshed(OTHER, &other).await;
    assert_eq!(remaining(&sandbox).await, [2]);
    let start = Instant::now();
    let tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    assert!(remaining(&sandbox).await.is_empty());
}

#[tokio::test]
async fn who_is_told_to_wait_has_lost_nothing() {
    let sandbox = Sandbox::start().await;
    let other = sandbox.tokens(OTHER).await;
    for (fault, status, fdx) in [
        ("unavailable", 503, (501, "Subsystem unavailable")),
        ("too_many_requests", 429, (1207, "Too many requests")),
    ] {
        let code = sandbox.code(RECIPIENT.0).await;
        set_for_recipient(&sandbox, fault, &[("count", "2"), ("value", "30s"), ("path", "/token")])
            .await;
        sandbox.refreshed(OTHER, &sandbox.tokens(OTHER).await).await;
        let refused = sandbox.exchange(RECIPIENT, &code).await;
        assert_eq!(
            (refused.header("retry-after"), refused.header("cache-control")),
            ("30", "no-store")
        );
        assert!(refused.header("counterfoil-reason").contains("a fault"));
        refused.is(status, plain("temporarily_unavailable"));
        assert_eq!(sandbox.exchange(RECIPIENT, &code).await.status, status);
        let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();

        set_for_recipient(&sandbox, fault, &[]).await;
        let refused = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
        assert_eq!(refused.header("retry-after"), "5");
        refused.is(status, plain("temporarily_unavailable"));
        let tokens = sandbox.refreshed(RECIPIENT, &tokens).await;

        // A revocation that was not taken did not revoke.
        set_for_recipient(&sandbox, fault, &[]).await;
        sandbox
            .revoke(RECIPIENT, &tokens.refresh_token)
            .await
            .is(status, plain("temporarily_unavailable"));
        sandbox.assert_good(&tokens).await;

        set_for_recipient(&sandbox, fault, &[]).await;
        let refused = sandbox.accounts(&tokens.id_token).await;
        assert_eq!(refused.header("retry-after"), "5");
        refused.is(status, json!({ "code": fdx.0, "message": fdx.1 }));
        set_for_recipient(&sandbox, fault, &[]).await;
        sandbox
            .bearer("/userinfo", &tokens.access_token)
            .await
            .is(status, plain("temporarily_unavailable"));
        sandbox.assert_good(&tokens).await;
    }
    sandbox.assert_good(&other).await;
}

#[tokio::test]
async fn a_fault_strikes_at_its_path_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    set_for_recipient(&sandbox, "unavailable", &[("path", "/accounts"), ("count", "2")]).await;
    let tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    assert_eq!(sandbox.bearer("/userinfo", &tokens.access_token).await.status, 200);
    assert_eq!(sandbox.bearer("/accounts/v2/sandbank", &tokens.id_token).await.status, 503);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 503);
    sandbox.assert_good(&tokens).await;

    for (path, status) in [("/token", 200), ("/revoke", 503)] {
        set_for_recipient(&sandbox, "unavailable", &[("path", path)]).await;
        assert_eq!(sandbox.revoke(RECIPIENT, "x").await.status, status, "{path}");
        delete(&sandbox, "").await;
    }
    sandbox.set_client(RECIPIENT.0, &[("resource_server", "true")]).await;
    set_for_recipient(&sandbox, "unavailable", &[("path", "/introspect")]).await;
    assert_eq!(sandbox.introspect(RECIPIENT, &tokens.id_token).await.status, 503);
    set_for_recipient(
        &sandbox,
        "unavailable",
        &[("path", "/userinfo"), ("customer", "customer_1")],
    )
    .await;
    assert_eq!(sandbox.bearer("/userinfo", &tokens.access_token).await.status, 503);
    assert!(remaining(&sandbox).await.is_empty());
}

#[tokio::test]
async fn a_fault_of_no_client_is_everyones() {
    let sandbox = Sandbox::start().await;
    let (tokens, other) = (sandbox.tokens(RECIPIENT).await, sandbox.public_tokens().await);
    set(&sandbox, &[("fault", "unavailable"), ("count", "2")]).await;
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 503);
    assert_eq!(sandbox.public_refresh(&other.refresh_token).await.status, 503);
    assert_eq!(sandbox.public_refresh(&other.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_request_that_proves_no_client_is_struck_by_nothing() {
    let sandbox = Sandbox::start().await;
    set(&sandbox, &[("fault", "unavailable")]).await;
    assert_eq!(sandbox.refresh((RECIPIENT.0, "wrong"), "cfr_x").await.status, 401);
    assert_eq!(sandbox.accounts("x").await.status, 401);
    assert_eq!(remaining(&sandbox).await, [1]);
}

// skew, fdx_error

#[tokio::test]
async fn times_are_off() {
    let sandbox = Sandbox::start().await;
    let now = || sandbox.app.clock.now().unix();
    let times = |tokens: &Tokens| {
        let claims = claims(&tokens.id_token);
        (
            claims["iat"].as_i64().unwrap() - now(),
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        )
    };
    set_for_recipient(&sandbox, "skew", &[("value", "1h")]).await;
    set_for_recipient(&sandbox, "skew", &[("value", "-2h")]).await;
    let other = sandbox.tokens(OTHER).await;
    assert!(times(&other).0.abs() <= 5);
    let mut tokens = sandbox.tokens(RECIPIENT).await;
    for off in [3600, -7200, 0] {
        let (by, lives) = times(&tokens);
        assert!((by - off).abs() <= 5 && lives == 86_400, "{by} instead of {off}, {lives}");
        tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    }
    assert!(remaining(&sandbox).await.is_empty());
}

#[tokio::test]
async fn an_fdx_error_for_one_customer() {
    let sandbox = Sandbox::start().await;
    let mine = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_2")]).await;
    let other = sandbox.exchange(RECIPIENT, &code).await.tokens();
    for (status, code, message) in [
        (400, 401, "Invalid input"),
        (403, 403, "Forbidden"),
        (500, 500, "Internal server error"),
        (503, 501, "Subsystem unavailable"),
        (503, 503, "Scheduled maintenance"),
        (404, 601, "Customer not found"),
        (401, 602, "Customer not authorized"),
        (404, 701, "Account not found"),
        (400, 702, "Invalid start or end date"),
        (400, 703, "Invalid date range"),
        (422, 704, "Account type not supported"),
        (409, 705, "Account is closed"),
        (501, 1106, "Version not supported"),
        (429, 1207, "Too many requests"),
    ] {
        let value = code.to_string();
        set(&sandbox, &[("fault", "fdx_error"), ("value", &value), ("customer", "customer_1")])
            .await;
        assert_eq!(sandbox.bearer("/userinfo", &mine.access_token).await.status, 200);
        assert_eq!(sandbox.accounts(&other.id_token).await.status, 200);
        let refused = sandbox.accounts(&mine.id_token).await;
        assert_eq!(refused.header("www-authenticate").is_empty(), status != 401);
        assert!(refused.header("x-fapi-interaction-id").len() == 36);
        refused.is(status, json!({ "code": code, "message": message }));
        sandbox.assert_good(&mine).await;
    }
    // The token comes first: one that is not good is told so, and the fault waits.
    set(&sandbox, &[("fault", "fdx_error"), ("value", "705")]).await;
    sandbox.accounts("x").await.is(401, not_authorized());
    assert_eq!(remaining(&sandbox).await, [1]);
}
