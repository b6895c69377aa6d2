//! A real server on loopback, with the real router, a real SQLite file, a bank, customers and
//! clients: the sandbox, in this process.

use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use counterfoil_core::clock::{Clock, Machine};
use counterfoil_core::dialect::Dialect;
use counterfoil_core::grant::GrantId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::settings::{Lifetimes, Provider, Settings};
use counterfoil_sandbox::{Sandbox as Guest, seed};
use counterfoil_server::admin::{Command, execute};
use counterfoil_server::keys::Keys;
use counterfoil_server::{App, Bounds, End, Listener, Server, routes, serve};
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
pub use counterfoil_testing::{Answer, Client, Tokens, claims, send};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const RECIPIENT: (&str, &str) = ("sandbox-recipient", "sandbox-recipient-secret-for-local-use");
pub const OTHER: (&str, &str) = ("sandbox-other", "sandbox-other-secret-for-local-use");
pub const APP: &str = "sandbox-app";
/// The example of RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    pub issuer: String,
    pub app: Arc<App>,
    guest: Option<Arc<Guest>>,
    client: Client,
    pub dir: TempDir,
    address: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

/// `{"error": ...}` alone.
pub fn plain(error: &str) -> Value {
    json!({ "error": error })
}

pub fn described(error: &str, description: &str) -> Value {
    json!({ "error": error, "error_description": description })
}

/// What the network's dialect answers to a code that is not good.
pub fn code_refused() -> Value {
    described("invalid_request", "Invalid or expired code parameter.")
}

/// What the network's dialect answers to a refresh token that is not good.
pub fn refresh_refused() -> Value {
    described(
        "invalid_request",
        "Refresh token is invalid or has already been claimed by another client.",
    )
}

pub fn invalid_client() -> Value {
    described("invalid_client", "Invalid client credentials.")
}

/// What data paths answer to a token that is not good.
pub fn not_authorized() -> Value {
    json!({ "code": 602, "message": "Customer not authorized" })
}

/// Keys are made once for all tests of a process: RSA keys take their time.
fn made_keys() -> &'static TempDir {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        Keys::open(&dir.path().join("keys"), "http://127.0.0.1", Clock::live().now()).unwrap();
        dir
    })
}

fn keys_directory(into: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir(into).unwrap();
    std::fs::set_permissions(into, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::copy(made_keys().path().join("keys/keys.json"), into.join("keys.json")).unwrap();
}

/// What may differ from one sandbox to another.
pub struct Setting {
    pub dialect: Dialect,
    pub lifetimes: Lifetimes,
    pub providers: Vec<Provider>,
    pub kind: StoreKind,
    /// Where to listen, so that a server that is started again keeps its issuer.
    pub listen: SocketAddr,
    /// Another issuer than the address that it listens on.
    pub issuer: Option<String>,
    /// A store that may be shared with others; without it one of its own, see [`own_store`].
    pub store: Option<StoreAddress>,
    /// Whose clocks it goes by.
    pub machine: Machine,
    /// What its connections are bounded by.
    pub bounds: Bounds,
    /// How long it goes on once it is told to stop.
    pub shutdown_delay: Duration,
}

/// The store that belongs to a directory: a file in it, or, where the environment says
/// `TEST_STORE=postgres`, a database whose URL is in it.
fn own_store(dir: &Path) -> StoreAddress {
    if std::env::var_os("TEST_STORE").is_none_or(|engine| engine != "postgres") {
        return StoreAddress::Sqlite(dir.join("store.db"));
    }
    let file = dir.join("store.url");
    let url = std::fs::read_to_string(&file).unwrap_or_else(|_| {
        let url = counterfoil_testing::fresh_database();
        std::fs::write(&file, &url).unwrap();
        url
    });
    StoreAddress::parse(&url).unwrap()
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            dialect: Dialect::Network,
            lifetimes: Lifetimes::default(),
            providers: vec![Provider {
                id: "sandbank".into(),
                name: "Sandbank".into(),
                case: LetterCase::Matters,
            }],
            kind: StoreKind::Sandbox,
            listen: ([127, 0, 0, 1], 0).into(),
            issuer: None,
            store: None,
            machine: Machine::Own,
            bounds: Bounds::default(),
            shutdown_delay: Duration::ZERO,
        }
    }
}

impl Deref for Sandbox {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::with(Setting::default()).await
    }

    pub async fn speaking(dialect: Dialect) -> Self {
        Self::with(Setting { dialect, ..Setting::default() }).await
    }

    pub async fn with(setting: Setting) -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), setting).await
    }

    /// Starts in a directory, perhaps one that an earlier server left.
    pub async fn in_directory(dir: TempDir, setting: Setting) -> Self {
        let listener = TcpListener::bind(setting.listen).unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = setting.issuer.unwrap_or_else(|| format!("http://{address}"));
        let options = OpenOptions {
            address: setting.store.unwrap_or_else(|| own_store(dir.path())),
            kind: setting.kind,
            issuer: issuer.clone(),
            endings_log: Some(dir.path().join("endings.log")),
            holder: "the test".into(),
        };
        let store = Store::open(options).await.unwrap();
        let clock = match setting.kind {
            StoreKind::Sandbox => {
                Clock::of(setting.machine, Some(store.clock_offset().await.unwrap()))
            }
            StoreKind::Live => Clock::of(setting.machine, None),
        };
        let directory = dir.path().join("keys");
        let keys = match (store.is_shared(), setting.kind) {
            (true, StoreKind::Live) => {
                Keys::in_store(&store, Some(&directory), &issuer, clock.now()).await.unwrap()
            }
            (true, StoreKind::Sandbox) => {
                let made = std::fs::read(made_keys().path().join("keys/keys.json")).unwrap();
                store.swap_keys(0, made).await.unwrap();
                Keys::in_store(&store, None, &issuer, clock.now()).await.unwrap()
            }
            (false, _) => {
                if !Keys::are_at(&directory) {
                    keys_directory(&directory);
                }
                Keys::open(&directory, &issuer, clock.now()).unwrap()
            }
        };
        let settings = Settings {
            issuer: issuer.clone(),
            dialect: setting.dialect,
            lifetimes: setting.lifetimes,
            providers: setting.providers,
        };
        let (app, guest) = match setting.kind {
            StoreKind::Sandbox => {
                let opened = counterfoil_sandbox::open(settings, store, keys, clock, Vec::new());
                let (app, guest) = opened.await.unwrap();
                (app, Some(guest))
            }
            StoreKind::Live => {
                (Arc::new(App::new(settings, store, keys, clock).await.unwrap()), None)
            }
        };
        seed::seed(&app).await.unwrap();
        let router = match &guest {
            Some(guest) => counterfoil_sandbox::router(app.clone(), guest.clone()),
            None => routes::public(app.clone(), false),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (bounds, shutdown_delay) = (setting.bounds, setting.shutdown_delay);
        let (name, end) = ("public", End::InOrder);
        let listener = Listener { name, socket: listener, tls: None, router, bounds, end };
        let server = Server { listeners: vec![listener], admin: None, shutdown_delay };
        let stop_signal = async { drop(stopped.await) };
        let serving = tokio::spawn(serve(app.clone(), server, stop_signal, std::future::pending()));
        let client = Client::new(format!("http://{address}"));
        Self { issuer, app, guest, client, dir, address, serving, stop }
    }

    /// Stops the server in order and starts another one on what it left, at the same address.
    pub async fn restarted(self) -> Self {
        let Self { app, client, dir, address, serving, stop, .. } = self;
        drop(client);
        drop(stop);
        serving.await.unwrap().unwrap();
        drop(app);
        Self::in_directory(dir, Setting { listen: address, ..Setting::default() }).await
    }

    /// Has the server stop; it has once that is done.
    pub fn stop(self) -> JoinHandle<std::io::Result<()>> {
        drop(self.stop);
        self.serving
    }

    /// What only a sandbox has.
    pub fn guest(&self) -> &Guest {
        self.guest.as_deref().unwrap()
    }

    pub fn callback(&self) -> String {
        format!("{}/sandbox/callback", self.issuer)
    }

    /// An operator's command.
    pub async fn admin(&self, command: Command) -> Value {
        execute(&self.app, command).await.unwrap()
    }

    /// Changes settings of a client.
    pub async fn set_client(&self, id: &str, settings: &[(&str, &str)]) {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.admin(Command::ClientSet { id: id.into(), settings }).await;
    }

    /// A code for `customer_1`, without a browser.
    pub async fn code(&self, client: &str) -> String {
        self.code_with(client, &[]).await
    }

    /// The same, with further parameters.
    pub async fn code_with(&self, client: &str, more: &[(&str, &str)]) -> String {
        let callback = self.callback();
        let mut form = vec![("client_id", client), ("redirect_uri", callback.as_str())];
        if !more.iter().any(|(name, _)| *name == "customer") {
            form.push(("customer", "customer_1"));
        }
        form.extend_from_slice(more);
        let answer = self.post("/sandbox/codes", &form).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.member("code")
    }

    pub async fn exchange(&self, client: (&str, &str), code: &str) -> Answer {
        let callback = self.callback();
        self.client.exchange(client, code, &callback).await
    }

    /// First tokens of a new grant of `customer_1`.
    pub async fn tokens(&self, client: (&str, &str)) -> Tokens {
        let code = self.code(client.0).await;
        self.exchange(client, &code).await.tokens()
    }

    /// First tokens of a new grant for the public client.
    pub async fn public_tokens(&self) -> Tokens {
        let code = self
            .code_with(APP, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")])
            .await;
        self.public_exchange(&code).await
    }

    /// First tokens of the public client, for a code of the challenge of RFC 7636.
    pub async fn public_exchange(&self, code: &str) -> Tokens {
        let callback = self.callback();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", APP),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", VERIFIER),
        ];
        self.post("/token", &form).await.tokens()
    }

    /// A refresh that carries an `Idempotency-Key`.
    pub async fn refresh_with_key(&self, client: (&str, &str), token: &str, key: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        send(
            self.http
                .post(self.url("/token"))
                .basic_auth(client.0, Some(client.1))
                .header("idempotency-key", key)
                .form(&form),
        )
        .await
    }

    /// A refresh by the public client.
    pub async fn public_refresh(&self, token: &str) -> Answer {
        self.post(
            "/token",
            &[("grant_type", "refresh_token"), ("client_id", APP), ("refresh_token", token)],
        )
        .await
    }

    /// A refresh that must succeed.
    pub async fn refreshed(&self, client: (&str, &str), tokens: &Tokens) -> Tokens {
        self.refresh(client, &tokens.refresh_token).await.tokens()
    }

    pub async fn introspect(&self, client: (&str, &str), token: &str) -> Answer {
        self.post_as(client, "/introspect", &[("token", token)]).await
    }

    /// Holds that the ID and access token are taken everywhere they should be.
    pub async fn assert_good(&self, tokens: &Tokens) {
        assert_eq!(self.accounts(&tokens.id_token).await.status, 200);
        assert_eq!(self.accounts(&tokens.access_token).await.status, 200);
        assert_eq!(self.bearer("/userinfo", &tokens.access_token).await.status, 200);
    }

    /// Holds that the ID and access token are refused everywhere as bearers.
    pub async fn assert_dead_bearers(&self, tokens: &Tokens) {
        self.accounts(&tokens.id_token).await.is(401, not_authorized());
        self.accounts(&tokens.access_token).await.is(401, not_authorized());
        self.bearer("/accounts/v2/sandbank", &tokens.id_token).await.is(401, not_authorized());
        self.bearer("/userinfo", &tokens.access_token).await.is(401, plain("invalid_token"));
    }

    /// Holds that tokens are refused everywhere, the ID and access token as bearers and all three
    /// at `/introspect`.
    pub async fn assert_dead(&self, tokens: &Tokens) {
        self.assert_dead_bearers(tokens).await;
        self.set_client(RECIPIENT.0, &[("resource_server", "true")]).await;
        for token in [&tokens.id_token, &tokens.access_token, &tokens.refresh_token] {
            self.introspect(RECIPIENT, token).await.is(200, json!({ "active": false }));
        }
        self.set_client(RECIPIENT.0, &[("resource_server", "false")]).await;
    }

    /// What the operator sees of the grant of these tokens.
    pub async fn grant(&self, tokens: &Tokens) -> Value {
        self.admin(Command::GrantShow { grant: GrantId::parse(&tokens.grant()).unwrap() }).await
    }

    /// The audit trail of the grant of these tokens: event and count of each row.
    pub async fn audit(&self, tokens: &Tokens) -> Vec<(String, u64)> {
        let grant = self.grant(tokens).await;
        let row = |row: &Value| {
            (row["event"].as_str().unwrap().to_owned(), row["count"].as_u64().unwrap())
        };
        grant["audit"].as_array().unwrap().iter().map(row).collect()
    }

    /// How often the audit trail of the grant of these tokens has this event.
    pub async fn audited(&self, tokens: &Tokens, event: &str) -> u64 {
        self.audit(tokens)
            .await
            .iter()
            .filter(|(name, _)| name == event)
            .map(|(_, count)| count)
            .sum()
    }

    /// Moves the clock by what is left of a window since a redemption. It is open for longer where
    /// nodes share the store, since their clocks may be apart.
    pub async fn outwait(&self, seconds: i64) {
        self.advance(&format!("{}s", seconds + self.app.store.skew())).await;
    }

    /// Moves the clock by a duration such as `25h`.
    pub async fn advance(&self, by: &str) {
        let answer = self.post("/sandbox/clock", &[("advance", by)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
