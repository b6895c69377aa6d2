//! A live server's surroundings: a directory with the smallest configuration, a client, a customer,
//! and a walk through the pages.

use std::path::PathBuf;
use std::process::Command;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use tempfile::TempDir;

use super::{Answer, BINARY, Done, Server, Tokens, counterfoil, finish, send};

pub const PROVIDER: &str = "examplebank";
pub const CALLBACK: &str = "http://127.0.0.1/callback";

/// The smallest useful file of the contract, in a directory of its own.
pub struct Live {
    pub dir: TempDir,
    store: String,
}

/// The browser of a customer who has signed in.
#[derive(Clone)]
pub struct SignedIn {
    cookies: Vec<String>,
}

impl Live {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}/counterfoil.db", dir.path().display());
        Self::with(dir, store)
    }

    /// On a store elsewhere, which may have many nodes.
    pub fn on(store: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), store.to_owned())
    }

    fn with(dir: TempDir, store: String) -> Self {
        let live = Self { dir, store };
        live.configure("");
        live
    }

    /// Writes the smallest configuration, with more in front of its tables.
    pub fn configure(&self, more: &str) {
        let (dir, store) = (self.dir.path().display(), &self.store);
        let text = format!(
            r#"issuer = "http://127.0.0.1:8080"
listen = "127.0.0.1:0"
store = "{store}"
keys = "{dir}/keys"
endings_log = "{dir}/endings.log"
{more}
[[provider]]
id = "{PROVIDER}"
name = "Example Bank"
sign_in = "password"
accounts = "directory"
"#
        );
        std::fs::write(self.path("counterfoil.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> String {
        self.path("counterfoil.toml").to_str().unwrap().to_owned()
    }

    /// `counterfoil serve`, to be spawned or to fail.
    pub fn command(&self) -> Command {
        let mut command = counterfoil(&["serve", "--config", &self.config()]);
        // Nobody looks whether it is ready before it stops, unless a test is about that.
        command.env("COUNTERFOIL_SHUTDOWN_DELAY", "0s");
        command
    }

    pub fn serve(&self) -> Server {
        Server::spawn(self.command())
    }

    /// `counterfoil serve` as one of many nodes, with an endings log of its own.
    pub fn node(&self, number: usize) -> Command {
        let mut command = self.command();
        command.env("COUNTERFOIL_ENDINGS_LOG", self.endings_log(number));
        command
    }

    pub fn endings_log(&self, number: usize) -> PathBuf {
        self.path(&format!("endings-{number}.log"))
    }

    /// An admin command to its end, with what is written in one line and separated by blanks.
    pub fn admin(&self, words: &str) -> Done {
        self.admin_with(words, "")
    }

    /// The same, with input.
    pub fn admin_with(&self, words: &str, input: &str) -> Done {
        finish(
            Command::new(BINARY).args(words.split(' ')).args(["--config", &self.config()]),
            input,
        )
    }

    /// Makes a certificate for localhost; gives it and the lines that configure it.
    pub fn certificate(&self) -> (rustls::pki_types::CertificateDer<'static>, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let line = |name: &str, file: &str| format!("{name} = \"{}\"\n", self.path(file).display());
        (
            made.cert.der().clone(),
            format!("[tls]\n{}{}", line("certificate", "certificate.pem"), line("key", "key.pem")),
        )
    }

    /// Registers a client and gives its secret.
    #[track_caller]
    pub fn add_client(&self, id: &str) -> String {
        let added = self
            .admin(&format!("client add {id} redirect_uris={CALLBACK} require_pkce=false --json"))
            .json();
        added["client_secret"].as_str().unwrap().to_owned()
    }

    /// Adds a customer with two accounts.
    #[track_caller]
    pub fn add_customer(&self, id: &str, password: &str) {
        let accounts = self.path(&format!("accounts-{id}.json"));
        let entity = |id: &str| {
            format!(r#"{{"depositAccount": {{"accountId": "{id}", "nickname": "{id}"}}}}"#)
        };
        std::fs::write(
            &accounts,
            format!(r#"{{"accounts": [{}, {}]}}"#, entity("a-1"), entity("a-2")),
        )
        .unwrap();
        let words = format!(
            "customer add {id} --provider {PROVIDER} --accounts {} --password-stdin --json",
            accounts.display()
        );
        assert_eq!(self.admin_with(&words, password).json()["accounts"], 2);
    }
}

impl Server {
    /// Signs a customer in, consents to everything, and exchanges the code: a grant of a live
    /// server.
    pub async fn consent(&self, client: (&str, &str), customer: (&str, &str)) -> Tokens {
        let browser = self.sign_in(client.0, customer).await;
        self.allow(&browser, client).await
    }

    /// Signs a customer in at the request of a client.
    pub async fn sign_in(&self, client: &str, customer: (&str, &str)) -> SignedIn {
        self.try_to_sign_in(client, customer)
            .await
            .unwrap_or_else(|page| panic!("{} {}", page.status, page.text))
    }

    /// The same where it may fail; then the page that says why.
    pub async fn try_to_sign_in(
        &self,
        client: &str,
        customer: (&str, &str),
    ) -> Result<SignedIn, Answer> {
        let mut cookies = Vec::new();
        let page = self.browse(&mut cookies, &asked_by(client), None).await;
        let form = [
            ("ticket", &*hidden(&page, "ticket")),
            ("username", customer.0),
            ("password", customer.1),
        ];
        let answer = self.browse(&mut cookies, "/sign-in", Some(&form)).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        match answer.header("location") {
            again if again.starts_with("/sign-in?") => {
                Err(self.browse(&mut cookies, again, None).await)
            }
            _ => Ok(SignedIn { cookies }),
        }
    }

    /// A customer who has signed in, at whichever node, consents to everything at this one, where
    /// the code is exchanged too.
    pub async fn allow(&self, browser: &SignedIn, client: (&str, &str)) -> Tokens {
        let code = self.code(browser, client.0).await;
        self.exchange(client, &code).await.tokens()
    }

    /// The code of a new grant.
    pub async fn code(&self, browser: &SignedIn, client: &str) -> String {
        let mut cookies = browser.cookies.clone();
        let page = self.browse(&mut cookies, &asked_by(client), None).await;
        let form = [
            ("ticket", &*hidden(&page, "ticket")),
            ("account", "a-1"),
            ("account", "a-2"),
            ("decision", "allow"),
        ];
        let allowed = self.browse(&mut cookies, "/consent", Some(&form)).await;
        let code = allowed
            .header(LOCATION.as_str())
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("code="));
        code.unwrap_or_else(|| panic!("no code in {} {}", allowed.status, allowed.text)).to_owned()
    }

    pub async fn exchange(&self, client: (&str, &str), code: &str) -> Answer {
        self.client.exchange(client, code, CALLBACK).await
    }

    async fn browse(
        &self,
        cookies: &mut Vec<String>,
        path: &str,
        form: Option<&[(&str, &str)]>,
    ) -> Answer {
        let request = match form {
            None => self.http.get(self.url(path)),
            Some(form) => self.http.post(self.url(path)).form(form),
        };
        let answer = send(request.header(COOKIE, cookies.join("; "))).await;
        let set = answer
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().unwrap().split(';').next());
        cookies.extend(set.map(str::to_owned));
        answer
    }
}

fn asked_by(client: &str) -> String {
    format!(
        "/authorize?response_type=code&client_id={client}&redirect_uri={CALLBACK}&scope=openid+offline_access"
    )
}

/// The value of a hidden field.
fn hidden(page: &Answer, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let from = page
        .text
        .find(&start)
        .unwrap_or_else(|| panic!("no {name} in {} {}", page.status, page.text))
        + start.len();
    page.text[from..].split('"').next().unwrap().to_owned()
}
