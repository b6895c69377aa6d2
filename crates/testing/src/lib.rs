//! What the tests of several crates share. Only a dev-dependency: whatever goes wrong here is a
//! panic, in words.
//!
//! [`Client`] speaks to a running server, and `html.rs` checks its pages.
//!
//! PostgreSQL is a real cluster on loopback, run by `scripts/private-postgres`, which ends with the
//! process that started it. Most tests want a database and nothing else: [`fresh_database`]. Those
//! that kill, restart or configure a cluster start their own, as [`Postgres`]. All calls block the
//! thread; in an async test of one thread that others must go on in, use `spawn_blocking`.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "its users are tests")]

mod client;
mod database;
pub mod html;
mod postgres;
mod tls;

pub use client::{Answer, Client, Credentials, Tokens, claims, send, try_send};
pub use database::{dump, psql};
pub use postgres::Postgres;
pub use tls::TlsPostgres;

use std::sync::OnceLock;

/// The environment variable with the URL of a cluster for all tests, which `./test` sets. It does
/// not begin with `COUNTERFOIL_`: the server refuses variables of that name that are no settings.
pub const SHARED: &str = "TEST_POSTGRES_URL";

/// The URL of the cluster that tests share, as a superuser and with the database `postgres`: the
/// one that [`SHARED`] names, else one that this process starts upon its first use. Leave its
/// settings alone; for others, set them on your own database with `ALTER DATABASE`.
///
/// # Panics
/// Where there is no such variable and no cluster can be started.
pub fn shared_postgres() -> &'static str {
    static STARTED: OnceLock<Postgres> = OnceLock::new();
    static URL: OnceLock<String> = OnceLock::new();
    // What is static is never dropped; the cluster ends when the process does, which closes the
    // pipe to the script.
    URL.get_or_init(|| {
        std::env::var(SHARED)
            .unwrap_or_else(|_| STARTED.get_or_init(|| Postgres::start(&[])).url().to_owned())
    })
}

/// The URL of a new, empty database on the cluster that tests share. It goes when the cluster does.
///
/// # Panics
/// Where it can't be made.
pub fn fresh_database() -> String {
    database::create(shared_postgres())
}
