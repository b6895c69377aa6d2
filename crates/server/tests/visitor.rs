//! Somebody who walks the pages with a program: it reads forms, posts them back, and keeps cookies.

use std::collections::BTreeMap;

use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::settings::Provider;
use counterfoil_server::admin::Command;
use reqwest::header::COOKIE;
use serde_json::Value;
use url::Url;

use crate::setting::{Answer, RECIPIENT, Sandbox, Setting, send};

pub type Fields = BTreeMap<String, String>;

/// What stands between each `open` and the `close` after it.
pub fn between<'t>(text: &'t str, open: &'t str, close: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| rest.split_once(close))
        .map(|(inside, _)| inside)
}

pub fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

pub fn unescaped(html: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(html.into(), |t, (a, b)| t.replace(a, b))
}

/// The forms of a page: where each goes, and its hidden inputs.
pub fn forms(page: &Answer) -> Vec<(String, Fields)> {
    let hidden = |tag: &&str| attribute(tag, "type") == Some("hidden");
    let pair = |tag: &str| {
        (attribute(tag, "name").unwrap().to_owned(), unescaped(attribute(tag, "value").unwrap()))
    };
    between(&page.text, "<form", "</form>")
        .map(|form| {
            (
                unescaped(attribute(form, "action").unwrap()),
                between(form, "<input", ">").filter(hidden).map(pair).collect(),
            )
        })
        .collect()
}

/// The ids of the accounts that a consent page offers.
pub fn offered(page: &Answer) -> Vec<String> {
    between(&page.text, "<input", ">")
        .filter(|tag| attribute(tag, "name") == Some("account"))
        .filter_map(|tag| attribute(tag, "value"))
        .map(Into::into)
        .collect()
}

/// The ids of the accounts that are ticked on a consent page.
pub fn ticked(page: &Answer) -> Vec<String> {
    let ticked = between(&page.text, "<input", ">")
        .filter(|tag| attribute(tag, "name") == Some("account") && tag.contains(" checked"));
    ticked.filter_map(|tag| attribute(tag, "value")).map(Into::into).collect()
}

pub fn query_of(location: &str) -> Fields {
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

pub fn heading(page: &Answer) -> String {
    unescaped(
        between(&page.text, "<h1>", "</h1>")
            .next()
            .unwrap_or_else(|| panic!("no page: {} {}", page.status, page.text)),
    )
}

/// A page with this status and heading, which sends the browser nowhere.
#[track_caller]
pub fn assert_page(answer: &Answer, status: u16, title: &str) {
    assert_eq!(
        (answer.status, heading(answer).as_str(), answer.header("location")),
        (status, title, "")
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
}

/// Somebody with a browser that runs no scripts: it keeps cookies and posts back what forms hold.
pub struct Visitor<'s> {
    pub sandbox: &'s Sandbox,
    pub cookies: Fields,
}

impl<'s> Visitor<'s> {
    pub fn new(sandbox: &'s Sandbox) -> Self {
        Self { sandbox, cookies: Fields::new() }
    }

    pub async fn send(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
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

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(self.sandbox.http.get(self.sandbox.url(path))).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.sandbox.http.post(self.sandbox.url(path)).form(form)).await
    }

    /// Posts the last form of a page, with these inputs in addition to the hidden ones.
    pub async fn post_form(&mut self, page: &Answer, inputs: &[(&str, &str)]) -> Answer {
        let (action, hidden) =
            forms(page).pop().unwrap_or_else(|| panic!("no form: {} {}", page.status, page.text));
        let mut form: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        form.extend_from_slice(inputs);
        self.post(&action, &form).await
    }

    /// The same, and goes on to where the answer leads on this server.
    pub async fn submit(&mut self, page: &Answer, inputs: &[(&str, &str)]) -> Answer {
        let answer = self.post_form(page, inputs).await;
        self.follow(answer).await
    }

    /// The page of this server that a redirect leads to; any other answer as it is.
    pub async fn follow(&mut self, mut answer: Answer) -> Answer {
        while answer.header("location").starts_with('/') {
            assert_eq!(answer.status, 303);
            answer = self.get(answer.header("location")).await;
        }
        answer
    }

    /// The name of the session's cookie.
    pub fn session_cookie(&self) -> String {
        let port = self.sandbox.issuer.rsplit(':').next().unwrap();
        format!("counterfoil-session-{port}")
    }

    /// Loses the session, as a browser does that was closed.
    pub fn forget_session(&mut self) {
        assert!(self.cookies.remove(&self.session_cookie()).is_some());
    }

    /// The page that an authorization request leads to.
    pub async fn authorize(&mut self, changes: &[(&str, &str)]) -> Answer {
        let query = request(self.sandbox, changes);
        self.get(&format!("/authorize?{query}")).await
    }

    pub async fn sign_in_with(&mut self, page: &Answer, username: &str, password: &str) -> Answer {
        self.submit(page, &[("username", username), ("password", password)]).await
    }

    /// Signs in; the customers of a sandbox have their names as passwords.
    pub async fn sign_in(&mut self, page: &Answer, customer: &str) -> Answer {
        self.sign_in_with(page, customer, customer).await
    }

    /// The consent page, after signing in as `customer_1`.
    pub async fn consent(&mut self, changes: &[(&str, &str)]) -> Answer {
        let page = self.authorize(changes).await;
        assert_page(&page, 200, "Sign in to Sandbank");
        let page = self.sign_in(&page, "customer_1").await;
        assert!(heading(&page).starts_with("Give "), "{}", page.text);
        page
    }

    /// Has another customer sign in at another tab of this browser.
    pub async fn another_signs_in(&mut self, customer: &str) {
        let page = self.authorize(&[("prompt", "login")]).await;
        assert!(heading(&self.sign_in(&page, customer).await).starts_with("Give "));
    }

    pub async fn allow(&mut self, consent: &Answer, accounts: &[&str]) -> Answer {
        let mut inputs: Vec<(&str, &str)> = accounts.iter().map(|id| ("account", *id)).collect();
        inputs.push(("decision", "allow"));
        self.submit(consent, &inputs).await
    }

    pub async fn connected_apps(&mut self, customer: &str) -> Answer {
        let page = self.get("/connected-apps").await;
        self.sign_in(&page, customer).await
    }
}

/// An authorization request. A change to an empty value leaves the parameter out.
pub fn request(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let callback = sandbox.callback();
    let usual = [
        ("response_type", "code"),
        ("client_id", RECIPIENT.0),
        ("redirect_uri", callback.as_str()),
        ("scope", "openid profile offline_access"),
        ("state", "a&b=\"c\" d"),
        ("nonce", "n-1"),
    ];
    let kept =
        usual.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let added = changes.iter().copied().filter(|(_, value)| !value.is_empty());
    let url = Url::parse_with_params("http://x/", kept.chain(added)).unwrap();
    url.query().unwrap().to_owned()
}

/// What a redirect back to the client carries.
#[track_caller]
pub fn redirected(answer: &Answer) -> Fields {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    query_of(answer.header("location"))
}

/// The browser was sent back with an error, the state and the issuer, and nothing else.
#[track_caller]
pub fn assert_error(sandbox: &Sandbox, answer: &Answer, error: &str) {
    assert!(
        answer.header("location").starts_with(&sandbox.callback()),
        "{error}: {} {}",
        answer.status,
        answer.header("location")
    );
    let mut fields = redirected(answer);
    assert!(fields.remove("error_description").is_some_and(|text| !text.is_empty()));
    let expected = [("error", error), ("iss", &sandbox.issuer), ("state", "a&b=\"c\" d")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

/// Adds a customer of Sandbank with these accounts, whose password equals their id.
pub async fn add_customer(sandbox: &Sandbox, id: &str, name: &str, accounts: &[&str]) {
    let account = |id: &&str| serde_json::json!({ "depositAccount": { "accountId": id, "accountType": "SAVINGS", "nickname": id } });
    let accounts =
        serde_json::json!({ "accounts": accounts.iter().map(account).collect::<Vec<_>>() });
    let customer = CustomerId { provider: "sandbank".into(), customer: id.into() };
    sandbox
        .admin(Command::CustomerAdd {
            id: customer,
            name: name.into(),
            password: id.into(),
            accounts: Some(accounts),
        })
        .await;
}

pub async fn grants(sandbox: &Sandbox) -> Vec<Value> {
    let all = Command::GrantList { client: None, customer: None, before: None, limit: 100 };
    sandbox.admin(all).await.as_array().unwrap().clone()
}

pub async fn two_banks() -> Sandbox {
    let bank = |id: &str, name: &str| Provider {
        id: id.into(),
        name: name.into(),
        case: LetterCase::Matters,
    };
    let sandbox = Sandbox::with(Setting {
        providers: vec![bank("sandbank", "Sandbank"), bank("reef", "Reef & Sons")],
        ..Setting::default()
    })
    .await;
    let id = CustomerId { provider: "reef".into(), customer: "coral".into() };
    let accounts = serde_json::json!({ "accounts": [{ "depositAccount": { "accountId": "reef-1", "accountType": "SAVINGS" } }] });
    sandbox
        .admin(Command::CustomerAdd {
            id,
            name: "Coral".into(),
            password: "coral".into(),
            accounts: Some(accounts),
        })
        .await;
    sandbox
}
