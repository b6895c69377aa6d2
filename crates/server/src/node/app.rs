//! The value shared by every endpoint.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use counterfoil_core::client::Client;
use counterfoil_core::clock::{Clock, SKEW, Timestamp};
use counterfoil_core::dialect::Dialect;
use counterfoil_core::jws::Algorithm;
use counterfoil_core::settings::Settings;
use counterfoil_store::{Changes, Store, StoreError};
use tokio::time::timeout;

use crate::node::clients::Clients;
use crate::node::clocks::compare;
use crate::node::guest::Guest;
use crate::node::keys::Keys;
use crate::node::limits::Limits;
use crate::node::metrics::Metrics;
use crate::node::poll::{self, Poll, Unavailable};
use crate::node::writable::Writable;
use crate::pages::Locale;

/// A server: store, keys, clients, settings and clock.
pub struct App {
    /// The operator's settings.
    pub settings: Settings,
    /// The store, which holds the grants.
    pub store: Store,
    /// The keys that sign and authenticate tokens.
    pub keys: Keys,
    /// What time it is.
    pub clock: Clock,
    /// The counters behind `/metrics`.
    pub metrics: Metrics,
    /// The texts of the pages.
    pub locale: Locale,
    /// Polls for what others change in the store.
    pub(crate) poll: Poll,
    /// What a sandbox does to requests; `None` on a live server.
    pub guest: Option<Arc<dyn Guest>>,
    /// Whether the store was writable when last probed.
    pub(crate) writable: Writable,
    /// Whether the server was told to stop.
    stopping: AtomicBool,
    /// Limits on what strangers can make it do at once.
    pub(crate) limits: Limits,
    /// Held while an operator's command runs, so that no command decides by what another is
    /// changing.
    pub(crate) one_command: tokio::sync::Mutex<()>,
    /// Held while the clients are read, so that an older read never replaces a newer one.
    one_reload: tokio::sync::Mutex<()>,
    clients: ArcSwap<Clients>,
    /// The only client loaded, for a command that concerns it alone; `None` loads all.
    only: Option<String>,
    /// [`App::bearers_from`], in unix seconds; `i64::MIN` for none.
    bearers_from: AtomicI64,
}

impl App {
    /// Assembles a server.
    ///
    /// # Errors
    /// Cached state can't be read, or the texts are damaged.
    pub async fn new(
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, AppError> {
        Self::knowing(None, settings, store, keys, clock, None).await
    }

    /// Assembles a server with a guest.
    ///
    /// # Errors
    /// As for [`App::new`].
    pub async fn with_guest(
        guest: Arc<dyn Guest>,
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, AppError> {
        Self::knowing(None, settings, store, keys, clock, Some(guest)).await
    }

    /// Assembles an app for one command about this client, loading no other: reading all of them
    /// for each of thousands of commands would take long.
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
        Self::knowing(Some(client), settings, store, keys, clock, None).await
    }

    async fn knowing(
        only: Option<String>,
        settings: Settings,
        store: Store,
        keys: Keys,
        clock: Clock,
        guest: Option<Arc<dyn Guest>>,
    ) -> Result<Self, AppError> {
        let app = Self {
            guest,
            settings,
            store,
            keys,
            clock,
            metrics: Metrics::new().map_err(AppError::Metrics)?,
            poll: Poll::default(),
            writable: Writable::default(),
            stopping: AtomicBool::new(false),
            locale: Locale::english().map_err(AppError::Locale)?,
            limits: Limits::default(),
            one_command: tokio::sync::Mutex::default(),
            one_reload: tokio::sync::Mutex::default(),
            clients: ArcSwap::default(),
            only,
            bearers_from: AtomicI64::new(i64::MIN),
        };
        // The first poll reads everything, and may take longer than later ones.
        app.poll.run(&app.clock, async |known| Box::pin(app.reload(known)).await).await?;
        Ok(app)
    }

    /// Polls once, and reads what has changed.
    ///
    /// # Errors
    /// [`Unavailable`]; cached state may be stale.
    pub(crate) async fn poll(&self) -> Result<(), Unavailable> {
        // Boxed, so that requests do not carry the size of a rarely awaited future.
        let poll = async |known| {
            timeout(poll::TIMEOUT, Box::pin(self.reload(known)))
                .await
                .unwrap_or(Err(Unavailable::TimedOut))
        };
        self.poll.run(&self.clock, poll).await
    }

    /// Reads what has changed since the store's change number was `known`; returns the current
    /// number.
    async fn reload(&self, known: Option<i64>) -> Result<i64, Unavailable> {
        // Read the number first: a change in between is then read twice, and none is missed.
        let asked = self.clock.uptime();
        let Changes { number: changes, database } = self.store.changes().await?;
        if let Some(database) = database {
            let at = asked.midpoint(self.clock.uptime());
            compare(&self.clock, &self.metrics, Some((at, database)));
        }
        if known != Some(changes) {
            self.store.forget_kept();
            // Comes before everything that depends on the time.
            if self.is_sandbox() {
                self.clock.set_offset(self.store.clock_offset().await?);
            }
            self.reload_clients().await?;
            self.keys.reload(&self.store).await?;
            self.reload_bearers_from().await?;
            if let Some(guest) = &self.guest {
                guest.reload(&self.store).await?;
            }
        }
        Ok(changes)
    }

    /// Whether this server is a sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.clock.is_sandbox()
    }

    /// Whether it was told to stop. It still serves for a while, but reports that it is not ready
    /// and asks clients to go elsewhere.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The client with this id, if any.
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.load().get(id)
    }

    /// The dialect in which a client gets its errors.
    pub fn dialect_of(&self, client: &Client) -> Dialect {
        client.settings.dialect.unwrap_or(self.settings.dialect)
    }

    /// Whether scripts of this origin may call `/token`, `/revoke` and `/userinfo`.
    pub fn is_origin_of_public_client(&self, origin: &str) -> bool {
        self.clients.load().is_public_origin(origin)
    }

    /// Every client, ordered by id.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.load().all()
    }

    /// The algorithms that clients' ID tokens are signed with.
    pub(crate) fn algorithms_in_use(&self) -> BTreeSet<Algorithm> {
        self.clients.load().algorithms()
    }

    /// ID and access tokens issued before this are refused: data was lost then, and which of them
    /// had been revoked is unknown.
    pub fn bearers_from(&self) -> Timestamp {
        Timestamp::from_unix(self.bearers_from.load(Ordering::SeqCst))
    }

    /// Reads that time from the store, after a loss was declared.
    ///
    /// # Errors
    /// [`StoreError`]; the cached value stays.
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
        // It may be earlier than before: a repair moves it back.
        self.bearers_from.store(from.map_or(i64::MIN, Timestamp::unix), Ordering::SeqCst);
        Ok(())
    }

    /// Reads the clients from the store again.
    ///
    /// # Errors
    /// [`StoreError`]; the cached clients stay.
    pub async fn reload_clients(&self) -> Result<(), StoreError> {
        let _turn = self.one_reload.lock().await;
        let stored = match &self.only {
            None => self.store.clients().await?,
            Some(id) => self.store.client(id).await?.into_iter().collect(),
        };
        let clients = Clients::new(stored, &self.clients.load());
        self.clients.store(Arc::new(clients));
        Ok(())
    }

    /// Reads one client from the store again, after it was changed or removed.
    ///
    /// # Errors
    /// [`StoreError`]; the cached clients stay.
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

/// Why a server can't be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Cached state can't be read.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The texts are damaged; a test rules this out.
    #[error("the texts of the pages: {0}")]
    Locale(String),
    /// The metrics are inconsistent; a test rules this out.
    #[error("the metrics: {0}")]
    Metrics(prometheus::Error),
}
