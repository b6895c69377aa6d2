use std::collections::BTreeSet;

use counterfoil_core::form::Form;
use counterfoil_testing::html::{
    HOSTILE, ids_of, must_be_whole, must_hold_no_text, must_keep_names_text, named_in,
};

use super::*;

const TEMPLATES: &[(&str, &str)] = &[
    ("callback.html", include_str!("../../templates/callback.html")),
    ("command.html", include_str!("../../templates/command.html")),
    ("dashboard.html", include_str!("../../templates/dashboard.html")),
    ("dashboard-faults.html", include_str!("../../templates/dashboard-faults.html")),
    ("dashboard-grants.html", include_str!("../../templates/dashboard-grants.html")),
    ("dashboard-notice.html", include_str!("../../templates/dashboard-notice.html")),
    ("dashboard-requests.html", include_str!("../../templates/dashboard-requests.html")),
    ("walkthrough.html", include_str!("../../templates/walkthrough.html")),
];
const SOURCES: [&str; 2] = [include_str!("dashboard.rs"), include_str!("walkthrough.rs")];

/// The stems of the sandbox's steps; each has a message `<stem>-title` and `<stem>-text`.
const STEPS: [&str; 7] = [
    "step-accounts",
    "step-clock",
    "step-code",
    "step-exchange",
    "step-refresh",
    "step-refresh-again",
    "step-revoke",
];

/// The stems of the sandbox's faults; each has a message `<stem>-title` and `<stem>-text`.
const FAULTS: [&str; 10] = [
    "fault-delay",
    "fault-expire_code",
    "fault-expire_refresh_token",
    "fault-fdx_error",
    "fault-lose_answer",
    "fault-revoke_grant",
    "fault-rotate_keys",
    "fault-skew",
    "fault-too_many_requests",
    "fault-unavailable",
];

/// The messages that are named by a value and not in a template.
const NAMED: [&str; 31] = [
    "dashboard-answer-page",
    "dashboard-unknown-action",
    "dashboard-unknown-grant",
    "done-advance",
    "done-clear_fault",
    "done-clear_faults",
    "done-fault",
    "done-fault_at_once",
    "done-grade",
    "done-machine_time",
    "done-revoke_grant",
    "done-stop_grading",
    "grant-ended",
    "grant-ended-client",
    "grant-ended-client_removed",
    "grant-ended-code_replay",
    "grant-ended-customer",
    "grant-ended-customer_removed",
    "grant-ended-operator",
    "grant-ended-refresh_token_replay",
    "grant-ended-unknown",
    "grant-expired",
    "grant-living",
    "grant-parent-ended",
    "grant-removed",
    "row-client-confidential",
    "row-client-other",
    "row-client-public",
    "row-customers",
    "row-discovery",
    "row-provider",
];

fn locale() -> Locale {
    english().expect("the texts are complete")
}

fn dashboard<'a>(locale: &'a Locale, name: &'a str) -> Dashboard<'a> {
    let fault = FaultRow {
        id: "1",
        kind: "delay",
        client: Some(name),
        customer: Some(name),
        path: Some("/token"),
        value: Some(name),
        remaining: 2,
    };
    let grant = GrantRow {
        id: "g1",
        client: name,
        customer: name,
        since: "2026-11-22T10:00:00Z",
        parent: None,
        next_slip: 0,
        slip_expired: true,
        state: "grant-living",
        living: true,
    };
    let request = RequestRow {
        at: "2026-11-22T10:00:00Z",
        method: "POST",
        path: name.to_owned(),
        client: Some(name),
        status: 400,
        reason: Some(name.to_owned()),
        lost: true,
        request: name.to_owned(),
        answer: name.to_owned(),
    };
    Dashboard {
        locale,
        issuer: "http://127.0.0.1:8080",
        notice: Some(Notice { section: "faults", text: name, bad: true }),
        typed: None,
        now: "2026-11-22T10:00:00Z",
        moved: Some("+1d"),
        faults: vec![
            fault,
            FaultRow { id: "2", client: None, customer: None, path: None, value: None, ..fault },
        ],
        kinds: vec!["lose_answer", "delay"],
        paths: vec!["/token"],
        clients: vec![("client-1", name)],
        grants: vec![
            grant,
            GrantRow {
                parent: Some("g0"),
                next_slip: 3,
                slip_expired: false,
                state: "grant-ended-customer",
                living: false,
                ..grant
            },
        ],
        requests: vec![
            request.clone(),
            RequestRow { client: None, status: 200, reason: None, lost: false, ..request },
        ],
        graded: Some(GradingStatus { client: name, event: Some((name, name)) }),
    }
}

fn empty_dashboard(locale: &Locale) -> Dashboard<'_> {
    let (faults, grants, requests) = (vec![], vec![], vec![]);
    Dashboard {
        notice: None,
        moved: None,
        faults,
        grants,
        requests,
        graded: None,
        ..dashboard(locale, "App")
    }
}

/// Every page in every one of its states, with `name` wherever somebody else chose the text.
fn pages(locale: &Locale, name: &str) -> Vec<String> {
    let callback = |code, error| Callback {
        locale,
        issuer: "http://127.0.0.1:8080",
        code,
        error,
        state: Some(name),
        commands: vec![("step-exchange-title", name.to_owned())],
    };
    let walkthrough = Walkthrough {
        locale,
        issuer: "http://127.0.0.1:8080",
        authorize_url: "/authorize?a=1&b=2",
        steps: vec![
            ("step-code-title", "step-code-text", name.to_owned()),
            ("step-clock-title", "step-clock-text", String::new()),
        ],
        rows: vec![("row-customers", name.to_owned())],
    };
    vec![
        callback(Some(name), None).render(),
        callback(None, Some((name, name))).render(),
        callback(None, None).render(),
        walkthrough.render(),
        dashboard(locale, name).render(),
        Dashboard {
            notice: Some(Notice { section: "grading", text: name, bad: false }),
            graded: None,
            ..dashboard(locale, name)
        }
        .render(),
    ]
}

#[test]
fn every_page_is_whole_and_lacks_no_text() {
    let locale = locale();
    let pages = pages(&locale, "Budget Buddy").into_iter();
    pages.chain([empty_dashboard(&locale).render()]).for_each(|page| must_be_whole(&page));
}

#[test]
fn a_hostile_name_stays_text() {
    pages(&locale(), HOSTILE).iter().for_each(|page| must_keep_names_text(page));
}

#[test]
fn what_was_typed_is_kept_unless_it_is_a_secret() {
    let locale = locale();
    let typed =
        Form::parse(b"fault=delay&client_id=client-1&path=/token&customer=x%22y&value=cfr_secret&count=7&advance=soon").expect("a form");
    let page = Dashboard { typed: Some(&typed), ..dashboard(&locale, "App") }.render();
    for part in [
        "value=\"delay\" selected",
        "value=\"client-1\" selected",
        "value=\"/token\" selected",
        "value=\"x&#34;y\"",
        "value=\"7\"",
        "value=\"soon\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("cfr_secret"));
    assert!(page.contains("<title>Error: "), "{page}");
}

/// No message is missing, and none is there that nothing uses. The server's own are its tests'.
#[test]
fn the_texts_are_those_that_are_used() {
    let defined = ids_of(ENGLISH);
    let pairs = |stem: &&str| [format!("{stem}-title"), format!("{stem}-text")];
    let texts = TEMPLATES.iter().map(|(_, text)| *text).chain(SOURCES);
    let mut used: BTreeSet<String> = texts.flat_map(named_in).map(str::to_owned).collect();
    used.extend(NAMED.map(str::to_owned));
    used.extend(STEPS.iter().chain(&FAULTS).flat_map(pairs));
    let unused: Vec<&String> = defined.difference(&used).collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
    let locale = locale();
    let missing: Vec<&String> = used.iter().filter(|id| locale.text(id) == **id).collect();
    assert!(missing.is_empty(), "the texts lack {missing:?}");
}

#[test]
fn templates_hold_no_text_of_their_own() {
    let on_disk = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
        .expect("the templates are there")
        .count();
    assert_eq!(on_disk, TEMPLATES.len(), "TEMPLATES is to list every template");
    TEMPLATES.iter().for_each(|(name, source)| must_hold_no_text(name, source));
}
