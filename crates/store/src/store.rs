//! The store: what each verb promises, and which engine keeps the promise.

use std::sync::Arc;

use counterfoil_core::clock::{SKEW, Seconds};
use counterfoil_core::grant::{GrantId, Terms};

use crate::agreement::OnDifference;
use crate::counts::StoreCounts;
use crate::error::{OpenError, StoreError};
use crate::kept::{Kept, Whose};
use crate::level::Level;
use crate::pending::Pending;
use crate::postgres::Postgres;
use crate::record::{Account, Changes};
use crate::sqlite::Sqlite;
use crate::{OpenOptions, StoreAddress};

/// The store. All its verbs may be called from many tasks at once; it is opened and used within a
/// tokio runtime.
///
/// A write is under way when its verb returns, whether or not the answer is awaited, and is
/// answered once it is durable. One that is answered with an error may have taken effect all the
/// same; asking again is safe. Reads see every write that was answered before they were asked, also
/// by another node.
#[derive(Debug)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) terms: Kept<GrantId, Terms>,
    pub(crate) accounts: Arc<Kept<Whose, [Account]>>,
}

#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// Hands a verb to the engine: one answers at once, the other is awaited.
macro_rules! read {
    ($self:ident, $verb:ident($($argument:expr),*)) => {
        match &$self.engine {
            Engine::Sqlite(engine) => engine.$verb($($argument),*),
            // Boxed: what waits for a database is large, and must not be part of every handler.
            Engine::Postgres(engine) => Box::pin(engine.$verb($($argument),*)).await,
        }
    };
}
macro_rules! call {
    ($self:ident, $verb:ident($($argument:expr),*)) => {
        match &$self.engine {
            Engine::Sqlite(engine) => engine.$verb($($argument),*),
            Engine::Postgres(engine) => engine.$verb($($argument),*),
        }
    };
}
pub(crate) use {call, read};

/// What the store is, and how it is.
impl Store {
    /// Opens the store, making or migrating it where needed. Several processes may do so at once:
    /// one of them owns a file, all share a database.
    ///
    /// Promise: where its endings log and the store don't agree, either has lost something, and it
    /// is not opened.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process. A store that was there is as
    /// it was then, unless a migration failed half-way.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        Self::open_and(OnDifference::Refuse, options).await
    }

    /// The same, where something else may be done about an endings log and a store that don't agree
    /// than to refuse them.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process.
    pub async fn open_and(
        on_difference: OnDifference,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        let engine = match options.address.clone() {
            StoreAddress::Sqlite(path) => {
                Engine::Sqlite(Sqlite::open(&path, &options, on_difference)?)
            }
            StoreAddress::Postgres(address) => {
                Engine::Postgres(Postgres::open(*address, &options, on_difference).await?)
            }
        };
        Ok(Self { engine, terms: Kept::new(), accounts: Arc::new(Kept::new()) })
    }

    /// Brings the schema of the store at `options.address` up to date, which must be there, and
    /// does nothing else; gives its schema before and after. A file must not be in use; nodes on a
    /// database may go on.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process.
    pub async fn migrate(options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::migrate(path, options),
            StoreAddress::Postgres(address) => {
                Postgres::migrate((**address).clone(), options).await
            }
        }
    }

    /// Raises the level of the store at `options.address` to the newest, once no node of an earlier
    /// version uses it: from then on it is written in forms that those can't read. Gives its level
    /// before and after. A file must not be in use; nodes of this version on a database may go on,
    /// and learn of it within two seconds.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who started the process; [`OpenError::Older`] where
    /// the schema is not up to date.
    pub async fn finish_migration(options: &OpenOptions) -> Result<(u32, u32), OpenError> {
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::finish(path, options),
            StoreAddress::Postgres(address) => Postgres::finish((**address).clone(), options).await,
        }
    }

    /// Holds the endings log of `options` against the store, as a start would, and changes nothing.
    /// A store that is not there yet agrees with any.
    ///
    /// # Errors
    /// [`OpenError`], as the start would be refused with.
    pub async fn check_endings(options: &OpenOptions) -> Result<(), OpenError> {
        let Some(log) = &options.endings_log else {
            return Ok(());
        };
        match &options.address {
            StoreAddress::Sqlite(path) => Sqlite::check_endings(path, log, options),
            StoreAddress::Postgres(address) => {
                Postgres::check_endings((**address).clone(), log, options).await
            }
        }
    }

    /// Looks whether there is a store at `address`; changes nothing.
    ///
    /// # Errors
    /// [`OpenError::NoStore`] where there is none; else why that can't be told.
    pub async fn must_exist(address: &StoreAddress) -> Result<(), OpenError> {
        match address {
            StoreAddress::Sqlite(path) if path.exists() => Ok(()),
            StoreAddress::Sqlite(path) => {
                match path
                    .parent()
                    .filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
                {
                    Some(directory) => Err(OpenError::NoDirectory(directory.to_owned())),
                    None => Err(OpenError::NoStore(path.display().to_string())),
                }
            }
            StoreAddress::Postgres(address) => Postgres::must_exist((**address).clone()).await,
        }
    }

    /// Whether other processes may use the store at the same time, and so change what this one
    /// keeps in memory.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Whether it is written in the newest forms: no node of an earlier version uses it any more,
    /// as far as this process has seen.
    pub fn is_at_newest_level(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(engine) => engine.level() >= Level::Two,
            Engine::Postgres(engine) => engine.level() >= Level::Two,
        }
    }

    /// Seconds that the clocks of the processes which use it may be apart.
    pub fn skew(&self) -> Seconds {
        if self.is_shared() { SKEW } else { 0 }
    }

    /// Whether the store can be written now, found out by writing, and whether all endings so far
    /// are in the journal.
    pub fn probe(&self) -> Pending<()> {
        call!(self, probe())
    }

    /// What tells a process whether it must read again what it keeps in memory: clients, keys,
    /// clock, faults, a declared loss.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self) -> Result<Changes, StoreError> {
        read!(self, changes())
    }

    /// Bytes in the write-ahead log when it was last looked at; 0 where a database server keeps its
    /// own.
    pub fn wal_bytes(&self) -> u64 {
        match &self.engine {
            Engine::Sqlite(engine) => engine.wal_bytes(),
            Engine::Postgres(_) => 0,
        }
    }

    /// What happened since the store was opened, by this process.
    pub fn counts(&self) -> StoreCounts {
        call!(self, counts())
    }

    /// Forgets what is kept in memory of terms and accounts. Terms never change, unless data was
    /// lost and given anew: then a declared loss, which is a change ([`Store::changes`]), tells
    /// every process; and so are accounts that were set.
    pub fn forget_kept(&self) {
        self.terms.forget();
        self.accounts.forget();
    }

    /// Writes that wait or are under way.
    pub fn queued_writes(&self) -> usize {
        call!(self, queued_writes())
    }
}
