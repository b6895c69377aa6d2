//! What every endpoint answers on the wire: the order of checks, the words of both dialects, headers, shapes, bearers, discovery, CORS.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterfoil_core::dialect::Dialect::{self, Network, Rfc};
use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command;
use reqwest::Method;
use serde_json::{Value, json};
use setting::{
    APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Tokens, VERIFIER, claims, code_refused, described, invalid_client, not_authorized,
    plain, refresh_refused, send,
};

const CODE: (&str, &str) = ("grant_type", "authorization_code");
const REFRESH: (&str, &str) = ("grant_type", "refresh_token");

fn redirect_mismatch() -> Value {
    described("invalid_request", "redirect_uri did not match URI from initial request.")
}

/// A request with a body of this type.
async fn post_body(sandbox: &Sandbox, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = sandbox.http.post(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1));
    send(request.header("content-type", content_type).body(body)).await
}

// /token

#[tokio::test]
async fn every_refusal_of_a_code_exchange_in_both_dialects() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let in_dialect = |network: Value, rfc: &str| if dialect == Network { network } else { plain(rfc) };
        let code = sandbox.code(RECIPIENT.0).await;
        let of_other = sandbox.code(OTHER.0).await;
        let callback = sandbox.callback();
        let (code, of_other, redirect) = (("code", code.as_str()), ("code", of_other.as_str()), ("redirect_uri", callback.as_str()));
        let wrong_redirect = ("redirect_uri", "http://127.0.0.1/callback");
        let refused = async |form: &[(&str, &str)], body: Value| sandbox.post_as(RECIPIENT, "/token", form).await.is(400, body);
        // Presence first, a missing code before a missing redirect URI.
        let bad_code = || in_dialect(code_refused(), "invalid_grant");
        let bad_redirect = || in_dialect(redirect_mismatch(), "invalid_grant");
        refused(&[CODE], bad_code()).await;
        refused(&[CODE, redirect], bad_code()).await;
        refused(&[CODE, code], bad_redirect()).await;
        refused(&[CODE, ("code", "malformed")], bad_redirect()).await;
        // Then the code, its client, the redirect URI, the verifier.
        refused(&[CODE, ("code", "malformed"), wrong_redirect], bad_code()).await;
        refused(&[CODE, of_other, wrong_redirect], bad_code()).await;
        refused(&[CODE, code, wrong_redirect, ("code_verifier", VERIFIER)], bad_redirect()).await;
        refused(&[CODE, code, redirect, ("code_verifier", VERIFIER)], plain("invalid_grant")).await;
        let tokens = Tokens::of(&sandbox.post_as(RECIPIENT, "/token", &[CODE, code, redirect]).await);
        // Redeemed, then ended: the redirect URI is looked at all the same, before the write.
        refused(&[CODE, code, redirect], bad_code()).await;
        refused(&[CODE, code, wrong_redirect], bad_redirect()).await;
        sandbox.revoke(RECIPIENT, &tokens.id_token).await;
        refused(&[CODE, code, redirect], bad_code()).await;
        refused(&[CODE, code, wrong_redirect], bad_redirect()).await;
    }
}

#[tokio::test]
async fn every_refusal_of_a_refresh_in_both_dialects() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let in_dialect = |network: Value, rfc: &str| if dialect == Network { network } else { plain(rfc) };
        let tokens = sandbox.tokens(RECIPIENT).await;
        let of_other = sandbox.tokens(OTHER).await;
        let beyond = ("scope", "everything");
        let refused = async |form: &[(&str, &str)], body: Value| sandbox.post_as(RECIPIENT, "/token", form).await.is(400, body);
        let bad_token = || in_dialect(refresh_refused(), "invalid_grant");
        refused(&[REFRESH], described("invalid_request", "No refresh token in request.")).await;
        refused(&[REFRESH, beyond], described("invalid_request", "No refresh token in request.")).await;
        refused(&[REFRESH, ("refresh_token", "malformed"), beyond], bad_token()).await;
        refused(&[REFRESH, ("refresh_token", &of_other.refresh_token), beyond], bad_token()).await;
        let current = ("refresh_token", tokens.refresh_token.as_str());
        refused(&[REFRESH, current, beyond], plain("invalid_scope")).await;
        Tokens::of(&sandbox.post_as(RECIPIENT, "/token", &[REFRESH, current]).await);
        refused(&[REFRESH, current], bad_token()).await;
        // Claimed, then ended: the scope is looked at all the same, before the write.
        refused(&[REFRESH, current, beyond], plain("invalid_scope")).await;
        sandbox.revoke(RECIPIENT, &tokens.id_token).await;
        refused(&[REFRESH, current], bad_token()).await;
        refused(&[REFRESH, current, beyond], plain("invalid_scope")).await;
    }
}

#[tokio::test]
async fn the_client_comes_before_the_grant_type_and_that_before_its_parameters() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        for form in [&[][..], &[("grant_type", "nonsense")], &[CODE], &[REFRESH]] {
            sandbox.post("/token", form).await.is(401, invalid_client());
            sandbox.post_as((RECIPIENT.0, "wrong"), "/token", form).await.is(401, invalid_client());
            sandbox.post_as(("nobody", "wrong"), "/token", form).await.is(401, invalid_client());
        }
        let missing = if dialect == Network { "invalid_grant" } else { "invalid_request" };
        let unknown = if dialect == Network { "invalid_grant" } else { "unsupported_grant_type" };
        sandbox.post_as(RECIPIENT, "/token", &[("code", "x")]).await.is(400, plain(missing));
        sandbox.post_as(RECIPIENT, "/token", &[("grant_type", "")]).await.is(400, plain(missing));
        for grant_type in ["nonsense", "password", "client_credentials", "implicit", "Refresh_Token"] {
            sandbox.post_as(RECIPIENT, "/token", &[("grant_type", grant_type)]).await.is(400, plain(unknown));
        }
        sandbox.set_client(RECIPIENT.0, &[("grant_types", "authorization_code")]).await;
        sandbox.post_as(RECIPIENT, "/token", &[REFRESH]).await.is(400, plain("unauthorized_client"));
        sandbox.set_client(RECIPIENT.0, &[("grant_types", "refresh_token")]).await;
        sandbox.post_as(RECIPIENT, "/token", &[CODE]).await.is(400, plain("unauthorized_client"));
    }
}

#[tokio::test]
async fn a_client_has_its_own_dialect_once_it_is_known() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(OTHER.0, &[("dialect", "rfc")]).await;
    sandbox.refresh(OTHER, "x").await.is(400, plain("invalid_grant"));
    sandbox.refresh(RECIPIENT, "x").await.is(400, refresh_refused());
    sandbox.post_as(OTHER, "/token", &[]).await.is(400, plain("invalid_request"));
    sandbox.post_as(RECIPIENT, "/token", &[]).await.is(400, plain("invalid_grant"));
}

#[tokio::test]
async fn an_unreadable_request_comes_before_the_client() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let invalid = |answer: Answer| {
            answer.is(400, plain("invalid_request"));
            assert_eq!(answer.header("www-authenticate"), "");
        };
        let wrong = (RECIPIENT.0, "wrong");
        for path in ["/token", "/revoke", "/introspect"] {
            invalid(sandbox.post_as(wrong, path, &[("x", "1"), ("x", "2")]).await);
            invalid(sandbox.post_as(wrong, path, &[("grant_type", "a"), ("grant_type", "")]).await);
            invalid(sandbox.post_as(wrong, path, &[("client_secret", "wrong")]).await);
            invalid(sandbox.post_as(wrong, path, &[("client_id", OTHER.0)]).await);
            for name in
                ["client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "token"]
            {
                invalid(sandbox.post_as(wrong, &format!("{path}?{name}=x"), &[]).await);
            }
            invalid(sandbox.post_as(wrong, &format!("{path}?toke%6E=x"), &[]).await);
            let form = "application/x-www-form-urlencoded";
            invalid(post_body(&sandbox, path, form, "token=%ff").await);
            invalid(post_body(&sandbox, path, form, "token=a&token=b").await);
            invalid(post_body(&sandbox, path, "application/json", "{}").await);
            invalid(post_body(&sandbox, path, "text/plain", "token=a").await);
            invalid(post_body(&sandbox, path, "multipart/form-data; boundary=x", "token=a").await);
            let twice = sandbox.http.post(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1));
            invalid(send(twice.header("authorization", "Basic eDp5").form(&[("token", "x")])).await);
        }
    }
}

#[tokio::test]
async fn a_query_that_can_not_be_read_hides_no_oauth_parameter() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str())];
    for query in ["client_secret=x&y=%ff", "client_secret=%ff", "y=%ff&token=x"] {
        sandbox.post_as(RECIPIENT, &format!("/token?{query}"), &form).await.is(400, plain("invalid_request"));
    }
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn what_is_not_oauth_in_the_query_is_ignored() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("unknown", "ignored")];
    Tokens::of(&sandbox.post_as(RECIPIENT, "/token?trace=1&trace=2", &form).await);
}

#[tokio::test]
async fn a_form_may_name_its_charset_and_be_as_large_as_64_kib() {
    let sandbox = Sandbox::start().await;
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    post_body(&sandbox, "/token", form, "grant_type=refresh_token&refresh_token=x").await.is(400, refresh_refused());
    post_body(&sandbox, "/token", "Application/X-WWW-Form-Urlencoded", "grant_type=refresh_token&refresh_token=x")
        .await
        .is(400, refresh_refused());
    let start = "grant_type=refresh_token&refresh_token=";
    let full = format!("{start}{}", "x".repeat(64 * 1024 - start.len()));
    post_body(&sandbox, "/token", form, full.clone()).await.is(400, refresh_refused());
    for path in ["/token", "/revoke", "/introspect"] {
        // The size is looked at first, before type, credentials and all else.
        for content_type in [form, "application/json"] {
            let too_large = post_body(&sandbox, path, content_type, format!("{full}x")).await;
            too_large.is(413, plain("invalid_request"));
            assert_eq!(too_large.header("cache-control"), "no-store");
        }
    }
}

#[tokio::test]
async fn credentials_may_come_either_way() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(OTHER.0, &[("token_endpoint_auth_method", "client_secret_post")]).await;
    for client in [RECIPIENT, OTHER] {
        let tokens = sandbox.refreshed(client, &sandbox.tokens(client).await).await;
        let form = [REFRESH, ("refresh_token", &tokens.refresh_token), ("client_id", client.0), ("client_secret", client.1)];
        let tokens = Tokens::of(&sandbox.post("/token", &form).await);
        let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("client_id", client.0)];
        Tokens::of(&sandbox.post_as(client, "/token", &form).await);
    }
}

#[tokio::test]
async fn a_public_client_sends_its_id_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("client_id", APP)];
    sandbox.post("/token", &[&form[..], &[("client_secret", "any")]].concat()).await.is(401, invalid_client());
    sandbox.post_as((APP, "any"), "/token", &form).await.is(401, invalid_client());
    Tokens::of(&sandbox.post("/token", &form).await);
}

#[tokio::test]
async fn basic_credentials_are_form_decoded() {
    let sandbox = Sandbox::start().await;
    let id = "odd+client%20&co";
    let settings = [("redirect_uris", sandbox.callback()), ("require_pkce", "false".into())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let added = sandbox.admin(Command::ClientAdd { id: id.into(), settings }).await;
    let secret = added["client_secret"].as_str().unwrap();
    let callback = sandbox.callback();
    let basic = async |credentials: String, code: &str| {
        let request = sandbox.http.post(sandbox.url("/token")).header("authorization", format!("Basic {}", STANDARD.encode(credentials)));
        send(request.form(&[CODE, ("code", code), ("redirect_uri", &callback)])).await
    };
    let code = sandbox.code(id).await;
    basic(format!("{id}:{secret}"), &code).await.is(401, invalid_client());
    Tokens::of(&basic(format!("odd%2Bclient%2520%26co:{secret}"), &code).await);
    let code = sandbox.code(id).await;
    let every: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    Tokens::of(&basic(format!("odd%2bclient%2520%26co:{every}"), &code).await);
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_good() {
    let sandbox = Sandbox::start().await;
    let rotated = sandbox.admin(Command::ClientRotateSecret { id: RECIPIENT.0.into(), drop_old: false }).await;
    let new = rotated["client_secret"].as_str().unwrap();
    let tokens = sandbox.refreshed(RECIPIENT, &sandbox.tokens(RECIPIENT).await).await;
    let tokens = sandbox.refreshed((RECIPIENT.0, new), &tokens).await;
    let rotated = sandbox.admin(Command::ClientRotateSecret { id: RECIPIENT.0.into(), drop_old: true }).await;
    let newest = rotated["client_secret"].as_str().unwrap();
    for old in [RECIPIENT.1, new] {
        sandbox.refresh((RECIPIENT.0, old), &tokens.refresh_token).await.is(401, invalid_client());
    }
    sandbox.refreshed((RECIPIENT.0, newest), &tokens).await;
}

#[tokio::test]
async fn a_removed_client_and_its_tokens_are_refused() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(OTHER).await;
    sandbox.admin(Command::ClientRemove { id: OTHER.0.into() }).await;
    sandbox.refresh(OTHER, &tokens.refresh_token).await.is(401, invalid_client());
    sandbox.assert_dead(&tokens).await;
}

#[tokio::test]
async fn the_tokens_of_a_removed_customer_are_refused() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code(RECIPIENT.0).await;
    let id = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
    sandbox.admin(Command::CustomerRemove { id }).await;
    sandbox.assert_dead(&tokens).await;
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    sandbox.exchange(RECIPIENT, &code).await.is(400, code_refused());
}

// Headers

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
        assert_eq!((unasked.status.as_u16(), unasked.header("www-authenticate")), (401, "Bearer realm=\"counterfoil\""), "{path}");
        let basic = send(sandbox.http.get(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1))).await;
        assert_eq!((basic.status.as_u16(), basic.header("www-authenticate")), (401, "Bearer realm=\"counterfoil\""), "{path}");
        let bad = sandbox.bearer(path, "bad").await;
        assert_eq!(bad.status, 401);
        assert_eq!(bad.header("www-authenticate"), "Bearer realm=\"counterfoil\", error=\"invalid_token\"", "{path}");
    }
}

#[tokio::test]
async fn nobody_may_keep_an_answer() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let refreshed = sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    let tokens = Tokens::of(&refreshed);
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
        answers.push(send(preflight.header("origin", &sandbox.issuer).header("access-control-request-method", "POST")).await);
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
    assert_eq!((page.status.as_u16(), page.header("allow")), (405, "GET, HEAD, POST"));
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn the_size_of_a_body_comes_before_the_method() {
    let sandbox = Sandbox::start().await;
    let large = "x".repeat(64 * 1024 + 1);
    send(sandbox.http.put(sandbox.url("/token")).body(large.clone())).await.is(413, plain("invalid_request"));
    send(sandbox.http.put(sandbox.url("/revoke")).body(large.clone())).await.is(413, plain("invalid_request"));
    send(sandbox.http.post(sandbox.url("/userinfo")).body(large.clone())).await.is(413, plain("invalid_request"));
    let too_large = send(sandbox.http.post(sandbox.url("/accounts")).body(large)).await;
    too_large.is(413, json!({ "code": 413, "message": "Payload too large" }));
}

#[tokio::test]
async fn unknown_paths_are_shaped_as_their_neighbours() {
    let sandbox = Sandbox::start().await;
    for path in ["/accounts/v2", "/accounts/a/b/c", "/accounts/", "/accounts-info/v2/sandbank", "/balances/v2/sandbank", "/fdx/v6/accounts"]
    {
        sandbox.get(path).await.is(404, json!({ "code": 404, "message": "Not found" }));
    }
    for path in ["/nothing", "/token/", "/revoke/x", "/.well-known/nothing", "/accountsx", "/TOKEN"] {
        sandbox.get(path).await.is(404, plain("not_found"));
        sandbox.post(path, &[]).await.is(404, plain("not_found"));
    }
}

// The data path

#[tokio::test]
async fn accounts_are_those_of_the_consent_and_no_others() {
    let sandbox = Sandbox::start().await;
    let ids = |answer: &Answer| -> Vec<String> {
        let accounts = answer.json()["accounts"].as_array().unwrap().clone();
        accounts.iter().map(|entity| counterfoil_core::fdx::account_id(entity).unwrap().to_owned()).collect()
    };
    let all = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code_with(RECIPIENT.0, &[("accounts", "c1-card,c1-checking")]).await;
    let some = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
    for path in ["/accounts", "/accounts/v2/sandbank"] {
        for (tokens, expected) in [(&all, &["c1-checking", "c1-savings", "c1-card"][..]), (&some, &["c1-checking", "c1-card"])] {
            assert_eq!(ids(&sandbox.bearer(path, &tokens.id_token).await), expected);
            assert_eq!(ids(&sandbox.bearer(path, &tokens.access_token).await), expected);
        }
        let asked = sandbox.bearer(&format!("{path}?accountIds=c1-card"), &some.id_token).await;
        assert_eq!(ids(&asked), ["c1-card"]);
        let asked = sandbox.bearer(&format!("{path}?accountIds=c1-card%2Cc1-checking"), &some.id_token).await;
        assert_eq!(ids(&asked), ["c1-checking", "c1-card"]);
        for outside in ["c1-savings", "c1-card,c1-savings", "c2-checking", "nothing", "c1-card,"] {
            let answer = sandbox.bearer(&format!("{path}?accountIds={outside}"), &some.id_token).await;
            answer.is(404, json!({ "code": 701, "message": "Account not found" }));
        }
    }
    assert!(sandbox.accounts(&all.id_token).await.json()["accounts"][0]["depositAccount"]["accountId"].is_string());
    assert_eq!(sandbox.accounts(&all.id_token).await.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_customer_without_accounts() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_5")]).await;
    let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
    sandbox.accounts(&tokens.id_token).await.is(200, json!({ "accounts": [] }));
}

#[tokio::test]
async fn versions_and_providers_of_the_data_path() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    for version in ["v1", "v3", "2", "v2.0", "V2"] {
        let answer = sandbox.bearer(&format!("/accounts/{version}/sandbank"), &tokens.id_token).await;
        answer.is(501, json!({ "code": 1106, "message": "Version not supported" }));
    }
    let answer = sandbox.bearer("/accounts/v2/elsewhere", &tokens.id_token).await;
    answer.is(403, json!({ "code": 403, "message": "Forbidden" }));
    sandbox.get("/accounts/v2/elsewhere").await.is(401, not_authorized());
}

#[tokio::test]
async fn a_parameter_that_can_not_be_read() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    for query in ["accountIds=%ff", "accountIds=c1-card&accountIds=c1-checking"] {
        let answer = sandbox.bearer(&format!("/accounts?{query}"), &tokens.id_token).await;
        answer.is(400, json!({ "code": 401, "message": "Invalid input" }));
    }
}

#[tokio::test]
async fn the_interaction_id_is_echoed_or_made_up() {
    const ID: &str = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let get = |path: &str| sandbox.http.get(sandbox.url(path)).bearer_auth(&tokens.id_token);
    for (request, status) in [
        (get("/accounts"), 200),
        (get("/accounts/v2/sandbank"), 200),
        (get("/accounts/v2/elsewhere"), 403),
        (get("/accounts/v3/sandbank"), 501),
        (get("/accounts?accountIds=x"), 404),
        (sandbox.http.get(sandbox.url("/accounts")), 401),
        (sandbox.http.post(sandbox.url("/accounts")), 405),
        (sandbox.http.get(sandbox.url("/accounts/unknown")), 404),
    ] {
        let made_up = send(request.try_clone().unwrap()).await;
        let echoed = send(request.header("x-fapi-interaction-id", ID)).await;
        assert_eq!((made_up.status.as_u16(), echoed.status.as_u16()), (status, status));
        assert_eq!(echoed.header("x-fapi-interaction-id"), ID, "{status}");
        let id = made_up.header("x-fapi-interaction-id");
        assert!(id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12]), "{status} {id}");
    }
}

#[tokio::test]
async fn bearers_that_are_not_good() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    let unused = sandbox.code(RECIPIENT.0).await;
    let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
    let [header, payload, signature] = tokens.id_token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = sandbox.tokens(OTHER).await;
    let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let swapped = format!("{header}.{}.{signature}", other.id_token.split('.').nth(1).unwrap());
    let mut cut = tokens.access_token.clone();
    cut.pop();
    for bad in [
        "",
        "x",
        &code,
        &unused,
        &tokens.refresh_token,
        &format!("{header}.{payload}."),
        &format!("{none}.{payload}."),
        &format!("{header}.{payload}"),
        &swapped,
        &cut,
        &format!("{}A", tokens.access_token),
        &tokens.access_token.replace("cfa_", "cfr_"),
    ] {
        sandbox.accounts(bad).await.is(401, not_authorized());
        sandbox.bearer("/accounts/v2/sandbank", bad).await.is(401, not_authorized());
        sandbox.bearer("/userinfo", bad).await.is(401, plain("invalid_token"));
    }
    let twice = sandbox.http.get(sandbox.url("/accounts")).bearer_auth(&tokens.id_token).bearer_auth(&tokens.id_token);
    send(twice).await.is(401, not_authorized());
    // Not from the query either, which ends up in logs.
    sandbox.get(&format!("/accounts?access_token={}", tokens.access_token)).await.is(401, not_authorized());
    let lower = sandbox.http.get(sandbox.url("/accounts")).header("authorization", format!("bearer {}", tokens.id_token));
    assert_eq!(send(lower).await.status, 200);
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn id_and_access_token_expire_together() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    assert_eq!(sandbox.introspect(RECIPIENT, &tokens.access_token).await.json()["exp"], claims(&tokens.id_token)["exp"]);
    sandbox.advance("23h59m").await;
    sandbox.assert_good(&tokens).await;
    sandbox.advance("1m").await;
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.accounts(&tokens.access_token).await.is(401, not_authorized());
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(401, plain("invalid_token"));
    for token in [&tokens.id_token, &tokens.access_token] {
        sandbox.introspect(RECIPIENT, token).await.is(200, json!({ "active": false }));
    }
}

// /userinfo and /introspect

#[tokio::test]
async fn userinfo_takes_the_access_token_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let sub = claims(&tokens.id_token)["sub"].clone();
    let expected = json!({ "sub": sub, "name": "Ada Quill" });
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(200, expected.clone());
    send(sandbox.http.post(sandbox.url("/userinfo")).bearer_auth(&tokens.access_token)).await.is(200, expected);
    sandbox.bearer("/userinfo", &tokens.id_token).await.is(401, plain("invalid_token"));
    let code = sandbox.code_with(RECIPIENT.0, &[("scope", "openid")]).await;
    let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
    sandbox.bearer("/userinfo", &tokens.access_token).await.is(200, json!({ "sub": sub }));
}

#[tokio::test]
async fn a_client_introspects_its_own_tokens() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let id = claims(&tokens.id_token);
    for (token, kind) in [(&tokens.id_token, "Bearer"), (&tokens.access_token, "Bearer"), (&tokens.refresh_token, "refresh_token")] {
        let answer = sandbox.introspect(RECIPIENT, token).await.json();
        assert_eq!(answer["active"], true);
        assert_eq!(answer["client_id"], RECIPIENT.0);
        assert_eq!(answer["token_type"], kind);
        assert_eq!(answer["scope"], "openid profile offline_access");
        for claim in ["iss", "sub", "aud", "iat", "grant_id", "connectorId"] {
            assert_eq!(answer[claim], id[claim], "{claim} of {kind}");
        }
    }
    let form = [("token", tokens.id_token.as_str()), ("token_type_hint", "nonsense")];
    assert_eq!(sandbox.post_as(RECIPIENT, "/introspect", &form).await.json()["active"], true);
}

#[tokio::test]
async fn a_client_introspects_no_tokens_of_others_unless_it_is_a_resource_server() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let all = [&tokens.id_token, &tokens.access_token, &tokens.refresh_token];
    for token in all {
        sandbox.introspect(OTHER, token).await.is(200, json!({ "active": false }));
    }
    sandbox.set_client(OTHER.0, &[("resource_server", "true")]).await;
    for token in all {
        let answer = sandbox.introspect(OTHER, token).await.json();
        assert_eq!((&answer["active"], &answer["client_id"]), (&json!(true), &json!(RECIPIENT.0)));
    }
}

#[tokio::test]
async fn of_refresh_tokens_only_the_current_one_is_active_and_asking_is_no_replay() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("on_replay", "revoke")]).await;
    let first = sandbox.tokens(RECIPIENT).await;
    let second = sandbox.refreshed(RECIPIENT, &first).await;
    sandbox.advance("1h").await;
    sandbox.introspect(RECIPIENT, &first.refresh_token).await.is(200, json!({ "active": false }));
    assert_eq!(sandbox.introspect(RECIPIENT, &second.refresh_token).await.json()["active"], true);
    assert_eq!(sandbox.audit(&first).await, []);
    sandbox.assert_good(&second).await;
}

#[tokio::test]
async fn who_may_not_introspect() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    sandbox.post("/introspect", &[("client_id", APP), ("token", &tokens.access_token)]).await.is(401, invalid_client());
    sandbox.post("/introspect", &[("token", tokens.access_token.as_str())]).await.is(401, invalid_client());
    sandbox.introspect((RECIPIENT.0, "wrong"), &tokens.access_token).await.is(401, invalid_client());
    sandbox.post_as(RECIPIENT, "/introspect", &[]).await.is(400, plain("invalid_request"));
    let code = sandbox.code(RECIPIENT.0).await;
    for unknown in ["x", &code] {
        sandbox.introspect(RECIPIENT, unknown).await.is(200, json!({ "active": false }));
    }
    Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
}

// Discovery and CORS

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
    let post =
        async |url: String, form: &[(&str, &str)]| send(sandbox.http.post(url).basic_auth(RECIPIENT.0, Some(RECIPIENT.1)).form(form)).await;

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
        let said = if mode == "query" { answer.header("location").to_owned() } else { answer.text.clone() };
        assert!(said.contains("login_required"), "{mode} {answer:?}");
    }
    let scopes: Vec<_> = document["scopes_supported"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("scope", &scopes.join(" "))];
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    let code = sandbox.code_with(RECIPIENT.0, &challenge).await;
    let callback = sandbox.callback();
    let form = [CODE, ("code", &code), ("redirect_uri", &callback), ("code_verifier", VERIFIER)];
    let answer = post(url("token_endpoint"), &form).await;
    assert_eq!(answer.json()["scope"], scopes.join(" "));
    let tokens = Tokens::of(&answer);
    let userinfo = send(sandbox.http.get(url("userinfo_endpoint")).bearer_auth(&tokens.access_token)).await;
    assert_eq!(userinfo.status, 200);
    let introspected = post(url("introspection_endpoint"), &[("token", &tokens.access_token)]).await;
    assert_eq!(introspected.json()["active"], true);
    assert_eq!(post(url("revocation_endpoint"), &[("token", &tokens.access_token)]).await.status, 200);
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());

    let keys = send(sandbox.http.get(url("jwks_uri"))).await.json();
    let algorithms: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    for alg in document["id_token_signing_alg_values_supported"].as_array().unwrap() {
        assert!(algorithms.contains(alg), "{alg}");
        sandbox.set_client(RECIPIENT.0, &[("id_token_signed_response_alg", alg.as_str().unwrap())]).await;
        let code = sandbox.code_with(RECIPIENT.0, &[("nonce", "n")]).await;
        let claims = claims(&Tokens::of(&sandbox.exchange(RECIPIENT, &code).await).id_token);
        let mut names: Vec<_> = claims.as_object().unwrap().keys().cloned().map(Value::from).collect();
        let mut listed = document["claims_supported"].as_array().unwrap().clone();
        names.sort_by_key(Value::to_string);
        listed.sort_by_key(Value::to_string);
        assert_eq!(names, listed);
    }
    assert_eq!(send(sandbox.http.get(url("service_documentation"))).await.status, 200);
    assert_eq!(document["token_endpoint_auth_methods_supported"], json!(["client_secret_basic", "client_secret_post", "none"]));
    assert_eq!(document["revocation_endpoint_auth_methods_supported"], json!(["client_secret_basic", "client_secret_post", "none"]));
    assert_eq!(document["introspection_endpoint_auth_methods_supported"], json!(["client_secret_basic", "client_secret_post"]));
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
async fn allowed_origin(sandbox: &Sandbox, method: Method, path: &str, origin: &str) -> (String, String) {
    let request = sandbox.http.request(method.clone(), sandbox.url(path)).header("origin", origin);
    let plain = send(request).await;
    let preflight = sandbox.http.request(Method::OPTIONS, sandbox.url(path)).header("origin", origin);
    let preflight = send(preflight.header("access-control-request-method", method.as_str())).await;
    let header = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    (header(&plain), header(&preflight))
}

#[tokio::test]
async fn which_pages_of_other_sites_may_call_what() {
    let sandbox = Sandbox::start().await;
    let both = |origin: &str| (origin.to_owned(), origin.to_owned());
    let foreign = "https://evil.example";
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"] {
        assert_eq!(allowed_origin(&sandbox, Method::GET, path, foreign).await, both("*"), "{path}");
    }
    // sandbox-app is public, and its redirect URIs are at these origins.
    for (method, path) in [(Method::POST, "/token"), (Method::POST, "/revoke"), (Method::POST, "/userinfo"), (Method::GET, "/userinfo")] {
        for origin in [sandbox.issuer.as_str(), "http://localhost:3000", "http://127.0.0.1"] {
            assert_eq!(allowed_origin(&sandbox, method.clone(), path, origin).await, both(origin), "{path}");
        }
        for origin in [foreign, "null", "http://localhost:3001", "https://localhost:3000", "http://localhost:3000.evil.example"] {
            assert_eq!(allowed_origin(&sandbox, method.clone(), path, origin).await, both(""), "{path} {origin}");
        }
    }
    for path in ["/accounts", "/introspect", "/authorize", "/connected-apps", "/openapi.json", "/health/live", "/sandbox/clock"] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(allowed_origin(&sandbox, method, path, &sandbox.issuer).await, both(""), "{path}");
        }
    }
    // A client with a secret gives its origin no rights.
    sandbox.set_client(RECIPIENT.0, &[("redirect_uris", "https://recipient.example/callback")]).await;
    assert_eq!(allowed_origin(&sandbox, Method::POST, "/token", "https://recipient.example").await, both(""));
    sandbox.set_client(APP, &[("redirect_uris", "https://app.example/callback")]).await;
    assert_eq!(allowed_origin(&sandbox, Method::POST, "/token", "https://app.example").await, both("https://app.example"));
    assert_eq!(allowed_origin(&sandbox, Method::POST, "/token", "http://localhost:3000").await, both(""));
}

#[tokio::test]
async fn a_page_of_a_public_client_may_send_what_it_needs() {
    let sandbox = Sandbox::start().await;
    let preflight = sandbox.http.request(Method::OPTIONS, sandbox.url("/token")).header("origin", &sandbox.issuer);
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let answer = send(preflight).await;
    assert!(answer.status.is_success());
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(["authorization", "content-type", "idempotency-key"].iter().all(|name| allowed.contains(name)), "{allowed}");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_do_not_differ() {
    for dialect in [Dialect::Network, Dialect::Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        for path in ["/token", "/revoke", "/introspect"] {
            let [unknown, wrong] =
                [("nobody", "wrong"), (RECIPIENT.0, "wrong")].map(|client| sandbox.post_as(client, path, &[("token", "x")]));
            let (unknown, wrong) = (unknown.await, wrong.await);
            let visible = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                // The sandbox alone tells the reason.
                headers.remove("counterfoil-reason");
                headers.remove("date");
                (answer.status, answer.text.clone(), headers)
            };
            assert_eq!(visible(&unknown), visible(&wrong));
        }
    }
}
