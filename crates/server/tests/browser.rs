//! The pages in a real Chromium, driven over WebDriver: with scripts and without, on a phone, from one origin to another; and axe-core
//! finds no barrier in any of them.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;

use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command as Admin;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use setting::{RECIPIENT, Sandbox};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use url::Url;

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const CODE_ARRIVED: &str = "The code has arrived";
const SIGN_IN: &str = "Sign in to Sandbank";
const CONSENT: &str = "Give Pocket Ledger access to your accounts?";

/// A chromedriver of our own. It ends when it is dropped, and with it its browsers.
struct Driver {
    process: Child,
    address: String,
    profile: TempDir,
}

impl Driver {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", free.port())).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let process =
            command.spawn().unwrap_or_else(|error| panic!("chromedriver can't be started ({error}); run ./test, which installs it"));
        let driver = Self { process, address: format!("http://{free}"), profile: tempfile::tempdir().unwrap() };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(free).await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not listen; run ./test, which installs what it needs");
            sleep(Duration::from_millis(20)).await;
        }
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The whole process group: the browser is a child of the driver.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// A command of the Chrome DevTools Protocol.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.0, "params": self.1 }).to_string()))
    }
}

/// A browser with a fresh profile.
struct Browser {
    tab: Client,
    // After the client, so that its session is ended first.
    _driver: Driver,
}

impl Browser {
    async fn start() -> Self {
        Self::with_preferences(json!({})).await
    }

    async fn without_scripts() -> Self {
        Self::with_preferences(json!({ "profile.managed_default_content_settings.javascript": 2 })).await
    }

    async fn with_preferences(preferences: Value) -> Self {
        let driver = Driver::start().await;
        let mut args: Vec<String> = [
            "--headless=new",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(Into::into)
        .into();
        args.push(format!("--user-data-dir={}", driver.profile.path().display()));
        // Chromium's own sandbox refuses to run as root.
        if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            args.push("--no-sandbox".into());
        }
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": args, "prefs": preferences } });
        let tab = ClientBuilder::new(HttpConnector::new()).capabilities(wanted.as_object().unwrap().clone()).connect(&driver.address).await;
        let tab = tab.unwrap_or_else(|error| panic!("Chromium can't be started ({error}); run ./test, which installs it"));
        Self { tab, _driver: driver }
    }

    async fn tools(&self, command: &'static str, parameters: Value) {
        self.tab.issue_cmd(DevTools(command, parameters)).await.unwrap();
    }

    async fn of_width(&self, width: u32) {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    async fn open(&self, url: &str) {
        self.tab.goto(url).await.unwrap();
    }

    /// Waits for the page with this heading.
    async fn sees(&self, heading: &str) {
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::XPath(&format!("//h1[normalize-space(.)='{heading}']"))).await;
        if let Err(error) = found {
            panic!("no page `{heading}` ({error}) but {}: {}", self.tab.current_url().await.unwrap(), self.tab.source().await.unwrap());
        }
    }

    async fn click(&self, css: &str) {
        self.tab.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    async fn text(&self, css: &str) -> String {
        self.tab.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    async fn sign_in(&self, customer: &str, password: &str) {
        self.sees(SIGN_IN).await;
        for (field, text) in [("username", customer), ("password", password)] {
            let field = self.tab.find(Locator::Id(field)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        }
        self.click("button.primary").await;
    }

    async fn choose(&self, accounts: &[&str]) {
        self.sees(CONSENT).await;
        for account in accounts {
            self.click(&format!("input[value='{account}']")).await;
        }
    }

    /// From the request to the press on "Allow access".
    async fn walk(&self, url: &str) {
        self.open(url).await;
        self.sign_in("customer_1", "customer_1").await;
        self.choose(&["c1-checking", "c1-card"]).await;
        self.click("button[value=allow]").await;
    }

    /// Fails where the page can be scrolled sideways, or has a barrier that axe-core knows of, in light or in dark.
    async fn assert_open_to_all(&self, what: &str) {
        let wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.tab.execute(wider, vec![]).await.unwrap(), 0, "{what}: pixels of it are out of sight");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; run ./test, which installs it", path.display()));
        for scheme in ["light", "dark"] {
            let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.tools("Emulation.setEmulatedMedia", feature).await;
            self.tab.execute(&axe, vec![]).await.unwrap();
            let run = "const done = arguments[arguments.length - 1]; \
                       axe.run().then(found => done([found.passes.length > 0, found.violations]), error => done([false, String(error)]));";
            let found = self.tab.execute_async(run, vec![]).await.unwrap();
            assert_eq!(found, json!([true, []]), "{what}, {scheme}: {found:#}");
        }
    }
}

fn request(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let callback = sandbox.callback();
    let mut parameters =
        vec![("response_type", "code"), ("client_id", RECIPIENT.0), ("scope", "openid profile offline_access"), ("state", "s-1")];
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
        let url = browser.tab.current_url().await.unwrap();
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
    browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css("[role=status]")).await.unwrap();
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
                let line = String::from_utf8_lossy(&buffer[..read]).lines().next().unwrap_or_default().to_owned();
                let page = "<!doctype html><title>App</title><h1>Back in the app</h1>";
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
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
    browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css("[role=status]")).await.unwrap();
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
    browser.tab.find(Locator::Id("username")).await.unwrap().send_keys("customer_1").await.unwrap();
    browser.tab.find(Locator::Id("password")).await.unwrap().send_keys("customer_1\u{e007}").await.unwrap();
    browser.choose(&["c1-card"]).await;
    browser.tab.find(Locator::Css("input[value=c1-card]")).await.unwrap().send_keys("\u{e007}").await.unwrap();
    // Long enough for the answer to come, if there were one.
    sleep(Duration::from_secs(1)).await;
    browser.sees(CONSENT).await;
}

/// Every page, as anybody may come by it, on a phone and on a desk.
#[tokio::test]
async fn no_page_has_barriers() {
    let sandbox = Sandbox::start().await;
    for (width, client) in [(1200, "sandbox-recipient"), (320, "sandbox-other")] {
        let browser = Browser::start().await;
        browser.of_width(width).await;
        sandbox.set_client(client, &[("name", "Pocket Ledger")]).await;
        let url = request(&sandbox, &[]).replace(RECIPIENT.0, client);
        browser.open(&sandbox.url("/")).await;
        browser.assert_open_to_all("walk-through").await;
        browser.open(&url).await;
        browser.assert_open_to_all("sign-in").await;
        browser.sign_in("customer_1", "wrong").await;
        browser.tab.wait().at_most(PATIENCE).for_element(Locator::Id("sign-in-error")).await.unwrap();
        browser.assert_open_to_all("failed sign-in").await;
        browser.sign_in("customer_1", "customer_1").await;
        browser.sees(CONSENT).await;
        browser.assert_open_to_all("consent").await;
        browser.click("button[value=allow]").await;
        browser.tab.wait().at_most(PATIENCE).for_element(Locator::Id("accounts-error")).await.unwrap();
        browser.assert_open_to_all("consent without an account").await;
        browser.choose(&["c1-card"]).await;
        browser.click("button[value=allow]").await;
        browser.sees(CODE_ARRIVED).await;
        browser.assert_open_to_all("callback").await;
        browser.open(&sandbox.url("/connected-apps")).await;
        browser.click("summary").await;
        browser.assert_open_to_all("connected apps").await;
        browser.click("button.danger").await;
        browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css("[role=status]")).await.unwrap();
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
    sandbox.set_client(RECIPIENT.0, &[("name", long.trim()), ("registered_entity", &"X".repeat(120))]).await;
    let account = |n: u32| {
        let fields = json!({ "accountId": format!("a{n}"), "accountType": "SAVINGS", "nickname": "W".repeat(60), "accountNumberDisplay": "1".repeat(34) });
        json!({ "depositAccount": fields })
    };
    let accounts = json!({ "accounts": (0..60).map(account).collect::<Vec<_>>() });
    let id = CustomerId { provider: "sandbank".into(), customer: "many".into() };
    sandbox.admin(Admin::CustomerAdd { id, name: "Y".repeat(90), password: "many".into(), accounts: Some(accounts) }).await;
    sandbox.code_with(RECIPIENT.0, &[("customer", "many")]).await;

    let browser = Browser::start().await;
    browser.of_width(320).await;
    browser.open(&request(&sandbox, &[])).await;
    browser.assert_open_to_all("sign-in").await;
    browser.sign_in("many", "many").await;
    browser.tab.wait().at_most(PATIENCE).for_element(Locator::Css("input[value=a59]")).await.unwrap();
    browser.assert_open_to_all("consent").await;
    browser.open(&sandbox.url("/connected-apps")).await;
    browser.assert_open_to_all("connected apps").await;
}
