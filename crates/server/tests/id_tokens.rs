//! ID tokens as an independent library sees them, with nothing but the published keys; and the life
//! of those keys.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::HOUR;
use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::setting::{OTHER, RECIPIENT, Sandbox, claims, not_authorized};

async fn published(sandbox: &Sandbox) -> JwkSet {
    serde_json::from_value(sandbox.get("/jwks").await.json()).unwrap()
}

/// The kids of the published keys of an algorithm, in order.
async fn kids(sandbox: &Sandbox, alg: &str) -> Vec<String> {
    let keys = sandbox.get("/jwks").await.json();
    let of_alg = keys["keys"].as_array().unwrap().iter().filter(|key| key["alg"] == alg);
    of_alg.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(id_token: &str) -> String {
    decode_header(id_token).unwrap().kid.unwrap()
}

/// The claims of an ID token, verified as a client would: signature, issuer, audience, expiry.
async fn verified(sandbox: &Sandbox, id_token: &str, client: &str) -> Value {
    let header = decode_header(id_token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let keys = published(sandbox).await;
    let jwk = keys.find(header.kid.as_deref().unwrap()).unwrap();
    assert_eq!(jwk.common.key_algorithm.unwrap().to_string(), format!("{:?}", header.alg));
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[client]);
    validation.set_issuer(&[&sandbox.issuer]);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    decode::<Value>(id_token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims
}

/// OpenID Connect Core section 3.1.3.6.
fn at_hash(access_token: &str, alg: Algorithm) -> String {
    let algorithm = if alg == Algorithm::EdDSA { &digest::SHA512 } else { &digest::SHA256 };
    let hash = digest::digest(algorithm, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[tokio::test]
async fn an_independent_library_verifies_every_algorithm() {
    let sandbox = Sandbox::start().await;
    for (name, alg) in [
        ("RS256", Algorithm::RS256),
        ("ES256", Algorithm::ES256),
        ("PS256", Algorithm::PS256),
        ("EdDSA", Algorithm::EdDSA),
    ] {
        sandbox.set_client(RECIPIENT.0, &[("id_token_signed_response_alg", name)]).await;
        let first = sandbox.tokens(RECIPIENT).await;
        let second = sandbox.refreshed(RECIPIENT, &first).await;
        for tokens in [&first, &second] {
            assert_eq!(decode_header(&tokens.id_token).unwrap().alg, alg);
            let claims = verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
            assert_eq!(claims["at_hash"], at_hash(&tokens.access_token, alg), "{name}");
            sandbox.assert_good(tokens).await;
        }
    }
}

#[tokio::test]
async fn each_client_has_its_own_algorithm() {
    let sandbox = Sandbox::start().await;
    assert_eq!(
        decode_header(sandbox.tokens(RECIPIENT).await.id_token).unwrap().alg,
        Algorithm::RS256
    );
    let of_other = sandbox.tokens(OTHER).await.id_token;
    assert_eq!(decode_header(&of_other).unwrap().alg, Algorithm::ES256);
    verified(&sandbox, &of_other, OTHER.0).await;
}

#[tokio::test]
async fn the_key_set_holds_public_keys_alone() {
    let sandbox = Sandbox::start().await;
    let answer = sandbox.get("/jwks").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    let algorithms: Vec<_> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(algorithms, ["RS256", "ES256"], "those that clients use");
    for key in keys {
        let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected: &[&str] = match key["kty"].as_str().unwrap() {
            "RSA" => &["alg", "e", "kid", "kty", "n", "use"],
            "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expected);
        assert_eq!(key["use"], "sig");
    }
}

#[tokio::test]
async fn the_claims_are_those_of_the_contract() {
    let sandbox = Sandbox::start().await;
    let code = sandbox
        .code_with(RECIPIENT.0, &[("nonce", "n-0S6_WzA2Mj"), ("accounts", "c1-card,c1-checking")])
        .await;
    let before = sandbox.app.clock.now().unix();
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    let claims = verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
    let iat = claims["iat"].as_i64().unwrap();
    assert!((before..before + 10).contains(&iat));
    let auth_time = claims["auth_time"].as_i64().unwrap();
    assert!((before - 10..=before).contains(&auth_time));
    for random in ["sub", "jti"] {
        assert!(claims[random].as_str().unwrap().len() >= 16);
    }
    assert_eq!(claims["grant_id"].as_str().unwrap().len(), 16);
    assert_eq!(
        claims,
        json!({
            "iss": sandbox.issuer,
            "sub": claims["sub"],
            "aud": RECIPIENT.0,
            "exp": iat + 86400,
            "iat": iat,
            "auth_time": auth_time,
            "nonce": "n-0S6_WzA2Mj",
            "at_hash": at_hash(&tokens.access_token, Algorithm::RS256),
            "jti": claims["jti"],
            "grant_id": claims["grant_id"],
            "connectorId": "sandbank",
            "accounts": ["c1-checking", "c1-card"],
            "products": ["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"],
            "name": "Ada Quill",
        })
    );
}

#[tokio::test]
async fn what_stays_and_what_changes_over_refreshes() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code_with(RECIPIENT.0, &[("nonce", "once")]).await;
    let mut tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    let first = claims(&tokens.id_token);
    let mut seen = std::collections::HashSet::from([first["jti"].to_string()]);
    for _ in 0..4 {
        sandbox.advance("30d").await;
        tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
        let claims = verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
        for same in [
            "iss",
            "sub",
            "aud",
            "auth_time",
            "grant_id",
            "connectorId",
            "accounts",
            "products",
            "name",
        ] {
            assert_eq!(claims[same], first[same], "{same}");
        }
        assert_eq!(claims.get("nonce"), None);
        assert!(claims["iat"].as_i64().unwrap() >= first["iat"].as_i64().unwrap() + 30 * 86400);
        assert!(seen.insert(claims["jti"].to_string()));
    }
}

#[tokio::test]
async fn without_a_nonce_there_is_no_nonce() {
    let sandbox = Sandbox::start().await;
    assert_eq!(claims(&sandbox.tokens(RECIPIENT).await.id_token).get("nonce"), None);
}

#[tokio::test]
async fn the_subject_is_the_customers_at_every_client() {
    let sandbox = Sandbox::start().await;
    let sub = async |client: (&str, &str), customer: &str| {
        let code = sandbox.code_with(client.0, &[("customer", customer)]).await;
        claims(&sandbox.exchange(client, &code).await.tokens().id_token)["sub"].clone()
    };
    assert_eq!(sub(RECIPIENT, "customer_1").await, sub(RECIPIENT, "customer_1").await);
    assert_eq!(sub(RECIPIENT, "customer_1").await, sub(OTHER, "customer_1").await);
    assert_ne!(sub(RECIPIENT, "customer_1").await, sub(RECIPIENT, "customer_2").await);
}

#[tokio::test]
async fn beyond_a_hundred_accounts_the_claim_is_left_out() {
    let sandbox = Sandbox::start().await;
    for (customer, count) in [("hundred", 100), ("hundred-and-one", 101)] {
        let accounts: Vec<_> = (0..count)
            .map(|i| json!({ "depositAccount": { "accountId": format!("{customer}-{i}") } }))
            .collect();
        let id = CustomerId { provider: "sandbank".into(), customer: customer.into() };
        let (name, password) = (customer.to_owned(), customer.to_owned());
        sandbox
            .admin(Command::CustomerAdd {
                id,
                name,
                password,
                accounts: Some(json!({ "accounts": accounts })),
            })
            .await;
        let code = sandbox.code_with(RECIPIENT.0, &[("customer", customer)]).await;
        let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
        let claimed = claims(&tokens.id_token)["accounts"].as_array().map(Vec::len);
        assert_eq!(claimed, (count <= 100).then_some(count));
        assert_eq!(
            sandbox.accounts(&tokens.id_token).await.json()["accounts"].as_array().unwrap().len(),
            count
        );
    }
    let code = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_5")]).await;
    assert_eq!(
        claims(&sandbox.exchange(RECIPIENT, &code).await.tokens().id_token)["accounts"],
        json!([])
    );
}

#[tokio::test]
async fn a_new_key_is_published_ahead_of_its_use() {
    let sandbox = Sandbox::start().await;
    let before = sandbox.tokens(RECIPIENT).await;
    let old = kid(&before.id_token);
    sandbox.admin(Command::KeysRotate { compromised: None }).await;
    let published = kids(&sandbox, "RS256").await;
    assert_eq!((published.len(), &published[0]), (2, &old), "the one that signs comes first");
    let meanwhile = sandbox.refreshed(RECIPIENT, &before).await;
    assert_eq!(kid(&meanwhile.id_token), old);
    sandbox.advance("2h").await;
    let after = sandbox.refreshed(RECIPIENT, &meanwhile).await;
    assert_eq!(kid(&after.id_token), published[1]);
    for tokens in [&before, &meanwhile, &after] {
        verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
        sandbox.assert_good(tokens).await;
    }
}

#[tokio::test]
async fn an_old_key_is_published_until_its_last_token_has_expired_and_known_to_revoke_for_longer() {
    let sandbox = Sandbox::start().await;
    sandbox.admin(Command::KeysRotate { compromised: None }).await;
    sandbox.advance("59m").await;
    let last = sandbox.tokens(RECIPIENT).await;
    let [old, new] = &kids(&sandbox, "RS256").await[..] else { panic!() };
    assert_eq!(kid(&last.id_token), *old);
    sandbox.advance("23h58m").await;
    assert_eq!(kids(&sandbox, "RS256").await[..2], [new.clone(), old.clone()]);
    sandbox.assert_good(&last).await;
    sandbox.advance("3h").await;
    let [current, _ahead] = &kids(&sandbox, "RS256").await[..] else { panic!() };
    assert_eq!(current, new);
    sandbox.advance("80d").await;
    assert_eq!(sandbox.revoke(RECIPIENT, &last.id_token).await.status, 200);
    assert_eq!(sandbox.grant(&last).await["ended_by"], "client");
}

#[tokio::test]
async fn keys_are_rotated_on_schedule() {
    let sandbox = Sandbox::start().await;
    let old = kids(&sandbox, "RS256").await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("89d").await;
    let tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    let [current, ahead] = &kids(&sandbox, "RS256").await[..] else { panic!() };
    assert_eq!((current, kid(&tokens.id_token)), (&old[0], old[0].clone()));
    sandbox.advance("2d").await;
    let published = kids(&sandbox, "RS256").await;
    assert_eq!((published.len(), &published[..2]), (3, &[ahead.clone(), old[0].clone()][..]));
    let tokens = sandbox.refreshed(RECIPIENT, &tokens).await;
    assert_eq!(kid(&tokens.id_token), published[0]);
    verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
    sandbox.assert_good(&tokens).await;
}

#[tokio::test]
async fn what_a_compromised_key_signed_is_refused_at_once() {
    let sandbox = Sandbox::start().await;
    let (tokens, of_other) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(OTHER).await);
    let stolen = kid(&tokens.id_token);
    sandbox.admin(Command::KeysRotate { compromised: Some(stolen.clone()) }).await;
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    sandbox.introspect(RECIPIENT, &tokens.id_token).await.is(200, json!({ "active": false }));
    let published = kids(&sandbox, "RS256").await;
    assert!(
        published.len() == 2 && !published.contains(&stolen),
        "the one that signs, and one ahead"
    );
    let next = sandbox.refreshed(RECIPIENT, &tokens).await;
    assert_eq!(kid(&next.id_token), published[0]);
    verified(&sandbox, &next.id_token, RECIPIENT.0).await;
    sandbox.assert_good(&next).await;
    // Other keys are not touched.
    sandbox.assert_good(&of_other).await;
}

#[tokio::test]
async fn what_a_compromised_slip_key_made_is_good_once_and_for_a_while() {
    let sandbox = Sandbox::start().await;
    let (used, left) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(RECIPIENT).await);
    let code = sandbox.code(RECIPIENT.0).await;
    let retired = sandbox.admin(Command::KeysRetire { kid: "slip-1".into(), within: HOUR }).await;
    let slip_keys: Vec<_> = retired
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["alg"] == "slip")
        .map(|key| &key["state"])
        .collect();
    assert_eq!(slip_keys, ["current", "retiring"]);
    sandbox.assert_good(&used).await;
    sandbox.exchange(RECIPIENT, &code).await.tokens();
    let next = sandbox.refreshed(RECIPIENT, &used).await;
    sandbox
        .refresh(RECIPIENT, &used.refresh_token)
        .await
        .is(400, crate::setting::refresh_refused());
    let last = sandbox.refreshed(RECIPIENT, &next).await;
    sandbox.advance("1h").await;
    sandbox
        .refresh(RECIPIENT, &left.refresh_token)
        .await
        .is(400, crate::setting::refresh_refused());
    sandbox.accounts(&left.access_token).await.is(401, not_authorized());
    sandbox.introspect(RECIPIENT, &left.refresh_token).await.is(200, json!({ "active": false }));
    sandbox.assert_good(&sandbox.refreshed(RECIPIENT, &last).await).await;
}

#[tokio::test]
async fn what_a_compromised_slip_key_made_is_refused_at_once_where_that_is_asked_for() {
    let sandbox = Sandbox::start().await;
    let (tokens, ended) = (sandbox.tokens(RECIPIENT).await, sandbox.tokens(RECIPIENT).await);
    sandbox.revoke(RECIPIENT, &ended.refresh_token).await;
    let concerned = sandbox.admin(Command::KeysConcerned { kid: "slip-1".into() }).await;
    assert_eq!(concerned["grants"], 1);
    sandbox.admin(Command::KeysRetire { kid: "slip-1".into(), within: 0 }).await;
    sandbox
        .refresh(RECIPIENT, &tokens.refresh_token)
        .await
        .is(400, crate::setting::refresh_refused());
    sandbox.accounts(&tokens.access_token).await.is(401, not_authorized());
    // Its ID token was made with another key, and still ends the grant.
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    assert_eq!(sandbox.revoke(RECIPIENT, &tokens.id_token).await.status, 200);
    sandbox.accounts(&tokens.id_token).await.is(401, not_authorized());
    let new = sandbox.tokens(RECIPIENT).await;
    sandbox.assert_good(&sandbox.refreshed(RECIPIENT, &new).await).await;
}

/// Some libraries take the first key that they find, and the default algorithm is RSA's.
#[tokio::test]
async fn the_key_that_signs_by_default_comes_first() {
    let sandbox = Sandbox::start().await;
    for _ in 0..2 {
        let tokens = sandbox.tokens(RECIPIENT).await;
        let keys = sandbox.get("/jwks").await.json();
        assert_eq!(
            (&keys["keys"][0]["kty"], &keys["keys"][0]["kid"]),
            (&json!("RSA"), &json!(kid(&tokens.id_token)))
        );
        sandbox.advance("91d").await;
    }
}

#[tokio::test]
async fn refresh_tokens_outlive_the_rotation_of_slip_keys() {
    const KEY: &str = "b1946ac9-2492-4d23-8f0a-6f1c2d3e4f50";
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let code = sandbox.code(RECIPIENT.0).await;
    sandbox.admin(Command::KeysRotate { compromised: None }).await;
    sandbox.assert_good(&tokens).await;
    sandbox.exchange(RECIPIENT, &code).await.tokens();
    let next = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    // A repeat gives the bytes of the key that the successor was made with, whatever is in use now.
    sandbox.admin(Command::KeysRotate { compromised: None }).await;
    let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    assert_eq!(again.refresh_token, next.refresh_token);
    sandbox.refreshed(RECIPIENT, &next).await;
}

#[tokio::test]
async fn keys_and_grants_survive_a_restart() {
    let sandbox = Sandbox::start().await;
    let (issuer, keys) = (sandbox.issuer.clone(), sandbox.get("/jwks").await.json());
    let first = sandbox.tokens(RECIPIENT).await;
    let tokens = sandbox.refreshed(RECIPIENT, &first).await;
    let ended = sandbox.tokens(OTHER).await;
    let code = sandbox.code(RECIPIENT.0).await;
    sandbox.revoke(OTHER, &ended.refresh_token).await;

    let sandbox = sandbox.restarted().await;
    assert_eq!(sandbox.issuer, issuer);
    assert_eq!(sandbox.get("/jwks").await.json(), keys);
    sandbox.assert_good(&first).await;
    verified(&sandbox, &tokens.id_token, RECIPIENT.0).await;
    sandbox.assert_dead(&ended).await;
    sandbox
        .refresh(RECIPIENT, &first.refresh_token)
        .await
        .is(400, crate::setting::refresh_refused());
    sandbox.refreshed(RECIPIENT, &tokens).await;
    sandbox.exchange(RECIPIENT, &code).await.tokens();
    assert_eq!(sandbox.audited(&tokens, "refresh_token_replayed").await, 1);
}

#[tokio::test]
async fn a_rotation_and_a_retry_survive_a_restart() {
    const KEY: &str = "b1946ac9-2492-4d23-8f0a-6f1c2d3e4f50";
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let next = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    sandbox.admin(Command::KeysRotate { compromised: None }).await;
    let published = kids(&sandbox, "RS256").await;
    let sandbox = sandbox.restarted().await;
    assert_eq!(kids(&sandbox, "RS256").await, published);
    let again = sandbox.refresh_with_key(RECIPIENT, &tokens.refresh_token, KEY).await.tokens();
    assert_eq!(again.refresh_token, next.refresh_token);
    sandbox.advance("2h").await;
    assert_eq!(kid(&sandbox.refreshed(RECIPIENT, &next).await.id_token), published[1]);
}
