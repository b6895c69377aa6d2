//! Counterfoil's store, in the domain's words: no SQL above it, no HTTP below it.
//!
//! [`Store`] is one of two engines, SQLite or PostgreSQL; what its verbs promise is said there,
//! once, and holds for both. Each engine has a folder, and in it a file for every group of verbs:
//!
//! | verbs | file |
//! | --- | --- |
//! | redeem a slip | `redeem.rs` |
//! | grants: create, read, list, end | `grants.rs` |
//! | clients and their secrets | `clients.rs` |
//! | customers and their accounts | `customers.rs` |
//! | browser sessions, failed sign-ins | `sessions.rs` |
//! | what a page goes on with | `continuation.rs` |
//! | removals worked off | `removals.rs` |
//! | what is over swept | `sweep.rs`; grants that ended long ago: `old_grants.rs` |
//! | what time it is by the store, and what a wrong clock has marked | `times.rs` |
//! | a loss of data declared | `loss.rs` |
//! | backups and restoring them (SQLite) | `backup.rs`, `restore.rs` |
//! | one side of a copy to the other engine | `copy.rs` |
//!
//! Writes are under way when a verb returns and answered once they are durable: `sqlite/writer.rs`,
//! `postgres/batch.rs`.

mod address;
mod agreement;
mod audit;
mod background;
mod backup;
mod clients;
mod columns;
mod continuation;
mod copy;
mod counts;
mod customers;
mod endings;
mod endings_log;
mod error;
mod files;
mod fill;
mod grants;
mod journal;
mod kept;
mod level;
mod limits;
mod lock;
mod look;
mod loss;
mod migrations;
mod pending;
mod postgres;
mod record;
mod recovery;
mod redeem;
mod removed;
mod restore;
mod sessions;
mod shared;
mod sqlite;
mod store;
mod terms;
mod times;

pub use address::StoreAddress;
pub use agreement::OnDifference;
pub use backup::{Backup, BackupError};
pub use continuation::Continuation;
pub use copy::{CopyError, CopyProgress, StoreCopy};
pub use counts::StoreCounts;
pub use endings::{Endings, EndingsError};
pub use error::{OpenError, Remedy, StoreError};
pub use files::{create_directory, create_file, create_private};
pub use fill::{Filling, hide_schema_2, keep_to_level_1};
pub use look::Found;
pub use loss::LossDeclared;
pub use pending::Pending;
pub use postgres::PostgresAddress;
pub use record::{
    Account, AddClient, AddCustomer, AddSecret, AuditEntry, Changes, CreateGrant, Customer,
    EndedAt, Ending, Grant, GrantFilter, NewCustomer, NewGrant, OldGrants, Session, SignIn,
    StoredKeys, SweepTime, Swept,
};
pub use redeem::{Redeem, Redeemed, Tearing, Torn};
pub use restore::{RestoreError, Restored};
pub use sqlite::{CACHE, CHECKPOINT_EVERY, LOG_BOUND, LOG_KEPT, WRITER_CACHE, give_way};
pub use store::Store;
pub use times::Repaired;

use std::path::PathBuf;

/// What a store is for. It knows from its creation; `serve` refuses a sandbox's, `sandbox` a live
/// one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// A bank's.
    Live,
    /// A developer's, whose clock can be moved.
    Sandbox,
}

impl StoreKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where it is. It is made where it does not exist; the directory of a file and the database of
    /// a server are not.
    pub address: StoreAddress,
    /// What the store must be for.
    pub kind: StoreKind,
    /// The issuer whose grants it holds. A live store belongs to one issuer for good.
    pub issuer: String,
    /// Where every acknowledged ending is also written, apart from the store.
    pub endings_log: Option<PathBuf>,
    /// What the process that opens it calls itself, to tell a second one.
    pub holder: String,
}
