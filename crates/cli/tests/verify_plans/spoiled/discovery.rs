//! Discovery and keys that are not as they should be.

use serde_json::{Value, json};

use super::super::{nothing_is_blamed, plan, verify};
use super::{drop_member, each_is_found, in_location, with_header, without_header};
use crate::certified::{Asked, Certified, Given};

/// Where the two documents are.
const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

const ALGORITHMS: &str = "id_token_signing_alg_values_supported";

fn of_a_document(asked: &Asked, _: &Given) -> bool {
    asked.path == OPENID || asked.path == OAUTH
}

fn of_keys(asked: &Asked, _: &Given) -> bool {
    asked.path == "/jwks"
}

fn other_issuer(given: Given) -> Given {
    given.edited(|json| json["issuer"] = "https://other.example".into())
}

/// The answer with another list in place of one.
fn with_list(given: Given, name: &str, list: Value) -> Given {
    given.edited(|json| json[name] = list)
}

/// The answer with one more in a list.
fn with_one_more(given: Given, name: &str, one: Value) -> Given {
    given.edited(|json| json[name].as_array_mut().unwrap().push(one))
}

/// The key for an algorithm.
fn key_of<'j>(json: &'j mut Value, alg: &str) -> &'j mut Value {
    json["keys"].as_array_mut().unwrap().iter_mut().find(|key| key["alg"] == alg).unwrap()
}

#[tokio::test]
async fn spoiled_documents() {
    each_is_found(
        "discovery",
        &[
            (
                "another issuer in OpenID's document",
                |asked, _| asked.path == OPENID,
                other_issuer,
                "published 2, issuer 0",
            ),
            (
                "another issuer in the document of RFC 8414",
                |asked, _| asked.path == OAUTH,
                other_issuer,
                "published 2, issuer 1",
            ),
            ("another issuer in both", of_a_document, other_issuer, "issuer 0 1"),
            (
                "a document that is broken",
                |asked, _| asked.path == OAUTH,
                |given| Given { status: 500, ..given },
                "published 1 2, issuer 1",
            ),
            (
                "a required member is missing",
                of_a_document,
                |given| given.edited(|json| drop_member(json, "subject_types_supported")),
                "required-members 0, scopes-and-subjects 1",
            ),
            (
                "a text where a boolean should be",
                of_a_document,
                |given| given.edited(|json| json["request_parameter_supported"] = "false".into()),
                "member-types 2",
            ),
            (
                "an empty list",
                of_a_document,
                |given| with_list(given, "prompt_values_supported", json!([])),
                "member-types 0",
            ),
            (
                "an endpoint with a fragment",
                of_a_document,
                |given| {
                    given.edited(|json| {
                        json["token_endpoint"] =
                            format!("{}#x", json["token_endpoint"].as_str().unwrap()).into()
                    })
                },
                "secure-urls 1",
            ),
            (
                "no code flow",
                of_a_document,
                |given| with_list(given, "response_types_supported", json!(["id_token"])),
                "response-types 0",
            ),
            (
                "no refreshing",
                of_a_document,
                |given| with_list(given, "grant_types_supported", json!(["authorization_code"])),
                "response-types 1",
            ),
            (
                "no openid",
                of_a_document,
                |given| with_list(given, "scopes_supported", json!(["profile"])),
                "scopes-and-subjects 0",
            ),
            (
                "alg none",
                of_a_document,
                |given| with_one_more(given, ALGORITHMS, "none".into()),
                "id-token-algorithms 1",
            ),
            (
                "alg none for clients",
                of_a_document,
                |given| {
                    with_list(
                        given,
                        "revocation_endpoint_auth_signing_alg_values_supported",
                        json!(["ES256", "none"]),
                    )
                },
                "id-token-algorithms 1",
            ),
            (
                "no RS256",
                of_a_document,
                |given| with_list(given, ALGORITHMS, json!(["ES256"])),
                "id-token-algorithms 0, keys-algorithms 1",
            ),
            (
                "an algorithm without a key",
                of_a_document,
                |given| with_one_more(given, ALGORITHMS, "ES384".into()),
                "keys-algorithms 0",
            ),
            (
                "an unheard-of way to prove a secret",
                of_a_document,
                |given| {
                    with_list(given, "token_endpoint_auth_methods_supported", json!(["password"]))
                },
                "auth-methods 0",
            ),
            (
                "a signed way without algorithms",
                of_a_document,
                |given| {
                    with_one_more(
                        given,
                        "token_endpoint_auth_methods_supported",
                        "private_key_jwt".into(),
                    )
                },
                "auth-methods 1",
            ),
            (
                "no S256",
                of_a_document,
                |given| with_list(given, "code_challenge_methods_supported", json!(["S512"])),
                "pkce-methods 0",
            ),
            (
                "an iss that was not announced",
                of_a_document,
                |given| {
                    given.edited(|json| {
                        drop_member(json, "authorization_response_iss_parameter_supported")
                    })
                },
                "iss-parameter 0",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_listed_and_does_not_work() {
    each_is_found(
        "discovery",
        &[
            (
                "an endpoint that is not there",
                |asked, _| asked.path == "/userinfo",
                |given| Given { status: 404, ..given },
                "endpoints 0, userinfo 0",
            ),
            (
                "an endpoint that is broken",
                |asked, _| asked.case == "endpoints" && asked.path == "/authorize",
                |given| Given { status: 500, ..given },
                "endpoints 0",
            ),
            (
                "forms that lead nowhere",
                |asked, _| asked.case == "endpoints" && asked.path == "/introspect",
                |given| Given { status: 404, ..given },
                "endpoints 0",
            ),
            (
                "another person at userinfo",
                |asked, given| asked.path == "/userinfo" && given.status == 200,
                |given| given.edited(|json| json["sub"] = "another".into()),
                "userinfo 0",
            ),
            (
                "an introspection that believes everything",
                |asked, given| asked.path == "/introspect" && given.status == 200,
                |given| given.with(200, &json!({ "active": true })),
                "introspection 1",
            ),
            (
                "an introspection that believes nothing",
                |asked, given| asked.path == "/introspect" && given.status == 200,
                |given| given.with(200, &json!({ "active": false })),
                "introspection 0",
            ),
            (
                "an authorization response without iss",
                |asked, given| asked.path == "/authorize" && given.headers.contains_key("location"),
                |given| in_location(given, "iss=", "was="),
                "iss-parameter 0",
            ),
            (
                "an authorization response of another issuer",
                |asked, given| asked.path == "/authorize" && given.headers.contains_key("location"),
                |given| in_location(given, "iss=http", "iss=https"),
                "iss-parameter 0",
            ),
            (
                "another site alone may read",
                |asked, _| asked.case == "cors",
                |given| with_header(given, "access-control-allow-origin", "https://other.example"),
                "cors 0 1",
            ),
            (
                "any site may send cookies",
                |asked, _| asked.case == "cors",
                |given| with_header(given, "access-control-allow-credentials", "true"),
                "cors 0 1",
            ),
        ],
    )
    .await;
}

/// What our own server does not do, and others may.
#[tokio::test]
async fn what_is_left_to_servers() {
    let certified = Certified::start().await;
    certified.spoil(|asked, given| match asked.path.as_str() {
        OPENID | OAUTH if asked.case != "discovery" => {
            // OpenID Connect Discovery 1.0 section 3 asks for it, and RFC 7636 section 4.2 allows
            // it.
            let given = with_list(
                given,
                "request_object_signing_alg_values_supported",
                json!(["none", "RS256"]),
            );
            let given = with_list(given, "userinfo_signing_alg_values_supported", json!(["none"]));
            let given = with_one_more(given, "code_challenge_methods_supported", "plain".into());
            given.edited(|json| {
                json["registration_endpoint"] =
                    format!("{}/no/such/path", json["issuer"].as_str().unwrap()).into()
            })
        }
        "/jwks" => without_header(given, "cache-control"),
        // Who takes a POST alone need not say so to others.
        _ if given.status == 405 => Given { status: 404, ..given },
        _ => given,
    });
    nothing_is_blamed(
        &verify(plan("discovery", certified.options())).await.unwrap(),
        "keys-published 1",
    );
}

#[tokio::test]
async fn spoiled_keys() {
    each_is_found(
        "discovery",
        &[
            ("an age that is none", of_keys, |given| with_header(given, "cache-control", "public, max-age=\"300\""), "keys-published 1"),
            ("an age of no length", of_keys, |given| with_header(given, "cache-control", "Max-Age, public"), "keys-published 1"),
            (
                "the keys are gone",
                of_keys,
                |given| with_list(given, "keys", json!([])),
                "keys-published 0, keys-named 0 1 2, keys-use 0 1, keys-public 0 1, keys-strength 0 1, keys-algorithms 0 1, id-token 0",
            ),
            ("a private key", of_keys, |given| given.edited(|json| json["keys"][0]["d"] = "c2VjcmV0".into()), "keys-public 0"),
            (
                "a symmetric key",
                of_keys,
                |given| with_one_more(given, "keys", json!({ "kty": "oct", "use": "sig", "alg": "HS256", "kid": "k", "k": "c2VjcmV0" })),
                "keys-public 1",
            ),
            ("an unknown kid", of_keys, |given| given.edited(|json| key_of(json, "RS256")["kid"] = "of-yesterday".into()), "id-token 0"),
            ("a key without a name", of_keys, |given| given.edited(|json| drop_member(key_of(json, "ES256"), "kid")), "keys-named 1"),
            (
                "two keys of one name",
                of_keys,
                |given| given.edited(|json| key_of(json, "ES256")["kid"] = key_of(json, "RS256")["kid"].clone()),
                "keys-named 2",
            ),
            (
                "a key of no known type",
                of_keys,
                |given| with_one_more(given, "keys", json!({ "kty": "KEY", "use": "enc", "kid": "unknown" })),
                "keys-named 0",
            ),
            (
                "a key that does not say what it is for",
                of_keys,
                |given| given.edited(|json| drop_member(key_of(json, "ES256"), "use")),
                "keys-use 0",
            ),
            (
                "a key for an algorithm of another type",
                of_keys,
                |given| given.edited(|json| key_of(json, "ES256")["alg"] = "EdDSA".into()),
                "keys-use 1, keys-algorithms 0 1",
            ),
            (
                "a weak key",
                of_keys,
                |given| given.edited(|json| key_of(json, "RS256")["n"] = "-".repeat(171).into()),
                "keys-strength 0, id-token 0",
            ),
            ("half a point", of_keys, |given| given.edited(|json| key_of(json, "ES256")["y"] = "AAAA".into()), "keys-strength 1"),
        ],
    )
    .await;
}
