//! Counterfoil's store, in the domain's words: no SQL above it, no HTTP below it.
//!
//! [`Store`] is the embedded engine, SQLite. Its verbs are grouped by what they are about:
//!
//! | verbs | file |
//! | --- | --- |
//! | open, what the store is, is it writable | `sqlite.rs` |
//! | redeem a slip | `sqlite/redeem.rs` |
//! | grants: create, read, list, end | `sqlite/grants.rs` |
//! | clients and their secrets | `sqlite/clients.rs` |
//! | customers and their accounts | `sqlite/customers.rs` |
//! | browser sessions, failed sign-ins | `sqlite/sessions.rs` |
//! | removals worked off, old rows swept | `sqlite/sweep.rs` |
//!
//! Writes are queued at once and answered after the fsync of the transaction that carried them; see `sqlite/writer.rs`.

mod error;
mod journal;
mod lock;
mod record;
mod sqlite;

pub use error::{OpenError, StoreError};
pub use record::{Account, AuditEntry, Customer, EndedAt, Grant, NewCustomer, Session};
pub use sqlite::Store;
pub use sqlite::clients::{AddClient, AddSecret};
pub use sqlite::customers::AddCustomer;
pub use sqlite::grants::{CreateGrant, Ending, GrantFilter, NewGrant};
pub use sqlite::redeem::{Redeem, Redeemed, Tearing, Torn};
pub use sqlite::sessions::SignIn;
pub use sqlite::writer::Pending;

use std::path::PathBuf;

/// What a store is for. It knows from its creation; `serve` refuses a sandbox's, `sandbox` a live one.
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
    /// The SQLite file. It is made where it does not exist; its directory is not.
    pub path: PathBuf,
    /// What the store must be for.
    pub kind: StoreKind,
    /// The issuer whose grants it holds. A live store belongs to one issuer for good.
    pub issuer: String,
    /// Where every acknowledged ending is also written, apart from the store.
    pub endings_log: Option<PathBuf>,
    /// What the process that opens it calls itself, to tell a second one.
    pub holder: String,
}
