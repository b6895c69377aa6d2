//! A place for a store of either engine, which the store can be opened at again and again.

use std::path::PathBuf;
use std::sync::OnceLock;

use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use counterfoil_testing::{TlsPostgres, fresh_database, psql};
use tempfile::TempDir;

/// What a case runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
    /// PostgreSQL where every transaction is serializable, and so one in another's way is refused
    /// with 40001.
    Serializable,
    /// PostgreSQL that takes encrypted connections alone.
    Tls,
}

pub struct Bench {
    dir: TempDir,
    address: StoreAddress,
    url: String,
}

impl Bench {
    pub fn new(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = match engine {
            Engine::Sqlite => format!("sqlite:{}", dir.path().join("store.db").display()),
            Engine::Postgres => fresh_database(),
            Engine::Serializable => {
                let url = fresh_database();
                psql(
                    &url,
                    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$",
                );
                url
            }
            Engine::Tls => {
                static CLUSTER: OnceLock<TlsPostgres> = OnceLock::new();
                let cluster = CLUSTER.get_or_init(|| TlsPostgres::start(&[]));
                let url = cluster.postgres.fresh_database();
                format!("{url}?sslmode=verify-full&sslrootcert={}", cluster.authority().display())
            }
        };
        Self { dir, address: StoreAddress::parse(&address).unwrap(), url: address }
    }

    pub fn endings_log(&self) -> PathBuf {
        self.dir.path().join("endings.log")
    }

    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            address: self.address.clone(),
            kind: StoreKind::Live,
            issuer: "https://a.example".into(),
            endings_log: Some(self.endings_log()),
            holder: "the test".into(),
        }
    }

    pub async fn open(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    /// The endings in the journal.
    pub fn endings(&self) -> Vec<String> {
        self.journal()
            .lines()
            .filter(|line| !line.contains("opened_after"))
            .map(str::to_owned)
            .collect()
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.address, StoreAddress::Sqlite(_))
    }

    /// Runs SQL that no verb does, while no store is open.
    pub fn run(&self, sql: &str) {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap(),
            None => drop(psql(&self.url, sql)),
        }
    }

    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.endings_log()).unwrap()
    }
}
