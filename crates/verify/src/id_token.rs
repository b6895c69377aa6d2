//! ID tokens as a client looks at them (OpenID Connect Core sections 3.1.3.7 and 12.2), by a
//! library that the server does not use.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

/// What an ID token is checked against.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) client_id: &'e str,
    /// The algorithms that the server says it signs with; empty where it says nothing.
    pub(crate) algorithms: Vec<&'e str>,
    /// The server's time, and by how much it may differ.
    pub(crate) now: i64,
    pub(crate) leeway: i64,
    /// The access token of the same answer.
    pub(crate) access_token: Option<&'e str>,
    /// The ID token that the grant had before.
    pub(crate) before: Option<&'e str>,
}

/// The claims of an ID token that is as it should be.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn verify(
    id_token: &str,
    keys: &Value,
    expected: &Expected<'_>,
) -> Result<Value, String> {
    let header = part(id_token, 0).ok_or("the ID token is not a JWS: it has no JSON header")?;
    let alg = header["alg"].as_str().unwrap_or("none");
    if alg.eq_ignore_ascii_case("none") || alg.starts_with("HS") {
        return Err(format!(
            "the ID token has the alg `{alg}`: it is not signed with a published key"
        ));
    }
    if !expected.algorithms.is_empty() && !expected.algorithms.contains(&alg) {
        return Err(format!(
            "the ID token has the alg `{alg}`, which is not among id_token_signing_alg_values_supported"
        ));
    }
    let algorithm: Algorithm =
        alg.parse().map_err(|_| format!("the ID token has the alg `{alg}`, which is not known"))?;
    let key = published(keys, &header, alg)?;
    let mut validation = Validation::new(algorithm);
    // The signature here, the claims below: each has a message of its own.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = decode::<Value>(id_token, &key, &validation)
        .map_err(|error| {
            format!("the ID token's signature does not verify against the published key: {error}")
        })?
        .claims;
    check_claims(&claims, expected)?;
    if let Some(access_token) = expected.access_token.filter(|_| !claims["at_hash"].is_null())
        && claims["at_hash"] != at_hash(access_token, alg).as_str()
    {
        return Err("the ID token's at_hash is not that of the access token".to_owned());
    }
    Ok(claims)
}

/// The published key that a header names.
fn published(keys: &Value, header: &Value, alg: &str) -> Result<DecodingKey, String> {
    let keys =
        keys["keys"].as_array().ok_or("the published keys are not a JSON object with `keys`")?;
    let kid = header["kid"].as_str();
    let found = match kid {
        Some(kid) => keys.iter().find(|key| key["kid"] == kid),
        // Without a kid a set of one key leaves no doubt (OpenID Connect Core section 10.1).
        None => keys.first().filter(|_| keys.len() == 1),
    };
    let key = found.ok_or_else(|| match kid {
        Some(kid) => format!("the ID token's kid `{kid}` is not among the published keys"),
        None => "the ID token names no kid, and there is not exactly one published key".to_owned(),
    })?;
    if key["alg"].as_str().is_some_and(|of_key| of_key != alg) {
        return Err(format!("the ID token has the alg `{alg}`, its key is for {}", key["alg"]));
    }
    let unusable =
        |error: &dyn std::fmt::Display| format!("the published key can't be used: {error}");
    let key: Jwk = serde_json::from_value(key.clone()).map_err(|error| unusable(&error))?;
    DecodingKey::from_jwk(&key).map_err(|error| unusable(&error))
}

fn check_claims(claims: &Value, expected: &Expected<'_>) -> Result<(), String> {
    let wrong = |problem: String| Err(format!("the ID token's {problem}"));
    if claims["iss"] != expected.issuer {
        return wrong(format!("iss is {}, not \"{}\"", claims["iss"], expected.issuer));
    }
    let aud = &claims["aud"];
    let for_us = aud == expected.client_id
        || aud.as_array().is_some_and(|list| list.iter().any(|aud| aud == expected.client_id));
    if !for_us {
        return wrong(format!("aud is {aud}, not \"{}\"", expected.client_id));
    }
    if !claims["sub"].as_str().is_some_and(|sub| !sub.is_empty() && sub.len() <= 255) {
        return wrong("sub is missing or not a text of 1 to 255 characters".to_owned());
    }
    let (Some(exp), Some(iat)) = (seconds(&claims["exp"]), seconds(&claims["iat"])) else {
        return wrong("exp or iat is missing or not a number".to_owned());
    };
    if exp <= expected.now.saturating_sub(expected.leeway) {
        return wrong(format!("exp is past by {} seconds", expected.now.saturating_sub(exp)));
    }
    if iat > expected.now.saturating_add(expected.leeway) {
        return wrong(format!("iat is {} seconds in the future", iat.saturating_sub(expected.now)));
    }
    if let Some(before) = expected.before.and_then(|before| part(before, 1)) {
        if iat < seconds(&before["iat"]).unwrap_or(iat) {
            return wrong("iat is before that of the one that came before".to_owned());
        }
        // Section 12.2: of the same person, who signed in at the same time.
        for claim in ["sub", "auth_time"] {
            if !before[claim].is_null()
                && (claim == "sub" || !claims[claim].is_null())
                && claims[claim] != before[claim]
            {
                return wrong(format!(
                    "{claim} is {}, and was {} before the refresh",
                    claims[claim], before[claim]
                ));
            }
        }
    }
    Ok(())
}

/// When an ID token says that it was issued; nothing about it is verified.
pub(crate) fn issued_at(id_token: &str) -> Option<i64> {
    seconds(&part(id_token, 1)?["iat"])
}

/// A part of a JWS, not verified: 0 is the header, 1 the claims.
pub(crate) fn part(jws: &str, index: usize) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jws.split('.').nth(index)?).ok()?).ok()
}

/// A NumericDate: seconds, perhaps with a fraction.
#[allow(clippy::cast_possible_truncation)]
fn seconds(date: &Value) -> Option<i64> {
    date.as_i64().or_else(|| date.as_f64().map(|seconds| seconds as i64))
}

/// OpenID Connect Core section 3.1.3.6: half the hash of the signature's algorithm.
fn at_hash(access_token: &str, alg: &str) -> String {
    let algorithm = match alg {
        "EdDSA" => &digest::SHA512,
        _ if alg.ends_with("512") => &digest::SHA512,
        _ if alg.ends_with("384") => &digest::SHA384,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(algorithm, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const ISSUER: &str = "https://auth.bank.example";

    fn expected<'e>() -> Expected<'e> {
        Expected {
            issuer: ISSUER,
            client_id: "app",
            algorithms: vec!["RS256"],
            now: NOW,
            leeway: 60,
            access_token: None,
            before: None,
        }
    }

    fn jws(header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    fn claims(change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = json!({ "iss": ISSUER, "aud": "app", "sub": "s", "iat": NOW - 5, "exp": NOW + 60, "auth_time": NOW - 9 });
        change(&mut claims);
        claims
    }

    #[test]
    fn claims_are_those_of_this_client_and_this_moment() {
        type Change = fn(&mut Value);
        let good: [Change; 5] = [
            |_| {},
            |claims| claims["aud"] = json!(["other", "app"]),
            |claims| claims["exp"] = (NOW - 59).into(),
            |claims| claims["iat"] = (NOW + 60).into(),
            |claims| claims["iat"] = json!(1.8e9 - 0.5),
        ];
        for change in good {
            assert_eq!(check_claims(&claims(change), &expected()), Ok(()));
        }
        let bad: [(Change, &str); 11] = [
            (|claims| claims["iss"] = "https://elsewhere.example".into(), "iss is"),
            (|claims| claims["aud"] = "other".into(), "aud is"),
            (|claims| claims["aud"] = json!(["other"]), "aud is"),
            (|claims| claims["sub"] = "".into(), "sub is missing"),
            (|claims| claims["sub"] = "s".repeat(256).into(), "sub is missing"),
            (|claims| claims["exp"] = (NOW - 60).into(), "exp is past by 60 seconds"),
            (|claims| claims["exp"] = i64::MIN.into(), "exp is past by"),
            (|claims| claims["iat"] = i64::MAX.into(), "in the future"),
            (|claims| claims["exp"] = "soon".into(), "exp or iat"),
            (|claims| claims["iat"] = Value::Null, "exp or iat"),
            (|claims| claims["iat"] = (NOW + 61).into(), "61 seconds in the future"),
        ];
        for (change, word) in bad {
            let verdict = check_claims(&claims(change), &expected());
            assert!(verdict.as_ref().is_err_and(|why| why.contains(word)), "{word}: {verdict:?}");
        }
    }

    #[test]
    fn a_refresh_keeps_who_it_is_about() {
        let before = jws(&json!({}), &claims(|_| {}));
        let after = |change: fn(&mut Value)| {
            check_claims(&claims(change), &Expected { before: Some(&before), ..expected() })
        };
        assert_eq!(after(|_| {}), Ok(()));
        assert_eq!(after(|claims| claims["auth_time"] = Value::Null), Ok(()));
        assert!(
            after(|claims| claims["sub"] = "another".into())
                .is_err_and(|why| why.contains("sub is \"another\", and was \"s\""))
        );
        assert!(
            after(|claims| claims["auth_time"] = NOW.into())
                .is_err_and(|why| why.contains("auth_time"))
        );
        assert!(
            after(|claims| claims["iat"] = (NOW - 6).into())
                .is_err_and(|why| why.contains("before that of"))
        );
    }

    #[test]
    fn only_published_keys_sign() {
        let keys = json!({ "keys": [{ "kid": "k", "alg": "RS256", "kty": "RSA", "n": "AQAB", "e": "AQAB" }, { "kid": "e", "kty": "EC" }] });
        let refused = |header: Value, word: &str| {
            let verdict = verify(&jws(&header, &claims(|_| {})), &keys, &expected());
            assert!(verdict.as_ref().is_err_and(|why| why.contains(word)), "{word}: {verdict:?}");
        };
        refused(json!({ "alg": "none", "kid": "k" }), "`none`");
        refused(json!({ "alg": "NoNe", "kid": "k" }), "`NoNe`");
        refused(json!({ "kid": "k" }), "`none`");
        refused(json!({ "alg": "HS256", "kid": "k" }), "`HS256`");
        refused(
            json!({ "alg": "ES256", "kid": "k" }),
            "not among id_token_signing_alg_values_supported",
        );
        refused(json!({ "alg": "RS256", "kid": "gone" }), "`gone` is not among the published keys");
        refused(json!({ "alg": "RS256" }), "names no kid");
        refused(json!({ "alg": "RS256", "kid": "e" }), "can't be used");
        refused(json!({ "alg": "RS256", "kid": "k" }), "does not verify");
        assert!(
            verify("not.a.jws", &keys, &expected()).is_err_and(|why| why.contains("not a JWS"))
        );
        let no_keys = verify(
            &jws(&json!({ "alg": "RS256", "kid": "k" }), &claims(|_| {})),
            &json!([]),
            &expected(),
        );
        assert!(no_keys.is_err_and(|why| why.contains("`keys`")));
    }

    /// The example of OpenID Connect Core appendix A.3.
    #[test]
    fn at_hash_is_half_a_hash() {
        assert_eq!(
            at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }
}
