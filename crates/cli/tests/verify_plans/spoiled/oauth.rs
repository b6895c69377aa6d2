//! A server that does not keep to OAuth.

use serde_json::json;

use super::{each_is_found, in_location, with_header, without_header};
use crate::certified::{Asked, Given};

/// As if it had been good.
fn tokens(given: Given) -> Given {
    given.with(200, &json!({ "id_token": "e30.e30.e30", "refresh_token": "r", "access_token": "a", "token_type": "Bearer" }))
}

/// As if it had not been.
fn invalid_request(given: Given) -> Given {
    given.with(400, &json!({ "error": "invalid_request" }))
}

/// As if it had been revoked.
fn revoked(given: Given) -> Given {
    Given { status: 200, body: String::new(), ..given }
}

fn given_tokens(asked: &Asked, given: &Given) -> bool {
    asked.path == "/token" && given.status == 200
}

fn refused_code(asked: &Asked, given: &Given) -> bool {
    asked.grant_type() == "authorization_code" && given.status == 400
}

fn refused_refresh(asked: &Asked, given: &Given) -> bool {
    asked.grant_type() == "refresh_token" && given.status == 400
}

#[tokio::test]
async fn spoiled_requests_and_clients() {
    each_is_found(
        "oauth",
        &[
            (
                "no Cache-Control at /token",
                |asked, _| asked.path == "/token",
                |given| without_header(given, "cache-control"),
                "token-answer 3, not-stored 0 1",
            ),
            (
                "no Cache-Control at /revoke",
                |asked, _| asked.path == "/revoke",
                |given| without_header(given, "cache-control"),
                "not-stored 2",
            ),
            (
                "no challenge",
                |_, given| given.status == 401,
                |given| without_header(given, "www-authenticate"),
                "client-challenged 0 1",
            ),
            (
                "a challenge for bearers",
                |_, given| given.status == 401,
                |given| with_header(given, "www-authenticate", "Bearer"),
                "client-challenged 0 1",
            ),
            (
                "credentials that don't matter at /token",
                |asked, given| asked.path == "/token" && given.status == 401,
                tokens,
                "client-invalid 0 1, client-challenged 0",
            ),
            (
                "credentials that don't matter at /revoke",
                |asked, given| {
                    asked.case == "revoke-client" && asked.path == "/revoke" && given.status != 200
                },
                revoked,
                "revoke-client 0 1 2 3",
            ),
            (
                "credentials in two places",
                |asked, given| asked.case == "client-twice" && given.status == 400,
                tokens,
                "client-twice 0 1",
            ),
            (
                "Basic alone",
                |asked, given| {
                    asked.case == "client-credentials"
                        && given.status == 200
                        && asked.form.contains_key("client_secret")
                },
                |given| given.with(401, &json!({ "error": "invalid_client" })),
                "client-credentials 1",
            ),
            (
                "Basic that is not decoded",
                |asked, given| {
                    asked.case == "client-credentials"
                        && asked.grant_type() == "refresh_token"
                        && given.status == 200
                        && asked.nth == 3
                },
                |given| given.with(401, &json!({ "error": "invalid_client" })),
                "client-credentials 2",
            ),
            (
                "no Allow",
                |_, given| given.status == 405,
                |given| without_header(given, "allow"),
                "request-method 0 1",
            ),
            (
                "JSON is taken",
                |asked, given| asked.case == "request-type" && given.status == 400,
                tokens,
                "request-type 0",
            ),
            (
                "the first of two counts",
                |asked, given| asked.case == "request-repeated" && given.status == 400,
                tokens,
                "request-repeated 0 1",
            ),
            (
                "the query counts",
                |asked, given| asked.case == "request-query" && given.status == 400,
                tokens,
                "request-query 0 1",
            ),
            (
                "unknown parameters are refused",
                |asked, _| asked.form.contains_key("no_such_parameter"),
                invalid_request,
                "request-ignored 0",
            ),
            (
                "another token_type",
                given_tokens,
                |given| given.edited(|json| json["token_type"] = "mac".into()),
                "token-answer 0",
            ),
            (
                "expires_in as text",
                given_tokens,
                |given| given.edited(|json| json["expires_in"] = "86400".into()),
                "token-answer 1",
            ),
            (
                "no scope",
                given_tokens,
                |given| given.edited(|json| drop(json.as_object_mut().unwrap().remove("scope"))),
                "token-answer 2",
            ),
            (
                "no grant_type, in the words of the RFC",
                |asked, given| {
                    asked.case == "grant-type"
                        && asked.grant_type().is_empty()
                        && given.status == 400
                },
                invalid_request,
                "grant-type 0",
            ),
            (
                "a member that nobody knows",
                |asked, given| asked.case == "grant-type" && given.status == 400,
                |given| given.edited(|json| json["hint"] = "none".into()),
                "grant-type 0 1",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn spoiled_authorization_and_codes() {
    each_is_found(
        "oauth",
        &[
            (
                "a state that is not the client's",
                |asked, given| asked.path == "/authorize" && given.headers.contains_key("location"),
                |given| in_location(given, "state=a", "state=b"),
                "authorize-errors 0 1 2, authorize-prompt-none 0, pkce-method 0 1 2, pkce-public 0",
            ),
            (
                "plain challenges are taken",
                |asked, _| asked.case == "pkce-method",
                |given| without_header(Given { status: 200, ..given }, "location"),
                "pkce-method 0 1 2",
            ),
            (
                "anybody is redirected",
                |asked, _| asked.case == "authorize-nowhere",
                |given| {
                    with_header(
                        Given { status: 303, ..given },
                        "location",
                        "https://elsewhere.example/",
                    )
                },
                "authorize-nowhere 0 1",
            ),
            (
                "a session where there is none",
                |asked, _| asked.case == "authorize-prompt-none",
                |given| in_location(given, "error=login_required", "code=x"),
                "authorize-prompt-none 0",
            ),
            (
                "a code is accepted twice",
                |asked, given| asked.case == "code-used" && refused_code(asked, given),
                tokens,
                "code-used 0",
            ),
            (
                "a code that leaked, and its tokens live on",
                |asked, given| asked.case == "code-used" && refused_refresh(asked, given),
                tokens,
                "code-used 1",
            ),
            (
                "an expired code",
                |asked, given| {
                    asked.case == "code-invalid" && refused_code(asked, given) && asked.nth == 5
                },
                tokens,
                "code-invalid 3",
            ),
            (
                "the redirect_uri does not matter",
                |asked, given| {
                    refused_code(asked, given) && given.body.contains("redirect_uri did not match")
                },
                tokens,
                "code-redirect-uri 0 1",
            ),
            (
                "what is refused voids a code",
                |asked, _| {
                    asked.case == "code-redirect-uri"
                        && asked.grant_type() == "authorization_code"
                        && asked.nth == 3
                },
                invalid_request,
                "code-redirect-uri 2",
            ),
            (
                "the verifier is ignored",
                |asked, given| refused_code(asked, given) && given.body.contains("invalid_grant"),
                tokens,
                "pkce-verifier 0 1 2, pkce-unasked 0",
            ),
            (
                "another client's code is taken",
                |asked, given| asked.case == "code-of-another-client" && refused_code(asked, given),
                tokens,
                "code-of-another-client 0",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn spoiled_refreshes_and_revocations() {
    each_is_found(
        "oauth",
        &[
            (
                "another client's refresh token is taken",
                |asked, given| asked.case == "refresh-of-another-client" && refused_refresh(asked, given),
                tokens,
                "refresh-of-another-client 0",
            ),
            (
                "a used refresh token is taken",
                |asked, given| asked.case == "refresh-used" && refused_refresh(asked, given),
                tokens,
                "refresh-used 0",
            ),
            (
                "an ID token is a refresh token",
                |asked, given| {
                    asked.case == "refresh-invalid"
                        && refused_refresh(asked, given)
                        && asked.form.get("refresh_token").is_some_and(|token| token.starts_with("ey"))
                },
                tokens,
                "refresh-invalid 2",
            ),
            ("any scope is given", |_, given| given.status == 400 && given.body.contains("invalid_scope"), tokens, "refresh-scope 2"),
            (
                "a narrower scope stays",
                |asked, given| {
                    asked.case == "refresh-scope" && given_tokens(asked, given) && asked.grant_type() == "refresh_token" && asked.nth == 3
                },
                |given| given.edited(|json| json["scope"] = "openid".into()),
                "refresh-scope 1",
            ),
            (
                "what is refused claims a refresh token",
                |asked, given| {
                    asked.case == "refused-claims-nothing" && given_tokens(asked, given) && asked.grant_type() == "refresh_token"
                },
                invalid_request,
                "refused-claims-nothing 0",
            ),
            (
                "a revocation that does not bite",
                |asked, given| asked.case == "revoke-kinds" && refused_refresh(asked, given),
                tokens,
                "revoke-kinds 1 3 5",
            ),
            (
                "a revocation that bites what is another's",
                |asked, given| {
                    asked.case == "revoke-of-another-client" && given_tokens(asked, given) && asked.grant_type() == "refresh_token"
                },
                invalid_request,
                "revoke-of-another-client 1",
            ),
            (
                "a revocation with a body",
                |asked, given| asked.path == "/revoke" && given.status == 200,
                |given| given.with(200, &json!({})),
                "revoke-code 0, revoke-kinds 0 2 4, revoke-unknown 0 1, revoke-superseded 0, revoke-hint 0",
            ),
            (
                "an old refresh token that revokes nothing",
                |asked, given| asked.case == "revoke-superseded" && refused_refresh(asked, given),
                tokens,
                "revoke-superseded 1",
            ),
            (
                "an unknown token is an error",
                |asked, _| asked.case == "revoke-unknown" && asked.path == "/revoke" && asked.nth == 1,
                |given| given.with(400, &json!({ "error": "invalid_token" })),
                "revoke-unknown 0",
            ),
            (
                "a hint that is believed",
                |asked, given| asked.case == "revoke-hint" && refused_refresh(asked, given),
                tokens,
                "revoke-hint 1",
            ),
            (
                "an unknown hint is ignored",
                |asked, given| asked.case == "revoke-unknown-hint" && asked.path == "/revoke" && given.status == 400,
                revoked,
                "revoke-unknown-hint 0",
            ),
            (
                "a revocation of nothing",
                |asked, given| asked.case == "revoke-token-missing" && given.status == 400,
                revoked,
                "revoke-token-missing 0",
            ),
        ],
    )
    .await;
}
