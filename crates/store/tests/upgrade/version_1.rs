//! A store as version 1 left it, with rows written by that version's own statements.

use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use counterfoil_testing::{fresh_database, psql};
use tempfile::TempDir;

/// What a migration of version 1 says of itself, in either engine.
const HISTORY: &str = "CREATE TABLE refinery_schema_history (version INTEGER PRIMARY KEY, name TEXT, applied_on TEXT, checksum TEXT)";

/// The settings of a client, as version 1 wrote them: every member.
pub const SETTINGS: &str = r#"{"name":"App","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_basic","id_token_signed_response_alg":"RS256","grant_types":["authorization_code","refresh_token"],"scopes":"openid profile offline_access","data_clusters":["ACCOUNT_BASIC","BALANCES","TRANSACTIONS"],"lookback_days":null,"duration_days":90,"dialect":null,"on_lost_answer":"strict","on_replay":null,"require_pkce":true,"resource_server":false,"logo_uri":null,"registered_entity":null}"#;

/// Grants 11 to 13 with the seals that tests know, the first of them ended; what version 1 wrote of
/// each, by the order of the columns where it did so.
pub fn rows(engine: Engine) -> String {
    let (seal, challenge, no) = match engine {
        Engine::Sqlite => (
            "x'07070707070707070707070707070707'",
            "x'0909090909090909090909090909090909090909090909090909090909090909'",
            "0",
        ),
        Engine::Postgres => {
            ("decode(repeat('07', 16), 'hex')", "decode(repeat('09', 32), 'hex')", "false")
        }
    };
    let mut rows = format!(
        "INSERT INTO meta VALUES ('kind', 'live'), ('issuer', 'https://a.example'), ('epoch', '0'), ('changes', '0'); \
         INSERT INTO client VALUES ('app', '{SETTINGS}', 1790000000); \
         INSERT INTO customer (provider, customer, name, password, created_at) VALUES ('bank', 'ada', 'Ada', '$argon2id$x', 1790000000), \
            ('bank', 'bob', 'Bob', '$argon2id$y', 1790000000); \
         INSERT INTO account (customer, account_id, entity) VALUES (1, 'a1', '{{}}'), (1, 'a2', '{{}}'), (2, 'b1', '{{}}');"
    );
    for grant in 11..14 {
        let id = super::id(grant);
        rows += &format!(
            "INSERT INTO terms VALUES ({id}, 'app', 'bank', 'ada', 'Ada', 7, 4, '[\"a1\"]', NULL, 1790000000, 1821536000, 1790000000, \
                'https://app.example/cb', {challenge}, 'nonce-{grant}', 0, 0); \
             INSERT INTO counterfoil (grant_id, seal, next_slip, expires_at, claim, redeemed_at, slip_key, epoch, ended) \
                VALUES ({id}, {seal}, 0, 1790000300, NULL, 1790000000, 1, 0, {no});"
        );
    }
    rows + &ending(engine, 11)
}

/// What version 1 wrote where a grant was ended, but for the audit.
pub fn ending(engine: Engine, grant: u32) -> String {
    let (id, yes) = (super::id(grant), if engine == Engine::Sqlite { "1" } else { "true" });
    format!(
        "UPDATE counterfoil SET ended = {yes} WHERE grant_id = {id}; INSERT INTO ending VALUES ({id}, 1790000050, 'customer'); \
         INSERT INTO event (at, type, grant_id, initiator) VALUES (1790000050, 'CONSENT_REVOKED', {id}, 'INDIVIDUAL');"
    )
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The place of the store.
pub struct Place {
    pub dir: TempDir,
    pub engine: Engine,
    address: String,
}

impl Place {
    /// One with a store of version 1.
    pub async fn with_version_1(engine: Engine) -> Self {
        let place = Self::empty(engine);
        // The checksum of the first migration is that which this version knows.
        let new = Self::empty(engine);
        drop(new.open().await);
        let first = new.says(
            "SELECT name || ''',''' || checksum FROM refinery_schema_history WHERE version = 1",
        );
        let schema = match engine {
            Engine::Sqlite => include_str!("../../src/migrations/sqlite/V1__first.sql"),
            Engine::Postgres => include_str!("../../src/migrations/postgres/V1__first.sql"),
        };
        let known = format!(
            "{HISTORY}; INSERT INTO refinery_schema_history (version, applied_on, name, checksum) VALUES (1, '2026-01-01T00:00:00Z', '{first}');"
        );
        if engine == Engine::Sqlite {
            place.run("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA application_id = 1129596492;");
        }
        place.run(&format!("{schema}\n{known}\n{}", rows(engine)));
        place
    }

    pub fn empty(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = match engine {
            Engine::Sqlite => format!("sqlite:{}", dir.path().join("store.db").display()),
            Engine::Postgres => fresh_database(),
        };
        Self { dir, engine, address }
    }

    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            address: StoreAddress::parse(&self.address).unwrap(),
            kind: StoreKind::Live,
            issuer: "https://a.example".into(),
            endings_log: Some(self.dir.path().join("endings.log")),
            holder: "the test".into(),
        }
    }

    pub async fn open(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("endings.log")).unwrap()
    }

    fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("store.db")).unwrap()
    }

    /// Runs statements beside whoever has the store.
    pub fn run(&self, sql: &str) {
        match self.engine {
            Engine::Sqlite => self.db().execute_batch(sql).unwrap(),
            Engine::Postgres => drop(psql(&self.address, sql)),
        }
    }

    /// What a statement gives as its only value.
    pub fn says(&self, sql: &str) -> String {
        match self.engine {
            Engine::Sqlite => self
                .db()
                .query_row(&format!("SELECT CAST(({sql}) AS TEXT)"), [], |row| row.get(0))
                .unwrap(),
            Engine::Postgres => psql(&self.address, sql),
        }
    }
}
