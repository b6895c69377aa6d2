//! The pages as a program walks them, over plain HTTP: authorization from request to code, and the customer's page of connected apps.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;

use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::settings::Provider;
use counterfoil_server::admin::Command;
use reqwest::header::COOKIE;
use serde_json::Value;
use setting::{APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Setting, Tokens, claims, send};
use std::collections::BTreeMap;
use url::Url;

type Fields = BTreeMap<String, String>;

/// What stands between each `open` and the `close` after it.
fn between<'t>(text: &'t str, open: &'t str, close: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inside, _)| inside)
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

fn unescaped(html: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")].iter().fold(html.into(), |t, (a, b)| t.replace(a, b))
}

/// The forms of a page: where each goes, and its hidden inputs.
fn forms(page: &Answer) -> Vec<(String, Fields)> {
    let hidden = |tag: &&str| attribute(tag, "type") == Some("hidden");
    let pair = |tag: &str| (attribute(tag, "name").unwrap().to_owned(), unescaped(attribute(tag, "value").unwrap()));
    between(&page.text, "<form", "</form>")
        .map(|form| (unescaped(attribute(form, "action").unwrap()), between(form, "<input", ">").filter(hidden).map(pair).collect()))
        .collect()
}

/// The ids of the accounts that a consent page offers.
fn offered(page: &Answer) -> Vec<String> {
    between(&page.text, "<input", ">")
        .filter(|tag| attribute(tag, "name") == Some("account"))
        .filter_map(|tag| attribute(tag, "value"))
        .map(Into::into)
        .collect()
}

fn query_of(location: &str) -> Fields {
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

fn heading(page: &Answer) -> String {
    unescaped(between(&page.text, "<h1>", "</h1>").next().unwrap_or_else(|| panic!("no page: {} {}", page.status, page.text)))
}

/// A page with this status and heading, which sends the browser nowhere.
#[track_caller]
fn assert_page(answer: &Answer, status: u16, title: &str) {
    assert_eq!((answer.status.as_u16(), heading(answer).as_str(), answer.header("location")), (status, title, ""));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
}

/// Somebody with a browser that runs no scripts: it keeps cookies and posts back what forms hold.
struct Visitor<'s> {
    sandbox: &'s Sandbox,
    cookies: Fields,
}

impl<'s> Visitor<'s> {
    fn new(sandbox: &'s Sandbox) -> Self {
        Self { sandbox, cookies: Fields::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = send(request.header(COOKIE, cookies.join("; "))).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            self.cookies.insert(name.into(), value.into());
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            }
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(self.sandbox.http.get(self.sandbox.url(path))).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.sandbox.http.post(self.sandbox.url(path)).form(form)).await
    }

    /// Posts the last form of a page, with these inputs beside the hidden ones.
    async fn submit(&mut self, page: &Answer, inputs: &[(&str, &str)]) -> Answer {
        let (action, hidden) = forms(page).pop().unwrap_or_else(|| panic!("no form: {} {}", page.status, page.text));
        let mut form: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        form.extend_from_slice(inputs);
        self.post(&action, &form).await
    }

    /// The page that an authorization request leads to.
    async fn authorize(&mut self, changes: &[(&str, &str)]) -> Answer {
        let query = request(self.sandbox, changes);
        self.get(&format!("/authorize?{query}")).await
    }

    async fn sign_in_with(&mut self, page: &Answer, username: &str, password: &str) -> Answer {
        let answer = self.submit(page, &[("username", username), ("password", password)]).await;
        match answer.header("location") {
            "" => answer,
            next => self.get(next).await,
        }
    }

    /// Signs in; the customers of a sandbox have their names as passwords.
    async fn sign_in(&mut self, page: &Answer, customer: &str) -> Answer {
        self.sign_in_with(page, customer, customer).await
    }

    /// The consent page, after signing in as `customer_1`.
    async fn consent(&mut self, changes: &[(&str, &str)]) -> Answer {
        let page = self.authorize(changes).await;
        assert_page(&page, 200, "Sign in to Sandbank");
        let page = self.sign_in(&page, "customer_1").await;
        assert!(heading(&page).starts_with("Give "), "{}", page.text);
        page
    }

    async fn allow(&mut self, consent: &Answer, accounts: &[&str]) -> Answer {
        let mut inputs: Vec<(&str, &str)> = accounts.iter().map(|id| ("account", *id)).collect();
        inputs.push(("decision", "allow"));
        self.submit(consent, &inputs).await
    }

    async fn connected_apps(&mut self, customer: &str) -> Answer {
        let page = self.get("/connected-apps").await;
        self.sign_in(&page, customer).await
    }
}

/// An authorization request. A change to an empty value leaves the parameter out.
fn request(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let callback = sandbox.callback();
    let usual = [
        ("response_type", "code"),
        ("client_id", RECIPIENT.0),
        ("redirect_uri", callback.as_str()),
        ("scope", "openid profile offline_access"),
        ("state", "a&b=\"c\" d"),
        ("nonce", "n-1"),
    ];
    let kept = usual.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let added = changes.iter().copied().filter(|(_, value)| !value.is_empty());
    let url = Url::parse_with_params("http://x/", kept.chain(added)).unwrap();
    url.query().unwrap().to_owned()
}

/// What a redirect back to the client carries.
#[track_caller]
fn redirected(answer: &Answer) -> Fields {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    query_of(answer.header("location"))
}

/// The browser was sent back with an error, the state and the issuer, and nothing else.
#[track_caller]
fn assert_error(sandbox: &Sandbox, answer: &Answer, error: &str) {
    assert!(answer.header("location").starts_with(&sandbox.callback()), "{error}: {} {}", answer.status, answer.header("location"));
    let mut fields = redirected(answer);
    assert!(fields.remove("error_description").is_some_and(|text| !text.is_empty()));
    let expected = [("error", error), ("iss", &sandbox.issuer), ("state", "a&b=\"c\" d")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

async fn grants(sandbox: &Sandbox) -> Vec<Value> {
    let all = Command::GrantList { client: None, customer: None, before: None, limit: 100 };
    sandbox.admin(all).await.as_array().unwrap().clone()
}

async fn two_banks() -> Sandbox {
    let bank = |id: &str, name: &str| Provider { id: id.into(), name: name.into() };
    let sandbox =
        Sandbox::with(Setting { providers: vec![bank("sandbank", "Sandbank"), bank("reef", "Reef & Sons")], ..Setting::default() }).await;
    let id = CustomerId { provider: "reef".into(), customer: "coral".into() };
    let accounts = serde_json::json!({ "accounts": [{ "depositAccount": { "accountId": "reef-1", "accountType": "SAVINGS" } }] });
    sandbox.admin(Command::CustomerAdd { id, name: "Coral".into(), password: "coral".into(), accounts: Some(accounts) }).await;
    sandbox
}

#[tokio::test]
async fn from_request_to_accounts() {
    let sandbox = Sandbox::start().await;
    for path in ["/authorize", "/auth"] {
        for posted in [false, true] {
            let mut visitor = Visitor::new(&sandbox);
            let query = request(&sandbox, &[]);
            let page = match posted {
                false => visitor.get(&format!("{path}?{query}")).await,
                true => {
                    visitor
                        .post(
                            path,
                            &query_of(&format!("http://x/?{query}")).iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(),
                        )
                        .await
                }
            };
            assert_page(&page, 200, "Sign in to Sandbank");
            let consent = visitor.sign_in(&page, "customer_1").await;
            assert_page(&consent, 200, "Give Pocket Ledger access to your accounts?");
            assert_eq!(offered(&consent), ["c1-checking", "c1-savings", "c1-card"]);

            let answer = visitor.allow(&consent, &["c1-card", "c1-checking", "c1-card"]).await;
            assert!(answer.header("location").starts_with(&sandbox.callback()));
            let fields = redirected(&answer);
            assert_eq!((fields["state"].as_str(), fields["iss"].as_str(), fields.len()), ("a&b=\"c\" d", sandbox.issuer.as_str(), 3));
            let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &fields["code"]).await);
            assert_eq!(claims(&tokens.id_token)["nonce"], "n-1");
            let accounts = sandbox.accounts(&tokens.id_token).await.json();
            let ids: Vec<&Value> = accounts["accounts"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|a| a.as_object().unwrap().values())
                .map(|a| &a["accountId"])
                .collect();
            assert_eq!(ids, ["c1-checking", "c1-card"]);
        }
    }
}

#[tokio::test]
async fn whoever_signed_in_lately_goes_straight_to_consent() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    assert_page(&visitor.authorize(&[("client_id", OTHER.0)]).await, 200, "Give Rainy Day access to your accounts?");
    sandbox.advance("30m").await;
    assert_page(&visitor.authorize(&[]).await, 200, "Sign in to Sandbank");
}

#[tokio::test]
async fn a_no_goes_back_and_makes_nothing() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    assert_error(&sandbox, &visitor.submit(&sign_in, &[("decision", "deny")]).await, "access_denied");
    let consent = visitor.consent(&[]).await;
    assert_error(&sandbox, &visitor.submit(&consent, &[("account", "c1-card"), ("decision", "deny")]).await, "access_denied");
    assert_page(&visitor.submit(&consent, &[("account", "c1-card")]).await, 400, "This request can’t be read");
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn accounts_must_be_chosen_and_be_the_customers_own() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    for accounts in [&["c2-checking"][..], &["c1-checking", "c2-checking"], &["nothing"]] {
        assert_page(&visitor.allow(&consent, accounts).await, 400, "This request can’t be read");
    }
    let again = visitor.allow(&consent, &[]).await;
    assert_page(&again, 400, "Give Pocket Ledger access to your accounts?");
    assert!(again.text.contains("<title>Error: ") && again.text.contains("No account is chosen"), "{}", again.text);
    assert_eq!(grants(&sandbox).await.len(), 0);
    redirected(&visitor.allow(&again, &["c1-card"]).await);
    assert_eq!(grants(&sandbox).await.len(), 1);
}

#[tokio::test]
async fn a_doubled_allow_makes_one_grant() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    let first = visitor.allow(&consent, &["c1-card"]).await;
    assert_eq!(redirected(&visitor.allow(&consent, &["c1-card"]).await), redirected(&first));
    assert_eq!(grants(&sandbox).await.len(), 1);

    let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &redirected(&first)["code"]).await);
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 400, "You have already answered");
    assert_page(&visitor.submit(&consent, &[("decision", "deny")]).await, 400, "You have already answered");
    assert_eq!(grants(&sandbox).await.len(), 1);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
}

#[tokio::test]
async fn a_customer_without_accounts_can_only_go_back() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&page, "customer_5").await;
    assert_page(&consent, 200, "There is nothing to share");
    assert!(!consent.text.contains("value=\"allow\"") && consent.text.contains("value=\"deny\""));
    assert_page(&visitor.allow(&consent, &[]).await, 400, "There is nothing to share");
    assert_error(&sandbox, &visitor.submit(&consent, &[("decision", "deny")]).await, "access_denied");
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn five_failures_close_the_door_for_a_while() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    let but_for_the_ticket = |answer: &Answer, username: &str| {
        let ticket = forms(answer).pop().unwrap().1["ticket"].clone();
        answer.text.replace(&ticket, "").replace(username, "")
    };
    let mut failed = Vec::new();
    for username in ["customer_1", "nobody"] {
        for minute in 0..5 {
            let answer = visitor.sign_in_with(&page, username, &format!("wrong {minute}")).await;
            assert_page(&answer, 403, "Sign in to Sandbank");
            failed.push(but_for_the_ticket(&answer, username));
            sandbox.advance("1m").await;
        }
        // Now the right password is not even looked at.
        let refused = visitor.sign_in(&page, username).await;
        assert_eq!(refused.status, 403);
        failed.push(but_for_the_ticket(&refused, username));
    }
    assert!(failed.iter().all(|page| *page == failed[0] && page.contains("wait 15 minutes")), "{failed:?}");

    sandbox.advance("4m").await;
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in(&page, "customer_1").await, 403, "Sign in to Sandbank");
    assert_page(&visitor.sign_in(&page, "customer_2").await, 200, "Give Pocket Ledger access to your accounts?");
    sandbox.advance("1m").await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in(&page, "customer_1").await, 200, "Give Pocket Ledger access to your accounts?");
}

#[tokio::test]
async fn what_succeeds_is_no_failure() {
    let sandbox = Sandbox::start().await;
    for _ in 0..6 {
        Visitor::new(&sandbox).consent(&[]).await;
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_its_browser_alone_and_not_for_long() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let sign_in = visitor.authorize(&[]).await;
    let consent = visitor.sign_in(&sign_in, "customer_1").await;
    let ticket = forms(&consent).pop().unwrap().1["ticket"].clone();
    let (body, mac) = ticket.split_once('.').unwrap();
    let another = visitor.authorize(&[("client_id", OTHER.0)]).await;
    let of_another = forms(&another).pop().unwrap().1["ticket"].clone();
    let mixed = format!("{}.{mac}", of_another.split_once('.').unwrap().0);

    for bad in ["", ".", "x.y", body, &mixed, &ticket[1..]] {
        for path in ["/consent", "/sign-in"] {
            let form = [("ticket", bad), ("account", "c1-card"), ("decision", "allow")];
            assert_page(&visitor.post(path, &form).await, 400, "This page is too old");
        }
        assert_page(&visitor.get(&format!("/consent?ticket={bad}")).await, 400, "This page is too old");
    }
    // The session of the customer, but no browser, or another one.
    let mut stranger = Visitor::new(&sandbox);
    stranger.cookies.insert("counterfoil-session".into(), visitor.cookies["counterfoil-session"].clone());
    assert_page(&stranger.allow(&consent, &["c1-card"]).await, 400, "This page is too old");
    stranger.authorize(&[]).await;
    assert_ne!(stranger.cookies["counterfoil-browser"], visitor.cookies["counterfoil-browser"]);
    assert_page(&stranger.allow(&consent, &["c1-card"]).await, 400, "This page is too old");
    assert_page(&stranger.sign_in(&sign_in, "customer_1").await, 400, "This page is too old");
    // The browser, but nobody who is signed in.
    visitor.cookies.remove("counterfoil-session");
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 200, "Sign in to Sandbank");

    sandbox.advance("30m").await;
    assert_page(&visitor.sign_in(&sign_in, "customer_1").await, 400, "This page is too old");
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn cookies_are_held_to_this_host() {
    let cookies = |answer: &Answer| -> Vec<String> {
        let text = |cookie: &reqwest::header::HeaderValue| {
            cookie.to_str().unwrap().split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap()
        };
        answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(text)
            .map(|(name, value)| format!("{name} {}", value.split_once("; ").unwrap().1))
            .collect()
    };
    let https = Setting { issuer: Some("https://auth.bank.example".into()), ..Setting::default() };
    for (setting, prefix, secure) in [(Setting::default(), "", ""), (https, "__Host-", "; Secure")] {
        let sandbox = Sandbox::with(setting).await;
        let mut visitor = Visitor::new(&sandbox);
        let page = visitor.authorize(&[]).await;
        assert_eq!(cookies(&page), [format!("{prefix}counterfoil-browser Path=/; HttpOnly; SameSite=Lax{secure}")]);
        assert_eq!(cookies(&visitor.authorize(&[]).await), [""; 0], "it has one");
        let signed_in = visitor.submit(&page, &[("username", "customer_1"), ("password", "customer_1")]).await;
        assert_eq!(cookies(&signed_in), [format!("{prefix}counterfoil-session Path=/; HttpOnly; SameSite=Lax{secure}")]);
        let before = visitor.cookies.clone();
        visitor.sign_in(&page, "customer_1").await;
        assert_ne!(visitor.cookies, before, "every sign-in begins another session");
        let mut old = Visitor { sandbox: &sandbox, cookies: before };
        assert_page(&old.get("/connected-apps").await, 200, "Sign in to Sandbank");

        let page = visitor.get("/connected-apps").await;
        let (_, hidden) = forms(&page).remove(0);
        let out = visitor.post("/sign-out", &[("csrf", &hidden["csrf"])]).await;
        assert_eq!(cookies(&out), [format!("{prefix}counterfoil-session Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age=0")]);
    }
}

#[tokio::test]
async fn every_page_is_kept_apart_from_other_sites() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let elsewhere = ("redirect_uri", "http://localhost:3000/callback");
    let sign_in = visitor.authorize(&[elsewhere]).await;
    let failed = visitor.sign_in_with(&sign_in, "customer_1", "wrong").await;
    let consent = visitor.sign_in(&failed, "customer_1").await;
    let nothing = visitor.allow(&consent, &[]).await;
    let form_post = visitor.authorize(&[elsewhere, ("response_mode", "form_post")]).await;
    let form_post = visitor.allow(&form_post, &["c1-card"]).await;
    let mut pages: Vec<(Answer, &str)> = [sign_in, failed, consent, nothing, form_post].map(|page| (page, " http://localhost:3000")).into();
    for path in ["/", "/sandbox/callback?code=x&state=y", "/connected-apps", "/authorize", "/consent", "/sign-out", "/connected-apps/x"] {
        pages.push((visitor.get(path).await, ""));
    }
    for (page, target) in pages {
        let csp = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https:; form-action 'self'{target}; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(page.header("content-security-policy"), csp, "{}", page.text);
        let headers = ["content-type", "cache-control", "referrer-policy", "x-content-type-options"].map(|name| page.header(name));
        assert_eq!(headers, ["text/html; charset=utf-8", "no-store", "no-referrer", "nosniff"]);
        let inline = |tag: &str| tag == "script" || tag == "style" || tag.contains(" style=") || tag.contains(" on");
        assert!(!between(&page.text, "<", ">").any(inline), "{}", page.text);
        for script in between(&page.text, "<script", ">") {
            assert!(attribute(script, "src").unwrap().starts_with("/assets/"));
        }
    }
    for asset in ["style.css", "form-post.js", "copy.js", "logo.svg"] {
        assert_eq!(sandbox.get(&format!("/assets/{asset}")).await.status, 200);
    }
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_known() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let callback = sandbox.callback();
    let (app, uri, bank) = ("This app is not known here", "This app can’t be answered", "This bank is not known here");
    for (changes, title) in [
        (&[("client_id", "")][..], app),
        (&[("client_id", "nobody")], app),
        (&[("client_id", "nobody"), ("redirect_uri", "")], app),
        (&[("redirect_uri", "")], uri),
        (&[("redirect_uri", "https://evil.example/")], uri),
        (&[("redirect_uri", &format!("{callback}/"))], uri),
        (&[("redirect_uri", &format!("{callback}?x=1"))], uri),
        (&[("redirect_uri", "http://localhost:3001/callback")], uri),
        (&[("redirect_uri", "http://127.0.0.1.evil.example/callback")], uri),
        (&[("connector", "nowhere")], bank),
        (&[("connector", "nowhere"), ("prompt", "none"), ("response_type", "")], bank),
        (&[("client_id", RECIPIENT.0), ("client_id", OTHER.0)], "This request can’t be read"),
        (&[("redirect_uri", &callback), ("redirect_uri", &callback)], "This request can’t be read"),
    ] {
        assert_page(&visitor.authorize(changes).await, 400, title);
    }
    assert_page(&visitor.get("/authorize?client_id=%ff").await, 400, "This request can’t be read");
    let json = sandbox.http.post(sandbox.url("/authorize")).header("content-type", "application/json").body("{}");
    assert_page(&visitor.send(json).await, 400, "This request can’t be read");
    let large = "x".repeat(65 * 1024);
    assert_page(&visitor.post("/authorize", &[("state", &large)]).await, 413, "This request is too large");
    let wrong_method = visitor.send(sandbox.http.put(sandbox.url("/authorize"))).await;
    assert_page(&wrong_method, 405, "This page can’t be used in this way");
    assert_eq!(wrong_method.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn every_other_error_goes_back_to_the_client() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let long = "n".repeat(513);
    for (changes, error) in [
        (&[("response_type", "")][..], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("scope", "")], "invalid_scope"),
        (&[("scope", "profile offline_access")], "invalid_scope"),
        (&[("code_challenge", CHALLENGE)], "invalid_request"),
        (&[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "short"), ("code_challenge_method", "S256")], "invalid_request"),
        (&[("code_challenge_method", "S256")], "invalid_request"),
        (&[("client_id", APP)], "invalid_request"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("request_uri", "https://app.example/request")], "request_uri_not_supported"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("nonce", &long)], "invalid_request"),
        (&[("scope", "openid"), ("scope", "openid")], "invalid_request"),
        (&[("prompt", "none")], "login_required"),
    ] {
        assert_error(&sandbox, &visitor.authorize(changes).await, error);
    }
    sandbox.set_client(OTHER.0, &[("grant_types", "refresh_token")]).await;
    assert_error(&sandbox, &visitor.authorize(&[("client_id", OTHER.0)]).await, "unauthorized_client");
    sandbox.set_client(RECIPIENT.0, &[("require_pkce", "true")]).await;
    assert_error(&sandbox, &visitor.authorize(&[]).await, "invalid_request");

    // A state that can't be given back as it came is not given back.
    let long = "s".repeat(4097);
    for changes in [&[("state", "one"), ("state", "two")][..], &[("state", &long)]] {
        let fields = redirected(&visitor.authorize(changes).await);
        assert_eq!(
            (fields["error"].as_str(), fields["iss"].as_str(), fields.get("state")),
            ("invalid_request", sandbox.issuer.as_str(), None)
        );
    }
}

#[tokio::test]
async fn what_is_not_known_is_ignored() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let changes = [("display", "popup"), ("ui_locales", "fr"), ("claims", "{}"), ("scope", "openid accounts:read"), ("state", "")];
    let consent = visitor.consent(&changes).await;
    assert!(!consent.text.contains("can fetch new information"), "no offline access was asked for");
    let mut fields = redirected(&visitor.allow(&consent, &["c1-card"]).await);
    let answer = sandbox.exchange(RECIPIENT, &fields.remove("code").unwrap()).await;
    assert_eq!((answer.member("scope").as_str(), answer.json().get("refresh_token")), ("openid", None));
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["iss"]);
}

#[tokio::test]
async fn without_a_prompt_the_earlier_consent_counts() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let quiet = ("prompt", "none");
    assert_error(&sandbox, &visitor.authorize(&[quiet]).await, "login_required");
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "30")]).await;
    let consent = visitor.consent(&[("scope", "openid offline_access")]).await;
    assert_error(&sandbox, &visitor.authorize(&[quiet]).await, "consent_required");
    let code = redirected(&visitor.allow(&consent, &["c1-savings"]).await)["code"].clone();
    assert_error(&sandbox, &visitor.authorize(&[quiet, ("scope", "openid")]).await, "consent_required");
    let first = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);

    sandbox.advance("10m").await;
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "")]).await;
    for (changes, error) in [
        (&[quiet][..], "consent_required"),
        (&[quiet, ("scope", "openid profile")], "consent_required"),
        (&[quiet, ("scope", "openid"), ("client_id", OTHER.0)], "consent_required"),
        (&[quiet, ("scope", "openid"), ("max_age", "599")], "login_required"),
    ] {
        assert_error(&sandbox, &visitor.authorize(changes).await, error);
    }
    let fields = redirected(&visitor.authorize(&[quiet, ("scope", "openid offline_access"), ("connector", "sandbank")]).await);
    assert_eq!((fields["state"].as_str(), fields["iss"].as_str()), ("a&b=\"c\" d", sandbox.issuer.as_str()));
    let second = Tokens::of(&sandbox.exchange(RECIPIENT, &fields["code"]).await);
    assert_eq!(second.refresh_token, "");
    let (old, new) = (claims(&first.id_token), claims(&second.id_token));
    assert_ne!(old["grant_id"], new["grant_id"]);
    for claim in ["sub", "accounts", "products", "auth_time", "connectorId"] {
        assert_eq!(old[claim], new[claim], "{claim}");
    }
    let terms = |tokens: &Tokens| sandbox.app.store.terms(GrantId::parse(&tokens.grant()).unwrap()).unwrap().unwrap();
    assert_eq!(terms(&second).expires_at, terms(&first).expires_at);
    assert_eq!((terms(&first).lookback_days, terms(&second).lookback_days), (Some(30), Some(30)));

    // The first grant and the one made from it: none living, none to go by.
    for tokens in [&first, &second] {
        assert_eq!(sandbox.revoke(RECIPIENT, &tokens.id_token).await.status, 200);
    }
    assert_error(&sandbox, &visitor.authorize(&[quiet, ("scope", "openid")]).await, "consent_required");
}

#[tokio::test]
async fn a_client_may_ask_for_a_fresh_sign_in() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    sandbox.advance("1m").await;
    for changes in [("max_age", "120"), ("prompt", "consent")] {
        assert!(heading(&visitor.authorize(&[changes]).await).starts_with("Give "), "{changes:?}");
    }
    for changes in [("prompt", "login"), ("prompt", "select_account"), ("prompt", "login consent"), ("max_age", "59"), ("max_age", "0")] {
        let mut visitor = Visitor { sandbox: &sandbox, cookies: visitor.cookies.clone() };
        let page = visitor.authorize(&[changes, ("login_hint", "customer_2")]).await;
        assert_page(&page, 200, "Sign in to Sandbank");
        assert!(page.text.contains("name=\"username\" type=\"text\" value=\"customer_2\""), "{}", page.text);
        // The old session does not get past it with the new ticket.
        let ticket = forms(&page).pop().unwrap().1["ticket"].clone();
        assert_page(&visitor.get(&format!("/consent?ticket={ticket}")).await, 200, "Sign in to Sandbank");
        assert!(heading(&visitor.sign_in(&page, "customer_1").await).starts_with("Give "));
    }
}

#[tokio::test]
async fn answers_may_be_posted() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[("response_mode", "form_post")]).await;
    let page = visitor.allow(&consent, &["c1-card"]).await;
    assert_page(&page, 200, "Going back to Pocket Ledger");
    let (action, fields) = forms(&page).pop().unwrap();
    assert_eq!(action, sandbox.callback());
    assert_eq!((fields["state"].as_str(), fields["iss"].as_str(), fields.len()), ("a&b=\"c\" d", sandbox.issuer.as_str(), 3));
    let shown = send(sandbox.http.post(&action).form(&fields)).await;
    assert!(heading(&shown) == "The code has arrived" && shown.text.contains(&fields["code"]));
    Tokens::of(&sandbox.exchange(RECIPIENT, &fields["code"]).await);

    let error = visitor.authorize(&[("response_mode", "form_post"), ("scope", "profile")]).await;
    let (_, fields) = forms(&error).pop().unwrap();
    assert_eq!((error.status.as_u16(), fields["error"].as_str(), fields["state"].as_str()), (200, "invalid_scope", "a&b=\"c\" d"));
}

#[tokio::test]
async fn a_native_app_may_listen_on_any_port() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let uri = "http://127.0.0.1:49152/callback";
    let consent = visitor.consent(&[("redirect_uri", uri)]).await;
    let answer = visitor.allow(&consent, &["c1-card"]).await;
    assert!(answer.header("location").starts_with(&format!("{uri}?code=")));
    let code = &redirected(&answer)["code"];
    for (uri, status) in [("http://127.0.0.1/callback", 400), ("http://127.0.0.1:49153/callback", 400), (uri, 200)] {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri)];
        assert_eq!(sandbox.post_as(RECIPIENT, "/token", &form).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn the_customer_chooses_the_bank_unless_the_client_does() {
    let sandbox = two_banks().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    assert_page(&page, 200, "Choose your bank and sign in");
    assert_eq!(page.text.matches("type=\"radio\" name=\"connector\"").count(), 2);
    let coral = [("username", "coral"), ("password", "coral")];
    assert_page(&visitor.submit(&page, &coral).await, 403, "Choose your bank and sign in");
    assert_page(&visitor.submit(&page, &[&coral[..], &[("connector", "sandbank")]].concat()).await, 403, "Choose your bank and sign in");
    let next = visitor.submit(&page, &[&coral[..], &[("connector", "reef")]].concat()).await;
    let consent = visitor.get(next.header("location")).await;
    assert!(consent.text.contains("Reef &#38; Sons") && offered(&consent) == ["reef-1"], "{}", consent.text);
    let code = redirected(&visitor.allow(&consent, &["reef-1"]).await)["code"].clone();
    let tokens = Tokens::of(&sandbox.exchange(RECIPIENT, &code).await);
    assert_eq!(claims(&tokens.id_token)["connectorId"], "reef");
    assert_eq!(sandbox.bearer("/accounts/v2/reef", &tokens.id_token).await.status, 200);
    assert_eq!(sandbox.bearer("/accounts/v2/sandbank", &tokens.id_token).await.status, 403);

    // The client's choice outweighs the session and whatever the form says.
    let sandbank = ("connector", "sandbank");
    assert_error(&sandbox, &visitor.authorize(&[sandbank, ("prompt", "none")]).await, "login_required");
    let page = visitor.authorize(&[sandbank]).await;
    assert_page(&page, 200, "Sign in to Sandbank");
    assert_page(&visitor.submit(&page, &[&[("connector", "reef")], &coral[..]].concat()).await, 403, "Sign in to Sandbank");
    assert_page(&visitor.authorize(&[("connector", "reef")]).await, 200, "Give Pocket Ledger access to your accounts?");
}

#[tokio::test]
async fn connected_apps_are_the_customers_own_and_can_be_ended() {
    let sandbox = Sandbox::start().await;
    let ledger = sandbox.tokens(RECIPIENT).await;
    sandbox.advance("1s").await;
    let rainy = sandbox.tokens(OTHER).await;
    let foreign = sandbox.code_with(OTHER.0, &[("customer", "customer_2")]).await;
    let foreign = Tokens::of(&sandbox.exchange(OTHER, &foreign).await);
    let ended = sandbox.tokens(RECIPIENT).await;
    sandbox.revoke(RECIPIENT, &ended.id_token).await;
    let listed = |page: &Answer| -> Vec<String> { forms(page).iter().filter_map(|(_, hidden)| hidden.get("grant").cloned()).collect() };

    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.connected_apps("customer_1").await;
    assert_page(&page, 200, "Connected apps");
    assert_eq!(listed(&page), [rainy.grant(), ledger.grant()]);
    assert!(page.text.contains("<bdi>Household, ending in\u{a0}4321</bdi>"), "{}", page.text);
    let csrf = forms(&page)[0].1["csrf"].clone();

    let mut other = Visitor::new(&sandbox);
    let of_another = other.connected_apps("customer_2").await;
    assert_eq!(listed(&of_another), [foreign.grant()]);
    let csrf_of_another = forms(&of_another)[0].1["csrf"].clone();
    for bad in ["", "x", &csrf_of_another] {
        let form = [("csrf", bad), ("grant", &ledger.grant()), ("decision", "end")];
        assert_page(&visitor.post("/connected-apps", &form).await, 400, "This page is too old");
        assert_page(&visitor.post("/sign-out", &[("csrf", bad)]).await, 400, "This page is too old");
    }
    let foreign_grant = [("csrf", csrf.as_str()), ("grant", &foreign.grant()), ("decision", "end")];
    assert_page(&visitor.post("/connected-apps", &foreign_grant).await, 404, "There is no such page");
    for bad in [&[("grant", "x"), ("decision", "end")][..], &[("grant", &ledger.grant())], &[("decision", "end")]] {
        assert_page(&visitor.post("/connected-apps", &[bad, &[("csrf", &csrf)]].concat()).await, 400, "This request can’t be read");
    }
    let nobody = [("csrf", csrf.as_str()), ("grant", &ledger.grant()), ("decision", "end")];
    assert_page(&Visitor::new(&sandbox).post("/connected-apps", &nobody).await, 400, "This page is too old");
    assert!(!visitor.get(&format!("/connected-apps?ended={}", ledger.grant())).await.text.contains("has ended"), "it has not");
    assert!(!visitor.get(&format!("/connected-apps?ended={}", foreign.grant())).await.text.contains("has ended"));
    for tokens in [&ledger, &rainy, &foreign] {
        assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 200);
    }

    // The last form on the page is that of the oldest grant.
    let answer = visitor.submit(&page, &[("decision", "end")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, format!("/connected-apps?ended={}", ledger.grant()).as_str()));
    let page = visitor.get(answer.header("location")).await;
    assert!(page.text.contains("The access of Pocket Ledger has ended.") && listed(&page) == [rainy.grant()], "{}", page.text);
    for token in [&ledger.id_token, &ledger.access_token] {
        assert_eq!(sandbox.accounts(token).await.status, 401);
    }
    assert_eq!(sandbox.refresh(RECIPIENT, &ledger.refresh_token).await.status, 400);
    assert_eq!(sandbox.accounts(&rainy.id_token).await.status, 200);

    assert_eq!(visitor.post("/sign-out", &[("csrf", &csrf)]).await.status, 303);
    assert_page(&visitor.get("/connected-apps").await, 200, "Sign in to Sandbank");
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
    let page = Visitor::new(&sandbox).connected_apps("customer_1").await;
    assert_eq!(page.text.matches("name=\"grant\"").count(), 1);
    assert!(page.text.contains(&oldest.grant()));
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

#[tokio::test]
async fn a_session_ends_with_its_password_and_with_the_customer() {
    let sandbox = Sandbox::start().await;
    let id = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
    for command in
        [Command::CustomerSetPassword { id: id.clone(), password: "customer_1".into() }, Command::CustomerRemove { id: id.clone() }]
    {
        let mut visitor = Visitor::new(&sandbox);
        let consent = visitor.consent(&[]).await;
        sandbox.admin(command).await;
        assert_page(&visitor.allow(&consent, &["c1-card"]).await, 200, "Sign in to Sandbank");
    }
    assert_eq!(grants(&sandbox).await.len(), 0);
}
