//! Signing in: tickets, cookies, sessions, and the headers that keep pages apart from other sites.

use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_server::admin::Command;
use counterfoil_store::{Customer, NewCustomer};

use crate::setting::{Answer, OTHER, Sandbox, Setting};
use crate::visitor::{Visitor, assert_page, attribute, between, forms, grants};

/// Who signs in elsewhere has no password here, and none fits, the empty one neither.
#[tokio::test]
async fn a_customer_without_a_password_is_refused_as_one_with_a_wrong_one_is() {
    let sandbox = Sandbox::start().await;
    let id = CustomerId { provider: "sandbank".into(), customer: "elsewhere".into() };
    let customer =
        Customer { id, name: "Elsa".into(), password: None, created_at: sandbox.app.clock.now() };
    sandbox
        .app
        .store
        .add_customer(NewCustomer { customer, accounts: Vec::new() }, LetterCase::Matters)
        .await
        .unwrap();
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    for password in ["elsewhere", "", "$argon2id$"] {
        assert_page(
            &visitor.sign_in_with(&page, "elsewhere", password).await,
            403,
            "Sign in to Sandbank",
        );
    }
    assert_page(
        &visitor.sign_in(&page, "customer_1").await,
        200,
        "Give Pocket Ledger access to your accounts?",
    );
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
        assert_page(
            &visitor.get(&format!("/consent?ticket={bad}")).await,
            400,
            "This page is too old",
        );
    }
    // The session of the customer, but no browser, or another one.
    let mut stranger = Visitor::new(&sandbox);
    let session = visitor.session_cookie();
    stranger.cookies.insert(session.clone(), visitor.cookies[&session].clone());
    assert_page(&stranger.allow(&consent, &["c1-card"]).await, 400, "This page is too old");
    stranger.authorize(&[]).await;
    assert_eq!((stranger.cookies.len(), visitor.cookies.len()), (2, 2));
    assert_page(&stranger.allow(&consent, &["c1-card"]).await, 400, "This page is too old");
    assert_page(&stranger.sign_in(&sign_in, "customer_1").await, 400, "This page is too old");
    // The browser, but nobody who is signed in.
    visitor.forget_session();
    assert_page(&visitor.allow(&consent, &["c1-card"]).await, 200, "Sign in to Sandbank");

    sandbox.advance("30m").await;
    let again = visitor.sign_in(&sign_in, "customer_1").await;
    assert_page(&again, 200, "Sign in to Sandbank");
    assert!(again.text.contains("Please sign in again"), "{}", again.text);
    assert_eq!(grants(&sandbox).await.len(), 0);
}

#[tokio::test]
async fn cookies_are_held_to_this_host() {
    // The name of a browser's cookie ends in 8 characters that no other has.
    let known = |name: String| {
        if name.contains("-browser") { name[..name.len() - 9].to_owned() } else { name }
    };
    let cookies = |answer: &Answer| -> Vec<String> {
        let text = |cookie: &reqwest::header::HeaderValue| {
            cookie
                .to_str()
                .unwrap()
                .split_once('=')
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .unwrap()
        };
        answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(text)
            .map(|(name, value)| format!("{} {}", known(name), value.split_once("; ").unwrap().1))
            .collect()
    };
    let https = Setting { issuer: Some("https://auth.bank.example".into()), ..Setting::default() };
    for (setting, prefix, secure) in [(Setting::default(), "", ""), (https, "__Host-", "; Secure")]
    {
        let sandbox = Sandbox::with(setting).await;
        let mut visitor = Visitor::new(&sandbox);
        let page = visitor.authorize(&[]).await;
        let port = if prefix.is_empty() {
            format!("-{}", sandbox.issuer.rsplit(':').next().unwrap())
        } else {
            String::new()
        };
        assert_eq!(
            cookies(&page),
            [format!("{prefix}counterfoil-browser{port} Path=/; HttpOnly; SameSite=Lax{secure}")]
        );
        assert_eq!(cookies(&visitor.authorize(&[]).await), [""; 0], "it has one");
        let signed_in = visitor
            .post_form(&page, &[("username", "customer_1"), ("password", "customer_1")])
            .await;
        assert_eq!(
            cookies(&signed_in),
            [format!("{prefix}counterfoil-session{port} Path=/; HttpOnly; SameSite=Lax{secure}")]
        );
        let before = visitor.cookies.clone();
        visitor.sign_in(&page, "customer_1").await;
        assert_ne!(visitor.cookies, before, "every sign-in begins another session");
        let mut old = Visitor { sandbox: &sandbox, cookies: before };
        assert_page(&old.get("/connected-apps").await, 200, "Connected apps");
        sandbox.advance("1m").await;
        assert_page(&old.get("/connected-apps").await, 200, "Sign in to Sandbank");

        let page = visitor.get("/connected-apps").await;
        let (_, hidden) = forms(&page).remove(0);
        let out = visitor.post("/sign-out", &[("csrf", &hidden["csrf"])]).await;
        assert_eq!(
            cookies(&out),
            [format!(
                "{prefix}counterfoil-session{port} Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age=0"
            )]
        );
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
    let mut pages: Vec<(Answer, &str)> =
        [sign_in, failed, consent, nothing, form_post].map(|page| (page, "")).into();
    for path in [
        "/",
        "/sandbox/callback?code=x&state=y",
        "/connected-apps",
        "/authorize",
        "/consent",
        "/sign-out",
        "/connected-apps/x",
    ] {
        pages.push((visitor.get(path).await, "; form-action 'self'"));
    }
    for (page, form_action) in pages {
        let csp = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https:; frame-ancestors 'none'; base-uri 'none'{form_action}"
        );
        assert_eq!(page.header("content-security-policy"), csp, "{}", page.text);
        let headers =
            ["content-type", "cache-control", "referrer-policy", "x-content-type-options"]
                .map(|name| page.header(name));
        assert_eq!(headers, ["text/html; charset=utf-8", "no-store", "no-referrer", "nosniff"]);
        let inline = |tag: &str| {
            tag == "script" || tag == "style" || tag.contains(" style=") || tag.contains(" on")
        };
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
async fn a_session_ends_with_its_password_and_with_the_customer() {
    let sandbox = Sandbox::start().await;
    let id = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
    for command in [
        Command::CustomerSetPassword { id: id.clone(), password: "customer_1".into() },
        Command::CustomerRemove { id: id.clone() },
    ] {
        let mut visitor = Visitor::new(&sandbox);
        let consent = visitor.consent(&[]).await;
        sandbox.admin(command).await;
        assert_page(&visitor.allow(&consent, &["c1-card"]).await, 200, "Sign in to Sandbank");
    }
    assert_eq!(grants(&sandbox).await.len(), 0);
}
