//! The engine for many machines: nodes keep nothing that another could contradict, the database is
//! the one place where grants are. All connections are to the primary. Slips are redeemed, and the
//! rows of the token path read, in batches on a connection each; everything else borrows one from a
//! pool.

mod address;
mod batch;
mod clients;
mod connection;
mod connector;
mod continuation;
pub(crate) mod copy;
mod customers;
mod durability;
mod endings;
mod endings_log;
mod era;
mod fill;
mod grants;
mod identity;
mod indexes;
pub(crate) mod look;
mod loss;
mod old_grants;
mod pool;
mod reads;
mod redeem;
mod remembered;
mod removals;
mod retry;
mod row;
mod sessions;
mod shared;
mod sweep;
mod times;
mod trouble;
mod write;

pub use address::PostgresAddress;
pub(crate) use pool::SIZE as POOL_SIZE;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::OpenOptions;
use crate::agreement::{FIRST_WITH_LOGS, OnDifference, look};
use crate::counts::{Counts, StoreCounts};
use crate::error::{OpenError, StoreError};
use crate::journal::Journal;
use crate::level::Level;
use crate::migrations;
use connector::Connector;
use endings_log::{Node, Past};
use pool::{Lent, Pool, lend};
use reads::Read;
use trouble::Trouble;

/// How long a read off the token path may take, with all its tries.
const READ: Duration = Duration::from_secs(10);
/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// The engine.
pub(crate) struct Postgres {
    inner: Arc<Inner>,
    redeemer: Sender<redeem::Job>,
    reader: Sender<Read>,
    /// Whether the endings journal lacked what the store knows.
    endings_differ: bool,
}

/// What the tasks of the engine share.
struct Inner {
    connector: Arc<Connector>,
    pool: Pool,
    journal: Mutex<Journal>,
    /// Up to which of its lines the journal is on disk.
    written: AtomicI64,
    /// Whether rows are written in the form of level 2: known since the last look for changes. Both
    /// forms are always read.
    level_two: AtomicBool,
    /// Writes that wait or are under way.
    waiting: AtomicUsize,
    counts: Arc<Counts>,
    /// Turns of those that settle slips one by one: half of the pool.
    settling: Semaphore,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres({})", self.inner.connector.address())
    }
}

impl Postgres {
    pub(crate) async fn open(
        address: PostgresAddress,
        options: &OpenOptions,
        on_difference: OnDifference,
    ) -> Result<Self, OpenError> {
        let store = address.to_string();
        let counts = Arc::<Counts>::default();
        let mut connector = Connector::new(address, options.kind, counts.clone())?;
        connector.declares_loss = on_difference == OnDifference::DeclareLoss;
        let connector = Arc::new(connector);
        // A first look, which says in words what is wrong.
        let mut connection =
            connector.connect().await.map_err(|trouble| trouble.at_start(&store))?;
        let unreachable = |trouble: Trouble| trouble.at_start(&store);
        for weakness in durability::check(&connection.client).await.map_err(unreachable)? {
            tracing::warn!(store, "{weakness}");
        }
        let log = options
            .endings_log
            .as_deref()
            .map(|path| look(path).map(|log| (path, log)))
            .transpose()?;
        identity::take(
            &mut connection,
            &store,
            options,
            log.as_ref().and_then(|(_, log)| log.store.as_deref()),
        )
        .await?;
        let (level, id) = identity::level_and_id(&connection.client).await.map_err(unreachable)?;
        let mut journal = Journal::default();
        let mut endings_differ = false;
        if let Some((path, _)) = log {
            let held = endings_log::hold(&mut connection, path, (&store, &id), on_difference).await;
            if matches!(held, Err(OpenError::StoreForgot { .. })) {
                endings_log::say_that_it_forgot(&connection, &id).await;
            }
            let held = held?;
            let recent = endings::recent_endings(&mut connection).await.map_err(unreachable)?;
            (endings_differ, journal) = (held.difference.is_some(), held.open(id, recent)?);
            if let Some((node, place)) = journal.node() {
                let node = Node { id: node.to_owned(), place: place.clone() };
                endings_log::note_place(&mut connection, &node).await.map_err(unreachable)?;
                let _ = connector.node.set(node);
            }
        }
        if let Some(past) = Past::read(&mut connection).await.map_err(unreachable)? {
            connector.weigh(past).map_err(unreachable)?;
        }
        drop(connection);
        let pool = pool::new(connector.clone());
        let inner = Arc::new(Inner {
            connector,
            pool,
            written: AtomicI64::new(journal.written()),
            journal: Mutex::new(journal),
            level_two: AtomicBool::new(level >= Level::Two),
            waiting: AtomicUsize::new(0),
            counts,
            settling: Semaphore::new(pool::SIZE / 2),
        });
        Ok(Self {
            redeemer: batch::start(inner.clone()),
            reader: batch::start(inner.clone()),
            endings_differ,
            inner,
        })
    }

    /// Holds an endings log against the store, if there is one yet; changes nothing.
    pub(crate) async fn check_endings(
        address: PostgresAddress,
        log: &Path,
        options: &OpenOptions,
    ) -> Result<(), OpenError> {
        look(log)?;
        let store = address.to_string();
        let mut connection = copy::connect(address, &store).await?;
        match identity::found_schema(&connection.client, &store).await {
            Err(OpenError::NoStore(_)) | Ok(..FIRST_WITH_LOGS) => return Ok(()),
            found => drop(found?),
        }
        identity::check(&connection.client, &store, options).await?;
        let (_, id) = identity::level_and_id(&connection.client)
            .await
            .map_err(|trouble| trouble.at_start(&store))?;
        endings_log::hold(&mut connection, log, (&store, &id), OnDifference::Refuse).await.map(drop)
    }

    /// Brings the schema of a store up to date; gives it as it was, and as it is.
    pub(crate) async fn migrate(
        address: PostgresAddress,
        options: &OpenOptions,
    ) -> Result<(u32, u32), OpenError> {
        let store = address.to_string();
        let client = &mut copy::connect(address, &store).await?.client;
        let found = identity::found_schema(client, &store).await?;
        identity::check(client, &store, options).await?;
        identity::migrate(client, &store).await?;
        Ok((found, found.max(migrations::NEWEST)))
    }

    /// Raises the level of a store to the newest; gives it as it was, and as it is.
    pub(crate) async fn finish(
        address: PostgresAddress,
        options: &OpenOptions,
    ) -> Result<(u32, u32), OpenError> {
        let store = address.to_string();
        let client = &mut copy::connect(address, &store).await?.client;
        identity::found_schema(client, &store).await?;
        identity::check(client, &store, options).await?;
        identity::finish(client, &store).await
    }

    pub(crate) async fn must_exist(address: PostgresAddress) -> Result<(), OpenError> {
        let store = address.to_string();
        let connection = copy::connect(address, &store).await?;
        identity::found_schema(&connection.client, &store).await.map(drop)
    }

    pub(crate) fn level(&self) -> Level {
        self.inner.level()
    }

    pub(crate) fn queued_writes(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> StoreCounts {
        self.inner.counts.read()
    }

    /// Asks for rows outside of the token path. A read changes nothing, so it is asked again where
    /// its connection was lost.
    async fn rows(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let give_up = Instant::now() + READ;
        loop {
            // Boxed, or the futures of requests, which await this in many places, would be too deep
            // for the compiler.
            let trouble = match timeout_at(give_up, Box::pin(self.rows_once(sql, parameters))).await
            {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble::Late,
            };
            if !(trouble.is_loss() || trouble.is_conflict()) || Instant::now() + PAUSE >= give_up {
                return Err(trouble.into());
            }
            tracing::debug!(%trouble, "a read is tried again");
            sleep(PAUSE).await;
        }
    }

    async fn rows_once(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let mut connection = lend(&self.inner.pool).await?;
        let rows = batch::in_time(connection.rows(sql, parameters)).await;
        if rows.as_ref().is_err_and(Trouble::is_loss) {
            drop(Lent::take(connection));
        }
        rows
    }
}

impl Inner {
    fn level(&self) -> Level {
        if self.level_two.load(Ordering::Relaxed) { Level::Two } else { Level::One }
    }

    fn set_level(&self, level: Level) {
        self.level_two.store(level >= Level::Two, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
