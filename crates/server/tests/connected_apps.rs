//! The customer's page of connected apps.

use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_server::admin::Command;

use crate::setting::{APP, Answer, OTHER, RECIPIENT, Sandbox, Tokens, claims};
use crate::visitor::{Visitor, assert_page, between, forms, redirected, unescaped};

/// The grants that a page lists.
fn listed(page: &Answer) -> Vec<String> {
    between(&page.text, "data-grant=\"", "\"").map(Into::into).collect()
}

/// The value that a form to end something carries.
fn csrf(page: &Answer) -> String {
    forms(page)[0].1["csrf"].clone()
}

/// What a page confirms.
fn confirmed(page: &Answer) -> String {
    between(&page.text, "role=\"status\">", "</p>").next().map(unescaped).unwrap_or_default()
}

/// Presses a button of the page, and follows to where that leads.
async fn end(visitor: &mut Visitor<'_>, csrf: &str, what: (&str, &str)) -> Answer {
    let answer =
        visitor.post("/connected-apps", &[("csrf", csrf), what, ("decision", "end")]).await;
    assert_eq!(answer.status, 303, "{what:?}: {}", answer.text);
    visitor.get(answer.header("location")).await
}

async fn is_good(sandbox: &Sandbox, tokens: &Tokens) -> bool {
    sandbox.accounts(&tokens.id_token).await.status == 200
}

#[tokio::test]
async fn connected_apps_are_the_customers_own_and_can_be_ended() {
    let sandbox = Sandbox::start().await;
    let ledger = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("1s").await;
    let rainy = sandbox.tokens(OTHER).await;
    let foreign = sandbox.code_with(OTHER.0, &[("customer", "customer_2")]).await;
    let foreign = sandbox.exchange(OTHER, &foreign).await.tokens();
    let ended = sandbox.tokens(RECIPIENT).await;
    sandbox.revoke(RECIPIENT, &ended.id_token).await;

    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    assert_page(&page, 200, "Connected apps");
    assert_eq!(listed(&page), [rainy.grant(), ledger.grant()]);
    assert!(page.text.contains("<bdi>Household, ending in\u{a0}4321</bdi>"), "{}", page.text);
    let own = csrf(&page);

    let mut other = Visitor::new(&sandbox);
    let of_another = other.connected_apps("customer_2").await;
    assert_eq!(listed(&of_another), [foreign.grant()]);
    for bad in ["", "x", &csrf(&of_another)] {
        for what in [("grant", ledger.grant()), ("client", RECIPIENT.0.to_owned())] {
            let form = [("csrf", bad), (what.0, what.1.as_str()), ("decision", "end")];
            assert_page(&visitor.post("/connected-apps", &form).await, 400, "This page is too old");
        }
        assert_page(
            &visitor.post("/sign-out", &[("csrf", bad)]).await,
            400,
            "This page is too old",
        );
    }
    let grant = foreign.grant();
    for not_given in [
        ("grant", grant.as_str()),
        ("grant", "0000000000000001"),
        ("client", APP),
        ("client", "nobody"),
    ] {
        let form = [("csrf", own.as_str()), not_given, ("decision", "end")];
        assert_page(&visitor.post("/connected-apps", &form).await, 404, "There is no such page");
    }
    let grant = ledger.grant();
    for bad in [
        &[("grant", "x"), ("decision", "end")][..],
        &[("grant", &grant)],
        &[("client", RECIPIENT.0)],
        &[("client", ""), ("decision", "end")],
        &[("client", RECIPIENT.0), ("decision", "allow")],
        &[("client", RECIPIENT.0), ("grant", &grant), ("decision", "end")],
        &[("decision", "end")],
    ] {
        assert_page(
            &visitor.post("/connected-apps", &[bad, &[("csrf", &own)]].concat()).await,
            400,
            "This request can’t be read",
        );
    }
    // Without a session the way leads over the sign-in page, and nothing has ended.
    for what in [("grant", grant.as_str()), ("client", RECIPIENT.0)] {
        let answer = Visitor::new(&sandbox)
            .post("/connected-apps", &[("csrf", own.as_str()), what, ("decision", "end")])
            .await;
        assert_eq!((answer.status, answer.header("location")), (303, "/connected-apps"));
    }
    for tokens in [&ledger, &rainy, &foreign] {
        assert!(is_good(&sandbox, tokens).await);
    }

    // The last form on the page is that of the app that was connected first.
    let answer = visitor.post_form(&page, &[("decision", "end")]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, format!("/connected-apps?ended={}", ledger.grant()).as_str())
    );
    let page = visitor.get(answer.header("location")).await;
    assert_eq!(
        (confirmed(&page).as_str(), listed(&page)),
        ("The access of Pocket Ledger has ended.", vec![rainy.grant()])
    );
    for token in [&ledger.id_token, &ledger.access_token] {
        assert_eq!(sandbox.accounts(token).await.status, 401);
    }
    assert_eq!(sandbox.refresh(RECIPIENT, &ledger.refresh_token).await.status, 400);
    assert!(is_good(&sandbox, &rainy).await);

    assert_eq!(visitor.post("/sign-out", &[("csrf", &own)]).await.status, 303);
    assert_page(&visitor.get("/connected-apps").await, 200, "Sign in to Sandbank");
}

#[tokio::test]
async fn an_app_has_one_card_whose_consents_end_together_or_alone() {
    let sandbox = Sandbox::start().await;
    // At noon, so that no midnight comes in between.
    let today = sandbox.app.clock.now().unix().rem_euclid(DAY);
    sandbox.advance(&format!("{}s", DAY + DAY / 2 - today)).await;
    let mut given = Vec::new();
    for accounts in ["c1-card", "c1-savings,c1-checking", "c1-checking"] {
        let code = sandbox.code_with(RECIPIENT.0, &[("accounts", accounts)]).await;
        given.push(sandbox.exchange(RECIPIENT, &code).await.tokens());
        sandbox.advance("25h").await;
    }
    let rainy = sandbox.tokens(OTHER).await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    let [first, second, third] = &given[..] else { panic!("three were given") };
    assert_eq!(listed(&page), [rainy.grant(), third.grant(), second.grant(), first.grant()]);
    assert_eq!(between(&page.text, "<h2 id", "</h2>").count(), 2, "{}", page.text);
    assert!(page.text.contains("You have given Pocket Ledger access 3 times."), "{}", page.text);
    let values = |name: &str| -> Vec<String> {
        forms(&page).iter().filter_map(|(_, hidden)| hidden.get(name).cloned()).collect()
    };
    assert_eq!(
        (values("grant"), values("client")),
        (
            vec![third.grant(), second.grant(), first.grant()],
            vec![OTHER.0.into(), RECIPIENT.0.into()]
        )
    );

    let since = |tokens: &Tokens| {
        let issued_at = claims(&tokens.id_token)["iat"].as_i64().unwrap();
        sandbox.app.locale.day(Timestamp::from_unix(issued_at))
    };
    let own = csrf(&page);
    let page = end(&mut visitor, &own, ("grant", &second.grant())).await;
    let said = format!(
        "The access that you gave Pocket Ledger on {} has ended. Pocket Ledger still has access that you gave it 2 other times.",
        since(second)
    );
    assert_eq!(
        (confirmed(&page), listed(&page)),
        (said, vec![rainy.grant(), third.grant(), first.grant()])
    );
    assert!(!is_good(&sandbox, second).await);
    let page = end(&mut visitor, &own, ("grant", &first.grant())).await;
    assert!(
        confirmed(&page).ends_with("Pocket Ledger still has access that you gave it another time."),
        "{}",
        confirmed(&page)
    );
    assert!(
        !page.text.contains("name=\"grant\""),
        "of one there is nothing to choose: {}",
        page.text
    );

    // Of two that were given on one day, each has its time.
    assert!(!page.text.contains("UTC"), "{}", page.text);
    let same_day = sandbox.tokens(OTHER).await;
    let page = visitor.get("/connected-apps").await;
    let at = |tokens: &Tokens| {
        Timestamp::from_unix(claims(&tokens.id_token)["iat"].as_i64().unwrap()).to_string()[11..16]
            .to_owned()
    };
    for tokens in [&rainy, &same_day] {
        assert!(
            page.text.contains(&format!("given on {}, {} UTC</button>", since(tokens), at(tokens))),
            "{}",
            page.text
        );
    }
    end(&mut visitor, &own, ("grant", &same_day.grant())).await;

    // All of it, a code that is still on its way too.
    let on_its_way = sandbox.code(RECIPIENT.0).await;
    let another = sandbox.tokens(RECIPIENT).await;
    let foreign = sandbox.code_with(RECIPIENT.0, &[("customer", "customer_2")]).await;
    let foreign = sandbox.exchange(RECIPIENT, &foreign).await.tokens();
    let page = end(&mut visitor, &own, ("client", RECIPIENT.0)).await;
    assert_eq!(
        (confirmed(&page).as_str(), listed(&page)),
        ("The access of Pocket Ledger has ended.", vec![rainy.grant()])
    );
    assert_eq!(sandbox.exchange(RECIPIENT, &on_its_way).await.status, 400);
    for (tokens, good) in [(third, false), (&another, false), (&foreign, true), (&rainy, true)] {
        assert_eq!(is_good(&sandbox, tokens).await, good);
    }
    // Asked again, it is as it is.
    assert_eq!(
        confirmed(&end(&mut visitor, &own, ("client", RECIPIENT.0)).await),
        "The access of Pocket Ledger has ended."
    );
}

#[tokio::test]
async fn a_link_confirms_nothing_that_is_not_so() {
    let sandbox = Sandbox::start().await;
    let living = sandbox.tokens(RECIPIENT).await;
    let foreign = sandbox.code_with(OTHER.0, &[("customer", "customer_2")]).await;
    let foreign = sandbox.exchange(OTHER, &foreign).await.tokens();
    let by_client = sandbox.tokens(OTHER).await;
    sandbox.revoke(OTHER, &by_client.id_token).await;
    let mut visitor = Visitor::new(&sandbox);
    let own = csrf(&visitor.connected_apps("customer_1").await);
    for grant in [
        living.grant(),
        foreign.grant(),
        by_client.grant(),
        "0000000000000001".into(),
        "x".into(),
        RECIPIENT.0.into(),
    ] {
        assert_eq!(
            confirmed(&visitor.get(&format!("/connected-apps?ended={grant}")).await),
            "",
            "{grant}"
        );
    }
    let link = format!("/connected-apps?ended={}", living.grant());
    assert_eq!(
        confirmed(&end(&mut visitor, &own, ("grant", &living.grant())).await),
        "The access of Pocket Ledger has ended."
    );
    // What was true is no longer, once the app was allowed again.
    let again = sandbox.tokens(RECIPIENT).await;
    assert!(
        confirmed(&visitor.get(&link).await)
            .ends_with("still has access that you gave it another time.")
    );
    // Nor does an old link say that it was just now.
    sandbox.revoke(RECIPIENT, &again.id_token).await;
    sandbox.advance("10m").await;
    assert_eq!(confirmed(&visitor.get(&link).await), "");
}

#[tokio::test]
async fn a_page_ends_nothing_of_who_signed_in_since() {
    let sandbox = Sandbox::start().await;
    let mut all = Vec::new();
    for customer in ["customer_1", "customer_2"] {
        let code = sandbox.code_with(RECIPIENT.0, &[("customer", customer)]).await;
        all.push(sandbox.exchange(RECIPIENT, &code).await.tokens());
    }
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    visitor.another_signs_in("customer_2").await;
    assert_page(&visitor.submit(&page, &[("decision", "end")]).await, 400, "This page is too old");
    for tokens in &all {
        assert!(is_good(&sandbox, tokens).await);
    }
    assert_eq!(listed(&visitor.get("/connected-apps").await), [all[1].grant()]);
}

#[tokio::test]
async fn a_code_that_nobody_redeemed_connects_nothing() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
    let page = visitor.get("/connected-apps").await;
    assert!(listed(&page).is_empty() && page.text.contains("No app has access"), "{}", page.text);
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    assert_eq!(listed(&visitor.get("/connected-apps").await), [tokens.grant()]);
}

#[tokio::test]
async fn a_client_has_the_name_that_it_has_now() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let kept = sandbox.tokens(OTHER).await;
    let mut visitor = Visitor::new(&sandbox);
    let own = csrf(&visitor.connected_apps("customer_1").await);
    sandbox.set_client(RECIPIENT.0, &[("name", "Fat Wallet")]).await;
    let page = visitor.get("/connected-apps").await;
    assert!(
        page.text.contains("<bdi>Fat Wallet</bdi>") && !page.text.contains("<bdi>Pocket Ledger<"),
        "{}",
        page.text
    );
    let page = end(&mut visitor, &own, ("client", RECIPIENT.0)).await;
    assert_eq!(confirmed(&page), "The access of Fat Wallet has ended.");
    // One that was removed has no access, and no name but its id.
    sandbox.admin(Command::ClientRemove { id: OTHER.0.into() }).await;
    sandbox.admin(Command::ClientRemove { id: RECIPIENT.0.into() }).await;
    let page = visitor.get(&format!("/connected-apps?ended={}", tokens.grant())).await;
    assert_eq!(
        (confirmed(&page), listed(&page)),
        (format!("The access of {} has ended.", RECIPIENT.0), vec![])
    );
    assert!(!is_good(&sandbox, &kept).await);
    assert_eq!(confirmed(&end(&mut visitor, &own, ("client", OTHER.0)).await), "");
}

#[tokio::test]
async fn no_connected_app_is_lost_among_old_ones() {
    let sandbox = Sandbox::start().await;
    let oldest = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("1s").await;
    for _ in 0..500 {
        sandbox.code(RECIPIENT.0).await;
    }
    sandbox.advance("10m").await;
    assert_eq!(
        listed(&Visitor::new(&sandbox).connected_apps("customer_1").await),
        [oldest.grant()]
    );
}

#[tokio::test]
async fn however_many_consents_there_are_the_page_stays_short_and_all_end() {
    let sandbox = Sandbox::start().await;
    let (oldest, mut newest) = (sandbox.tokens(RECIPIENT).await, Vec::new());
    sandbox.advance("1s").await;
    for _ in 0..120 {
        newest.push(sandbox.tokens(RECIPIENT).await);
    }
    // The warning is that of the app, also where its consent is not listed.
    sandbox.refresh(RECIPIENT, &oldest.refresh_token).await;
    sandbox.refresh(RECIPIENT, &oldest.refresh_token).await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    assert_eq!((listed(&page).len(), listed(&page).contains(&oldest.grant())), (20, false));
    assert!(
        page.text.contains("access 121 times.")
            && page.text.contains("101 earlier times are not listed."),
        "{}",
        page.text
    );
    assert!(page.text.contains("had already been used was presented again"), "{}", page.text);
    assert!(page.text.len() < 64 * 1024, "{}", page.text.len());
    let page = end(&mut visitor, &csrf(&page), ("client", RECIPIENT.0)).await;
    assert_eq!(
        (confirmed(&page).as_str(), listed(&page).len()),
        ("The access of Pocket Ledger has ended.", 0)
    );
    for tokens in newest.iter().chain([&oldest]) {
        assert!(!is_good(&sandbox, tokens).await);
    }
}

#[tokio::test]
async fn what_could_not_all_be_ended_is_told_and_ends_with_the_next_try() {
    let sandbox = Sandbox::start().await;
    let mut all = Vec::new();
    for _ in 0..120 {
        all.push(sandbox.tokens(RECIPIENT).await);
    }
    let living = async || {
        let mut living = 0;
        for tokens in &all {
            living += usize::from(is_good(&sandbox, tokens).await);
        }
        living
    };
    let mut visitor = Visitor::new(&sandbox);
    let own = csrf(&visitor.connected_apps("customer_1").await);
    // A directory in its place: no ending can be written down.
    let log = sandbox.dir.path().join("endings.log");
    std::fs::rename(&log, sandbox.dir.path().join("endings.old")).unwrap_or_default();
    std::fs::create_dir(&log).unwrap();
    let form = [("csrf", own.as_str()), ("client", RECIPIENT.0), ("decision", "end")];
    let answer = visitor.post("/connected-apps", &form).await;
    assert_page(&answer, 503, "Not all access has ended yet");
    assert_eq!(answer.header("retry-after"), "2");
    let left = living().await;
    assert!((1..120).contains(&left), "{left} are left");
    let page = visitor.get("/connected-apps").await;
    assert!(page.text.contains(&format!("access {left} times.")), "{left}: {}", page.text);

    std::fs::remove_dir(&log).unwrap();
    assert_eq!(
        confirmed(&end(&mut visitor, &own, ("client", RECIPIENT.0)).await),
        "The access of Pocket Ledger has ended."
    );
    assert_eq!(living().await, 0);
}

#[tokio::test]
async fn a_token_that_came_again_is_shown_to_the_customer() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let mut visitor = Visitor::new(&sandbox);
    let warning = "had already been used was presented again";
    assert!(!visitor.connected_apps("customer_1").await.text.contains(warning));
    sandbox.refresh(RECIPIENT, &tokens.refresh_token).await;
    assert!(!visitor.get("/connected-apps").await.text.contains(warning));
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.status, 400);
    assert!(visitor.get("/connected-apps").await.text.contains(warning));
}
