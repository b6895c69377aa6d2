//! Prints a report as a run might find it, to look at: `cargo run -p counterfoil-report --example
//! sample [html|junit|json|text]`.

#![allow(clippy::print_stdout)]

#[path = "../src/sample.rs"]
mod sample;

use counterfoil_report::{
    Case, Check, CheckResult, Exchange, Mask, Plan, Report, html, junit, text,
};

fn main() -> Result<(), serde_json::Error> {
    let report = report();
    match std::env::args().nth(1).as_deref() {
        Some("junit") => print!("{}", junit(&report)),
        Some("json") => println!("{:#}", report.to_json()?),
        Some("text") => {
            for case in report.plans.iter().flat_map(|plan| &plan.cases) {
                print!("{}", text::case(case, true));
            }
            print!("\n{}", text::summary(&report, true));
        }
        _ => print!("{}", html(&report)),
    }
    Ok(())
}

fn report() -> Report {
    let mut mask = Mask::default();
    let tokens = r#"{"access_token":"eyJhbGciOiJFUzI1NiIsImtpZCI6InNpZ25pbmctMSJ9.eyJzdWIiOiJjdXN0b21lci0xIn0.c2lnbmF0dXJlLW9mLXRoZS1hY2Nlc3MtdG9rZW4","token_type":"Bearer","expires_in":900,"refresh_token":"slip_5f0c2d7e91a84b3c96d1e2f3a4b5c6d7e8f90a1b2c3d4e5f","scope":"openid accounts"}"#;
    let refused = r#"{"error":"invalid_grant","error_description":"Refresh token is invalid or has already been claimed."}"#;
    let form = "grant_type=refresh_token&refresh_token=slip_5f0c2d7e91a84b3c96d1e2f3a4b5c6d7e8f90a1b2c3d4e5f";
    let authorize = "/authorize?response_type=code&client_id=recipient-1&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&scope=openid+accounts&state=af0ifjsldkj&nonce=n-0S6_WzA2Mj&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    let page = "<!doctype html>\n<html lang=\"en\"><title>Sign in</title>\n<form method=\"post\"><input type=\"hidden\" name=\"ticket\" value=\"b7e23ec29af22b0b4e41da31e868d572\"></form>";
    let cases = vec![
        case(
            "refresh-id-token",
            "Refresh an ID token",
            "OpenID Connect Core 1.0, section 12",
            vec![check(
                CheckResult::Passed,
                "a refresh token of this client",
                "200, with a new ID token",
                "200, with a new ID token",
                "",
            )],
            vec![
                exchange(&mut mask, "set-up", "GET", authorize, "", Some(200), page),
                exchange(&mut mask, "check 1", "POST", "/token", form, Some(200), tokens),
            ],
        ),
        case(
            "refresh-used-refresh-token",
            "Refresh with a used refresh token",
            "RFC 9700, section 4.14.2",
            vec![
                check(
                    CheckResult::Failed,
                    "a refresh token that was claimed before, after its successor was used too",
                    "400 {\"error\":\"invalid_grant\"}",
                    "200 {\"access_token\":\"[masked]\",\"token_type\":\"Bearer\"}",
                    "The server answered a used refresh token with new tokens, so a stolen one works beside the client's own.",
                ),
                check(
                    CheckResult::Passed,
                    "the same again",
                    "400 {\"error\":\"invalid_grant\"}",
                    "400 {\"error\":\"invalid_grant\"}",
                    "",
                ),
            ],
            vec![
                exchange(&mut mask, "check 1", "POST", "/token", form, Some(200), tokens),
                exchange(&mut mask, "check 2", "POST", "/token", form, Some(400), refused),
            ],
        ),
        case(
            "revoke-unreachable",
            "Revoke where the server does not answer",
            "RFC 7009, section 2.2",
            vec![check(
                CheckResult::Passed,
                "an ID token",
                "200, with no body",
                "200, with no body",
                "",
            )],
            vec![
                exchange(
                    &mut mask,
                    "check 1",
                    "POST",
                    "/revoke",
                    "token=opaque-and-short",
                    None,
                    "connection closed before the answer was complete",
                ),
                exchange(
                    &mut mask,
                    "check 1",
                    "POST",
                    "/revoke",
                    "token=opaque-and-short",
                    Some(200),
                    "",
                ),
            ],
        ),
    ];
    let not_run = case(
        "refresh-expired-id-token",
        "Refresh an expired ID token",
        "OpenID Connect Core 1.0, section 12.2",
        vec![check(
            CheckResult::NotRun,
            "an ID token that is past its time",
            "200, with a new ID token",
            "",
            "ID tokens live 24 hours here, and --wait is 5 minutes.",
        )],
        vec![],
    );
    Report {
        plans: vec![
            Plan { plan: "token-management".into(), title: "Token management".into(), cases },
            Plan { plan: "expiry".into(), title: "Expiry".into(), cases: vec![not_run] },
        ],
        ..sample::report()
    }
}

fn case(id: &str, title: &str, clause: &str, checks: Vec<Check>, exchanges: Vec<Exchange>) -> Case {
    Case { id: id.into(), title: title.into(), clause: clause.into(), checks, exchanges }
}

fn check(result: CheckResult, given: &str, expected: &str, seen: &str, reason: &str) -> Check {
    Check {
        given: given.into(),
        result,
        expected: expected.into(),
        seen: seen.into(),
        reason: reason.into(),
    }
}

fn exchange(
    mask: &mut Mask,
    note: &str,
    method: &str,
    url: &str,
    form: &str,
    status: Option<u16>,
    answer: &str,
) -> Exchange {
    let basic = mask
        .header("authorization", "Basic cmVjaXBpZW50LTE6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==");
    let kind =
        if answer.starts_with('<') { "text/html; charset=utf-8" } else { "application/json" };
    let headers = [
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("x-fapi-interaction-id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"),
    ];
    Exchange {
        note: note.into(),
        method: method.into(),
        url: mask.url(url),
        request_headers: vec![
            ("authorization".into(), basic),
            ("content-type".into(), "application/x-www-form-urlencoded".into()),
        ],
        request_body: mask.form(form),
        status,
        answer_headers: status
            .iter()
            .flat_map(|_| headers)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..sample::exchange(&mask.body(answer))
    }
}
