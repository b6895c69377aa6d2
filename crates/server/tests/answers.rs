//! What every answer carries, wherever it comes from: headers, sizes, methods, unknown paths.

use reqwest::Method;
use serde_json::json;

use crate::setting::{RECIPIENT, Sandbox, plain, send};

#[tokio::test]
async fn a_401_says_how_to_authenticate() {
    let sandbox = Sandbox::start().await;
    for path in ["/token", "/revoke", "/introspect"] {
        let answer = sandbox.post_as(("nobody", "wrong"), path, &[]).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{path}");
    }
    for path in ["/userinfo", "/accounts", "/accounts/v2/sandbank"] {
        let unasked = sandbox.get(path).await;
        assert_eq!(
            (unasked.status, unasked.header("www-authenticate")),
            (401, "Bearer realm=\"counterfoil\""),
            "{path}"
        );
        let basic =
            send(sandbox.http.get(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1)))
                .await;
        assert_eq!(
            (basic.status, basic.header("www-authenticate")),
            (401, "Bearer realm=\"counterfoil\""),
            "{path}"
        );
        let bad = sandbox.bearer(path, "bad").await;
        assert_eq!(bad.status, 401);
        assert_eq!(
            bad.header("www-authenticate"),
            "Bearer realm=\"counterfoil\", error=\"invalid_token\"",
            "{path}"
        );
    }
}

#[tokio::test]
async fn nobody_may_keep_an_answer() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let refreshed = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    let tokens = refreshed.tokens();
    let mut answers = vec![
        refreshed,
        sandbox.post("/token", &[]).await,
        sandbox.get("/token").await,
        sandbox.post_as(RECIPIENT, "/token", &[("x", "1"), ("x", "2")]).await,
        sandbox.introspect(RECIPIENT, &tokens.access_token).await,
        sandbox.introspect(RECIPIENT, "unknown").await,
        sandbox.introspect(("nobody", "wrong"), "unknown").await,
        sandbox.revoke(RECIPIENT, "unknown").await,
        sandbox.revoke(("nobody", "wrong"), "unknown").await,
        sandbox.bearer("/userinfo", &tokens.access_token).await,
        sandbox.bearer("/userinfo", "bad").await,
        sandbox.accounts(&tokens.id_token).await,
        sandbox.accounts("bad").await,
        sandbox.bearer("/accounts/v9/sandbank", &tokens.id_token).await,
        sandbox.bearer("/accounts/v2/elsewhere", &tokens.id_token).await,
        sandbox.bearer("/accounts?accountIds=x", &tokens.id_token).await,
        sandbox.post("/accounts", &[]).await,
        sandbox.get("/accounts/v2").await,
        sandbox.get("/authorize").await,
    ];
    for path in ["/token", "/revoke", "/userinfo"] {
        let preflight = sandbox.http.request(Method::OPTIONS, sandbox.url(path));
        answers.push(
            send(
                preflight
                    .header("origin", &sandbox.issuer)
                    .header("access-control-request-method", "POST"),
            )
            .await,
        );
    }
    for answer in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_told_the_right_ones() {
    let sandbox = Sandbox::start().await;
    for (path, method, allow) in [
        ("/token", Method::GET, "POST"),
        ("/token", Method::PUT, "POST"),
        // No page asks: a preflight has an `Origin`.
        ("/token", Method::OPTIONS, "POST"),
        ("/revoke", Method::GET, "POST"),
        ("/introspect", Method::DELETE, "POST"),
        ("/userinfo", Method::PUT, "GET, HEAD, POST"),
        ("/jwks", Method::POST, "GET, HEAD"),
        ("/.well-known/openid-configuration", Method::POST, "GET, HEAD"),
        ("/health/ready", Method::POST, "GET, HEAD"),
        ("/sandbox/codes", Method::GET, "POST"),
        ("/sandbox/clock", Method::PUT, "GET, HEAD, POST, DELETE"),
    ] {
        let answer = send(sandbox.http.request(method, sandbox.url(path))).await;
        answer.is(405, plain("method_not_allowed"));
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    for path in ["/accounts", "/accounts/v2/sandbank"] {
        let answer = sandbox.post(path, &[]).await;
        answer.is(405, json!({ "code": 405, "message": "Method not allowed" }));
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    let page = send(sandbox.http.put(sandbox.url("/authorize"))).await;
    assert_eq!((page.status, page.header("allow")), (405, "GET, HEAD, POST"));
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn the_size_of_a_body_comes_before_the_method() {
    let sandbox = Sandbox::start().await;
    let large = "x".repeat(64 * 1024 + 1);
    send(sandbox.http.put(sandbox.url("/token")).body(large.clone()))
        .await
        .is(413, plain("invalid_request"));
    send(sandbox.http.put(sandbox.url("/revoke")).body(large.clone()))
        .await
        .is(413, plain("invalid_request"));
    send(sandbox.http.post(sandbox.url("/userinfo")).body(large.clone()))
        .await
        .is(413, plain("invalid_request"));
    let too_large = send(sandbox.http.post(sandbox.url("/accounts")).body(large)).await;
    too_large.is(413, json!({ "code": 413, "message": "Payload too large" }));
}

#[tokio::test]
async fn unknown_paths_are_shaped_as_their_neighbours() {
    let sandbox = Sandbox::start().await;
    for path in [
        "/accounts/v2",
        "/accounts/a/b/c",
        "/accounts/",
        "/accounts-info/v2/sandbank",
        "/balances/v2/sandbank",
        "/fdx/v6/accounts",
    ] {
        sandbox.get(path).await.is(404, json!({ "code": 404, "message": "Not found" }));
    }
    for path in ["/nothing", "/token/", "/revoke/x", "/.well-known/nothing", "/accountsx", "/TOKEN"]
    {
        sandbox.get(path).await.is(404, plain("not_found"));
        sandbox.post(path, &[]).await.is(404, plain("not_found"));
    }
}
