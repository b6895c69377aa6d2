//! The few commands of WebDriver (w3.org/TR/webdriver2) that the tests of the pages need. Whatever
//! goes wrong fails the test.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a page is asked for an element that is waited for.
const PAUSE: Duration = Duration::from_millis(50);
/// The member of an answer that holds the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How an element is found.
#[derive(Clone, Copy, Debug)]
pub enum Locator<'a> {
    Css(&'a str),
    XPath(&'a str),
}

/// A session of a browser; commands go to the tab that was switched to last.
pub struct Session {
    http: Client,
    url: String,
}

/// An element of a page.
pub struct Element<'a> {
    session: &'a Session,
    id: String,
}

impl Session {
    /// Opens a session with the driver at `address`.
    pub async fn open(address: &str, capabilities: &Value) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        let driver = Self { http, url: address.to_owned() };
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let opened = driver.post("/session", wanted).await;
        let id = opened["sessionId"].as_str().unwrap();
        Self { url: format!("{address}/session/{id}"), ..driver }
    }

    /// Sends a command; gives what the driver says is wrong.
    async fn try_send(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if method == Method::POST {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let is_success = response.status().is_success();
        let mut answer: Value = response.json().await.map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        if is_success { Ok(value) } else { Err(value["message"].to_string()) }
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let sent = self.try_send(method, path, body).await;
        sent.unwrap_or_else(|problem| panic!("{path}: {problem}"))
    }

    /// Sends a command of any kind.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, body).await
    }

    async fn text(&self, path: &str) -> String {
        self.send(Method::GET, path, Value::Null).await.as_str().unwrap().to_owned()
    }

    pub async fn goto(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    pub async fn current_url(&self) -> Url {
        self.text("/url").await.parse().unwrap()
    }

    pub async fn source(&self) -> String {
        self.text("/source").await
    }

    /// The tab that was switched to last.
    pub async fn window(&self) -> String {
        self.text("/window").await
    }

    pub async fn windows(&self) -> Vec<String> {
        let handles = self.send(Method::GET, "/window/handles", Value::Null).await;
        serde_json::from_value(handles).unwrap()
    }

    pub async fn switch_to_window(&self, handle: &str) {
        self.post("/window", json!({ "handle": handle })).await;
    }

    pub async fn delete_all_cookies(&self) {
        self.send(Method::DELETE, "/cookie", Value::Null).await;
    }

    /// What a script returns.
    pub async fn execute(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    /// What a script hands to its last argument, a function.
    pub async fn execute_async(&self, script: &str) -> Value {
        self.post("/execute/async", json!({ "script": script, "args": [] })).await
    }

    async fn try_find(&self, locator: Locator<'_>) -> Result<Element<'_>, String> {
        let (using, value) = match locator {
            Locator::Css(value) => ("css selector", value),
            Locator::XPath(value) => ("xpath", value),
        };
        let body = json!({ "using": using, "value": value });
        let found = self.try_send(Method::POST, "/element", body).await?;
        Ok(Element { session: self, id: found[ELEMENT].as_str().unwrap().to_owned() })
    }

    /// An element of the page that is there.
    pub async fn find(&self, css: &str) -> Element<'_> {
        let found = self.try_find(Locator::Css(css)).await;
        found.unwrap_or_else(|problem| panic!("{css}: {problem}"))
    }

    /// Waits for an element.
    pub async fn wait_for(&self, locator: Locator<'_>) -> Element<'_> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_find(locator).await {
                Ok(element) => return element,
                Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(problem) => panic!(
                    "no {locator:?} ({problem}) at {}: {}",
                    self.current_url().await,
                    self.source().await
                ),
            }
        }
    }
}

impl Element<'_> {
    async fn command(&self, name: &str, body: Value) {
        self.session.post(&format!("/element/{}/{name}", self.id), body).await;
    }

    pub async fn click(&self) {
        self.command("click", json!({})).await;
    }

    pub async fn clear(&self) {
        self.command("clear", json!({})).await;
    }

    pub async fn send_keys(&self, text: &str) {
        self.command("value", json!({ "text": text })).await;
    }

    pub async fn text(&self) -> String {
        self.session.text(&format!("/element/{}/text", self.id)).await
    }
}
