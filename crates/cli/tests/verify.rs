//! `counterfoil verify`: what it says of a sandbox and of servers that are none, and what comes out
//! of it as a process.

use std::sync::Arc;

use counterfoil_report::CheckResult::{Failed, NotRun};
use counterfoil_verify::{Endpoint, Event, Options, TokenFile, VerifyError};
use tokio::sync::Notify;

use crate::certified::browser::consent_in_background;
use crate::certified::{
    Certified, Given, check, checks, no_discovery, no_sandbox, verify, verify_with_events,
};
use crate::setting::{RECIPIENT, Server};

/// The cases of the token management plan, and how many checks each has.
const CASES: [(&str, usize); 11] = [
    ("refresh", 1),
    ("refresh-expired-id-token", 1),
    ("revoke-id-token", 2),
    ("refresh-used", 1),
    ("refresh-bad-secret", 1),
    ("revoke-bad-secret", 2),
    ("code-invalid", 2),
    ("redirect-uri-mismatch", 1),
    ("grant-type-invalid", 2),
    ("client-invalid", 2),
    ("refresh-token-missing", 1),
];

fn named(checks: &[(&str, usize)]) -> Vec<(String, usize)> {
    checks.iter().map(|(case, index)| ((*case).to_owned(), *index)).collect()
}

/// What nobody can do who can't move the clock.
const TIMED: [(&str, usize); 2] = [("refresh-expired-id-token", 0), ("code-invalid", 0)];

#[tokio::test]
async fn our_own_sandbox_passes_and_its_clock_is_left_as_it_was() {
    let server = Server::sandbox(&["--log", "error"]);
    for moved in ["0s", "-49h"] {
        server.post("/sandbox/clock", &[("advance", moved)]).await;
        let before = server.get("/sandbox/clock").await.json()["offset_seconds"].clone();
        let report = verify(Options::new(&server.origin)).await.unwrap();
        assert_eq!(
            (report.tally().passed, report.tally().failed, report.tally().not_run),
            (16, 0, 0),
            "{report:#?}"
        );
        assert_eq!(
            (report.issuer.as_str(), report.client_id.as_str()),
            (server.origin.as_str(), RECIPIENT.0)
        );
        let cases: Vec<_> = report.plans[0]
            .cases
            .iter()
            .map(|case| (case.id.as_str(), case.checks.len()))
            .collect();
        assert_eq!(
            (report.plans.len(), report.plans[0].plan.as_str(), &cases[..]),
            (1, "token-management", &CASES[..])
        );
        for case in &report.plans[0].cases {
            assert!(!case.clause.is_empty() && !case.exchanges.is_empty(), "{}", case.id);
            assert!(case.exchanges.iter().all(|exchange| exchange.status.is_some()), "{}", case.id);
        }
        assert_eq!(server.get("/sandbox/clock").await.json()["offset_seconds"], before);
    }
}

/// The public client has no secret: what is about a wrong one can't be seen, and is not counted as
/// passed.
#[tokio::test]
async fn a_public_client() {
    let server = Server::sandbox(&["--log", "error"]);
    let report =
        verify(Options { client_id: Some("sandbox-app".into()), ..Options::new(&server.origin) })
            .await
            .unwrap();
    let about_secrets = [
        ("refresh-bad-secret", 0),
        ("revoke-bad-secret", 0),
        ("revoke-bad-secret", 1),
        ("client-invalid", 1),
    ];
    assert_eq!(checks(&report, NotRun), named(&about_secrets));
    assert_eq!((report.tally().passed, report.tally().failed), (12, 0), "{report:#?}");
    assert!(check(&report, "refresh-bad-secret", 0).reason.contains("no secret"));
}

fn elsewhere(certified: &Certified) -> Options {
    Options {
        client_id: Some(RECIPIENT.0.into()),
        client_secret: Some(RECIPIENT.1.into()),
        redirect_uri: Some("http://127.0.0.1:0/callback".into()),
        ..certified.options()
    }
}

fn consents(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Consent { .. })).count()
}

#[tokio::test]
async fn elsewhere_two_consents_are_enough_for_all_that_needs_no_clock() {
    let certified = Certified::start().await;
    certified.spoil(no_sandbox);
    let (report, events) = verify_with_events(elsewhere(&certified), consent_in_background).await;
    assert_eq!(checks(&report, NotRun), named(&TIMED), "{report:#?}");
    assert_eq!((report.tally().passed, report.tally().failed), (14, 0), "{report:#?}");
    assert_eq!(consents(&events), 2);
    assert!(!certified.asked().iter().any(|(_, path)| path.starts_with("/sandbox/")));
    assert!(check(&report, "refresh-expired-id-token", 0).reason.contains("--aged-token"));
    assert!(check(&report, "code-invalid", 0).reason.contains("clock"));
    let cases: Vec<_> = report.plans[0].cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(cases, CASES.map(|(id, _)| id), "the report keeps the order of the plan");
}

/// RFC 9700 section 4.14.2 lets it: what comes after works with the other consent's grant.
#[tokio::test]
async fn a_server_that_ends_the_grant_upon_a_used_refresh_token() {
    let certified = Certified::start().await;
    certified.spoil(|asked, given| match asked.case.as_str() {
        "revoke-id-token" if asked.grant_type() == "refresh_token" => {
            given.with(400, &serde_json::json!({ "error": "invalid_grant" }))
        }
        _ => no_sandbox(asked, given),
    });
    let (report, events) = verify_with_events(elsewhere(&certified), consent_in_background).await;
    assert_eq!(
        (report.tally().passed, report.tally().failed, consents(&events)),
        (14, 0, 2),
        "{report:#?}"
    );
}

/// What the browser brings back, with a part of it replaced.
async fn brought_back(
    replaced: &'static str,
    by: &'static str,
) -> (counterfoil_report::Report, Vec<Event>) {
    let certified = Certified::start().await;
    certified.spoil(move |asked, given| {
        let mut given = no_sandbox(asked, given);
        if asked.path == "/consent" && given.headers.contains_key("location") {
            let location = given.headers["location"].to_str().unwrap().replace(replaced, by);
            given.headers.insert("location", location.parse().unwrap());
        }
        given
    });
    verify_with_events(elsewhere(&certified), consent_in_background).await
}

#[tokio::test]
async fn an_authorization_response_of_another_issuer() {
    let (report, _) = brought_back("iss=http", "iss=https").await;
    let check = check(&report, "refresh", 0);
    assert!(
        check.result == Failed && check.reason.contains("iss in the authorization response"),
        "{check:?}"
    );
}

#[tokio::test]
async fn a_consent_that_is_denied() {
    let (report, events) = brought_back("code=", "error=access_denied&was=").await;
    assert_eq!((checks(&report, Failed), consents(&events)), (vec![], 2), "{report:#?}");
    let check = check(&report, "refresh", 0);
    assert!(check.result == NotRun && check.reason == "the consent was denied", "{check:?}");
}

#[tokio::test]
async fn codes_and_refresh_tokens_that_are_given() {
    let certified = Certified::start().await;
    certified.spoil(no_sandbox);
    let server = &certified.server;
    let callback = format!("{}/sandbox/callback", certified.issuer);
    let form =
        [("client_id", RECIPIENT.0), ("redirect_uri", &*callback), ("customer", "customer_1")];
    let code = server.post("/sandbox/codes", &form).await.member("code");
    let refresh_token = server.tokens().await.refresh_token;
    let given = Options { redirect_uri: Some(callback.clone()), ..elsewhere(&certified) };
    for options in [
        Options { code: Some(code), ..given.clone() },
        Options { refresh_token: Some(refresh_token), redirect_uri: None, ..given.clone() },
    ] {
        let (report, events) = verify_with_events(options, |_| {}).await;
        assert_eq!(
            checks(&report, NotRun),
            named(&[TIMED[0], TIMED[1], ("redirect-uri-mismatch", 0)]),
            "{report:#?}"
        );
        assert_eq!(
            (report.tally().passed, report.tally().failed, consents(&events)),
            (13, 0, 0),
            "{report:#?}"
        );
        assert!(check(&report, "redirect-uri-mismatch", 0).reason.contains("no further code"));
    }
    // Little could be run with one that is none, and it would look green.
    let refused = verify(Options { refresh_token: Some("worn-out".into()), ..given })
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("no good") && refused.contains("400") && !refused.contains("worn-out"),
        "{refused}"
    );
}

#[tokio::test]
async fn tokens_kept_for_a_day() {
    let certified = Certified::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("aged.json");
    // Yesterday.
    certified.server.post("/sandbox/clock", &[("advance", "-25h")]).await;
    let kept =
        verify(Options { keep_token: Some(file.clone()), ..certified.options() }).await.unwrap();
    assert_eq!(kept.tally().passed, 16);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Today.
    certified.server.post("/sandbox/clock", &[("advance", "25h")]).await;
    certified.spoil(no_sandbox);
    let options = Options {
        aged_token: Some(TokenFile::read(&file).unwrap()),
        keep_token: Some(file.clone()),
        ..elsewhere(&certified)
    };
    let (report, events) = verify_with_events(options, consent_in_background).await;
    assert_eq!(checks(&report, NotRun), named(&TIMED[1..]), "{report:#?}");
    assert_eq!((report.tally().passed, consents(&events)), (15, 2));
    assert!(
        events.iter().any(|event| matches!(event, Event::Note(note) if note.contains("24 hours"))),
        "{events:?}"
    );
    // Once more today, with what was kept just now.
    let options =
        Options { aged_token: Some(TokenFile::read(&file).unwrap()), ..elsewhere(&certified) };
    let (report, _) = verify_with_events(options, consent_in_background).await;
    assert!(
        check(&report, "refresh-expired-id-token", 0).reason.contains("0 hours old"),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_server_without_discovery_takes_its_endpoints_from_options() {
    let certified = Certified::start().await;
    certified.spoil(no_discovery);
    let at = |endpoint, path: &str| (endpoint, format!("{}{path}", certified.issuer));
    let mut options = elsewhere(&certified);
    options.endpoints = [
        at(Endpoint::Token, "/token"),
        at(Endpoint::Jwks, "/jwks"),
        at(Endpoint::Authorization, "/authorize"),
    ]
    .into();
    let missing = verify(options.clone()).await.unwrap_err();
    assert!(
        matches!(&missing, VerifyError::Usage(why) if why.contains("--revocation-endpoint")),
        "{missing}"
    );
    options.endpoints.extend([
        at(Endpoint::Revocation, "/revoke"),
        at(Endpoint::Accounts, "/accounts/v2/sandbank"),
    ]);
    let (report, _) = verify_with_events(options, consent_in_background).await;
    assert_eq!((report.tally().passed, report.tally().failed), (14, 0), "{report:#?}");
}

#[tokio::test]
async fn what_can_not_run() {
    let certified = Certified::start().await;
    let refused = async |options| match verify(options).await {
        Err(error) => error.to_string(),
        Ok(report) => panic!("{report:#?}"),
    };
    let is = |message: String, words: &str| assert!(message.contains(words), "{message}");
    is(
        refused(Options { plans: vec!["no-such".into()], ..certified.options() }).await,
        "token-management",
    );
    is(refused(Options::new("auth.bank.example")).await, "https");
    is(refused(Options::new("http://127.0.0.1:9")).await, "does not answer");
    let by_another_name = certified.issuer.replace("127.0.0.1", "localhost");
    is(refused(Options::new(&by_another_name)).await, &certified.issuer);
    certified.spoil(no_sandbox);
    is(refused(certified.options()).await, "--client-id");
    is(refused(Options { redirect_uri: None, ..elsewhere(&certified) }).await, "--redirect-uri");
    is(
        refused(Options {
            redirect_uri: Some("https://app.example/cb".into()),
            ..elsewhere(&certified)
        })
        .await,
        "loopback",
    );
}

/// A user in the issuer would go out as the client's credentials, to whoever asks.
#[tokio::test]
async fn an_issuer_with_a_user() {
    for user in ["app:secret@", "app@", ":secret@"] {
        let refused =
            verify(Options::new(&format!("https://{user}auth.bank.example"))).await.unwrap_err();
        assert!(
            matches!(&refused, VerifyError::Usage(why) if why.contains("--client-secret") && !why.contains("app:secret")),
            "{refused}"
        );
    }
}

/// A server that sends us to move the clock of another one is no sandbox.
#[tokio::test]
async fn a_sandbox_that_is_elsewhere() {
    let (certified, other) = (Certified::start().await, Server::sandbox(&["--log", "error"]));
    for elsewhere in
        [other.url("/sandbox"), format!("{}/sandbox/", certified.issuer), "/sandbox".to_owned()]
    {
        certified.spoil(move |asked, given| match asked.path.starts_with("/.well-known/") {
            true => given.edited(|json| json["counterfoil_sandbox"] = elsewhere.clone().into()),
            false => given,
        });
        let refused = verify(certified.options()).await.unwrap_err();
        assert!(
            matches!(&refused, VerifyError::Usage(why) if why.contains("no sandbox")),
            "{refused}"
        );
        assert!(!certified.asked().iter().any(|(_, path)| path.starts_with("/sandbox")));
    }
}

/// Nobody is told that the clock was put back where it was not.
#[tokio::test]
async fn an_interrupted_run_that_can_not_put_the_clock_back() {
    let certified = Certified::start().await;
    certified.server.post("/sandbox/clock", &[("advance", "90s")]).await;
    let moved = Arc::new(Notify::new());
    let told = moved.clone();
    certified.spoil(move |asked, given| {
        let first = asked.case == "discovery"
            || (asked.case == "refresh-expired-id-token" && asked.nth == 1);
        if asked.path != "/sandbox/clock" || first {
            return given;
        }
        told.notify_one();
        Given { status: 503, ..given }
    });
    let stop = async move { moved.notified().await };
    let stopped =
        counterfoil_verify::run(certified.options(), stop, Box::new(drop)).await.unwrap_err();
    assert!(matches!(&stopped, VerifyError::Clock { offset: 90, report: None, .. }), "{stopped}");
    assert!(!stopped.to_string().contains("interrupted"));
}

#[tokio::test]
async fn an_interrupted_run_puts_the_clock_back() {
    let certified = Certified::start().await;
    certified.server.post("/sandbox/clock", &[("advance", "90s")]).await;
    let moved = Arc::new(Notify::new());
    let told = moved.clone();
    certified.spoil(move |asked, given| {
        if asked.case == "code-invalid" && asked.path == "/sandbox/clock" && !asked.form.is_empty()
        {
            told.notify_one();
        }
        given
    });
    let stop = async move { moved.notified().await };
    let interrupted = counterfoil_verify::run(certified.options(), stop, Box::new(drop)).await;
    assert!(matches!(interrupted, Err(VerifyError::Interrupted)));
    assert_eq!(certified.clock_offset().await, 90);
}

/// The clock is put back even where the case that moved it fails.
#[tokio::test]
async fn a_timed_case_that_fails_puts_the_clock_back() {
    let certified = Certified::start().await;
    certified.spoil(|asked, given| match asked.case.as_str() {
        "refresh-expired-id-token" if asked.path == "/accounts" => Given { status: 500, ..given },
        _ => given,
    });
    let report = certified.verify().await;
    assert_eq!(checks(&report, Failed), named(&TIMED[..1]));
    assert_eq!(certified.clock_offset().await, 0);
}
