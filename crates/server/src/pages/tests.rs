mod style;

use std::collections::BTreeSet;

use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_core::fdx::CLUSTERS;
use counterfoil_testing::html::{
    HOSTILE, between, ids_of, must_be_whole, must_hold_no_text, must_keep_names_text, named_in,
};

use super::locale::{ERRORS, IN_TEMPLATES, NAMED, SIGN_IN_AGAIN};
use super::*;

const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../../templates/base.html")),
    ("connected-apps.html", include_str!("../../templates/connected-apps.html")),
    ("consent.html", include_str!("../../templates/consent.html")),
    ("consented.html", include_str!("../../templates/consented.html")),
    ("error.html", include_str!("../../templates/error.html")),
    ("form-post.html", include_str!("../../templates/form-post.html")),
    ("party.html", include_str!("../../templates/party.html")),
    ("shared-data.html", include_str!("../../templates/shared-data.html")),
    ("sign-in.html", include_str!("../../templates/sign-in.html")),
];
const SOURCES: &[&str] = &[
    include_str!("customer.rs"),
    include_str!("locale.rs"),
    include_str!("notices.rs"),
    include_str!("../pages.rs"),
    include_str!("../customer/consent_page/snapshot.rs"),
];
const ENGLISH: &str = include_str!("../../locales/en.ftl");

fn english() -> Locale {
    Locale::english().expect("the texts are complete")
}

fn party(name: &str) -> Party<'_> {
    Party {
        name,
        logo_uri: Some("https://app.example/logo.png?a=1&b=\"2\""),
        registered_entity: Some(name),
    }
}

fn sign_in<'a>(locale: &'a Locale, name: &'a str, providers: usize) -> SignIn<'a> {
    const BANKS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    SignIn {
        locale,
        action: "/authorize",
        ticket: "ticket-1",
        client_name: Some(name),
        providers: BANKS
            .iter()
            .take(providers)
            .map(|id| Choice { id, name, selected: false })
            .collect(),
        username: name,
        failed: None,
        cancel: true,
    }
}

fn consent<'a>(locale: &'a Locale, name: &'a str) -> Consent<'a> {
    let account = |id: &'a str| AccountChoice {
        id,
        label: name,
        kind: "CHECKING",
        number: Some("****1234"),
        chosen: id == "acc-2",
    };
    Consent {
        locale,
        action: "/consent",
        ticket: "ticket-1",
        client: party(name),
        provider_name: name,
        customer_name: name,
        clusters: CLUSTERS.to_vec(),
        accounts: vec![account("acc-1"), account("acc-2")],
        until: Some("22 November 2027"),
        time: None,
        lookback_days: Some(90),
        nothing_chosen: false,
        changes: vec![],
        redirect_host: "app.example",
    }
}

fn connected<'a>(locale: &'a Locale, name: &'a str) -> ConnectedApps<'a> {
    let consent = |grant: &str| ConsentEntry {
        grant: grant.to_owned(),
        clusters: vec!["BALANCES", "SOMETHING_NEW"],
        accounts: vec![name.to_owned()],
        since: "22 November 2026".to_owned(),
        until: "22 November 2027".to_owned(),
    };
    let several = vec![consent("grant-1"), consent("grant-2")];
    let one = vec![ConsentEntry { accounts: vec![], ..consent("grant-3") }];
    ConnectedApps {
        locale,
        customer_name: name,
        provider_name: name,
        apps: vec![
            ConnectedApp {
                id: "client-1",
                client: party(name),
                consents: several,
                more: 3,
                replayed: true,
            },
            ConnectedApp {
                id: "client-2",
                client: party(name),
                consents: one,
                more: 0,
                replayed: false,
            },
        ],
        action: "/connected-apps",
        sign_out_action: "/sign-out",
        csrf: "csrf-1",
        ended: Some(EndingNotice { client: name, since: "22 November 2026", remaining: 0 }),
    }
}

/// Every page in every state, with `name` in place of all text from outside.
fn pages(locale: &Locale, name: &str) -> Vec<String> {
    let own = SignIn { client_name: None, cancel: false, ..sign_in(locale, name, 1) };
    let form_post = FormPost {
        locale,
        action: "https://app.example/cb",
        fields: vec![("code", "c"), ("state", name)],
        client_name: name,
    };
    let mut pages = vec![
        sign_in(locale, name, 0).render(),
        sign_in(locale, name, 1).render(),
        sign_in(locale, name, 2).render(),
        sign_in(locale, name, 8).render(),
        own.render(),
        SignIn {
            failed: Some(RetryNotice {
                title: name.to_owned(),
                text: name.to_owned(),
                blames_input: true,
            }),
            ..sign_in(locale, name, 1)
        }
        .render(),
        consent(locale, name).render(),
        Consent { nothing_chosen: true, ..consent(locale, name) }.render(),
        Consent { accounts: vec![], ..consent(locale, name) }.render(),
        Consent {
            clusters: vec![],
            until: None,
            time: Some("24 hours"),
            lookback_days: None,
            ..consent(locale, name)
        }
        .render(),
        Consent { changes: vec![name.to_owned(), name.to_owned()], ..consent(locale, name) }
            .render(),
        connected(locale, name).render(),
        ConnectedApps {
            ended: Some(EndingNotice { client: name, since: "22 November 2026", remaining: 2 }),
            ..connected(locale, name)
        }
        .render(),
        ConnectedApps { apps: vec![], ended: None, ..connected(locale, name) }.render(),
        form_post.render(),
    ];
    for fields in [vec![], vec![("error", "access_denied".to_owned()), ("state", name.to_owned())]]
    {
        let way_back = WayBack {
            client_name: name.to_owned(),
            uri: format!("https://app.example/cb?state={name}"),
            fields,
        };
        pages.push(
            ErrorPage {
                locale,
                title: "error-session-title",
                text: "error-session-text",
                way_back: Some(&way_back),
            }
            .render(),
        );
    }
    pages
}

/// The error pages without a way back, which contain no values.
fn error_pages(locale: &Locale) -> Vec<String> {
    let mut pages = Vec::new();
    for stem in ERRORS {
        let (title, text) = (format!("{stem}-title"), format!("{stem}-text"));
        pages.push(ErrorPage { locale, title: &title, text: &text, way_back: None }.render());
    }
    pages
}

#[test]
fn days_and_times() {
    let locale = english();
    let midnight = Timestamp::from_unix(1_795_392_000);
    assert_eq!(locale.day(midnight), "23 November 2026");
    assert_eq!(locale.day(midnight.plus(-200 * DAY)), "7 May 2026");
    assert_eq!(locale.time_of_day(midnight), "00:00 UTC");
    assert_eq!(locale.time_of_day(midnight.plus(1)), "00:01 UTC");
    assert_eq!(locale.time_of_day(midnight.plus(52_450)), "14:35 UTC");
}

#[test]
fn every_page_is_whole_and_lacks_no_text() {
    let locale = english();
    let pages = pages(&locale, "Budget Buddy").into_iter().chain(error_pages(&locale));
    pages.for_each(|page| must_be_whole(&page));
}

#[test]
fn a_hostile_name_stays_text() {
    pages(&english(), HOSTILE).iter().for_each(|page| must_keep_names_text(page));
}

#[test]
fn forms_carry_what_a_program_looks_for() {
    let locale = english();
    let page = sign_in(&locale, "Bank", 1).render();
    for part in [
        "name=\"ticket\" value=\"ticket-1\"",
        "type=\"hidden\" name=\"connector\" value=\"one\"",
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "name=\"decision\" value=\"deny\" formnovalidate",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(
        !SignIn { cancel: false, ..sign_in(&locale, "Bank", 1) }
            .render()
            .contains("name=\"decision\"")
    );
    assert_eq!(
        sign_in(&locale, "Bank", 3).render().matches("type=\"radio\" name=\"connector\"").count(),
        3
    );
    assert!(
        sign_in(&locale, "Bank", 8)
            .render()
            .contains("<select id=\"connector\" name=\"connector\" required>")
    );

    let page = consent(&locale, "App").render();
    assert!(
        page.contains("name=\"account\" value=\"acc-1\">")
            && page.contains("name=\"account\" value=\"acc-2\" checked>"),
        "{page}"
    );
    assert!(
        page.contains("name=\"decision\" value=\"allow\"")
            && page.contains("name=\"decision\" value=\"deny\""),
        "{page}"
    );
    assert!(
        page.contains("Checking account, ending in\u{a0}1234") && page.contains("last 90 days"),
        "{page}"
    );
    let empty =
        Consent { accounts: vec![], nothing_chosen: true, ..consent(&locale, "App") }.render();
    assert!(
        !empty.contains("allow\"")
            && empty.contains("value=\"deny\"")
            && !empty.contains("role=\"alert\""),
        "{empty}"
    );

    let once = Consent { until: None, time: Some("24 hours"), ..consent(&locale, "App") }.render();
    assert!(
        once.contains("lasts for 24 hours")
            && !once.contains("2027")
            && !once.contains("when you are not using it"),
        "{once}"
    );
    let changed =
        Consent { changes: vec!["Something is new.".to_owned()], ..consent(&locale, "App") }
            .render();
    assert!(
        changed.contains("<title>Error: ") && changed.contains("<li>Something is new.</li>"),
        "{changed}"
    );

    let page = connected(&locale, "App").render();
    assert!(
        page.contains("name=\"grant\" value=\"grant-2\"")
            && page.contains("name=\"decision\" value=\"end\""),
        "{page}"
    );
    assert!(
        page.contains("name=\"client\" value=\"client-2\"") && !page.contains("value=\"grant-3\""),
        "one of one has no form of its own: {page}"
    );
    assert_eq!(page.matches("name=\"csrf\" value=\"csrf-1\"").count(), 5);
    assert!(
        page.contains("access 5 times") && page.contains("3 earlier times are not listed"),
        "{page}"
    );
}

#[test]
fn a_logo_is_shown_only_where_there_is_one() {
    let locale = english();
    let plain = Party { name: "App", logo_uri: None, registered_entity: None };
    assert!(
        consent(&locale, "App")
            .render()
            .contains("src=\"https://app.example/logo.png?a=1&#38;b=&#34;2&#34;\"")
    );
    assert!(!Consent { client: plain, ..consent(&locale, "App") }.render().contains("<img"));
}

#[test]
fn the_texts_are_those_that_are_used() {
    let in_templates: BTreeSet<&str> = TEMPLATES
        .iter()
        .map(|(_, text)| *text)
        .chain(SOURCES.iter().copied())
        .flat_map(named_in)
        .collect();
    assert_eq!(
        in_templates.into_iter().collect::<Vec<_>>(),
        IN_TEMPLATES,
        "IN_TEMPLATES is to list these"
    );

    let defined = ids_of(ENGLISH);
    let pairs = |stem: &&str| [format!("{stem}-title"), format!("{stem}-text")];
    let mut used: BTreeSet<String> =
        IN_TEMPLATES.iter().chain(&NAMED).map(|id| (*id).to_owned()).collect();
    used.extend(ERRORS.iter().chain(&SIGN_IN_AGAIN).flat_map(pairs));
    used.extend(
        CLUSTERS.iter().flat_map(|id| [format!("cluster-{id}"), format!("cluster-{id}-text")]),
    );
    let unused: Vec<&String> =
        defined.difference(&used).filter(|id| !id.starts_with("kind-")).collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
    let missing: Vec<&String> = used.difference(&defined).collect();
    assert!(missing.is_empty(), "en.ftl lacks {missing:?}");
}

#[test]
fn a_locale_says_what_is_wrong_with_it() {
    let lacking = ENGLISH.replace("consent-allow =", "consent-permit =");
    assert!(
        Locale::parse("en", &lacking).err().is_some_and(|error| error.contains("consent-allow"))
    );
    assert!(Locale::parse("en", "a = { $b").is_err());
    assert!(Locale::parse("en", &format!("{ENGLISH}\nbrand = Twice\n")).is_err());
    let locale = english();
    assert_eq!(locale.text("no-such-message"), "no-such-message");
    assert_eq!(
        locale.text_with("sign-in-heading", &[("provider", "Sand\u{202e}bank\n")]),
        "Sign in to Sandbank"
    );
    assert!(locale.with_count("consent-lookback", 1).ends_with("the last day."));
    assert_eq!(locale.kind("SOMETHING"), "SOMETHING");
    let times = [3600, 86_400, 5400, 90].map(|seconds| locale.length_of_time(seconds));
    assert_eq!(times, ["one hour", "24 hours", "90 minutes", "90 seconds"]);
}

#[test]
fn a_locale_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Locale>();
}

#[test]
fn templates_hold_no_text_of_their_own() {
    let on_disk = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
        .expect("the templates are there")
        .count();
    assert_eq!(on_disk, TEMPLATES.len(), "TEMPLATES is to list every template");
    TEMPLATES.iter().for_each(|(name, source)| must_hold_no_text(name, source));
}
