//! The pages in a real Chromium, driven over WebDriver: with scripts and without, on a phone, from
//! one origin to another; and axe-core finds no barrier in any of them.

use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command as Admin;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use url::Url;

use crate::chromium::Browser;
use crate::setting::{OTHER, RECIPIENT, Sandbox};
use crate::webdriver::Locator;

const CODE_ARRIVED: &str = "The code has arrived";
const CONTROLS: &str = "Sandbox controls";
const SIGN_IN: &str = "Sign in to Sandbank";
const CONSENT: &str = "Give Pocket Ledger access to your accounts?";

impl Browser {
    async fn sign_in(&self, customer: &str, password: &str) {
        self.sees(SIGN_IN).await;
        for (field, text) in [("username", customer), ("password", password)] {
            let field = self.tab.find(&format!("#{field}")).await;
            field.clear().await;
            field.send_keys(text).await;
        }
        self.click("button.primary").await;
    }

    async fn choose(&self, accounts: &[&str]) {
        self.sees(CONSENT).await;
        for account in accounts {
            self.click(&format!("input[value='{account}']")).await;
        }
    }

    /// Waits until the page of controls says that this was done; the page before it may still be
    /// there.
    async fn is_told(&self, what: &str) {
        let said = format!("//*[@role='status'][normalize-space(.)='{what}']");
        self.tab.wait_for(Locator::XPath(&said)).await;
    }

    /// From the request to the press on "Allow access".
    async fn walk(&self, url: &str) {
        self.open(url).await;
        self.sign_in("customer_1", "customer_1").await;
        self.choose(&["c1-checking", "c1-card"]).await;
        self.click("button[value=allow]").await;
    }
}

fn request(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let callback = sandbox.callback();
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", RECIPIENT.0),
        ("scope", "openid profile offline_access"),
        ("state", "s-1"),
    ];
    if !changes.iter().any(|(name, _)| *name == "redirect_uri") {
        parameters.push(("redirect_uri", &callback));
    }
    parameters.extend_from_slice(changes);
    Url::parse_with_params(&sandbox.url("/authorize"), parameters).unwrap().into()
}

/// Holds that the code on the page can be exchanged.
async fn assert_code_is_good(browser: &Browser, sandbox: &Sandbox) {
    browser.sees(CODE_ARRIVED).await;
    let code = browser.text(".facts code").await;
    let tokens = sandbox.exchange(RECIPIENT, &code).await;
    assert_eq!(tokens.status, 200, "{code}: {}", tokens.text);
    let accounts = sandbox.accounts(&tokens.member("id_token")).await;
    assert_eq!(accounts.json()["accounts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn from_request_to_code() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    for changes in [&[][..], &[("response_mode", "form_post"), ("prompt", "login")]] {
        sandbox.advance("1s").await;
        browser.walk(&request(&sandbox, changes)).await;
        assert_code_is_good(&browser, &sandbox).await;
        let url = browser.tab.current_url().await;
        assert_eq!(url.query().is_some(), changes.is_empty(), "{url}");
    }
}

#[tokio::test]
async fn no_page_needs_scripts() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::without_scripts().await;
    browser.walk(&request(&sandbox, &[])).await;
    assert_code_is_good(&browser, &sandbox).await;

    sandbox.advance("1s").await;
    browser.walk(&request(&sandbox, &[("response_mode", "form_post"), ("prompt", "login")])).await;
    browser.sees("Going back to Pocket Ledger").await;
    browser.click("#form-post button").await;
    assert_code_is_good(&browser, &sandbox).await;

    browser.open(&sandbox.url("/connected-apps")).await;
    browser.click("summary").await;
    browser.click("button.danger").await;
    browser.tab.wait_for(Locator::Css("[role=status]")).await;
}

/// An app at another origin. Tells the first line of each request to its callback.
async fn app_elsewhere() -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback = format!("http://{}/callback", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                let read = connection.read(&mut buffer).await.unwrap_or(0);
                let line = String::from_utf8_lossy(&buffer[..read])
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let page = "<!doctype html><title>App</title><h1>Back in the app</h1>";
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    page.len()
                );
                let _ = connection.write_all(format!("{head}{page}").as_bytes()).await;
                if line.contains("/callback") {
                    let _ = tell.send(line);
                }
            });
        }
    });
    (callback, told)
}

#[tokio::test]
async fn the_way_back_to_another_origin_is_open() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    let (callback, mut told) = app_elsewhere().await;
    let back_to_app = ("redirect_uri", callback.as_str());
    browser.walk(&request(&sandbox, &[back_to_app])).await;
    browser.sees("Back in the app").await;
    assert!(told.recv().await.unwrap().starts_with("GET /callback?code="));

    browser.open(&request(&sandbox, &[back_to_app, ("response_mode", "form_post")])).await;
    browser.choose(&["c1-card"]).await;
    browser.click("button[value=allow]").await;
    browser.sees("Back in the app").await;
    assert!(told.recv().await.unwrap().starts_with("POST /callback "));

    sandbox.advance("1s").await;
    browser.open(&request(&sandbox, &[back_to_app, ("prompt", "login")])).await;
    browser.sees(SIGN_IN).await;
    browser.click("button[value=deny]").await;
    browser.sees("Back in the app").await;
    assert!(told.recv().await.unwrap().starts_with("GET /callback?error=access_denied&"));
}

/// An app whose callback redirects to `landing`. Tells the first line of each request to its
/// callback.
async fn app_that_leads_on(landing: String) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback = format!("http://{}/callback", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut buffer = vec![0; 16 * 1024];
            let read = connection.read(&mut buffer).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&buffer[..read])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let head = format!(
                "HTTP/1.1 302 Found\r\nlocation: {landing}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = connection.write_all(head.as_bytes()).await;
            let _ = tell.send(line);
        }
    });
    (callback, told)
}

/// Chromium holds a page's `form-action` against each redirect after its form, also against those
/// that an app makes.
#[tokio::test]
async fn an_app_may_lead_on_to_wherever_it_likes() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    let (landing, mut landed) = app_elsewhere().await;
    // Another site by name, though the same machine.
    let (callback, mut told) = app_that_leads_on(landing.replace("127.0.0.1", "localhost")).await;
    for mode in ["query", "form_post"] {
        let there =
            [("redirect_uri", callback.as_str()), ("response_mode", mode), ("prompt", "login")];
        sandbox.advance("1s").await;
        browser.walk(&request(&sandbox, &there)).await;
        browser.sees("Back in the app").await;
        assert!(told.recv().await.unwrap().contains(" /callback"));
        assert!(landed.recv().await.unwrap().starts_with("GET /callback "));
        // The same from the sign-in page, and from one that tells of an error.
        sandbox.advance("1s").await;
        browser.open(&request(&sandbox, &there)).await;
        browser.sees(SIGN_IN).await;
        browser.click("button[value=deny]").await;
        browser.sees("Back in the app").await;
        landed.recv().await.unwrap();
        sandbox.advance("1s").await;
        browser.open(&request(&sandbox, &there)).await;
        browser.sees(SIGN_IN).await;
        browser.tab.delete_all_cookies().await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.sees("This page is too old").await;
        browser.assert_open_to_all("an error with a way back").await;
        browser.click("#back").await;
        browser.sees("Back in the app").await;
        landed.recv().await.unwrap();
    }
    // An app's own scheme. Nothing on this machine answers to it, so the browser stays where it is;
    // a policy that forbids it would be told of.
    let (callback, mut told) = app_that_leads_on("com.example.ledger:/done".into()).await;
    sandbox.advance("1s").await;
    browser.walk(&request(&sandbox, &[("redirect_uri", &callback), ("prompt", "login")])).await;
    assert!(told.recv().await.unwrap().starts_with("GET /callback?code="));
    let complaints = browser.console().await;
    assert!(
        !complaints.iter().any(|line| line.contains("Content Security Policy")),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn a_request_that_another_site_posts_finds_the_session() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    browser.walk(&request(&sandbox, &[])).await;
    browser.sees(CODE_ARRIVED).await;
    let (elsewhere, _told) = app_elsewhere().await;
    browser.open(&elsewhere.replace("127.0.0.1", "localhost")).await;
    let post = "const form = Object.assign(document.createElement('form'), { method: 'post', action: arguments[0] });\
        for (const [name, value] of new URL(arguments[0]).searchParams) {\
            form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));\
        }\
        form.action = form.action.split('?')[0];\
        document.body.append(form);\
        form.submit();";
    browser.tab.execute(post, json!([request(&sandbox, &[])])).await;
    browser.choose(&["c1-card", "c1-checking"]).await;
    browser.click("#allow").await;
    assert_code_is_good(&browser, &sandbox).await;
}

#[tokio::test]
async fn going_back_shows_pages_and_no_error_of_the_browser() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    browser.open(&request(&sandbox, &[])).await;
    browser.sign_in("customer_1", "wrong").await;
    browser.tab.wait_for(Locator::Css("[role=alert]")).await;
    browser.sign_in("customer_1", "customer_1").await;
    browser.sees(CONSENT).await;
    browser.click("#allow").await;
    browser.tab.wait_for(Locator::Css("[role=alert]")).await;
    for heading in [CONSENT, SIGN_IN, CONSENT] {
        // The last is where it all began: the customer is signed in by now.
        browser.tab.back().await;
        browser.sees(heading).await;
    }
    browser.choose(&["c1-card", "c1-checking"]).await;
    browser.click("#allow").await;
    assert_code_is_good(&browser, &sandbox).await;
}

#[tokio::test]
async fn twelve_tabs_beside_odd_cookies_all_finish() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    browser.open(&sandbox.url("/assets/logo.svg")).await;
    browser
        .tab
        .execute("document.cookie = 'thème=café ☕'; document.cookie = 'x=\"a; b'; document.cookie = '=nameless'", json!([])).await;
    let first = browser.tab.window().await;
    let open = "for (let n = 0; n < 12; n++) { window.open(arguments[0]) }";
    browser.tab.execute(open, json!([request(&sandbox, &[])])).await;
    let tabs: Vec<_> =
        browser.tab.windows().await.into_iter().filter(|tab| *tab != first).collect();
    assert_eq!(tabs.len(), 12);
    for tab in &tabs {
        browser.tab.switch_to_window(tab).await;
        browser.sees(SIGN_IN).await;
    }
    // One after the other goes a step on.
    for tab in &tabs {
        browser.tab.switch_to_window(tab).await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.sees(CONSENT).await;
    }
    for tab in &tabs {
        browser.tab.switch_to_window(tab).await;
        browser.choose(&["c1-card", "c1-checking"]).await;
        browser.click("#allow").await;
        assert_code_is_good(&browser, &sandbox).await;
    }
}

#[tokio::test]
async fn connected_apps_can_be_ended() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let browser = Browser::start().await;
    browser.open(&sandbox.url("/connected-apps")).await;
    browser.sign_in("customer_1", "customer_1").await;
    browser.sees("Connected apps").await;
    assert_eq!(browser.text("article h2").await, "Pocket Ledger");
    browser.click("button.danger").await;
    browser.tab.wait_for(Locator::Css("[role=status]")).await;
    assert_eq!(browser.text("[role=status]").await, "The access of Pocket Ledger has ended.");
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 401);
    browser.click(".sign-out button").await;
    browser.sees(SIGN_IN).await;
}

#[tokio::test]
async fn enter_signs_in_but_never_allows() {
    let sandbox = Sandbox::start().await;
    let browser = Browser::start().await;
    browser.open(&request(&sandbox, &[])).await;
    browser.tab.find("#username").await.send_keys("customer_1").await;
    browser.tab.find("#password").await.send_keys("customer_1\u{e007}").await;
    browser.choose(&["c1-card"]).await;
    browser.tab.find("input[value=c1-card]").await.send_keys("\u{e007}").await;
    // Long enough for the answer to come, if there were one.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    browser.sees(CONSENT).await;
}

/// A browser shows the answer to a form that is no longer as it was, and its form goes on from
/// there.
#[tokio::test]
async fn a_page_that_has_changed_is_shown_again() {
    let sandbox = Sandbox::start().await;
    for (width, scope) in [(1200, "openid profile offline_access"), (320, "openid")] {
        let browser = Browser::start().await;
        browser.of_width(width).await;
        sandbox
            .set_client(RECIPIENT.0, &[("data_clusters", "BALANCES"), ("lookback_days", "30")])
            .await;
        browser
            .open(
                &request(&sandbox, &[])
                    .replace("openid+profile+offline_access", &scope.replace(' ', "+")),
            )
            .await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.choose(&["c1-card", "c1-checking"]).await;
        browser.assert_open_to_all("consent").await;
        sandbox
            .set_client(RECIPIENT.0, &[("data_clusters", "BALANCES,TAX"), ("lookback_days", "90")])
            .await;
        browser.click("button[value=allow]").await;
        browser.tab.wait_for(Locator::Css("[role=alert] li")).await;
        browser.sees(CONSENT).await;
        browser.assert_open_to_all("consent that has changed").await;
        browser.click("button[value=allow]").await;
        assert_code_is_good(&browser, &sandbox).await;
    }
}

/// Browsers fill a form in again that they come back to, also where it is another customer's by
/// now.
#[tokio::test]
async fn nothing_is_ticked_again_for_another_customer() {
    let sandbox = Sandbox::start().await;
    for (customer, name) in [("alex", "Alex"), ("bea", "Bea")] {
        let id = CustomerId { provider: "sandbank".into(), customer: customer.into() };
        let accounts = json!({ "accounts": [{ "depositAccount": { "accountId": "joint", "accountType": "CHECKING" } }] });
        sandbox
            .admin(Admin::CustomerAdd {
                id,
                name: name.into(),
                password: customer.into(),
                accounts: Some(accounts),
            })
            .await;
    }
    let browser = Browser::start().await;
    browser.open(&request(&sandbox, &[])).await;
    browser.sign_in("alex", "alex").await;
    browser.choose(&["joint"]).await;
    let of_alex = browser.tab.current_url().await;
    sandbox.advance("1s").await;
    browser.open(&request(&sandbox, &[("prompt", "login")])).await;
    browser.sign_in("bea", "bea").await;
    browser.sees(CONSENT).await;
    while browser.tab.current_url().await != of_alex {
        browser.tab.back().await;
    }
    browser.sees(CONSENT).await;
    let boxes = "return [document.querySelector('.entries').innerText.includes('Bea'), ...[...document.querySelectorAll('[type=checkbox]')].map(box => box.checked)]";
    assert_eq!(browser.tab.execute(boxes, json!([])).await, json!([true, false]));
}

#[tokio::test]
async fn one_of_several_consents_can_be_ended() {
    let sandbox = Sandbox::start().await;
    for width in [1200, 320] {
        let tokens = [sandbox.tokens(RECIPIENT).await, sandbox.tokens(RECIPIENT).await];
        let browser = Browser::start().await;
        browser.of_width(width).await;
        browser.open(&sandbox.url("/connected-apps")).await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.sees("Connected apps").await;
        browser.assert_open_to_all("connected apps").await;
        browser.click("button.danger.small").await;
        browser.tab.wait_for(Locator::Css("[role=status]")).await;
        browser.assert_open_to_all("connected apps, one ended").await;
        let mut living = 0;
        for tokens in &tokens {
            living += usize::from(sandbox.accounts(&tokens.id_token).await.status == 200);
        }
        assert_eq!(living, 1);
        browser.click("button.danger:not(.small)").await;
        browser.tab.wait_for(Locator::XPath("//p[contains(., 'No app has access')]")).await;
        assert_eq!(browser.text("[role=status]").await, "The access of Pocket Ledger has ended.");
    }
}

/// Every page, as anybody may come by it, on a phone and on a desk.
#[tokio::test]
async fn no_page_has_barriers() {
    let sandbox = Sandbox::start().await;
    for (width, (client, secret)) in [(1200, RECIPIENT), (320, OTHER)] {
        let browser = Browser::start().await;
        browser.of_width(width).await;
        sandbox.set_client(client, &[("name", "Pocket Ledger")]).await;
        let url = request(&sandbox, &[]).replace(RECIPIENT.0, client);
        browser.open(&sandbox.url("/")).await;
        browser.assert_open_to_all("walk-through").await;
        browser.open(&url).await;
        browser.assert_open_to_all("sign-in").await;
        browser.sign_in("customer_1", "wrong").await;
        browser.tab.wait_for(Locator::Css("#sign-in-error")).await;
        browser.assert_open_to_all("failed sign-in").await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.sees(CONSENT).await;
        browser.assert_open_to_all("consent").await;
        browser.click("button[value=allow]").await;
        browser.tab.wait_for(Locator::Css("#accounts-error")).await;
        browser.assert_open_to_all("consent without an account").await;
        browser.choose(&["c1-card"]).await;
        browser.click("button[value=allow]").await;
        browser.sees(CODE_ARRIVED).await;
        browser.assert_open_to_all("callback").await;
        assert_eq!(
            sandbox.exchange((client, secret), &browser.text(".facts code").await).await.status,
            200
        );
        browser.open(&sandbox.url("/connected-apps")).await;
        browser.click("summary").await;
        browser.assert_open_to_all("connected apps").await;
        browser.click("button.danger").await;
        browser.tab.wait_for(Locator::Css("[role=status]")).await;
        browser.assert_open_to_all("no connected apps").await;
        browser.open(&sandbox.url("/authorize")).await;
        browser.assert_open_to_all("error").await;
        browser.open(&url.replace("openid", "email")).await;
        browser.sees("The answer is an error").await;
        browser.assert_open_to_all("callback with an error").await;
    }
}

#[tokio::test]
async fn long_names_and_many_accounts_find_room() {
    let sandbox = Sandbox::start().await;
    let long = "Überweisungsdienstleistungsgesellschaft Niederösterreich-Süd & Söhne ".repeat(2);
    sandbox
        .set_client(RECIPIENT.0, &[("name", long.trim()), ("registered_entity", &"X".repeat(120))])
        .await;
    let account = |n: u32| {
        let fields = json!({ "accountId": format!("a{n}"), "accountType": "SAVINGS", "nickname": "W".repeat(60), "accountNumberDisplay": "1".repeat(34) });
        json!({ "depositAccount": fields })
    };
    let accounts = json!({ "accounts": (0..60).map(account).collect::<Vec<_>>() });
    let id = CustomerId { provider: "sandbank".into(), customer: "many".into() };
    sandbox
        .admin(Admin::CustomerAdd {
            id,
            name: "Y".repeat(90),
            password: "many".into(),
            accounts: Some(accounts),
        })
        .await;
    for _ in 0..25 {
        let code = sandbox.code_with(RECIPIENT.0, &[("customer", "many")]).await;
        assert_eq!(sandbox.exchange(RECIPIENT, &code).await.status, 200);
    }

    let browser = Browser::start().await;
    browser.of_width(320).await;
    browser.open(&request(&sandbox, &[])).await;
    browser.assert_open_to_all("sign-in").await;
    browser.sign_in("many", "many").await;
    browser.tab.wait_for(Locator::Css("input[value=a59]")).await;
    browser.assert_open_to_all("consent").await;
    browser.open(&sandbox.url("/connected-apps")).await;
    browser.assert_open_to_all("connected apps").await;
}

#[tokio::test]
async fn the_sandbox_is_controlled_by_hand() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let browser = Browser::without_scripts().await;
    browser.open(&sandbox.url("/")).await;
    browser.click("a[href='/sandbox']").await;
    browser.sees(CONTROLS).await;
    // A form's post is let through the guard, which browsers tell the page's origin.
    browser.click("button[value='25h']").await;
    browser.is_told("The clock is moved.").await;
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 401);
    browser.tab.find("#advance").await.send_keys("-1h\u{e007}").await;
    browser.tab.wait_for(Locator::XPath("//code[.='+1d']")).await;

    for (field, text) in
        [("fault", "unavailable"), ("fault-client", RECIPIENT.0), ("value", "9s"), ("count", "1")]
    {
        browser
            .tab
            .find(&format!("#{field}"))
            .await
            .send_keys(if field == "fault" { "Unavail" } else { text })
            .await;
    }
    browser.click("form[aria-labelledby=set] button").await;
    browser.is_told("The fault is set.").await;
    assert_eq!(sandbox.refresh(RECIPIENT, &tokens.refresh_token).await.header("retry-after"), "9");
    browser.click("button.danger").await;
    browser.is_told("The grant has ended: everything of it is refused.").await;
    sandbox.assert_dead(&tokens).await;
    browser.open(&sandbox.url("/sandbox")).await;
    browser.click(".log summary").await;
    assert!(browser.text(".log pre").await.starts_with("POST /introspect"));
}

#[tokio::test]
async fn the_controls_are_open_to_all() {
    let sandbox = Sandbox::start().await;
    let long = "Überweisungsdienstleistungsgesellschaft Niederösterreich-Süd & Söhne ".repeat(2);
    sandbox.set_client(OTHER.0, &[("name", long.trim())]).await;
    let browser = Browser::start().await;
    browser.of_width(1200).await;
    browser.open(&sandbox.url("/sandbox")).await;
    browser.sees(CONTROLS).await;
    browser.assert_open_to_all("controls of an empty sandbox").await;

    let tokens = sandbox.tokens(RECIPIENT).await;
    sandbox.code(OTHER.0).await;
    sandbox.post("/sandbox/faults", &[("fault", "revoke_grant"), ("client_id", OTHER.0)]).await;
    sandbox.code(OTHER.0).await;
    sandbox
        .post(
            "/sandbox/faults",
            &[("fault", "delay"), ("value", "1ms"), ("path", "/token"), ("client_id", OTHER.0)],
        )
        .await;
    sandbox
        .post(
            "/sandbox/faults",
            &[("fault", "fdx_error"), ("value", "705"), ("customer", "customer_1")],
        )
        .await;
    sandbox.accounts(&tokens.id_token).await;
    sandbox.accounts(&"x".repeat(300)).await;
    sandbox.get(&format!("/accounts/{}", "long".repeat(60))).await;
    sandbox.post("/sandbox/faults", &[("fault", "lose_answer")]).await;
    sandbox.advance("91d").await;
    for width in [320, 700, 1200] {
        browser.of_width(width).await;
        browser.open(&sandbox.url("/sandbox")).await;
        browser.sees(CONTROLS).await;
        let open =
            "for (const details of document.querySelectorAll('details')) { details.open = true }";
        browser.tab.execute(open, json!([])).await;
        browser.assert_open_to_all("controls").await;
        browser.tab.find("#advance").await.send_keys("soon\u{e007}").await;
        browser.tab.wait_for(Locator::Css("[role=alert]")).await;
        browser.assert_open_to_all("controls that refuse").await;
    }
}
