//! What the customer signed is what the customer saw: consent pages that are left open while
//! something changes.

use std::sync::Arc;

use counterfoil_core::clock::{DAY, HOUR, Timestamp};
use counterfoil_core::grant::{CustomerId, GrantId, Terms};
use counterfoil_core::settings::Lifetimes;
use counterfoil_server::admin::Command;

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, Setting, claims};
use crate::visitor::{
    Visitor, add_customer, assert_error, assert_page, between, forms, grants, offered, redirected,
    ticked, unescaped,
};

/// Seconds that a code lives.
const CODE: i64 = 300;

const CONSENT: &str = "Give Pocket Ledger access to your accounts?";

/// The terms behind a code.
async fn terms(sandbox: &Sandbox, answer: &Answer) -> Arc<Terms> {
    let tokens = sandbox.exchange(RECIPIENT, &redirected(answer)["code"]).await.tokens();
    sandbox.app.store.terms(GrantId::parse(&tokens.grant()).unwrap()).await.unwrap().unwrap()
}

/// What a page says has changed.
fn told(page: &Answer) -> Vec<String> {
    let notice = between(&page.text, "role=\"alert\">", "</div>").next().unwrap_or_default();
    between(notice, "<li>", "</li>").map(unescaped).collect()
}

fn ticket(page: &Answer) -> String {
    forms(page).pop().unwrap().1["ticket"].clone()
}

/// Two customers who hold one account together, and each one alone.
async fn couple() -> Sandbox {
    let sandbox = Sandbox::start().await;
    add_customer(&sandbox, "alex", "Alex Example", &["joint", "alex-own"]).await;
    add_customer(&sandbox, "bea", "Bea Example", &["bea-own", "joint"]).await;
    sandbox
}

async fn consent_of(visitor: &mut Visitor<'_>, customer: &str) -> Answer {
    let page = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&page, customer).await;
    assert_page(&consent, 200, CONSENT);
    consent
}

#[tokio::test]
async fn who_signed_in_at_another_tab_is_asked_and_gives_nothing_unseen() {
    let sandbox = couple().await;
    for chosen in [&["joint"][..], &["alex-own"], &["alex-own", "joint"], &[]] {
        let mut visitor = Visitor::new(&sandbox);
        let of_alex = consent_of(&mut visitor, "alex").await;
        visitor.another_signs_in("bea").await;
        let again = visitor.allow(&of_alex, chosen).await;
        assert_page(&again, 409, CONSENT);
        assert_eq!(told(&again), ["You are now signed in as Bea Example."]);
        assert!(
            again.text.contains("<title>Error: ") && !again.text.contains("Alex Example"),
            "{}",
            again.text
        );
        // Not even the account that both hold is ticked: Bea did not choose it.
        assert_eq!(
            (offered(&again), ticked(&again)),
            (vec!["bea-own".to_owned(), "joint".to_owned()], vec![])
        );
        assert_eq!(grants(&sandbox).await.len(), 0);
    }
    let mut visitor = Visitor::new(&sandbox);
    let of_alex = consent_of(&mut visitor, "alex").await;
    visitor.another_signs_in("bea").await;
    let of_bea = visitor.allow(&of_alex, &["joint"]).await;
    let allowed = visitor.allow(&of_bea, &["joint"]).await;
    // Alex comes back: what Bea said stands.
    visitor.another_signs_in("alex").await;
    assert_page(&visitor.allow(&of_alex, &["joint"]).await, 400, "You have already answered");
    let terms = terms(&sandbox, &allowed).await;
    assert_eq!((terms.customer.customer.as_str(), terms.name.as_str()), ("bea", "Bea Example"));
    assert_eq!(grants(&sandbox).await.len(), 1);
}

#[tokio::test]
async fn a_no_needs_nobody_signed_in() {
    let sandbox = couple().await;
    let mut visitor = Visitor::new(&sandbox);
    let of_alex = consent_of(&mut visitor, "alex").await;
    visitor.another_signs_in("bea").await;
    assert_error(
        &sandbox,
        &visitor.submit(&of_alex, &[("account", "joint"), ("decision", "deny")]).await,
        "access_denied",
    );
    let of_bea = visitor.authorize(&[]).await;
    visitor.forget_session();
    assert_error(
        &sandbox,
        &visitor.submit(&of_bea, &[("decision", "deny")]).await,
        "access_denied",
    );
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn a_session_that_ended_leads_to_the_page_again() {
    let sandbox = couple().await;
    for who in ["alex", "bea"] {
        let mut visitor = Visitor::new(&sandbox);
        let of_alex = consent_of(&mut visitor, "alex").await;
        visitor.forget_session();
        let sign_in = visitor.allow(&of_alex, &["joint"]).await;
        assert_page(&sign_in, 200, "Sign in to Sandbank");
        assert!(sign_in.text.contains("You are not signed in here any more."), "{}", sign_in.text);
        let again = visitor.sign_in(&sign_in, who).await;
        assert_page(&again, 200, CONSENT);
        assert_eq!((ticked(&again).len(), grants(&sandbox).await.len()), (0, 0));
    }
}

#[tokio::test]
async fn only_a_page_that_showed_something_can_be_allowed() {
    let sandbox = couple().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&sign_in, "alex").await;
    // Of the page that was shown first and of the one that is shown when somebody reloads.
    for shown_nothing in
        [ticket(&sign_in), ticket(&visitor.authorize(&[("prompt", "login")]).await)]
    {
        visitor.forget_session();
        visitor.sign_in(&sign_in, "alex").await;
        let form =
            [("ticket", shown_nothing.as_str()), ("account", "joint"), ("decision", "allow")];
        // It is shown instead.
        let answer = visitor.post("/consent", &form).await;
        let page = visitor.follow(answer).await;
        assert_page(&page, 409, CONSENT);
        assert_eq!(
            (told(&page), ticked(&page).len(), grants(&sandbox).await.len()),
            (vec!["Something on it has changed.".to_owned()], 0, 0)
        );
        assert_error(
            &sandbox,
            &visitor
                .post("/consent", &[("ticket", shown_nothing.as_str()), ("decision", "deny")])
                .await,
            "access_denied",
        );
    }
    // Elsewhere the ticket of a consent page stands for its request alone.
    let shown = ticket(&consent);
    let form = [("ticket", shown.as_str()), ("username", "alex"), ("password", "alex")];
    assert_eq!(visitor.post("/sign-in", &form).await.status, 303);
    assert_page(&visitor.get(&format!("/consent?ticket={shown}")).await, 200, CONSENT);
    assert_eq!(grants(&sandbox).await.len(), 0);
    redirected(&visitor.allow(&consent, &["joint"]).await);
}

#[tokio::test]
async fn what_an_operator_changes_meanwhile_is_told_before_it_is_allowed() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "90"), ("duration_days", "30")]).await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    let day = |days: i64| sandbox.app.locale.day(sandbox.app.clock.now().plus(days * DAY));
    for (setting, before, after, said) in [
        (
            "data_clusters",
            "BALANCES",
            "BALANCES,TRANSACTIONS,TAX",
            "Pocket Ledger now asks to see more: Tax forms, Transactions.",
        ),
        (
            "data_clusters",
            "BALANCES,TAX",
            "BALANCES",
            "Pocket Ledger no longer asks to see: Tax forms.",
        ),
        (
            "lookback_days",
            "90",
            "91",
            "The information would now go back over the last 91 days, instead of the last 90 days.",
        ),
        (
            "lookback_days",
            "1",
            "",
            "The information would now go back over all the time that your bank has on record, instead of the last day.",
        ),
        (
            "duration_days",
            "30",
            "31",
            &format!(
                "Pocket Ledger would now have access until {}, instead of until {}.",
                day(31),
                day(30)
            ),
        ),
        (
            "duration_days",
            "30",
            "29",
            &format!(
                "Pocket Ledger would now have access until {}, instead of until {}.",
                day(29),
                day(30)
            ),
        ),
        (
            "name",
            "Pocket Ledger",
            "Fat Wallet",
            "The app that asks is now named Fat Wallet. Before, it was Pocket Ledger.",
        ),
        ("logo_uri", "", "https://a.example/logo.svg", "Pocket Ledger has another logo."),
        ("registered_entity", "A Ltd", "B Ltd", "Pocket Ledger now has another operator: B Ltd"),
        (
            "registered_entity",
            "A Ltd",
            "",
            "It is no longer said which company operates Pocket Ledger.",
        ),
        (
            "scopes",
            "openid,profile,offline_access",
            "openid,offline_access",
            "Pocket Ledger now asks for other details about you than before.",
        ),
        (
            "scopes",
            "openid,profile,offline_access",
            "openid,profile",
            "access for 24 hours, instead of until ",
        ),
        (
            "grant_types",
            "authorization_code,refresh_token",
            "authorization_code",
            "access for 24 hours, instead of until ",
        ),
        (
            "grant_types",
            "authorization_code",
            "authorization_code,refresh_token",
            ", instead of for 24 hours.",
        ),
    ] {
        let usual = [
            ("name", "Pocket Ledger"),
            ("data_clusters", "BALANCES"),
            ("lookback_days", "90"),
            ("duration_days", "30"),
        ];
        sandbox.set_client(RECIPIENT.0, &usual).await;
        sandbox
            .set_client(
                RECIPIENT.0,
                &[
                    ("scopes", "openid,profile,offline_access"),
                    ("grant_types", "authorization_code,refresh_token"),
                ],
            )
            .await;
        sandbox.set_client(RECIPIENT.0, &[(setting, before)]).await;
        let consent = visitor.authorize(&[]).await;
        assert_page(&consent, 200, CONSENT);
        sandbox.set_client(RECIPIENT.0, &[(setting, after)]).await;
        let count = grants(&sandbox).await.len();
        let again = visitor.allow(&consent, &["c1-card", "c1-savings"]).await;
        assert_eq!(again.status, 409, "{setting}: {}", again.text);
        assert!(
            told(&again).len() == 1 && told(&again)[0].contains(said),
            "{setting}: {said}: {:?}",
            told(&again)
        );
        assert_eq!(
            (ticked(&again), grants(&sandbox).await.len()),
            (vec!["c1-savings".to_owned(), "c1-card".to_owned()], count),
            "{setting}"
        );

        // What is allowed now is what the page says now.
        let terms = terms(&sandbox, &visitor.allow(&again, &["c1-card"]).await).await;
        let client = sandbox.app.client(RECIPIENT.0).unwrap();
        assert_eq!(
            (terms.clusters, terms.lookback_days),
            (client.settings.data_clusters, client.settings.lookback_days),
            "{setting}"
        );
        assert!(client.settings.scopes.contains(terms.scopes), "{setting}");
        let lasts = terms.expires_at.since(terms.created_at);
        // Without a refresh token it ends with the ID token, which is issued while the code is
        // good.
        let longest = if client.settings.may_refresh(terms.scopes) {
            client.settings.longest_grant().unwrap()
        } else {
            DAY + CODE
        };
        assert!((longest - HOUR..=longest).contains(&lasts), "{setting}: {lasts}");
        assert_eq!(terms.accounts, ["c1-card"]);
    }
}

#[tokio::test]
async fn a_client_that_may_no_longer_be_answered_is_not() {
    let sandbox = Sandbox::start().await;
    let callback = sandbox.callback();
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    let both = async |visitor: &mut Visitor<'_>, page: &Answer, title: &str| {
        for decision in ["allow", "deny"] {
            assert_page(
                &visitor.submit(page, &[("account", "c1-card"), ("decision", decision)]).await,
                400,
                title,
            );
        }
    };
    // Nobody is sent to an address that is no longer registered, neither with a yes nor with a no.
    let consent = visitor.authorize(&[]).await;
    let sign_in = visitor.authorize(&[("prompt", "login")]).await;
    sandbox.set_client(RECIPIENT.0, &[("redirect_uris", "https://app.example/elsewhere")]).await;
    both(&mut visitor, &consent, "This app can’t be answered").await;
    assert_page(
        &visitor.submit(&sign_in, &[("decision", "deny")]).await,
        400,
        "This app can’t be answered",
    );
    sandbox.set_client(RECIPIENT.0, &[("redirect_uris", &callback)]).await;

    for (setting, value, usual, error) in [
        ("grant_types", "refresh_token", "authorization_code,refresh_token", "unauthorized_client"),
        ("require_pkce", "true", "false", "invalid_request"),
    ] {
        let consent = visitor.authorize(&[]).await;
        sandbox.set_client(RECIPIENT.0, &[(setting, value)]).await;
        assert_error(&sandbox, &visitor.allow(&consent, &["c1-card"]).await, error);
        sandbox.set_client(RECIPIENT.0, &[(setting, usual)]).await;
    }

    let consent = visitor.authorize(&[]).await;
    sandbox.admin(Command::ClientRemove { id: RECIPIENT.0.into() }).await;
    both(&mut visitor, &consent, "This app is not known here").await;
    // A new client with the same id is a different one.
    let settings =
        [("name", "Pocket Ledger"), ("redirect_uris", &callback), ("require_pkce", "false")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    sandbox.admin(Command::ClientAdd { id: RECIPIENT.0.into(), settings, announced: None }).await;
    let again = visitor.allow(&consent, &["c1-card"]).await;
    assert_page(&again, 409, CONSENT);
    let changes = [
        "Pocket Ledger has been registered again.",
        "It is no longer said which company operates Pocket Ledger.",
    ];
    assert_eq!(told(&again), changes);
    assert_eq!(grants(&sandbox).await.len(), 0);
    redirected(&visitor.allow(&again, &["c1-card"]).await);
    assert_eq!(grants(&sandbox).await[0]["living"], true);
}

#[tokio::test]
async fn accounts_that_come_and_go_are_told() {
    let sandbox = Sandbox::start().await;
    add_customer(&sandbox, "kim", "Kim", &["one", "two"]).await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = consent_of(&mut visitor, "kim").await;
    let id = CustomerId { provider: "sandbank".into(), customer: "kim".into() };
    sandbox.admin(Command::CustomerRemove { id }).await;
    assert_page(&visitor.allow(&consent, &["one"]).await, 200, "Sign in to Sandbank");
    add_customer(&sandbox, "kim", "Kim B", &["two", "three", "four"]).await;
    visitor.another_signs_in("kim").await;
    let again = visitor.allow(&consent, &["one", "two"]).await;
    assert_page(&again, 409, CONSENT);
    let changes = [
        "You are now named Kim B here.",
        "Your bank has set up your access to this service again.",
        "2 accounts have been added to the list.",
        "One account is no longer in the list.",
    ];
    assert_eq!(told(&again), changes);
    assert_eq!((ticked(&again), grants(&sandbox).await.len()), (vec!["two".to_owned()], 0));
    redirected(&visitor.allow(&again, &["two"]).await);
}

#[tokio::test]
async fn the_end_that_was_shown_is_the_end() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    // Ten minutes before midnight, and twenty minutes later.
    let now = sandbox.app.clock.now();
    let to_midnight = DAY - now.unix().rem_euclid(DAY);
    sandbox.advance(&format!("{}s", to_midnight + DAY - 600)).await;
    let page = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&page, "customer_1").await;
    let until = sandbox.app.locale.day(sandbox.app.clock.now().plus(365 * DAY));
    assert!(consent.text.contains(&format!("Access ends on {until}.")), "{}", consent.text);
    sandbox.advance("20m").await;
    assert_ne!(
        sandbox.app.locale.day(sandbox.app.clock.now().plus(365 * DAY)),
        until,
        "it is another day by now"
    );
    let nothing_chosen = visitor.allow(&consent, &[]).await;
    assert!(
        nothing_chosen.text.contains(&format!("Access ends on {until}.")),
        "{}",
        nothing_chosen.text
    );
    let terms = terms(&sandbox, &visitor.allow(&nothing_chosen, &["c1-card"]).await).await;
    assert_eq!(sandbox.app.locale.day(terms.expires_at), until);
    assert!(
        terms.created_at.plus(365 * DAY).since(terms.expires_at) >= 20 * 60,
        "it is the end of the page, not of the press on Allow"
    );
}

#[tokio::test]
async fn without_a_refresh_token_access_lasts_as_long_as_the_page_says() {
    let lifetimes = Lifetimes { id_token: 90 * 60, ..Lifetimes::default() };
    for (setting, changes, time, seconds) in [
        (Setting::default(), &[("scope", "openid profile")][..], "24 hours", DAY),
        (
            Setting { lifetimes, ..Setting::default() },
            &[("scope", "openid profile")],
            "90 minutes",
            90 * 60,
        ),
        // One that may not refresh may as well not ask.
        (Setting::default(), &[("client_id", OTHER.0)], "24 hours", DAY),
    ] {
        let sandbox = Sandbox::with(setting).await;
        sandbox.set_client(OTHER.0, &[("grant_types", "authorization_code")]).await;
        let mut visitor = Visitor::new(&sandbox);
        let consent = visitor.consent(changes).await;
        let (client, name) = if changes[0].0 == "scope" {
            (RECIPIENT, "Pocket Ledger")
        } else {
            (OTHER, "Rainy Day")
        };
        let said = format!(
            "Access lasts for {time}. Then it ends, and {name} can’t look again without asking you."
        );
        assert!(consent.text.contains(&said), "{}", consent.text);
        assert!(consent.text.contains(&format!("<dt>For</dt><dd>{time}</dd>")), "{}", consent.text);
        let year = sandbox.app.locale.day(sandbox.app.clock.now().plus(365 * DAY));
        assert!(
            !consent.text.contains(&year) && !consent.text.contains("can fetch new information"),
            "{}",
            consent.text
        );
        // From the press on Allow, however long the page was open.
        sandbox.advance("25m").await;
        let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
        let tokens = sandbox.exchange(client, &code).await.tokens();
        assert_eq!(tokens.refresh_token, "");
        let grant = sandbox.grant(&tokens).await;
        let moment = |name: &str| Timestamp::parse_rfc3339(grant[name].as_str().unwrap()).unwrap();
        assert_eq!(moment("expires_at").since(moment("created_at")), seconds + CODE);
        let said = claims(&tokens.id_token);
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), seconds);
        sandbox.assert_good(&tokens).await;
        sandbox.advance(&format!("{seconds}s")).await;
        sandbox.assert_dead_bearers(&tokens).await;
        // Not without asking either.
        sandbox.advance(&format!("{CODE}s")).await;
        let page = visitor.authorize(changes).await;
        visitor.sign_in(&page, "customer_1").await;
        let quiet = [changes, &[("prompt", "none"), ("state", "a&b=\"c\" d")]].concat();
        assert_error(&sandbox, &visitor.authorize(&quiet).await, "consent_required");
    }
}

#[tokio::test]
async fn an_allow_that_says_something_else_is_not_a_doubled_one() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    let first = visitor.allow(&consent, &["c1-card", "c1-savings"]).await;
    sandbox.advance("1s").await;
    assert_eq!(
        redirected(&visitor.allow(&consent, &["c1-savings", "c1-card"]).await),
        redirected(&first)
    );
    for other in [&["c1-card"][..], &["c1-checking", "c1-card", "c1-savings"]] {
        assert_page(&visitor.allow(&consent, other).await, 400, "You have already answered");
    }
    // A change is told first, and then what was allowed stands as well.
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "7")]).await;
    let again = visitor.allow(&consent, &["c1-card", "c1-savings"]).await;
    assert_page(&again, 409, CONSENT);
    assert_page(
        &visitor.allow(&again, &["c1-card", "c1-savings"]).await,
        400,
        "You have already answered",
    );
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "")]).await;
    assert_eq!(
        redirected(&visitor.allow(&consent, &["c1-card", "c1-savings"]).await),
        redirected(&first)
    );
    assert_eq!(terms(&sandbox, &first).await.accounts, ["c1-savings", "c1-card"]);
    assert_eq!(grants(&sandbox).await.len(), 1);
}

#[tokio::test]
async fn hundreds_of_accounts_fit() {
    let sandbox = Sandbox::start().await;
    let ids: Vec<String> = (0..600).map(|n| format!("7b2f9c1e-0d3a-4f58-9e6b-{n:012}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    add_customer(&sandbox, "many", "Many", &ids).await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = consent_of(&mut visitor, "many").await;
    let length = ticket(&consent).len();
    assert!(length < 16 * 1024, "{length} bytes of ticket");
    let terms = terms(&sandbox, &visitor.allow(&consent, &ids).await).await;
    assert_eq!(terms.accounts, ids);
}

#[tokio::test]
async fn a_page_is_of_one_browser_and_of_half_an_hour() {
    let sandbox = couple().await;
    let (mut alex, mut bea) = (Visitor::new(&sandbox), Visitor::new(&sandbox));
    let (of_alex, of_bea) =
        (consent_of(&mut alex, "alex").await, consent_of(&mut bea, "bea").await);
    // In another browser it is nothing.
    for (visitor, page) in [(&mut alex, &of_bea), (&mut bea, &of_alex)] {
        assert_page(&visitor.allow(page, &["joint"]).await, 400, "This page is too old");
        assert_page(
            &visitor.submit(page, &[("decision", "deny")]).await,
            400,
            "This page is too old",
        );
    }
    // After half an hour the session is over too, and everything starts over.
    sandbox.advance("30m").await;
    assert_page(&alex.allow(&of_alex, &["joint"]).await, 200, "Sign in to Sandbank");
    let text = ticket(&of_alex);
    let (body, mac) = text.split_once('.').unwrap();
    let spoiled = format!("{}.{mac}", body.replacen('a', "b", 1));
    for bad in ["", ".", body, &spoiled] {
        assert_page(
            &alex
                .post("/consent", &[("ticket", bad), ("account", "joint"), ("decision", "allow")])
                .await,
            400,
            "This page is too old",
        );
    }
    assert_eq!(grants(&sandbox).await.len(), 0);
}
