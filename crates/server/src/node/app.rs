//! The one value that every endpoint is given.

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
    /// Polls for what others change in the store.
    pub(crate) poll: Poll,
    /// What a sandbox does to requests; `None` on a live server.
    pub guest: Option<Arc<dyn Guest>>,
    /// Whether the store could be written when it was last looked.
    pub(crate) writable: Writable,
    /// Whether it was told to stop.
    stopping: AtomicBool,
    /// Bounds on what strangers can have it do at once.
    pub(crate) limits: Limits,
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
        Self::knowing(None, settings, store, keys, clock, None).await
    }

    /// Puts a server together that has a guest.
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
        // The first poll reads everything, and may take longer than a later one.
        app.poll.run(&app.clock, async |known| Box::pin(app.reload(known)).await).await?;
        Ok(app)
    }

    /// Polls once, and reads what has changed.
    ///
    /// # Errors
    /// [`Unavailable`]; cached state may be stale.
    pub(crate) async fn poll(&self) -> Result<(), Unavailable> {
        // Boxed, so that requests do not carry the room for what they seldom wait for.
        let poll = async |known| {
            timeout(poll::TIMEOUT, Box::pin(self.reload(known)))
                .await
                .unwrap_or(Err(Unavailable::TimedOut))
        };
        self.poll.run(&self.clock, poll).await
    }

    /// Reads what has changed since the store's number of changes was `known`; gives what it is
    /// now.
    async fn reload(&self, known: Option<i64>) -> Result<i64, Unavailable> {
        // The number comes first: a change in between is read twice, and none is missed.
        let asked = self.clock.uptime();
        let Changes { number: changes, database } = self.store.changes().await?;
        if let Some(database) = database {
            let at = asked.midpoint(self.clock.uptime());
            compare(&self.clock, &self.metrics, Some((at, database)));
        }
        if known != Some(changes) {
            self.store.forget_kept();
            // Before what is held against the time.
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

    /// Whether it was told to stop: it serves on for a while, but is not ready any more, and asks
    /// clients to go elsewhere.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
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
