//! Every table that is copied, once for both engines. What only one engine has is not among them:
//! the keys (they have ways of their own), and the turns of those who sign in, which mean nothing
//! later.

use std::fmt::Write as _;

use crate::columns::Kind::{self, Bytes, Flag, Integer, Small, Text};
use crate::terms;

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Its columns; those of its key come first.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// How many columns its key has.
    pub(crate) key: usize,
    /// Which rows are copied, as SQL; all, where it is empty.
    pub(crate) which: &'static str,
    /// The column in which the store numbers its rows, if it does.
    pub(crate) number: Option<&'static str>,
}

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, key, which: "", number: None }
}

const fn numbered(name: &'static str, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, key: 1, which: "", number: Some("id") }
}

/// What customers allowed.
pub(crate) const TERMS: Table = table("terms", 1, &terms::TABLE);
/// Where grants stand.
pub(crate) const COUNTERFOIL: Table = table(
    "counterfoil",
    1,
    &[
        ("grant_id", Integer),
        ("next_slip", Integer),
        ("expires_at", Integer),
        ("redeemed_at", Integer),
        ("slip_key", Small),
        ("epoch", Small),
        ("ended", Flag),
        ("seal", Bytes),
        ("claim", Bytes),
    ],
);

/// The tables, those that others refer to before those.
pub(crate) const TABLES: [Table; 18] = [
    Table {
        which: "WHERE key NOT IN ('changes', 'clock_accepted', 'copying', 'moved_for_good', 'moved_to', 'probe')",
        ..table("meta", 1, &[("key", Text), ("value", Text)])
    },
    table("client", 1, &[("client_id", Text), ("settings", Text), ("created_at", Integer)]),
    numbered(
        "client_secret",
        &[
            ("id", Integer),
            ("client_id", Text),
            ("digest", Bytes),
            ("created_at", Integer),
            ("last_used_at", Integer),
        ],
    ),
    numbered(
        "customer",
        &[
            ("id", Integer),
            ("provider", Text),
            ("customer", Text),
            ("name", Text),
            ("password", Text),
            ("created_at", Integer),
            ("login", Text),
        ],
    ),
    numbered(
        "account",
        &[("id", Integer), ("customer", Integer), ("account_id", Text), ("entity", Text)],
    ),
    table("era", 3, &[("client", Text), ("provider", Text), ("customer", Text), ("era", Integer)]),
    numbered(
        "removal",
        &[
            ("id", Integer),
            ("at", Integer),
            ("client", Text),
            ("provider", Text),
            ("customer", Text),
            ("era", Integer),
            ("done_up_to", Integer),
            ("done", Flag),
        ],
    ),
    TERMS,
    COUNTERFOIL,
    table(
        "code",
        1,
        &[("grant_id", Integer), ("redirect_uri", Text), ("challenge", Bytes), ("nonce", Text)],
    ),
    Table {
        number: Some("number"),
        ..table(
            "ending",
            1,
            &[("grant_id", Integer), ("at", Integer), ("ended_by", Text), ("number", Integer)],
        )
    },
    table(
        "endings_log",
        1,
        &[("node", Text), ("line", Integer), ("written", Integer), ("host", Text), ("path", Text)],
    ),
    table(
        "audit",
        3,
        &[
            ("grant_id", Integer),
            ("event", Text),
            ("hour", Integer),
            ("first_at", Integer),
            ("last_at", Integer),
            ("count", Integer),
            ("detail", Text),
        ],
    ),
    numbered(
        "event",
        &[
            ("id", Integer),
            ("at", Integer),
            ("type", Text),
            ("grant_id", Integer),
            ("initiator", Text),
        ],
    ),
    numbered(
        "delivery",
        &[
            ("id", Integer),
            ("at", Integer),
            ("type", Text),
            ("grant_id", Integer),
            ("initiator", Text),
        ],
    ),
    table(
        "session",
        1,
        &[
            ("id", Bytes),
            ("provider", Text),
            ("customer", Text),
            ("name", Text),
            ("authenticated_at", Integer),
            ("expires_at", Integer),
            ("customer_era", Integer),
        ],
    ),
    table(
        "authorization",
        1,
        &[
            ("id", Bytes),
            ("browser", Bytes),
            ("kind", Text),
            ("document", Text),
            ("expires_at", Integer),
        ],
    ),
    numbered("sign_in_failure", &[("id", Integer), ("customer", Bytes), ("at", Integer)]),
];

impl Table {
    /// Its name, as SQL: one of them is a word of PostgreSQL's.
    pub(crate) fn sql_name(&self) -> String {
        format!("\"{}\"", self.name)
    }

    /// Whether there is a row in it that a store does not have from the beginning, as an expression
    /// of SQL.
    pub(crate) fn has_rows(&self) -> String {
        let which =
            if self.name == "meta" { "WHERE key NOT IN ('level', 'oldest_reader')" } else { "" };
        format!("EXISTS (SELECT 1 FROM {} {which})", self.sql_name())
    }

    /// The names of its columns, as SQL.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// How its rows are read, in the order of the key; `collation` is what makes texts go by their
    /// bytes.
    pub(crate) fn select(&self, collation: &str) -> String {
        let mut sql =
            format!("SELECT {} FROM {} {} ORDER BY ", self.names(), self.sql_name(), self.which);
        for (at, (name, kind)) in self.columns.iter().take(self.key).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let collation = if *kind == Kind::Text { collation } else { "" };
            // Writing to a string can't fail.
            let _ = write!(sql, "{comma}{name}{collation}");
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use counterfoil_testing::{fresh_database, psql};

    use super::*;
    use crate::{OpenOptions, Store, StoreAddress, StoreKind};

    async fn make(address: &str) {
        let address = StoreAddress::parse(address).unwrap();
        let (issuer, holder) = ("https://a.example".into(), "the test".into());
        drop(
            Store::open(OpenOptions {
                address,
                kind: StoreKind::Live,
                issuer,
                endings_log: None,
                holder,
            })
            .await
            .unwrap(),
        );
    }

    /// What is listed, with the names that an engine has for kinds.
    fn listed(kinds: [&str; 5]) -> BTreeSet<String> {
        let kind = |kind| match kind {
            Integer => kinds[0],
            Small => kinds[1],
            Flag => kinds[2],
            Text => kinds[3],
            Bytes => kinds[4],
        };
        let columns = |table: &Table| {
            table
                .columns
                .iter()
                .map(|(name, of)| format!("{}|{name}|{}", table.name, kind(*of)))
                .collect::<Vec<_>>()
        };
        TABLES.iter().flat_map(columns).collect()
    }

    fn keys() -> BTreeSet<String> {
        TABLES
            .iter()
            .flat_map(|table| {
                table.columns[..table.key].iter().map(|(name, _)| format!("{}|{name}", table.name))
            })
            .collect()
    }

    fn numbered() -> BTreeSet<String> {
        TABLES
            .iter()
            .filter(|table| table.number == Some("id"))
            .map(|table| table.name.to_owned())
            .collect()
    }

    #[tokio::test]
    async fn every_table_and_column_of_sqlite_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        make(&format!("sqlite:{}", path.display())).await;
        let db = rusqlite::Connection::open(path).unwrap();
        let found = |sql: &str| {
            let mut select = db.prepare(sql).unwrap();
            let rows = select
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<BTreeSet<String>, _>>();
            rows.unwrap()
        };
        let ours = "sqlite_master AS t JOIN pragma_table_info(t.name) AS c \
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'refinery_schema_history'";
        let columns =
            found(&format!("SELECT t.name || '|' || c.name || '|' || c.type FROM {ours}"));
        assert_eq!(columns, listed(["INTEGER", "INTEGER", "INTEGER", "TEXT", "BLOB"]));
        assert_eq!(
            found(&format!("SELECT t.name || '|' || c.name FROM {ours} AND c.pk > 0")),
            keys()
        );
        assert_eq!(
            found(&format!("SELECT t.name FROM {ours} AND c.name = 'id' AND c.type = 'INTEGER'")),
            numbered()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_table_and_column_of_postgres_is_copied_but_for_keys_and_turns() {
        let url = fresh_database();
        make(&url).await;
        let found = |sql: &str| psql(&url, sql).lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let ours = "table_schema = 'public' AND table_name NOT IN ('refinery_schema_history', 'keys', 'sign_in_turn')";
        let columns = found(&format!(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE {ours};"
        ));
        assert_eq!(columns, listed(["bigint", "integer", "boolean", "text", "bytea"]));
        let in_keys =
            "information_schema.key_column_usage NATURAL JOIN information_schema.table_constraints";
        let key = found(&format!(
            "SELECT table_name, column_name FROM {in_keys} WHERE {ours} AND constraint_type = 'PRIMARY KEY';"
        ));
        assert_eq!(key, keys());
        let identities = format!(
            "SELECT table_name FROM information_schema.columns WHERE {ours} AND is_identity = 'YES';"
        );
        assert_eq!(found(&identities), numbered());
    }
}
