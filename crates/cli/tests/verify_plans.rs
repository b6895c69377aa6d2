//! The plans of `counterfoil verify` on discovery, OAuth in either dialect and the data API: our
//! own server passes them, each dialect is told from the other, and behind a proxy that spoils
//! answers exactly what is about these answers fails.

mod spoiled;

use counterfoil_report::{CheckResult, Report};
use counterfoil_verify::{Event, Options};

use crate::certified::browser::consent_in_background;
use crate::certified::{Certified, checks, no_sandbox, verify, verify_with_events};
use crate::setting::{RECIPIENT, Server};

/// The checks that came out so, a case a part: `case 0 2, other-case 1`.
fn came_out(report: &Report, outcome: CheckResult) -> String {
    let mut cases: Vec<(String, String)> = Vec::new();
    for (case, check) in checks(report, outcome) {
        match cases.last_mut() {
            Some((last, indices)) if *last == case => *indices = format!("{indices} {check}"),
            _ => cases.push((case, check.to_string())),
        }
    }
    cases.iter().map(|(case, indices)| format!("{case} {indices}")).collect::<Vec<_>>().join(", ")
}

/// What did not pass, and why.
fn reasons(report: &Report) -> String {
    let cases = report.plans.iter().flat_map(|plan| &plan.cases);
    let all = cases.flat_map(|case| {
        case.checks.iter().enumerate().map(move |(index, check)| (&case.id, index, check))
    });
    let blamed = all.filter(|(_, _, check)| check.result != CheckResult::Passed);
    blamed
        .map(|(case, index, check)| {
            format!("\n{case} {index}: {:?}: {} (seen: {})", check.result, check.reason, check.seen)
        })
        .collect()
}

fn plan(name: &str, options: Options) -> Options {
    Options { plans: vec![name.to_owned()], ..options }
}

async fn run(server: &Server, name: &str) -> Report {
    verify(plan(name, Options::new(&server.origin))).await.unwrap()
}

fn in_both_dialects() -> [Server; 2] {
    [Server::sandbox(&["--log", "error"]), Server::sandbox(&["--log", "error", "--dialect", "rfc"])]
}

#[tokio::test]
async fn our_own_sandbox_passes() {
    let [network, rfc] = in_both_dialects();
    for (server, name, checks) in [
        (&network, "discovery", 41),
        (&network, "oauth", 90),
        (&rfc, "oauth-rfc", 71),
        (&network, "data", 52),
    ] {
        let report = run(server, name).await;
        let tally = report.tally();
        assert_eq!(
            (tally.passed, tally.failed, tally.not_run),
            (checks, 0, 0),
            "{name}: {}",
            reasons(&report)
        );
        for case in &report.plans[0].cases {
            assert!(!case.clause.is_empty() && !case.exchanges.is_empty(), "{}", case.id);
            assert!(case.exchanges.iter().all(|exchange| exchange.status.is_some()), "{}", case.id);
        }
    }
    assert_eq!(network.get("/sandbox/clock").await.json()["offset_seconds"], 0);
}

/// What is the same in both dialects is blamed in neither, and all else is.
#[tokio::test]
async fn each_dialect_is_told_from_the_other() {
    let [network, rfc] = in_both_dialects();
    let report = run(&rfc, "oauth").await;
    assert_eq!(
        came_out(&report, CheckResult::Failed),
        "grant-type 0 1, code-invalid 0 1 2 3, code-used 0 1, code-of-another-client 0, code-redirect-uri 0 1, refresh-invalid 1 2 3, \
         refresh-used 0, refresh-of-another-client 0, revoke-client 0 1 2 3, revoke-of-another-client 0, revoke-kinds 1 3 5, \
         revoke-superseded 1, revoke-hint 1, revoke-unknown-hint 0 1"
    );
    // A missing code or redirect_uri is an invalid_request by RFC 6749 too, and RFC 7009 leaves it
    // open how the token of another is refused.
    let report = run(&network, "oauth-rfc").await;
    assert_eq!(
        came_out(&report, CheckResult::Failed),
        "grant-type 0 1, code-invalid 1 2 3, code-used 0, code-of-another-client 0, code-redirect-uri 1, refresh-invalid 1 2 3, \
         refresh-used 0, refresh-of-another-client 0, revoke-client 1 2 3, revoke-kinds 1, revoke-hint 1, revoke-unknown-hint 0 1"
    );
}

/// Holds that nothing fails, and what is not run.
#[track_caller]
fn nothing_is_blamed(report: &Report, not_run: &str) {
    let outcomes = (came_out(report, CheckResult::Failed), came_out(report, CheckResult::NotRun));
    assert_eq!(outcomes, (String::new(), not_run.to_owned()), "{}", reasons(report));
}

/// What is about secrets can't be seen with a client that has none.
#[tokio::test]
async fn a_public_client() {
    let server = Server::sandbox(&["--log", "error"]);
    for (name, not_run) in [
        ("discovery", "introspection 0 1"),
        (
            "oauth",
            "request-query 0, client-credentials 0 1 2, client-invalid 1, client-challenged 0 1, client-twice 0 1, pkce-unasked 0, \
             revoke-client 1 2 3",
        ),
        ("data", ""),
    ] {
        let options =
            Options { client_id: Some("sandbox-app".into()), ..Options::new(&server.origin) };
        nothing_is_blamed(&verify(plan(name, options)).await.unwrap(), not_run);
    }
}

#[tokio::test]
async fn elsewhere_nothing_is_blamed_that_can_not_be_seen() {
    let certified = Certified::start().await;
    certified.spoil(no_sandbox);
    for (name, not_run) in [
        ("discovery", ""),
        (
            "oauth",
            "request-query 0 1, code-invalid 3, code-of-another-client 0 1, pkce-verifier 3, pkce-unasked 0, pkce-public 0, \
             code-redirect-uri 2, refresh-of-another-client 0 1, refused-claims-nothing 1, revoke-of-another-client 0 1, revoke-code 1, revoke-kinds 2 3 4 5, \
             revoke-unknown 1, revoke-superseded 0 1, revoke-hint 0 1",
        ),
        (
            "data",
            "bearer-expired 0 1, accounts-consented 1 2, account-of-another-customer 0 1, accounts-empty 0",
        ),
    ] {
        let options = Options {
            client_id: Some(RECIPIENT.0.into()),
            client_secret: Some(RECIPIENT.1.into()),
            redirect_uri: Some("http://127.0.0.1:0/callback".into()),
            ..certified.options()
        };
        let (report, events) = verify_with_events(plan(name, options), consent_in_background).await;
        nothing_is_blamed(&report, not_run);
        assert!(events.iter().filter(|event| matches!(event, Event::Consent { .. })).count() <= 2);
    }
}
