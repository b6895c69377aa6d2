//! The judge is real: behind a proxy that spoils one answer, exactly the check that is about this
//! answer fails, by name, and no other.

use counterfoil_report::CheckResult;
use serde_json::{Value, json};

use crate::certified::{Asked, Certified, Given, check, checks};

/// Whether a request is the one that a check is about.
type About = fn(&Asked) -> bool;

/// Spoils an answer.
type Spoil = fn(Given) -> Given;

/// What each check of the plan is about whose answer is a body: case, check, request.
const BODIES: [(&str, usize, About); 13] = [
    ("revoke-id-token", 1, |asked| asked.path == "/accounts" && asked.nth == 2),
    ("refresh-used", 0, |asked| asked.grant_type() == "refresh_token" && asked.nth == 2),
    ("refresh-bad-secret", 0, |asked| asked.grant_type() == "refresh_token"),
    ("revoke-bad-secret", 0, |asked| asked.path == "/revoke" && asked.nth == 1),
    ("revoke-bad-secret", 1, |asked| asked.path == "/revoke" && asked.nth == 2),
    ("code-invalid", 0, |asked| asked.grant_type() == "authorization_code" && asked.nth == 2),
    ("code-invalid", 1, |asked| asked.grant_type() == "authorization_code" && asked.nth == 1),
    ("redirect-uri-mismatch", 0, |asked| asked.grant_type() == "authorization_code"),
    ("grant-type-invalid", 0, |asked| asked.path == "/token" && asked.grant_type().is_empty()),
    ("grant-type-invalid", 1, |asked| asked.path == "/token" && !asked.grant_type().is_empty()),
    ("client-invalid", 0, |asked| asked.grant_type() == "authorization_code" && asked.nth == 1),
    ("client-invalid", 1, |asked| asked.grant_type() == "authorization_code" && asked.nth == 2),
    ("refresh-token-missing", 0, |asked| asked.grant_type() == "refresh_token"),
];

/// A spoiling: case, check, request, how, and a word of the reason.
type Spoiling = (&'static str, usize, About, Spoil, &'static str);

/// Spoils each in turn, and holds that it is found and nothing else is blamed.
async fn each_is_found(spoilings: Vec<Spoiling>) {
    let certified = Certified::start().await;
    for (number, (case, index, about, spoil, word)) in spoilings.into_iter().enumerate() {
        certified.spoil(
            move |asked, given| {
                if asked.case == case && about(asked) { spoil(given) } else { given }
            },
        );
        let report = certified.verify().await;
        let spoiled = format!("spoiling {number}, {case} {index}, {word}");
        assert_eq!(
            checks(&report, CheckResult::Failed),
            [(case.to_owned(), index)],
            "{spoiled}: {report:#?}"
        );
        assert_eq!(report.tally().passed, 15, "{spoiled}");
        let found = check(&report, case, index);
        assert!(found.reason.contains(word), "{spoiled}: {found:?}");
        assert!(!found.seen.is_empty(), "{spoiled}");
    }
    assert_eq!(certified.clock_offset().await, 0);
}

fn each_body(spoil: Spoil, word: &'static str) -> Vec<Spoiling> {
    BODIES.iter().map(|(case, index, about)| (*case, *index, *about, spoil, word)).collect()
}

/// The member that comes last of those that an answer has.
fn member(json: &Value, names: &[&str]) -> String {
    names.iter().rfind(|name| !json[**name].is_null()).unwrap().to_string()
}

#[tokio::test]
async fn a_wrong_status() {
    each_is_found(each_body(|given| Given { status: given.status + 2, ..given }, "the status is"))
        .await;
}

#[tokio::test]
async fn a_missing_and_an_additional_member() {
    let mut spoilings = each_body(
        |given| {
            given.edited(|json| {
                let name = member(json, &["error", "code"]);
                json.as_object_mut().unwrap().remove(&name);
            })
        },
        "is missing",
    );
    spoilings.extend(each_body(
        |given| given.edited(|json| json["hint"] = "none".into()),
        "`hint` should not be there",
    ));
    each_is_found(spoilings).await;
}

#[tokio::test]
async fn a_wrong_text() {
    let spoil = |given: Given| {
        given.edited(|json| {
            let name = member(json, &["error", "error_description", "message"]);
            json[name] = "Something went wrong.".into();
        })
    };
    each_is_found(each_body(spoil, "\"Something went wrong.\"")).await;
}

/// What is right as text and still no JSON object of this kind.
#[tokio::test]
async fn bodies_that_only_look_right() {
    let html: Spoil = |mut given| {
        given.headers.insert("content-type", "text/html".parse().unwrap());
        given
    };
    let list: Spoil = |given| {
        let (status, body) = (given.status, json!([given.json()]));
        given.with(status, &body)
    };
    let number: Spoil = |given| given.edited(|json| json["code"] = "602".into());
    let [about_accounts, about_used, ..] = BODIES.map(|(_, _, about)| about);
    each_is_found(vec![
        ("refresh-used", 0, about_used, html, "text/html"),
        ("refresh-used", 0, about_used, list, "not a JSON object"),
        ("revoke-id-token", 1, about_accounts, number, "\"602\", not 602"),
        (
            "revoke-id-token",
            1,
            about_accounts,
            |given| Given { body: String::new(), ..given },
            "not a JSON object",
        ),
    ])
    .await;
}

/// What a server must refuse, and does not.
#[tokio::test]
async fn what_is_taken_that_should_not_be() {
    let tokens: Spoil = |given| {
        given.with(200, &json!({ "id_token": "e30.e30.e30", "refresh_token": "r", "access_token": "a", "token_type": "Bearer" }))
    };
    let accounts: Spoil = |given| given.with(200, &json!({ "accounts": [] }));
    let mut spoilings: Vec<Spoiling> = BODIES[1..]
        .iter()
        .map(|(case, index, about)| (*case, *index, *about, tokens, "the status is 200"))
        .collect();
    spoilings.push(("revoke-id-token", 1, BODIES[0].2, accounts, "the status is 200, not 401"));
    each_is_found(spoilings).await;
}

#[tokio::test]
async fn the_answer_to_a_revocation() {
    let revoked: About = |asked| asked.path == "/revoke";
    each_is_found(vec![
        (
            "revoke-id-token",
            0,
            revoked,
            |given| Given { status: 204, ..given },
            "the status is 204, not 200",
        ),
        (
            "revoke-id-token",
            0,
            revoked,
            |given| Given { status: 503, ..given },
            "the status is 503",
        ),
        ("revoke-id-token", 0, revoked, |given| given.with(200, &json!({})), "not empty"),
        ("revoke-id-token", 0, revoked, |given| Given { body: "\n".into(), ..given }, "not empty"),
    ])
    .await;
}

/// The two cases whose check is a renewal of tokens.
#[tokio::test]
async fn renewals() {
    let renewed: About = |asked| asked.grant_type() == "refresh_token" && asked.nth == 1;
    let keys: About = |asked| asked.path == "/jwks";
    let mut spoilings: Vec<Spoiling> = Vec::new();
    for (case, accepted) in [("refresh", 1), ("refresh-expired-id-token", 2)] {
        let accounts: About = if accepted == 1 {
            |asked| asked.path == "/accounts"
        } else {
            |asked| asked.path == "/accounts" && asked.nth == 2
        };
        spoilings.extend([
            (
                case,
                0,
                renewed,
                (|given| Given { status: 201, ..given }) as Spoil,
                "the status is 201, not 200",
            ),
            (case, 0, renewed, |given| without(given, "id_token"), "no `id_token`"),
            (case, 0, renewed, |given| without(given, "refresh_token"), "no `refresh_token`"),
            (
                case,
                0,
                renewed,
                |given| given.edited(|json| json["id_token"] = unsigned(json).into()),
                "`none`",
            ),
            (
                case,
                0,
                renewed,
                |given| given.edited(|json| json["access_token"] = "cfa_of_another_answer".into()),
                "at_hash",
            ),
            (
                case,
                0,
                renewed,
                |given| given.edited(|json| json["refresh_token"] = "not-usable".into()),
                "not usable",
            ),
            (
                case,
                0,
                keys,
                |given| {
                    given.edited(|json| each_key(json, |key| key["kid"] = "of-yesterday".into()))
                },
                "not among the published keys",
            ),
            (case, 0, keys, |given| given.edited(another_key), "does not verify"),
            (case, 0, keys, |given| Given { status: 503, ..given }, "keys are not published"),
            (
                case,
                0,
                accounts,
                |given| {
                    given.with(401, &json!({ "code": 602, "message": "Customer not authorized" }))
                },
                "not accepted by /accounts",
            ),
        ]);
    }
    each_is_found(spoilings).await;
}

fn without(given: Given, name: &str) -> Given {
    given.edited(|json| drop(json.as_object_mut().unwrap().remove(name)))
}

/// The ID token of an answer without a signature.
fn unsigned(answer: &Value) -> String {
    let claims = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    // {"alg":"none"}
    format!("eyJhbGciOiJub25lIn0.{claims}.")
}

fn each_key(jwks: &mut Value, edit: impl Fn(&mut Value)) {
    jwks["keys"].as_array_mut().unwrap().iter_mut().for_each(edit);
}

/// Publishes another key of RS256 under the name of the one that signs.
fn another_key(jwks: &mut Value) {
    each_key(jwks, |key| {
        if let Some(n) = key["n"].as_str() {
            let other = if n[100..].starts_with('A') { "B" } else { "A" };
            key["n"] = format!("{}{other}{}", &n[..100], &n[101..]).into();
        }
    });
}

/// The tokens that were there before, given once more.
#[tokio::test]
async fn the_same_tokens_again() {
    let certified = Certified::start().await;
    for name in ["id_token", "refresh_token"] {
        for case in ["refresh", "refresh-expired-id-token"] {
            let first = std::sync::Mutex::new(Value::Null);
            certified.spoil(move |asked, given| {
                if asked.case != case || asked.path != "/token" {
                    return given;
                }
                let mut first = first.lock().unwrap();
                if first.is_null() {
                    *first = given.json();
                    return given;
                }
                given.edited(|json| json[name] = first[name].clone())
            });
            let report = certified.verify().await;
            assert_eq!(checks(&report, CheckResult::Failed), [(case.to_owned(), 0)], "{name}");
            assert_eq!(report.tally().passed, 15);
            assert!(
                check(&report, case, 0).reason.starts_with(&format!("the {name} is the one")),
                "{:?}",
                check(&report, case, 0)
            );
        }
    }
}

/// What leads to a check and goes wrong fails the check, and says so; an ID token that does not
/// expire is a set-up that failed.
#[tokio::test]
async fn a_set_up_that_the_server_spoils() {
    let first_redeemed: About =
        |asked| asked.grant_type() == "authorization_code" && asked.nth == 1;
    let first_accounts: About = |asked| asked.path == "/accounts" && asked.nth == 1;
    let certified = Certified::start().await;
    for (case, checks_failed, about, spoil, word) in [
        (
            "refresh-used",
            1,
            first_redeemed,
            (|given| Given { status: 500, ..given }) as Spoil,
            "set-up: a code was not redeemed",
        ),
        (
            "refresh-expired-id-token",
            1,
            first_accounts,
            |given| Given { status: 200, ..given },
            "set-up: the accounts don't refuse",
        ),
        (
            "revoke-id-token",
            2,
            first_accounts,
            |given| Given { status: 403, ..given },
            "set-up: the accounts are not given",
        ),
        (
            "redirect-uri-mismatch",
            1,
            |asked| asked.path == "/sandbox/codes",
            |given| Given { status: 400, ..given },
            "set-up: the sandbox gave no code",
        ),
    ] {
        certified.spoil(
            move |asked, given| {
                if asked.case == case && about(asked) { spoil(given) } else { given }
            },
        );
        let report = certified.verify().await;
        let failed: Vec<_> = (0..checks_failed).map(|index| (case.to_owned(), index)).collect();
        assert_eq!(checks(&report, CheckResult::Failed), failed, "{word}");
        assert_eq!(report.tally().passed, 16 - checks_failed);
        assert!(check(&report, case, 0).reason.starts_with(word), "{:?}", check(&report, case, 0));
    }
}
