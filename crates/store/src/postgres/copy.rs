//! A database as one side of a copy. It can't be had alone, so what it says of itself keeps servers
//! out.

use std::fmt;
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::connection::Connection;
use super::connector::Connector;
use super::trouble::Trouble;
use super::{PostgresAddress, identity};
use crate::OpenOptions;
use crate::StoreKind;
use crate::copy::error::CopyError;
use crate::copy::pieces::{Cutter, HEADER, Piece, TRAILER};
use crate::copy::tables::{TABLES, Table};
use crate::counts::Counts;
use crate::error::OpenError;
use crate::record::StoredKeys;

/// What orders texts by their bytes, as SQLite does.
const BY_BYTES: &str = " COLLATE \"C\"";
/// Tables that are not copied, and hold nothing in a store that is new.
const OTHERS: [&str; 2] = ["keys", "sign_in_turn"];
/// How long connections of servers that have just stopped may take to go.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are looked for.
const MOMENT: Duration = Duration::from_millis(100);

pub(crate) struct Database {
    name: String,
    client: Client,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.name)
    }
}

/// Whether the copy that it was moved by is finished.
async fn is_moved_for_good(client: &Client, name: &str) -> Result<bool, OpenError> {
    let found = client.query_opt("SELECT FROM meta WHERE key = 'moved_for_good'", &[]).await;
    found.map(|row| row.is_some()).map_err(|e| Trouble::from(e).at_start(name))
}

/// A connection for work on a store as a whole, which takes as long as it takes.
pub(super) async fn connect(
    address: PostgresAddress,
    store: &str,
) -> Result<Connection, OpenError> {
    let connector = Connector::new(address, StoreKind::Live, Arc::<Counts>::default())?.unhurried();
    connector.connect().await.map_err(|trouble| trouble.at_start(store))
}

impl Database {
    /// Connects to a store to be copied. Also gives whether it says that it was moved to `target`.
    pub(crate) async fn source(
        address: PostgresAddress,
        name: &str,
        target: &str,
        options: &OpenOptions,
    ) -> Result<(Self, bool), CopyError> {
        let client = connect(address, name).await?.client;
        identity::refuse_unknown(identity::found_schema(&client, name).await?, name)?;
        let moved = match identity::check(&client, name, options).await {
            Err(OpenError::Moved { to, .. })
                if to == target && !is_moved_for_good(&client, name).await? =>
            {
                true
            }
            checked => checked.map(|()| false)?,
        };
        let mut database = Self { name: name.to_owned(), client };
        database.refuse_served().await?;
        identity::migrate(&mut database.client, name).await?;
        Ok((database, moved))
    }

    /// Connects to a database to copy to, and makes the tables where there are none.
    pub(crate) async fn target(address: PostgresAddress, name: &str) -> Result<Self, OpenError> {
        let mut client = connect(address, name).await?.client;
        identity::make_tables(&mut client, name).await?;
        Ok(Self { name: name.to_owned(), client })
    }

    /// Empties an unfinished copy and leaves `mark`; false where the database holds anything else.
    pub(crate) async fn claim(&self, mark: &str) -> Result<bool, CopyError> {
        let tables: Vec<String> =
            TABLES.iter().map(Table::sql_name).chain(OTHERS.map(str::to_owned)).collect();
        let claiming = async {
            // A server that starts now comes before this, and its rows are seen, or after it, and
            // sees the mark.
            self.client.batch_execute("BEGIN; LOCK TABLE meta IN ACCESS EXCLUSIVE MODE").await?;
            let mut is_free = self
                .client
                .query_opt("SELECT FROM meta WHERE key = 'copying'", &[])
                .await?
                .is_some();
            if !is_free {
                let others = OTHERS.iter().map(|table| format!("EXISTS (SELECT FROM {table})"));
                let any: Vec<String> = TABLES.iter().map(Table::has_rows).chain(others).collect();
                is_free = !self
                    .client
                    .query_one(&format!("SELECT {}", any.join(" OR ")), &[])
                    .await?
                    .try_get(0)?;
            }
            if is_free {
                self.client
                    .batch_execute(&format!("TRUNCATE {} RESTART IDENTITY", tables.join(", ")))
                    .await?;
                self.client
                    .execute("INSERT INTO meta VALUES ('copying', $1), ('changes', '0')", &[&mark])
                    .await?;
            }
            self.client.batch_execute("COMMIT").await?;
            Ok(is_free)
        };
        claiming.await.map_err(|trouble| self.failed(trouble))
    }

    /// Refuses a source that servers use: they would redeem slips that the copy does not know of.
    pub(crate) async fn refuse_served(&self) -> Result<(), CopyError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'counterfoil'";
            let counting = async { Ok(self.client.query_one(count, &[]).await?.try_get(0)?) };
            match counting.await.map_err(|trouble| self.failed(trouble))? {
                0 => return Ok(()),
                connections if Instant::now() >= give_up => {
                    return Err(CopyError::Served { store: self.name.clone(), connections });
                }
                _ => sleep(MOMENT).await,
            }
        }
    }

    /// Says that it was moved, and has running nodes learn it.
    pub(crate) async fn move_to(&self, target: &str) -> Result<(), CopyError> {
        let moving = async {
            let mark = "WITH marked AS (INSERT INTO meta VALUES ('moved_to', $1) ON CONFLICT (key) DO NOTHING RETURNING key) \
                UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'changes' AND EXISTS (SELECT FROM marked)";
            self.client.execute(mark, &[&target]).await?;
            Ok(self
                .client
                .query_one("SELECT value FROM meta WHERE key = 'moved_to'", &[])
                .await?
                .try_get::<_, String>(0)?)
        };
        let to = moving.await.map_err(|trouble| self.failed(trouble))?;
        // Another copy of it may have come first.
        if to == target {
            Ok(())
        } else {
            Err(OpenError::Moved { store: self.name.clone(), to }.into())
        }
    }

    /// Takes back that it was moved to `target`, as far as that can be done: where it can't, the
    /// next copy does it.
    pub(crate) async fn stay(&self, target: &str) {
        let stay = "WITH stayed AS (DELETE FROM meta WHERE key = 'moved_to' AND value = $1 RETURNING key) \
            UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'changes' AND EXISTS (SELECT FROM stayed)";
        let staying = async {
            self.client.batch_execute("ROLLBACK").await?;
            self.client.execute(stay, &[&target]).await
        };
        if let Err(error) = staying.await {
            tracing::error!(store = self.name, %error, "the store still says that it was moved; run the copy again");
        }
    }

    /// Says that the copy of it is served, and that no other may be made.
    pub(crate) async fn moved_for_good(&self) -> Result<(), CopyError> {
        let mark = "INSERT INTO meta VALUES ('moved_for_good', 'yes') ON CONFLICT (key) DO NOTHING";
        self.client.execute(mark, &[]).await.map(drop).map_err(|e| self.failed(e.into()))
    }

    /// Lets it be served.
    pub(crate) async fn release(&self, mark: &str) -> Result<(), CopyError> {
        let released = self
            .client
            .execute("DELETE FROM meta WHERE key = 'copying' AND value = $1", &[&mark])
            .await;
        match released.map_err(|e| self.failed(e.into()))? {
            0 => Err(CopyError::TakenOver(self.name.clone())),
            _ => Ok(()),
        }
    }

    /// Has all reads see one moment, until they end.
    pub(crate) async fn begin_reading(&self) -> Result<(), CopyError> {
        let begun =
            self.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        begun.map_err(|e| self.failed(e.into()))
    }

    pub(crate) async fn end_reading(&self) -> Result<(), CopyError> {
        self.client.batch_execute("COMMIT").await.map_err(|e| self.failed(e.into()))
    }

    pub(crate) async fn count(&self, table: &'static Table) -> Result<u64, CopyError> {
        let count = self
            .number(&format!("SELECT count(*) FROM {} {}", table.sql_name(), table.which))
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The last number that a row of the table was given; 0 where none was.
    pub(crate) async fn last_number(
        &self,
        table: &'static Table,
        number: &'static str,
    ) -> Result<i64, CopyError> {
        let name = table.name;
        let given = format!(
            "pg_sequence_last_value(pg_get_serial_sequence('{name}', '{number}')::regclass)"
        );
        self.number(&format!("SELECT greatest((SELECT max({number}) FROM {name}), {given}, 0)"))
            .await
    }

    /// Has the next rows of the table get numbers after `last`.
    pub(crate) async fn number_after(
        &self,
        table: &'static Table,
        number: &'static str,
        last: i64,
    ) -> Result<(), CopyError> {
        if last == 0 {
            return Ok(());
        }
        self.number(&format!(
            "SELECT setval(pg_get_serial_sequence('{}', '{number}')::regclass, {last})",
            table.name
        ))
        .await
        .map(drop)
    }

    /// Reads the rows of a table in the order of its key.
    pub(crate) async fn read(
        &self,
        table: &'static Table,
        to: Sender<Piece>,
    ) -> Result<(), CopyError> {
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", table.select(BY_BYTES));
        let reading = async {
            let mut rows = pin!(self.client.copy_out(&copy).await?);
            let mut cutter = Cutter::default();
            while let Some(bytes) = rows.try_next().await? {
                // Where nobody takes them any more, whoever did says why.
                if let Some(piece) = cutter.add(&bytes)
                    && to.send(piece).await.is_err()
                {
                    return Ok(());
                }
            }
            let last = cutter.end().ok_or_else(|| Trouble::Unready("it sent half a row".into()))?;
            let _ = to.send(last).await;
            Ok(())
        };
        reading.await.map_err(|trouble| self.failed(trouble))
    }

    /// Writes rows to a table.
    pub(crate) async fn write(
        &self,
        table: &'static Table,
        mut pieces: Receiver<Piece>,
    ) -> Result<(), CopyError> {
        let copy =
            format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.sql_name(), table.names());
        let writing = async {
            let mut rows = pin!(self.client.copy_in(&copy).await?);
            rows.send(Cursor::new(HEADER.to_vec())).await?;
            while let Some(piece) = pieces.recv().await {
                rows.send(Cursor::new(piece.bytes)).await?;
            }
            rows.send(Cursor::new(TRAILER.to_vec())).await?;
            rows.finish().await.map(drop)
        };
        writing.await.map_err(|e| self.failed(e.into()))
    }

    pub(crate) async fn keys(&self) -> Result<Option<StoredKeys>, CopyError> {
        let reading = async {
            let row = self
                .client
                .query_opt("SELECT version, document FROM keys WHERE id = 1", &[])
                .await?;
            row.map(|row| Ok(StoredKeys { version: row.try_get(0)?, document: row.try_get(1)? }))
                .transpose()
        };
        reading.await.map_err(|e: tokio_postgres::Error| self.failed(e.into()))
    }

    pub(crate) async fn put_keys(&self, document: &[u8]) -> Result<(), CopyError> {
        let put = self.client.execute("INSERT INTO keys VALUES (1, 1, $1)", &[&document]).await;
        put.map(drop).map_err(|e| self.failed(e.into()))
    }

    /// Does what the statements say.
    pub(crate) async fn obey(&self, sql: &str) -> Result<(), CopyError> {
        self.client.batch_execute(sql).await.map_err(|e| self.failed(e.into()))
    }

    /// What a statement gives as its only text.
    pub(super) async fn text(&self, sql: &str) -> Result<String, CopyError> {
        let asking = async { Ok(self.client.query_one(sql, &[]).await?.try_get(0)?) };
        asking.await.map_err(|trouble| self.failed(trouble))
    }

    /// What a statement gives as its only number.
    async fn number(&self, sql: &str) -> Result<i64, CopyError> {
        let asking = async { Ok(self.client.query_one(sql, &[]).await?.try_get(0)?) };
        asking.await.map_err(|trouble| self.failed(trouble))
    }

    fn failed(&self, trouble: Trouble) -> CopyError {
        CopyError::Failed { store: self.name.clone(), problem: trouble.to_string() }
    }
}
