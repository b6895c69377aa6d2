//! A report for the tests, and what the example has of its own around it.

use crate::{Case, Check, CheckResult, Exchange, Plan, Report};

pub(crate) fn check(given: &str, result: CheckResult) -> Check {
    let of = |wanted: bool, text: &str| {
        if wanted { text.to_owned() } else { String::new() }
    };
    Check {
        given: given.into(),
        result,
        expected: "400 {\"error\":\"invalid_grant\"}".into(),
        seen: match result {
            CheckResult::Passed => "400 {\"error\":\"invalid_grant\"}".into(),
            CheckResult::Failed => "200".into(),
            CheckResult::NotRun => String::new(),
        },
        reason: of(result == CheckResult::Failed, "A token was issued twice.")
            + &of(result == CheckResult::NotRun, "The server publishes no metadata."),
    }
}

pub(crate) fn exchange(answer_body: &str) -> Exchange {
    Exchange {
        at: "2026-03-01T10:00:01.250Z".into(),
        note: "set-up".into(),
        method: "POST".into(),
        url: "/token?trace=1&lang=en".into(),
        request_headers: vec![("authorization".into(), "Basic [masked]".into())],
        request_body: "grant_type=refresh_token&refresh_token=[masked]".into(),
        status: Some(200),
        answer_headers: vec![("content-type".into(), "application/json".into())],
        answer_body: answer_body.into(),
    }
}

fn case(id: &str, title: &str, checks: Vec<Check>) -> Case {
    let exchanges = vec![exchange("{\"token_type\":\"Bearer\",\"expires_in\":900}")];
    Case {
        id: id.into(),
        title: title.into(),
        clause: "RFC 6749, section 6".into(),
        checks,
        exchanges,
    }
}

/// Three checks that passed, one that failed and one that was not run.
pub(crate) fn report() -> Report {
    let cases = vec![
        case(
            "refresh",
            "Refresh an ID token",
            vec![check("a refresh token of this client", CheckResult::Passed)],
        ),
        case(
            "refresh-used",
            "Refresh with a used refresh token",
            vec![
                check("a used refresh token", CheckResult::Failed),
                check("no refresh token", CheckResult::Passed),
            ],
        ),
        case("revoke", "Revoke an ID token", vec![check("an ID token", CheckResult::Passed)]),
    ];
    let metadata = case(
        "metadata",
        "Publish metadata",
        vec![check("the well-known URL", CheckResult::NotRun)],
    );
    Report {
        title: "counterfoil verify".into(),
        version: "0.1.0".into(),
        issuer: "https://auth.bank.example".into(),
        client_id: "recipient-1".into(),
        started_at: "2026-03-01T10:00:00Z".into(),
        plans: vec![
            Plan { plan: "token-management".into(), title: "Token management".into(), cases },
            Plan { plan: "discovery".into(), title: "Discovery".into(), cases: vec![metadata] },
        ],
    }
}
