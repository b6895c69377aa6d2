//! Discovery, what it lists, and which pages of other sites may call what.

use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{
    APP, Answer, CHALLENGE, RECIPIENT, Sandbox, VERIFIER, claims, not_authorized, send,
};

const CODE: (&str, &str) = ("grant_type", "authorization_code");

#[tokio::test]
async fn what_discovery_lists_works() {
    let sandbox = Sandbox::start().await;
    let document = sandbox.get("/.well-known/openid-configuration").await;
    assert_eq!(document.status, 200);
    let document = document.json();
    assert_eq!(document, sandbox.get("/.well-known/oauth-authorization-server").await.json());
    assert_eq!(document["issuer"], sandbox.issuer);
    assert_eq!(document["counterfoil_sandbox"], sandbox.url("/sandbox"));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    let url = |name: &str| document[name].as_str().unwrap().to_owned();
    let post = async |url: String, form: &[(&str, &str)]| {
        send(sandbox.http.post(url).basic_auth(RECIPIENT.0, Some(RECIPIENT.1)).form(form)).await
    };

    for mode in document["response_modes_supported"].as_array().unwrap() {
        let callback = sandbox.callback();
        let query = [
            ("client_id", RECIPIENT.0),
            ("redirect_uri", &callback),
            ("response_type", document["response_types_supported"][0].as_str().unwrap()),
            ("scope", "openid"),
            ("response_mode", mode.as_str().unwrap()),
            ("prompt", "none"),
        ];
        let answer = send(sandbox.http.get(url("authorization_endpoint")).query(&query)).await;
        let said = if mode == "query" {
            answer.header("location").to_owned()
        } else {
            answer.text.clone()
        };
        assert!(said.contains("login_required"), "{mode} {answer:?}");
    }
    let scopes: Vec<_> = document["scopes_supported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope.as_str().unwrap())
        .collect();
    let challenge = [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", &scopes.join(" ")),
    ];
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    let code = sandbox.code_with(RECIPIENT.0, &challenge).await;
    let callback = sandbox.callback();
    let form = [CODE, ("code", &code), ("redirect_uri", &callback), ("code_verifier", VERIFIER)];
    let answer = post(url("token_endpoint"), &form).await;
    assert_eq!(answer.json()["scope"], scopes.join(" "));
    let tokens = answer.tokens();
    let userinfo =
        send(sandbox.http.get(url("userinfo_endpoint")).bearer_auth(&tokens.access_token)).await;
    assert_eq!(userinfo.status, 200);
    let introspected =
        post(url("introspection_endpoint"), &[("token", &tokens.access_token)]).await;
    assert_eq!(introspected.json()["active"], true);
    assert_eq!(
        post(url("revocation_endpoint"), &[("token", &tokens.access_token)]).await.status,
        200
    );
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());

    let keys = send(sandbox.http.get(url("jwks_uri"))).await.json();
    let algorithms: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    for alg in document["id_token_signing_alg_values_supported"].as_array().unwrap() {
        assert!(algorithms.contains(alg), "{alg}");
        sandbox
            .set_client(RECIPIENT.0, &[("id_token_signed_response_alg", alg.as_str().unwrap())])
            .await;
        let code = sandbox.code_with(RECIPIENT.0, &[("nonce", "n")]).await;
        let claims = claims(&sandbox.exchange(RECIPIENT, &code).await.tokens().id_token);
        let mut names: Vec<_> =
            claims.as_object().unwrap().keys().cloned().map(Value::from).collect();
        let mut listed = document["claims_supported"].as_array().unwrap().clone();
        names.sort_by_key(Value::to_string);
        listed.sort_by_key(Value::to_string);
        assert_eq!(names, listed);
    }
    assert_eq!(send(sandbox.http.get(url("service_documentation"))).await.status, 200);
    assert_eq!(
        document["token_endpoint_auth_methods_supported"],
        json!(["client_secret_basic", "client_secret_post", "none"])
    );
    assert_eq!(
        document["revocation_endpoint_auth_methods_supported"],
        json!(["client_secret_basic", "client_secret_post", "none"])
    );
    assert_eq!(
        document["introspection_endpoint_auth_methods_supported"],
        json!(["client_secret_basic", "client_secret_post"])
    );
    assert_eq!(document["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
}

#[tokio::test]
async fn health_and_descriptions_answer() {
    let sandbox = Sandbox::start().await;
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/jwks", "/"] {
        assert_eq!(sandbox.get(path).await.status, 200, "{path}");
    }
}

/// What a page of this origin may read of an answer.
async fn allowed_origin(
    sandbox: &Sandbox,
    method: Method,
    path: &str,
    origin: &str,
) -> (String, String) {
    let request = sandbox.http.request(method.clone(), sandbox.url(path)).header("origin", origin);
    let plain = send(request).await;
    let preflight =
        sandbox.http.request(Method::OPTIONS, sandbox.url(path)).header("origin", origin);
    let preflight = send(preflight.header("access-control-request-method", method.as_str())).await;
    let header = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    (header(&plain), header(&preflight))
}

#[tokio::test]
async fn which_pages_of_other_sites_may_call_what() {
    let sandbox = Sandbox::start().await;
    let both = |origin: &str| (origin.to_owned(), origin.to_owned());
    let foreign = "https://evil.example";
    for path in
        ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"]
    {
        assert_eq!(allowed_origin(&sandbox, Method::GET, path, foreign).await, both("*"), "{path}");
    }
    // sandbox-app is public, and its redirect URIs are at these origins.
    for (method, path) in [
        (Method::POST, "/token"),
        (Method::POST, "/revoke"),
        (Method::POST, "/userinfo"),
        (Method::GET, "/userinfo"),
    ] {
        for origin in [sandbox.issuer.as_str(), "http://localhost:3000", "http://127.0.0.1"] {
            assert_eq!(
                allowed_origin(&sandbox, method.clone(), path, origin).await,
                both(origin),
                "{path}"
            );
        }
        for origin in [
            foreign,
            "null",
            "http://localhost:3001",
            "https://localhost:3000",
            "http://localhost:3000.evil.example",
        ] {
            assert_eq!(
                allowed_origin(&sandbox, method.clone(), path, origin).await,
                both(""),
                "{path} {origin}"
            );
        }
    }
    for path in [
        "/accounts",
        "/introspect",
        "/authorize",
        "/connected-apps",
        "/openapi.json",
        "/health/live",
        "/sandbox/clock",
    ] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(
                allowed_origin(&sandbox, method, path, &sandbox.issuer).await,
                both(""),
                "{path}"
            );
        }
    }
    // A client with a secret gives its origin no rights.
    sandbox
        .set_client(RECIPIENT.0, &[("redirect_uris", "https://recipient.example/callback")])
        .await;
    assert_eq!(
        allowed_origin(&sandbox, Method::POST, "/token", "https://recipient.example").await,
        both("")
    );
    sandbox.set_client(APP, &[("redirect_uris", "https://app.example/callback")]).await;
    assert_eq!(
        allowed_origin(&sandbox, Method::POST, "/token", "https://app.example").await,
        both("https://app.example")
    );
    assert_eq!(
        allowed_origin(&sandbox, Method::POST, "/token", "http://localhost:3000").await,
        both("")
    );
}

#[tokio::test]
async fn a_page_of_a_public_client_may_send_what_it_needs() {
    let sandbox = Sandbox::start().await;
    let preflight = sandbox
        .http
        .request(Method::OPTIONS, sandbox.url("/token"))
        .header("origin", &sandbox.issuer);
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let answer = send(preflight).await;
    assert_eq!(answer.status, 200);
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(
        ["authorization", "content-type", "idempotency-key"]
            .iter()
            .all(|name| allowed.contains(name)),
        "{allowed}"
    );
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}
