//! Browsers as they are: tabs, cookies of others, pages left open, requests that another site
//! posts, and the way back from every error.

use reqwest::header::{COOKIE, HeaderValue};
use serde_json::Value;

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, claims, send};
use crate::visitor::{
    Visitor, add_customer, assert_error, assert_page, attribute, between, forms, grants, heading,
    offered, query_of, redirected, request, ticked, two_banks, unescaped,
};

const CONSENT: &str = "Give Pocket Ledger access to your accounts?";
const SIGN_IN: &str = "Sign in to Sandbank";

/// Where the way back of an error page leads.
fn way_back(page: &Answer) -> String {
    let link = between(&page.text, "<a", ">").find(|tag| attribute(tag, "id") == Some("back"));
    unescaped(
        attribute(link.unwrap_or_else(|| panic!("no way back: {}", page.text)), "href").unwrap(),
    )
}

#[track_caller]
fn assert_way_back(sandbox: &Sandbox, page: &Answer, error: &str) {
    let back = way_back(page);
    assert!(back.starts_with(&format!("{}?", sandbox.callback())), "{back}");
    let expected = [("error", error), ("iss", &sandbox.issuer), ("state", "a&b=\"c\" d")];
    assert_eq!(
        query_of(&back),
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    );
}

#[tokio::test]
async fn tabs_that_are_opened_at_once_in_a_fresh_browser_all_finish() {
    let sandbox = Sandbox::start().await;
    let query = request(&sandbox, &[]);
    let url = sandbox.url(&format!("/authorize?{query}"));
    // All are answered before the browser has the cookie of any.
    let mut pages = Vec::new();
    let mut visitor = Visitor::new(&sandbox);
    let mut cookies = visitor.cookies.clone();
    for _ in 0..14 {
        let mut fresh = Visitor::new(&sandbox);
        pages.push(fresh.send(sandbox.http.get(&url)).await);
        cookies.extend(fresh.cookies);
    }
    visitor.cookies = cookies;
    assert_eq!(visitor.cookies.len(), 14);
    let mut consents = Vec::new();
    for page in &pages {
        consents.push(visitor.sign_in(page, "customer_1").await);
    }
    for consent in &consents {
        assert_page(consent, 200, CONSENT);
        redirected(&visitor.allow(consent, &["c1-card"]).await);
    }
    assert_eq!((grants(&sandbox).await.len(), visitor.cookies.len()), (14, 15));
    // It is known by now.
    visitor.authorize(&[("prompt", "login")]).await;
    assert_eq!(visitor.cookies.len(), 15);
}

#[tokio::test]
async fn a_browser_keeps_so_many_cookies_of_ours_and_no_more() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    for _ in 0..60 {
        let mut fresh = Visitor::new(&sandbox);
        fresh.authorize(&[]).await;
        visitor.cookies.extend(fresh.cookies);
    }
    for left in [52, 44, 40, 40] {
        let page = visitor.authorize(&[]).await;
        let taken_away =
            page.headers.get_all("set-cookie").iter().map(|cookie| cookie.len()).sum::<usize>();
        assert!(
            visitor.cookies.len() == left && taken_away < 1000,
            "{} cookies, {taken_away} bytes",
            visitor.cookies.len()
        );
    }
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in(&page, "customer_1").await, 200, CONSENT);
}

#[tokio::test]
async fn the_cookies_of_others_are_no_matter() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let ours: Vec<String> =
        visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for other in [
        &b"theme=caf\xe9; "[..],
        b"=; ;;x; ",
        b"a=\"quoted; b=c\"; ",
        b"counterfoil-browser-1=AAAA; counterfoil-session=x; ",
    ] {
        let header =
            HeaderValue::from_bytes(&[other, ours.join("; ").as_bytes(), b"; z=\xff"].concat())
                .unwrap();
        let ticket = forms(&page).pop().unwrap().1["ticket"].clone();
        let form =
            [("ticket", ticket.as_str()), ("username", "customer_1"), ("password", "customer_1")];
        let answer =
            send(sandbox.http.post(sandbox.url("/sign-in")).header(COOKIE, header).form(&form))
                .await;
        assert!(
            answer.header("location").starts_with("/consent?"),
            "{} {}",
            answer.status,
            answer.text
        );
    }
}

#[tokio::test]
async fn a_request_that_another_site_posts_is_as_good_as_one_that_it_links_to() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let open_tab = visitor.consent(&[]).await;
    let post = |changes: &[(&str, &str)]| {
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(request(&sandbox, changes).as_bytes())
                .into_owned()
                .collect();
        // SameSite=Lax: the browser sends none of our cookies with it.
        sandbox.http.post(sandbox.url("/authorize")).form(&form)
    };
    let answer = send(post(&[])).await;
    assert_eq!((answer.status, answer.headers.get("set-cookie")), (303, None));
    let posted = visitor.get(answer.header("location")).await;
    assert_page(&posted, 200, CONSENT);
    // It may be reloaded, and the tab from before goes on.
    assert_page(&visitor.get(answer.header("location")).await, 200, CONSENT);
    for page in [&posted, &open_tab] {
        redirected(&visitor.allow(page, &["c1-card"]).await);
    }
    let quiet = send(post(&[("prompt", "none"), ("scope", "openid")])).await;
    let quiet = visitor.get(quiet.header("location")).await;
    assert_error(&sandbox, &quiet, "consent_required");
    let wrong = send(post(&[("response_type", "token")])).await;
    assert_error(
        &sandbox,
        &visitor.get(wrong.header("location")).await,
        "unsupported_response_type",
    );
    let unknown = send(post(&[("client_id", "nobody")])).await;
    assert_page(&visitor.get(unknown.header("location")).await, 400, "This app is not known here");
    // What no address can hold is kept meanwhile, and no cookie of the browser is replaced.
    let long = "x".repeat(4096);
    let answer = send(post(&[
        ("state", &long),
        ("response_mode", "form_post"),
        ("prompt", "none"),
        ("scope", "openid"),
    ]))
    .await;
    assert!(
        answer.status == 303 && answer.headers.get("set-cookie").is_none(),
        "{:?}",
        answer.headers
    );
    assert!(answer.header("location").len() < 100, "{}", answer.header("location"));
    let quiet = visitor.get(answer.header("location")).await;
    let (_, fields) = forms(&quiet).pop().unwrap();
    assert_eq!(
        (fields["error"].as_str(), fields["state"].as_str()),
        ("consent_required", long.as_str())
    );
    // A program that posts again where it should get comes to an end.
    let empty = send(sandbox.http.post(sandbox.url("/authorize?client_id=x"))).await;
    assert_page(&empty, 400, "This app is not known here");
}

#[tokio::test]
async fn what_was_tried_is_shown_on_a_page_that_can_be_gone_back_to() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let answer =
        visitor.post_form(&page, &[("username", "customer_1"), ("password", "wrong")]).await;
    assert_eq!(answer.status, 303);
    let path = answer.header("location").to_owned();
    for _ in 0..2 {
        let again = visitor.get(&path).await;
        assert_page(&again, 403, SIGN_IN);
        assert!(
            again.text.contains("value=\"customer_1\"") && !again.text.contains("wrong\""),
            "{}",
            again.text
        );
        assert_page(&visitor.sign_in(&again, "customer_1").await, 200, CONSENT);
    }
    // It is nobody else's, though a browser that has lost its cookies finds the way back.
    let lost = Visitor::new(&sandbox).get(&path).await;
    assert_page(&lost, 400, "This page is too old");
    assert_way_back(&sandbox, &lost, "access_denied");
    let number = path.split_once('=').unwrap().1.split_once('&').unwrap().0;
    for elsewhere in
        [format!("/consent?continue={number}"), "/consent".into(), "/consent?continue=x".into()]
    {
        assert_page(&visitor.get(&elsewhere).await, 400, "This page is too old");
    }
    assert_eq!(visitor.get("/sign-in").await.header("location"), "/connected-apps");
    let consent = visitor.authorize(&[]).await;
    let nothing = visitor.post_form(&consent, &[("decision", "allow")]).await;
    let path = nothing.header("location").to_owned();
    for _ in 0..2 {
        let again = visitor.get(&path).await;
        assert_page(&again, 400, CONSENT);
        assert!(again.text.contains("No account is chosen"));
    }
    let again = visitor.get(&path).await;
    redirected(&visitor.allow(&again, &["c1-card"]).await);
}

/// A stream of wrong passwords must not fill the store: beyond a rate the page itself is the answer.
#[tokio::test]
async fn what_is_kept_of_failed_tries_is_bounded() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    sandbox.advance("31m").await;
    let hidden = forms(&page).pop().unwrap().1;
    let form: Vec<_> = hidden.iter().collect();
    let cookie =
        visitor.cookies.iter().next().map(|(name, value)| format!("{name}={value}")).unwrap();
    let one =
        || send(sandbox.http.post(sandbox.url("/sign-in")).header(COOKIE, &cookie).form(&form));
    let mut statuses = std::collections::BTreeSet::new();
    // At the least, of so many two hundred fall into one second.
    for _ in 0..50 {
        let some = futures_util::future::join_all((0..20).map(|_| one())).await;
        statuses.extend(
            some.iter().map(|answer| (answer.status, answer.text.contains("Please sign in again"))),
        );
        if statuses.len() == 2 {
            break;
        }
    }
    assert_eq!(Vec::from_iter(statuses), [(200, true), (303, false)]);
}

#[tokio::test]
async fn a_page_that_was_left_open_is_no_dead_end() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    let page = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&page, "customer_1").await;
    let own = Visitor::new(&sandbox).get("/connected-apps").await;
    sandbox.advance("31m").await;
    for page in [&sign_in, &consent] {
        let denied = visitor.submit(page, &[("decision", "deny")]).await;
        assert_error(&sandbox, &denied, "access_denied");
    }
    let again = visitor.sign_in(&sign_in, "customer_1").await;
    assert_page(&again, 200, SIGN_IN);
    assert!(
        again.text.contains("Please sign in again") && again.text.contains("value=\"customer_1\""),
        "{}",
        again.text
    );
    let fresh = visitor.sign_in(&again, "customer_1").await;
    assert_page(&fresh, 200, CONSENT);
    // Somebody is signed in by now, so that page is shown again, with what was ticked.
    let shown_again = visitor.allow(&consent, &["c1-card"]).await;
    assert_page(&shown_again, 409, CONSENT);
    assert!(
        shown_again.text.contains("It was open for more than half an hour."),
        "{}",
        shown_again.text
    );
    assert_eq!(ticked(&shown_again), ["c1-card"]);
    redirected(&visitor.allow(&shown_again, &["c1-card"]).await);
    redirected(&visitor.allow(&fresh, &["c1-savings"]).await);
    assert_eq!(grants(&sandbox).await.len(), 2);
    // The session has ended too.
    let consent = visitor.authorize(&[]).await;
    sandbox.advance("2d").await;
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 200, SIGN_IN);
    assert_error(
        &sandbox,
        &visitor.submit(&consent, &[("decision", "deny")]).await,
        "access_denied",
    );
    // A customer's own page starts over too.
    let mut other = Visitor::new(&sandbox);
    other.cookies.clear();
    assert_page(&other.sign_in(&own, "customer_1").await, 400, "This page is too old");
    let own = other.get("/connected-apps").await;
    sandbox.advance("31m").await;
    let again = other.sign_in(&own, "customer_1").await;
    assert_page(&again, 200, SIGN_IN);
    assert_page(&other.sign_in(&again, "customer_1").await, 200, "Connected apps");
}

/// Browsers reload pages by themselves that they had put away.
#[tokio::test]
async fn a_page_that_is_reloaded_long_after_leads_to_the_app() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let failed = visitor
        .post_form(&page, &[("username", "customer_1"), ("password", "wrong")])
        .await
        .header("location")
        .to_owned();
    let consent = visitor
        .post_form(&page, &[("username", "customer_1"), ("password", "customer_1")])
        .await
        .header("location")
        .to_owned();
    sandbox.advance("2h").await;
    assert_page(&visitor.get(&failed).await, 403, SIGN_IN);
    assert_page(&visitor.get(&consent).await, 200, SIGN_IN);
    sandbox.advance("23h").await;
    for path in [&failed, &consent] {
        let page = visitor.get(path).await;
        assert_page(&page, 400, "This page is too old");
        assert_eq!(way_back(&page), format!("{}/", sandbox.issuer));
    }
    let own = visitor.get("/connected-apps").await;
    let failed = visitor
        .post_form(&own, &[("username", "customer_1"), ("password", "wrong")])
        .await
        .header("location")
        .to_owned();
    sandbox.advance("1d").await;
    assert_page(
        &{
            let answer = visitor.get(&failed).await;
            visitor.follow(answer).await
        },
        200,
        SIGN_IN,
    );
}

#[tokio::test]
async fn what_was_allowed_is_not_asked_again_by_an_old_page() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&sign_in, "customer_1").await;
    redirected(&visitor.allow(&consent, &["c1-card"]).await);
    // Nor does an error page say that nothing was shared, or the app hear it.
    let mut lost = Visitor::new(&sandbox);
    for answer in [
        lost.allow(&consent, &["c1-card"]).await,
        visitor.allow(&consent, &["c2-savings"]).await,
        visitor.submit(&consent, &[("decision", "perhaps")]).await,
    ] {
        assert_page(&answer, 400, "You have already answered");
        assert_eq!(way_back(&answer), format!("{}/", sandbox.issuer));
    }
    sandbox.advance("31m").await;
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 400, "You have already answered");
    assert_page(&visitor.sign_in(&sign_in, "customer_1").await, 400, "You have already answered");
    assert_page(
        &visitor.submit(&consent, &[("decision", "deny")]).await,
        400,
        "You have already answered",
    );
    visitor.authorize(&[]).await;
    assert_eq!(grants(&sandbox).await.len(), 1);
}

#[tokio::test]
async fn error_pages_lead_back_to_the_app_whose_request_they_are_about() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    // A browser that lost its cookies, or another one.
    let mut lost = Visitor::new(&sandbox);
    let refused = lost.allow(&consent, &["c1-card"]).await;
    assert_page(&refused, 400, "This page is too old");
    assert_way_back(&sandbox, &refused, "access_denied");
    assert!(!refused.header("content-security-policy").contains("form-action"));
    let foreign = visitor.allow(&consent, &["c2-savings"]).await;
    assert_page(&foreign, 400, "This request can’t be read");
    assert_way_back(&sandbox, &foreign, "access_denied");
    // What was allowed stands, and the app is told nothing else.
    redirected(&visitor.allow(&consent, &["c1-card"]).await);
    let answered = visitor.submit(&consent, &[("decision", "deny")]).await;
    assert_page(&answered, 400, "You have already answered");
    assert_eq!(way_back(&answered), format!("{}/", sandbox.issuer));
    // An app that is answered by a form.
    let consent = visitor.authorize(&[("response_mode", "form_post")]).await;
    let refused = lost.allow(&consent, &["c1-card"]).await;
    let (action, fields) = forms(&refused).pop().unwrap();
    assert_eq!(
        (action, fields["error"].as_str(), fields["state"].as_str()),
        (sandbox.callback(), "access_denied", "a&b=\"c\" d")
    );
    // Nobody is led to an address that is registered no more, or that somebody else wrote.
    sandbox.set_client(RECIPIENT.0, &[("redirect_uris", "https://elsewhere.example/cb")]).await;
    assert!(!lost.allow(&consent, &["c1-card"]).await.text.contains("id=\"back\""));
    let forged = visitor.post("/consent", &[("ticket", "e30.AAAA"), ("decision", "allow")]).await;
    assert!(forged.status == 400 && !forged.text.contains("id=\"back\""));
}

#[tokio::test]
async fn two_sandboxes_on_one_host_are_two() {
    let (one, two) = tokio::join!(Sandbox::start(), Sandbox::start());
    let mut visitor = Visitor::new(&one);
    visitor.consent(&[]).await;
    let mut at_the_other = Visitor { sandbox: &two, cookies: visitor.cookies.clone() };
    at_the_other.consent(&[]).await;
    assert_eq!(at_the_other.cookies.len(), 4);
    visitor.cookies = at_the_other.cookies;
    assert_page(&visitor.get("/connected-apps").await, 200, "Connected apps");
}

async fn id_token_of(sandbox: &Sandbox, visitor: &mut Visitor<'_>, consent: &Answer) -> String {
    let account = offered(consent)[0].clone();
    let code = redirected(&visitor.allow(consent, &[&account]).await)["code"].clone();
    sandbox.exchange(RECIPIENT, &code).await.tokens().id_token
}

#[tokio::test]
async fn a_hint_says_which_customer_is_asked() {
    let sandbox = two_banks().await;
    let mut visitor = Visitor::new(&sandbox);
    let sandbank = ("connector", "sandbank");
    let page = visitor.authorize(&[sandbank]).await;
    let consent = visitor.sign_in(&page, "customer_1").await;
    let first = id_token_of(&sandbox, &mut visitor, &consent).await;
    let quiet =
        [("prompt", "none"), ("scope", "openid profile"), ("id_token_hint", first.as_str())];
    let code = redirected(&visitor.authorize(&quiet).await)["code"].clone();
    let second = sandbox.exchange(RECIPIENT, &code).await.tokens();
    assert_eq!(claims(&second.id_token)["sub"], claims(&first)["sub"]);
    // Long after it has expired.
    sandbox.advance("3d").await;
    assert_error(&sandbox, &visitor.authorize(&quiet).await, "login_required");
    let page = visitor.authorize(&[("id_token_hint", &first)]).await;
    assert_page(&page, 200, SIGN_IN);
    // The holder of a token must not learn its customer's sign-in name.
    assert!(!page.text.contains("customer_1"), "{}", page.text);
    let wrong = visitor.sign_in(&page, "customer_2").await;
    assert_page(&wrong, 403, SIGN_IN);
    assert!(
        wrong.text.contains("Please sign in as the customer whom Pocket Ledger knows"),
        "{}",
        wrong.text
    );
    assert_page(&visitor.sign_in(&wrong, "customer_1").await, 200, CONSENT);
    redirected(&visitor.authorize(&quiet).await);
    let known = visitor.authorize(&[("id_token_hint", &first), ("prompt", "login")]).await;
    assert!(
        heading(&known) == SIGN_IN && known.text.contains("value=\"customer_1\""),
        "this browser knows it: {}",
        known.text
    );

    // Another customer is signed in.
    let page = visitor.authorize(&[("prompt", "login"), sandbank]).await;
    visitor.sign_in(&page, "customer_2").await;
    assert_error(&sandbox, &visitor.authorize(&quiet).await, "login_required");
    assert_page(&visitor.authorize(&[("id_token_hint", &first)]).await, 200, SIGN_IN);
    assert_error(
        &sandbox,
        &visitor.authorize(&[("id_token_hint", &first), ("connector", "reef")]).await,
        "login_required",
    );

    let code = sandbox.code(OTHER.0).await;
    let of_another_client = sandbox.exchange(OTHER, &code).await.tokens().id_token;
    let spoiled = format!("{}x", &first[..first.len() - 1]);
    for hint in [&of_another_client, &spoiled, "x", "e30.e30.e30"] {
        for prompt in ["none", "login"] {
            assert_error(
                &sandbox,
                &visitor.authorize(&[("id_token_hint", hint), ("prompt", prompt)]).await,
                "invalid_request",
            );
        }
    }
}

/// Whatever page is shown can be posted: 3,000 accounts, and ids as long as they may be.
#[tokio::test]
async fn a_customer_of_many_accounts_can_allow_them_all() {
    let sandbox = Sandbox::start().await;
    for (customer, count, length, fits) in
        [("many", 3000, 12, true), ("long", 300, 256, true), ("both", 4000, 256, false)]
    {
        let ids: Vec<String> = (0..count).map(|n| format!("{n:0length$}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        add_customer(&sandbox, customer, "Ada", &ids).await;
        let mut visitor = Visitor::new(&sandbox);
        let page = visitor.authorize(&[]).await;
        let consent = visitor.sign_in(&page, customer).await;
        if !fits {
            assert_page(&consent, 409, "You have more accounts than we can show");
            assert_way_back(&sandbox, &consent, "access_denied");
            continue;
        }
        assert_page(&consent, 200, CONSENT);
        let code = redirected(&visitor.allow(&consent, &ids).await)["code"].clone();
        let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
        assert_eq!(claims(&tokens.id_token).get("accounts"), None::<&Value>);
        assert_eq!(
            sandbox.accounts(&tokens.id_token).await.json()["accounts"].as_array().unwrap().len(),
            count
        );
    }
    let answer = sandbox
        .http
        .post(sandbox.url("/consent"))
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = send(answer.body("x".repeat(961 * 1024))).await;
    assert_eq!((answer.status, heading(&answer).as_str()), (413, "This request is too large"));
}
