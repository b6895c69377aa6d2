//! The one value that every endpoint is given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use counterfoil_core::client::Client;
use counterfoil_core::clock::{Clock, SKEW, Seconds, Timestamp};
use counterfoil_core::dialect::Dialect;
use counterfoil_core::jws::Algorithm;
use counterfoil_core::settings::Settings;
use counterfoil_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::admin::health::Writable;
use crate::customer::continuation::Budget;
use crate::customer::lockout::Turn;
use crate::http::metrics::Metrics;
use crate::node::clients::Clients;
use crate::node::follow::{Follow, Unavailable};
use crate::node::keys::Keys;
use crate::pages::Locale;
use crate::sandbox::Sandbox;
use crate::sandbox::grade::ID_TOKEN_WHILE_GRADED;

/// Password hashes computed at once: each takes 19 MiB and a core for a while.
const PASSWORDS_AT_ONCE: usize = 2;

/// Consent forms that are read at once of which each takes up to a megabyte.
const LARGE_FORMS_AT_ONCE: usize = 16;

/// A server: store, keys, clients, settings and clock.
pub struct App {
    /// What the operator decided.
    pub settings: Settings,
    /// Where grants are kept.
    pub store: Store,
    /// What tokens are signed and authenticated with.
    pub keys: Keys,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// The texts of the pages.
    pub locale: Locale,
    /// What it knows of changes that others make to the store.
    pub(crate) follow: Follow,
    /// What only a sandbox has; its presence makes this server one.
    pub sandbox: Option<Sandbox>,
    /// Whether the store could be written when it was last looked.
    pub(crate) writable: Writable,
    /// Whether it was told to stop.
    stopping: AtomicBool,
    /// Bounds the memory that password hashes take.
    pub(crate) password_gate: Arc<Semaphore>,
    /// Bounds how fast the store grows by what anybody may post.
    pub(crate) continuations: Budget,
    /// Bounds the memory that large consent forms take.
    pub(crate) large_forms: Semaphore,
    /// Tries to sign in as one customer wait for each other, so that a right one under way is not
    /// counted as failed. A customer has one of these by hash.
    pub(crate) sign_in_turns: [tokio::sync::Mutex<Turn>; 64],
    /// Held while an operator's command is carried out, so that none is decided by what another is
    /// changing.
    pub(crate) one_command: tokio::sync::Mutex<()>,
    /// Held while the clients are read anew, so that what was read earlier never replaces what was
    /// read later.
    one_reload: tokio::sync::Mutex<()>,
    clients: ArcSwap<Clients>,
    /// The only client that is kept in memory, where one command is about it alone; else all are.
    only: Option<String>,
    /// [`App::bearers_from`], in unix seconds; `i64::MIN` where there is no such moment.
    bearers_from: AtomicI64,
}

impl App {
    /// Puts a server together.
    ///
    /// # Errors
    /// Where what is kept in memory can't be read or the texts are damaged.
    pub async fn new(
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, AppError> {
        Self::knowing(None, settings, store, keys, clock).await
    }

    /// Puts together what carries out one command about the client of this id, and knows no other:
    /// reading all of them for each of thousands of commands would take long.
    ///
    /// # Errors
    /// As for [`App::new`].
    pub async fn about_client(
        client: String,
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, AppError> {
        Self::knowing(Some(client), settings, store, keys, clock).await
    }

    async fn knowing(
        only: Option<String>,
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, AppError> {
        let app = Self {
            sandbox: clock.is_sandbox().then(Sandbox::default),
            settings,
            store,
            keys,
            clock,
            metrics: Metrics::new().map_err(AppError::Metrics)?,
            follow: Follow::default(),
            writable: Writable::default(),
            stopping: AtomicBool::new(false),
            locale: Locale::english().map_err(AppError::Locale)?,
            password_gate: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
            continuations: Budget::default(),
            large_forms: Semaphore::new(LARGE_FORMS_AT_ONCE),
            sign_in_turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            one_command: tokio::sync::Mutex::default(),
            one_reload: tokio::sync::Mutex::default(),
            clients: ArcSwap::default(),
            only,
            bearers_from: AtomicI64::new(i64::MIN),
        };
        app.follow.begin(&app).await?;
        Ok(app)
    }

    /// Whether this server is a sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Whether it was told to stop: it serves on for a while, but is not ready any more, and asks
    /// clients to go elsewhere.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How long an ID token of this client lives, in seconds: shorter while it is graded, so that
    /// nobody waits for a day.
    pub fn id_token_lifetime(&self, client: &str) -> Seconds {
        let graded = self.sandbox.as_ref().is_some_and(|sandbox| sandbox.grading.is_of(client));
        if graded { ID_TOKEN_WHILE_GRADED } else { self.settings.lifetimes.id_token }
    }

    /// The client of this id, if there is one.
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.load().get(id)
    }

    /// How errors are spelled to a client.
    pub fn dialect_of(&self, client: &Client) -> Dialect {
        client.settings.dialect.unwrap_or(self.settings.dialect)
    }

    /// Whether scripts of this origin may call `/token`, `/revoke` and `/userinfo`.
    pub fn is_origin_of_public_client(&self, origin: &str) -> bool {
        self.clients.load().is_public_origin(origin)
    }

    /// Every client, in the order of their ids.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.load().all()
    }

    /// The algorithms by which clients have their ID tokens signed.
    pub(crate) fn algorithms_in_use(&self) -> BTreeSet<Algorithm> {
        self.clients.load().algorithms()
    }

    /// Before when ID and access tokens were issued that are refused: data was lost since, and
    /// nobody knows which of them had been revoked.
    pub fn bearers_from(&self) -> Timestamp {
        Timestamp::from_unix(self.bearers_from.load(Ordering::SeqCst))
    }

    /// Reads that moment from the store anew, after a loss was declared.
    ///
    /// # Errors
    /// [`StoreError`]; what is in memory stays as it was.
    pub async fn reload_bearers_from(&self) -> Result<(), StoreError> {
        let from = self.store.bearers_from().await?;
        let now = self.clock.now();
        let from = from.map(|from| {
            if from.since(now) <= SKEW {
                return from;
            }
            tracing::error!(%from, "bearers are refused that were issued before a moment in the future, which a wrong clock has set: taken for now; \
                `counterfoil clock repair` mends it");
            now
        });
        // It may be earlier than before: a repair takes it back.
        self.bearers_from.store(from.map_or(i64::MIN, Timestamp::unix), Ordering::SeqCst);
        Ok(())
    }

    /// Reads the clients from the store anew.
    ///
    /// # Errors
    /// [`StoreError`]; the clients in memory stay as they were.
    pub async fn reload_clients(&self) -> Result<(), StoreError> {
        let _turn = self.one_reload.lock().await;
        let stored = match &self.only {
            None => self.store.clients().await?,
            Some(id) => self.store.client(id).await?.into_iter().collect(),
        };
        let clients = Clients::anew(stored, &self.clients.load());
        self.clients.store(Arc::new(clients));
        Ok(())
    }

    /// Reads one client from the store anew, after it was changed or removed.
    ///
    /// # Errors
    /// [`StoreError`]; the clients in memory stay as they were.
    pub async fn reload_client(&self, id: &str) -> Result<(), StoreError> {
        let _turn = self.one_reload.lock().await;
        let stored = self.store.client(id).await?;
        let mut clients = Clients::clone(&self.clients.load());
        match stored {
            Some(client) => clients.put(client),
            None => drop(clients.remove(id)),
        }
        self.clients.store(Arc::new(clients));
        Ok(())
    }
}

/// Why a server can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What is kept in memory can't be read.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The texts are damaged, which a test rules out.
    #[error("the texts of the pages: {0}")]
    Locale(String),
    /// The metrics contradict each other, which a test rules out.
    #[error("the metrics: {0}")]
    Metrics(prometheus::Error),
}
