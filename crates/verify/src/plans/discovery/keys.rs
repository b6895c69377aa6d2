//! The published keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::CACHE_CONTROL;
use serde_json::Value;

use super::{document_of, texts, verdict};
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::plan::{Case, GrantFate};
use crate::plans::headers::line;
use crate::response::Response;
use crate::target::Endpoint;

pub(super) const PUBLISHED: Case = Case {
    id: "keys-published",
    title: "The keys are published, and how long a copy is good can be read",
    clause: "RFC 7517 sections 5 and 5.1; OpenID Connect Core section 10.1.1; RFC 9111 section 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("jwks_uri", "200 with a JSON object whose keys is a list of at least one"),
        Check::words(
            "Cache-Control of jwks_uri, where it is there",
            "max-age and s-maxage are whole numbers of seconds",
        ),
    ],
    run: |case| Box::pin(published(case)),
};

pub(super) const NAMED: Case = Case {
    id: "keys-named",
    title: "Each key says what it is and has a name of its own",
    clause: "RFC 7517 sections 4.1 and 4.5; OpenID Connect Core section 10.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("kty of each key", "one that is registered"),
        Check::words("kid of each key", "a text; it may be missing where there is one key alone"),
        Check::words("all kids", "no two are the same"),
    ],
    run: |case| Box::pin(named(case)),
};

pub(super) const USE: Case = Case {
    id: "keys-use",
    title: "Each key says what it is for",
    clause: "RFC 7517 sections 4.2 and 4.4; RFC 8725 section 3.1; OpenID Connect Discovery 1.0 section 3 (jwks_uri)",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("use of each key", "sig or enc; all or none have it"),
        Check::words(
            "alg of each key for signatures",
            "one that fits the kty; all or none have it",
        ),
    ],
    run: |case| Box::pin(usage(case)),
};

pub(super) const PRIVATE: Case = Case {
    id: "keys-public",
    title: "Nothing is published that signs",
    clause: "OpenID Connect Discovery 1.0 section 3 (jwks_uri); RFC 7517 section 9.2; RFC 7518 sections 6.2.2, 6.3.2 and 6.4",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("members of each key", "none of d, p, q, dp, dq, qi and oth"),
        Check::words("keys that are symmetric", "none"),
    ],
    run: |case| Box::pin(private(case)),
};

pub(super) const STRENGTH: Case = Case {
    id: "keys-strength",
    title: "The keys are strong enough",
    clause: "RFC 7518 sections 3.3, 3.4, 3.5 and 6.2.1; RFC 8037 section 2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("each RSA key", "2048 bits or more, and an odd exponent above 1"),
        Check::words(
            "each EC or OKP key",
            "a curve that is registered, and coordinates of its size",
        ),
    ],
    run: |case| Box::pin(strength(case)),
};

pub(super) const ALGORITHMS: Case = Case {
    id: "keys-algorithms",
    title: "For each algorithm of ID tokens there is a key",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 7518 section 3.1; RFC 8037 section 3.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "each of id_token_signing_alg_values_supported but HS256 and the like",
            "a key that can sign with it",
        ),
        Check::words("alg of each key for signatures, where it is there", "is listed"),
    ],
    run: |case| Box::pin(algorithms(case)),
};

const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];
/// The registered curves, and the bytes of a coordinate.
const CURVES: [(&str, usize); 7] = [
    ("P-256", 32),
    ("P-384", 48),
    ("P-521", 66),
    ("secp256k1", 32),
    ("Ed25519", 32),
    ("Ed448", 57),
    ("X25519", 32),
];
const WEAKEST_RSA: usize = 2048;

/// The keys as they are published now.
async fn keys(case: &mut CaseRun<'_>) -> Result<Vec<Value>, Abort> {
    let answer = fetch(case).await?;
    set_of(&answer)
        .map_err(|problem| Abort::set_up(format!("the keys are not published: {problem}")))
}

async fn fetch(case: &mut CaseRun<'_>) -> Result<Response, Abort> {
    let url = case.endpoint(Endpoint::Jwks)?;
    Ok(case.send(Call::get(&url)).await)
}

fn set_of(answer: &Response) -> Result<Vec<Value>, String> {
    // RFC 7517 section 8.5.2 has a type of its own for sets.
    let own =
        answer.is(200) && answer.header("content-type").starts_with("application/jwk-set+json");
    let set =
        if own { answer.json().ok_or("the body is not JSON") } else { Ok(document_of(answer)?) }?;
    match set["keys"].as_array() {
        Some(keys) if !keys.is_empty() && keys.iter().all(Value::is_object) => Ok(keys.clone()),
        _ => Err("`keys` is no list of JSON objects".to_owned()),
    }
}

/// Says of each key what is wrong with it.
fn each(keys: &[Value], wrong: impl Fn(&Value) -> Option<String>) -> Result<(), String> {
    let named = |(index, key): (usize, &Value)| {
        let name = key["kid"]
            .as_str()
            .map_or_else(|| format!("key {}", index + 1), |kid| format!("key `{kid}`"));
        wrong(key).map(|problem| format!("{name}: {problem}"))
    };
    verdict(keys.iter().enumerate().filter_map(named).collect())
}

/// A member of every key, as seen.
fn all(keys: &[Value], member: &str) -> String {
    let values: Vec<String> = keys.iter().map(|key| key[member].to_string()).collect();
    format!("{member}: {}", values.join(", "))
}

/// Whether each age is one (RFC 9111 sections 1.2.2, 5.2.2.1 and 5.2.2.10).
fn ages(cache_control: &str) -> Result<(), String> {
    let directives = cache_control
        .split(',')
        .map(|directive| directive.trim().split_once('=').unwrap_or((directive.trim(), "")));
    let ages = directives.filter(|(name, _)| {
        ["max-age", "s-maxage"].iter().any(|age| name.eq_ignore_ascii_case(age))
    });
    let is_age = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    verdict(
        ages.filter(|(_, age)| !is_age(age))
            .map(|(name, age)| format!("{name} is `{age}`"))
            .collect(),
    )
}

async fn published(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer = fetch(case).await?;
    let set = set_of(&answer);
    let seen =
        set.as_ref().map_or_else(|problem| problem.clone(), |keys| format!("{} keys", keys.len()));
    case.saw(0, seen, set.map(drop));
    let said = line(&answer, &CACHE_CONTROL);
    if said.is_empty() {
        case.not_run(1, "there is no Cache-Control, which no clause asks for");
    } else {
        case.saw(1, format!("Cache-Control: {said}"), ages(&said));
    }
    Ok(())
}

async fn named(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let keys = keys(case).await?;
    let unknown = |key: &Value| {
        (!["RSA", "EC", "OKP", "oct"].map(Value::from).contains(&key["kty"]))
            .then(|| format!("kty is {}", key["kty"]))
    };
    case.saw(0, all(&keys, "kty"), each(&keys, unknown));
    let alone = keys.len() == 1;
    let nameless = |key: &Value| {
        (!(key["kid"].is_string() || (alone && key["kid"].is_null())))
            .then(|| format!("kid is {}", key["kid"]))
    };
    case.saw(1, all(&keys, "kid"), each(&keys, nameless));
    let twice = |key: &Value| {
        let same =
            keys.iter().filter(|other| !key["kid"].is_null() && other["kid"] == key["kid"]).count();
        (same > 1).then(|| format!("{same} keys have this kid"))
    };
    case.saw(2, all(&keys, "kid"), each(&keys, twice));
    Ok(())
}

async fn usage(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let keys = keys(case).await?;
    let why = |member: &str| format!("no key has {member}, which RFC 7517 leaves to the server");
    if keys.iter().all(|key| key["use"].is_null()) {
        case.not_run(0, &why("use"));
    } else {
        let wrong = |key: &Value| {
            (!["sig", "enc"].map(Value::from).contains(&key["use"]))
                .then(|| format!("use is {}", key["use"]))
        };
        case.saw(0, all(&keys, "use"), each(&keys, wrong));
    }
    let keys: Vec<Value> = keys.into_iter().filter(signs).collect();
    if keys.iter().all(|key| key["alg"].is_null()) {
        case.not_run(1, &why("alg"));
    } else {
        let wrong = |key: &Value| {
            (!key["alg"].as_str().is_some_and(|alg| fits(key, alg)))
                .then(|| format!("alg is {}", key["alg"]))
        };
        case.saw(1, all(&keys, "alg"), each(&keys, wrong));
    }
    Ok(())
}

async fn private(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let keys = keys(case).await?;
    case.saw(0, format!("{} keys", keys.len()), each(&keys, private_part));
    case.saw(1, all(&keys, "kty"), each(&keys, symmetric));
    Ok(())
}

async fn strength(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let keys = keys(case).await?;
    let rsa: Vec<Value> = keys.iter().filter(|key| key["kty"] == "RSA").cloned().collect();
    let seen =
        rsa.iter().map(|key| format!("{} bits", bits(&key["n"]))).collect::<Vec<_>>().join(", ");
    case.saw(
        0,
        if seen.is_empty() { "no RSA keys".to_owned() } else { seen },
        each(&rsa, weak_rsa),
    );
    let curves: Vec<Value> =
        keys.into_iter().filter(|key| key["kty"] == "EC" || key["kty"] == "OKP").collect();
    case.saw(1, all(&curves, "crv"), each(&curves, wrong_curve));
    Ok(())
}

async fn algorithms(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = super::document(case).await?;
    let keys: Vec<Value> =
        keys(case).await?.into_iter().filter(|key| signs(key) && key["kty"] != "oct").collect();
    let listed: Vec<&str> = texts(&document, "id_token_signing_alg_values_supported").collect();
    let asymmetric = listed.iter().filter(|alg| !alg.starts_with("HS") && **alg != "none");
    let can =
        |key: &Value, alg: &str| fits(key, alg) && (key["alg"].is_null() || key["alg"] == alg);
    let without = asymmetric.filter(|alg| !keys.iter().any(|key| can(key, alg)));
    let wrong = without.map(|alg| format!("there is no key for {alg}")).collect();
    case.saw(0, format!("{}; {}", listed.join(", "), all(&keys, "alg")), verdict(wrong));
    let unlisted = |key: &Value| {
        key["alg"]
            .as_str()
            .filter(|alg| !listed.contains(alg))
            .map(|alg| format!("{alg} is not listed"))
    };
    case.saw(1, format!("{}; {}", listed.join(", "), all(&keys, "alg")), each(&keys, unlisted));
    Ok(())
}

/// The private members of a key.
fn private_part(key: &Value) -> Option<String> {
    let private: Vec<&str> =
        PRIVATE_MEMBERS.into_iter().filter(|member| !key[*member].is_null()).collect();
    (!private.is_empty()).then(|| format!("it has {}", private.join(", ")))
}

/// That a key is symmetric: anyone who can verify with it can sign.
fn symmetric(key: &Value) -> Option<String> {
    (key["kty"] == "oct" || !key["k"].is_null()).then(|| "it is symmetric".to_owned())
}

/// What is weak in an RSA key.
fn weak_rsa(key: &Value) -> Option<String> {
    let (bits, exponent) = (bits(&key["n"]), decoded(&key["e"]));
    let odd = exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1];
    (bits < WEAKEST_RSA || !odd)
        .then(|| format!("it has {bits} bits, and the exponent {}", key["e"]))
}

/// What is wrong with a key's curve or its coordinates.
fn wrong_curve(key: &Value) -> Option<String> {
    let size = CURVES.iter().find(|(name, _)| key["crv"] == *name).map(|(_, size)| *size);
    let sizes = [
        decoded(&key["x"]).len(),
        if key["kty"] == "EC" { decoded(&key["y"]).len() } else { size.unwrap_or_default() },
    ];
    (size.is_none() || sizes != [size.unwrap_or_default(); 2])
        .then(|| format!("crv is {}, its coordinates have {sizes:?} bytes", key["crv"]))
}

/// Whether a key is for signatures, as far as it says.
fn signs(key: &Value) -> bool {
    key["use"].is_null() || key["use"] == "sig"
}

/// Whether a key of this kind can sign with an algorithm.
fn fits(key: &Value, alg: &str) -> bool {
    let kind = (key["kty"].as_str().unwrap_or_default(), key["crv"].as_str().unwrap_or_default());
    match alg {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => kind.0 == "RSA",
        "ES256" => kind == ("EC", "P-256"),
        "ES384" => kind == ("EC", "P-384"),
        "ES512" => kind == ("EC", "P-521"),
        "ES256K" => kind == ("EC", "secp256k1"),
        "EdDSA" => kind == ("OKP", "Ed25519") || kind == ("OKP", "Ed448"),
        "Ed25519" | "Ed448" => kind == ("OKP", alg),
        "HS256" | "HS384" | "HS512" => kind.0 == "oct",
        _ => false,
    }
}

fn decoded(member: &Value) -> Vec<u8> {
    member.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default()
}

/// The bits of a number.
fn bits(member: &Value) -> usize {
    let bytes = decoded(member);
    let significant = bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &bytes[at..]);
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(bytes: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0x81; bytes])
    }

    #[test]
    fn a_set_is_a_list_of_objects() {
        let set = json!({ "keys": [{ "kty": "RSA" }] });
        for (content_type, body, is_set) in [
            ("application/json", set.to_string(), true),
            ("application/jwk-set+json; charset=utf-8", set.to_string(), true),
            ("text/plain", set.to_string(), false),
            ("application/json", json!({ "keys": [] }).to_string(), false),
            ("application/json", json!({ "keys": ["key"] }).to_string(), false),
            ("application/jwk-set+json", "keys".to_owned(), false),
        ] {
            let answer = Response::sample(200, &[("content-type", content_type)], &body);
            assert_eq!(set_of(&answer).is_ok(), is_set, "{content_type} {body}");
        }
        assert!(set_of(&Response::json_sample(404, &set)).is_err());
    }

    #[test]
    fn every_wrong_key_is_named() {
        let keys =
            [json!({ "kid": "a", "k": "x" }), json!({ "kty": "EC" }), json!({ "kty": "oct" })];
        let problem = "key `a`: it is symmetric; key 3: it is symmetric".to_owned();
        assert_eq!(each(&keys, symmetric), Err(problem));
        assert_eq!(each(&keys[1..2], symmetric), Ok(()));
    }

    #[test]
    fn nothing_private_is_published() {
        assert_eq!(private_part(&json!({ "kty": "RSA", "n": "n", "e": "AQAB" })), None);
        let key = json!({ "kty": "RSA", "n": "n", "d": "d", "qi": "qi" });
        assert_eq!(private_part(&key), Some("it has d, qi".to_owned()));
    }

    #[test]
    fn rsa_keys_are_long_and_have_an_odd_exponent() {
        let key =
            |bytes, exponent: &str| json!({ "kty": "RSA", "n": number(bytes), "e": exponent });
        assert_eq!(weak_rsa(&key(256, "AQAB")), None);
        assert!(weak_rsa(&key(255, "AQAB")).is_some_and(|problem| problem.contains("2040 bits")));
        for exponent in ["AQ", "Ag", "", "not base64url!"] {
            assert!(weak_rsa(&key(256, exponent)).is_some(), "{exponent}");
        }
    }

    #[test]
    fn coordinates_have_the_size_of_their_curve() {
        let ec = |curve: &str, x, y| json!({ "kty": "EC", "crv": curve, "x": number(x), "y": number(y) });
        assert_eq!(wrong_curve(&ec("P-256", 32, 32)), None);
        assert_eq!(wrong_curve(&ec("P-521", 66, 66)), None);
        assert_eq!(wrong_curve(&json!({ "kty": "OKP", "crv": "Ed25519", "x": number(32) })), None);
        for key in [ec("P-256", 32, 31), ec("P-384", 32, 32), ec("P-255", 32, 32)] {
            assert!(wrong_curve(&key).is_some(), "{key}");
        }
    }

    #[test]
    fn ages_are_whole_numbers() {
        for (said, is_good) in [
            ("max-age=300", true),
            ("public, Max-Age=300, s-maxage=0", true),
            ("no-cache", true),
            ("max-age", false),
            ("max-age=-1", false),
            ("s-maxage=\"300\"", false),
        ] {
            assert_eq!(ages(said).is_ok(), is_good, "{said}");
        }
    }

    #[test]
    fn algorithms_fit_their_keys() {
        let key = |kty: &str, crv: &str| json!({ "kty": kty, "crv": crv });
        for (key, alg, is_good) in [
            (key("RSA", ""), "PS256", true),
            (key("EC", "P-256"), "ES256", true),
            (key("EC", "P-384"), "ES256", false),
            (key("OKP", "Ed448"), "EdDSA", true),
            (key("OKP", "X25519"), "EdDSA", false),
            (key("RSA", ""), "ES256", false),
            (key("RSA", ""), "none", false),
        ] {
            assert_eq!(fits(&key, alg), is_good, "{key} {alg}");
        }
        assert!(
            signs(&json!({}))
                && signs(&json!({ "use": "sig" }))
                && !signs(&json!({ "use": "enc" }))
        );
    }
}
