//! `POST /token` and who asks: the order of checks, credentials, dialects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterfoil_core::dialect::Dialect::{self, Network, Rfc};
use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command;
use serde_json::Value;

use crate::setting::{
    APP, Answer, OTHER, RECIPIENT, Sandbox, VERIFIER, code_refused, described, invalid_client,
    plain, refresh_refused, send,
};

const CODE: (&str, &str) = ("grant_type", "authorization_code");
const REFRESH: (&str, &str) = ("grant_type", "refresh_token");

fn redirect_mismatch() -> Value {
    described("invalid_request", "redirect_uri did not match URI from initial request.")
}

/// A request of `sandbox-recipient` with a body of this type.
async fn post_body(
    sandbox: &Sandbox,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = sandbox.http.post(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1));
    send(request.header("content-type", content_type).body(body)).await
}

#[tokio::test]
async fn every_refusal_of_a_code_exchange_in_both_dialects() {
    for dialect in [Network, Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        let in_dialect = |network: Value, rfc: &str| {
            if dialect == Network { network } else { plain(rfc) }
        };
        let code = sandbox.code(RECIPIENT.0).await;
        let of_other = sandbox.code(OTHER.0).await;
        let callback = sandbox.callback();
        let (code, of_other, redirect) = (
            ("code", code.as_str()),
            ("code", of_other.as_str()),
            ("redirect_uri", callback.as_str()),
        );
        let wrong_redirect = ("redirect_uri", "http://127.0.0.1/callback");
        let refused = async |form: &[(&str, &str)], body: Value| {
            sandbox.post_as(RECIPIENT, "/token", form).await.is(400, body)
        };
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
        let tokens = sandbox.post_as(RECIPIENT, "/token", &[CODE, code, redirect]).await.tokens();
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
        let in_dialect = |network: Value, rfc: &str| {
            if dialect == Network { network } else { plain(rfc) }
        };
        let tokens = sandbox.tokens(RECIPIENT).await;
        let of_other = sandbox.tokens(OTHER).await;
        let beyond = ("scope", "everything");
        let refused = async |form: &[(&str, &str)], body: Value| {
            sandbox.post_as(RECIPIENT, "/token", form).await.is(400, body)
        };
        let bad_token = || in_dialect(refresh_refused(), "invalid_grant");
        refused(&[REFRESH], described("invalid_request", "No refresh token in request.")).await;
        refused(&[REFRESH, beyond], described("invalid_request", "No refresh token in request."))
            .await;
        refused(&[REFRESH, ("refresh_token", "malformed"), beyond], bad_token()).await;
        refused(&[REFRESH, ("refresh_token", &of_other.refresh_token), beyond], bad_token()).await;
        let current = ("refresh_token", tokens.refresh_token.as_str());
        refused(&[REFRESH, current, beyond], plain("invalid_scope")).await;
        sandbox.post_as(RECIPIENT, "/token", &[REFRESH, current]).await.tokens();
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
        for grant_type in
            ["nonsense", "password", "client_credentials", "implicit", "Refresh_Token"]
        {
            sandbox
                .post_as(RECIPIENT, "/token", &[("grant_type", grant_type)])
                .await
                .is(400, plain(unknown));
        }
        sandbox.set_client(RECIPIENT.0, &[("grant_types", "authorization_code")]).await;
        sandbox
            .post_as(RECIPIENT, "/token", &[REFRESH])
            .await
            .is(400, plain("unauthorized_client"));
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
            for name in [
                "client_id",
                "client_secret",
                "grant_type",
                "code",
                "redirect_uri",
                "code_verifier",
                "refresh_token",
                "scope",
                "token",
            ] {
                invalid(sandbox.post_as(wrong, &format!("{path}?{name}=x"), &[]).await);
            }
            invalid(sandbox.post_as(wrong, &format!("{path}?toke%6E=x"), &[]).await);
            let form = "application/x-www-form-urlencoded";
            invalid(post_body(&sandbox, path, form, "token=%ff").await);
            invalid(post_body(&sandbox, path, form, "token=a&token=b").await);
            invalid(post_body(&sandbox, path, "application/json", "{}").await);
            invalid(post_body(&sandbox, path, "text/plain", "token=a").await);
            invalid(post_body(&sandbox, path, "multipart/form-data; boundary=x", "token=a").await);
            let twice =
                sandbox.http.post(sandbox.url(path)).basic_auth(RECIPIENT.0, Some(RECIPIENT.1));
            invalid(
                send(twice.header("authorization", "Basic eDp5").form(&[("token", "x")])).await,
            );
        }
    }
}

#[tokio::test]
async fn a_query_that_can_not_be_read_hides_no_oauth_parameter() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str())];
    for query in ["client_secret=x&y=%ff", "client_secret=%ff", "y=%ff&token=x"] {
        sandbox
            .post_as(RECIPIENT, &format!("/token?{query}"), &form)
            .await
            .is(400, plain("invalid_request"));
    }
    sandbox.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test]
async fn what_is_not_oauth_in_the_query_is_ignored() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("unknown", "ignored")];
    sandbox.post_as(RECIPIENT, "/token?trace=1&trace=2", &form).await.tokens();
}

#[tokio::test]
async fn a_form_may_name_its_charset_and_be_as_large_as_64_kib() {
    let sandbox = Sandbox::start().await;
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    post_body(&sandbox, "/token", form, "grant_type=refresh_token&refresh_token=x")
        .await
        .is(400, refresh_refused());
    post_body(
        &sandbox,
        "/token",
        "Application/X-WWW-Form-Urlencoded",
        "grant_type=refresh_token&refresh_token=x",
    )
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
        let form = [
            REFRESH,
            ("refresh_token", &tokens.refresh_token),
            ("client_id", client.0),
            ("client_secret", client.1),
        ];
        let tokens = sandbox.post("/token", &form).await.tokens();
        let form =
            [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("client_id", client.0)];
        sandbox.post_as(client, "/token", &form).await.tokens();
    }
}

#[tokio::test]
async fn a_public_client_sends_its_id_alone() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.public_tokens().await;
    let form = [REFRESH, ("refresh_token", tokens.refresh_token.as_str()), ("client_id", APP)];
    sandbox
        .post("/token", &[&form[..], &[("client_secret", "any")]].concat())
        .await
        .is(401, invalid_client());
    sandbox.post_as((APP, "any"), "/token", &form).await.is(401, invalid_client());
    sandbox.post("/token", &form).await.tokens();
}

#[tokio::test]
async fn basic_credentials_are_form_decoded() {
    let sandbox = Sandbox::start().await;
    let id = "odd/client=&co";
    let settings = [("redirect_uris", sandbox.callback()), ("require_pkce", "false".into())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let added =
        sandbox.admin(Command::ClientAdd { id: id.into(), settings, announced: None }).await;
    let secret = added["client_secret"].as_str().unwrap();
    let callback = sandbox.callback();
    let basic = async |credentials: String, code: &str| {
        let request = sandbox
            .http
            .post(sandbox.url("/token"))
            .header("authorization", format!("Basic {}", STANDARD.encode(credentials)));
        send(request.form(&[CODE, ("code", code), ("redirect_uri", &callback)])).await
    };
    let code = sandbox.code(id).await;
    // A plus is a blank, and a percent sign stands for what follows it.
    for other in ["odd/client=+co", "odd/client=%2526co"] {
        basic(format!("{other}:{secret}"), &code).await.is(401, invalid_client());
    }
    basic(format!("{id}:{secret}"), &code).await.tokens();
    let code = sandbox.code(id).await;
    let every: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    basic(format!("odd%2fclient%3D%26co:{every}"), &code).await.tokens();
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_good() {
    let sandbox = Sandbox::start().await;
    let rotated = sandbox
        .admin(Command::ClientRotateSecret {
            id: RECIPIENT.0.into(),
            drop_old: false,
            announced: None,
        })
        .await;
    let new = rotated["client_secret"].as_str().unwrap();
    let tokens = sandbox.refreshed(RECIPIENT, &sandbox.tokens(RECIPIENT).await).await;
    let tokens = sandbox.refreshed((RECIPIENT.0, new), &tokens).await;
    let rotated = sandbox
        .admin(Command::ClientRotateSecret {
            id: RECIPIENT.0.into(),
            drop_old: true,
            announced: None,
        })
        .await;
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

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_do_not_differ() {
    for dialect in [Dialect::Network, Dialect::Rfc] {
        let sandbox = Sandbox::speaking(dialect).await;
        for path in ["/token", "/revoke", "/introspect"] {
            let [unknown, wrong] = [("nobody", "wrong"), (RECIPIENT.0, "wrong")]
                .map(|client| sandbox.post_as(client, path, &[("token", "x")]));
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

/// Its old secret would go on proving it, or it would have none: neither change is made.
#[tokio::test]
async fn a_client_can_not_become_public_or_cease_to_be() {
    let sandbox = Sandbox::start().await;
    let set = |id: &str, method: &str| Command::ClientSet {
        id: id.into(),
        settings: vec![
            ("token_endpoint_auth_method".into(), method.into()),
            ("require_pkce".into(), "true".into()),
        ],
    };
    for (id, method) in [(RECIPIENT.0, "none"), (APP, "client_secret_basic")] {
        let refused =
            counterfoil_server::admin::execute(&sandbox.app, set(id, method)).await.unwrap_err();
        assert!(refused.contains("register a client under another id"), "{refused}");
    }
    sandbox.exchange(RECIPIENT, &sandbox.code(RECIPIENT.0).await).await.tokens();
}
