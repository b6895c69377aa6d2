//! A SQLite file as one side of a copy. Its lock is held from beginning to end, so nobody else
//! reads or writes it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::spawn_blocking;

use super::file::{create_or_recognise, create_private};
use super::identity::check_identity;
use super::meta::{meta, set_meta};
use super::ownership::own;
use super::row;
use super::schema::{check_schema, existing, migrate};
use crate::OpenOptions;
use crate::columns::Kind;
use crate::copy::error::CopyError;
use crate::copy::pieces::{Columns, Piece};
use crate::copy::tables::{TABLES, Table};
use crate::error::OpenError;
use crate::lock::Lock;
use crate::migrations;

/// Rows of one transaction, more or less: few enough for a small log, and enough that its fsync
/// does not count.
const AT_ONCE: u64 = 20_000;
/// The copy's own way with memory and log: indexes are filled in no order, and nobody checkpoints
/// beside it.
const SETTINGS: &str = "PRAGMA cache_size = -131072; PRAGMA wal_autocheckpoint = 32768";

#[derive(Debug)]
pub(crate) struct File {
    name: Arc<str>,
    held: Arc<Mutex<Held>>,
}

/// The lock goes with the connection: what is under way when a copy is given up still ends under
/// it.
#[derive(Debug)]
struct Held {
    db: Connection,
    _lock: Lock,
}

impl File {
    /// Takes a store to be copied. Also gives whether it says that it was moved to `target`.
    pub(crate) fn source(
        path: &Path,
        name: &str,
        target: &str,
        options: &OpenOptions,
    ) -> Result<(Self, bool), OpenError> {
        let lock = own(path, options)?;
        let (mut db, schema) = existing(path)?;
        // It may say that we can read it, and have tables that we know nothing of.
        let known = migrations::NEWEST;
        if schema > known {
            return Err(OpenError::Newer {
                store: name.to_owned(),
                found: schema,
                oldest_reader: schema,
                known,
            });
        }
        let moved = match check_identity(&db, path, options) {
            Err(OpenError::Moved { to, .. })
                if to == target && meta(&db, "moved_for_good").is_ok_and(|done| done.is_none()) =>
            {
                true
            }
            checked => checked.map(|()| false)?,
        };
        migrate(&mut db, path, schema)?;
        Ok((
            Self { name: name.into(), held: Arc::new(Mutex::new(Held { db, _lock: lock })) },
            moved,
        ))
    }

    /// Takes a file to copy to, making it where there is none.
    pub(crate) fn target(
        path: &Path,
        name: &str,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let lock = own(path, options)?;
        let failed = |problem: String| OpenError::NotWritable { store: name.to_owned(), problem };
        create_private(path).map_err(|e| failed(e.to_string()))?;
        let mut db = create_or_recognise(path)?;
        let schema = check_schema(&db, path)?;
        migrate(&mut db, path, schema)?;
        db.execute_batch(SETTINGS).map_err(|e| failed(e.to_string()))?;
        Ok(Self { name: name.into(), held: Arc::new(Mutex::new(Held { db, _lock: lock })) })
    }

    /// Empties an unfinished copy and leaves `mark`; false where the file holds anything else.
    pub(crate) async fn claim(&self, mark: &str) -> Result<bool, CopyError> {
        let mark = mark.to_owned();
        self.aside(move |db, _| {
            let transaction = db.unchecked_transaction()?;
            if meta(db, "copying")?.is_none() {
                for table in &TABLES {
                    if db
                        .query_row(&format!("SELECT {}", table.has_rows()), [], |row| row.get(0))?
                    {
                        return Ok(false);
                    }
                }
            }
            for table in TABLES.iter().rev().map(Table::sql_name).chain(["sqlite_sequence".into()])
            {
                db.execute(&format!("DELETE FROM {table}"), [])?;
            }
            set_meta(db, "copying", &mark)?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// Says that it was moved.
    pub(crate) async fn move_to(&self, target: &str) -> Result<(), CopyError> {
        let target = target.to_owned();
        self.aside(move |db, _| Ok(set_meta(db, "moved_to", &target)?)).await
    }

    /// Says that the copy of it is served, and that no other may be made.
    pub(crate) async fn moved_for_good(&self) -> Result<(), CopyError> {
        self.aside(|db, _| Ok(set_meta(db, "moved_for_good", "yes")?)).await
    }

    /// Lets it be served.
    pub(crate) async fn release(&self, mark: &str) -> Result<(), CopyError> {
        let mark = mark.to_owned();
        let released = self
            .aside(move |db, _| {
                Ok(db.execute("DELETE FROM meta WHERE key = 'copying' AND value = ?1", [mark])?
                    == 1)
            })
            .await?;
        if released { Ok(()) } else { Err(CopyError::TakenOver(self.name.to_string())) }
    }

    pub(crate) async fn begin_reading(&self) -> Result<(), CopyError> {
        self.aside(|db, _| Ok(db.execute_batch("BEGIN")?)).await
    }

    pub(crate) async fn end_reading(&self) -> Result<(), CopyError> {
        self.aside(|db, _| Ok(db.execute_batch("COMMIT")?)).await
    }

    pub(crate) async fn count(&self, table: &'static Table) -> Result<u64, CopyError> {
        let count = format!("SELECT count(*) FROM {} {}", table.sql_name(), table.which);
        let count: i64 =
            self.aside(move |db, _| Ok(db.query_row(&count, [], |row| row.get(0))?)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The last number that a row of the table was given; 0 where none was.
    pub(crate) async fn last_number(
        &self,
        table: &'static Table,
        number: &'static str,
    ) -> Result<i64, CopyError> {
        let last = format!(
            "SELECT max(coalesce((SELECT max({number}) FROM {0}), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{0}'), 0))",
            table.name
        );
        self.aside(move |db, _| Ok(db.query_row(&last, [], |row| row.get(0))?)).await
    }

    /// Has the next rows of the table get numbers after `last`, where numbers are given once only.
    pub(crate) async fn number_after(
        &self,
        table: &'static Table,
        number: &'static str,
        last: i64,
    ) -> Result<(), CopyError> {
        self.aside(move |db, _| {
            db.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table.name])?;
            // Those that we number ourselves, and those that SQLite does.
            let set = "INSERT INTO sqlite_sequence (name, seq) SELECT name, ?2 FROM sqlite_master \
                WHERE type = 'table' AND name = ?1 AND (?3 <> 'id' OR sql LIKE '%AUTOINCREMENT%') AND ?2 > 0";
            db.execute(set, (table.name, last, number))?;
            Ok(())
        })
        .await
    }

    /// Reads the rows of a table in the order of its key.
    pub(crate) async fn read(
        &self,
        table: &'static Table,
        to: Sender<Piece>,
    ) -> Result<(), CopyError> {
        self.aside(move |db, name| {
            let mut select = db.prepare(&table.select(""))?;
            let (mut rows, mut piece) = (select.query([])?, Piece::default());
            while let Some(row) = rows.next()? {
                if let Err((column, problem)) = put_row(row, table, &mut piece) {
                    let (store, row) = (name.to_owned(), key_of(row, table));
                    return Err(Failed::Row(Box::new(CopyError::Row {
                        store,
                        table: table.name,
                        row,
                        column,
                        problem,
                    })));
                }
                // Where nobody takes them any more, whoever did says why.
                if let Some(full) = piece.take_if_full()
                    && to.blocking_send(full).is_err()
                {
                    return Ok(());
                }
            }
            let _ = to.blocking_send(piece);
            Ok(())
        })
        .await
    }

    /// Writes rows to a table.
    pub(crate) async fn write(
        &self,
        table: &'static Table,
        mut pieces: Receiver<Piece>,
    ) -> Result<(), CopyError> {
        self.aside(move |db, _| {
            let places = vec!["?"; table.columns.len()].join(", ");
            let mut insert = db.prepare(&format!(
                "INSERT INTO {} ({}) VALUES ({places})",
                table.sql_name(),
                table.names()
            ))?;
            let mut next = pieces.blocking_recv();
            while next.is_some() {
                let transaction = db.unchecked_transaction()?;
                let mut rows = 0;
                while let Some(piece) = next.take() {
                    let mut columns = piece.columns();
                    while columns.begin_row().is_some() {
                        for (at, (_, kind)) in table.columns.iter().enumerate() {
                            insert.raw_bind_parameter(
                                at + 1,
                                ToSqlOutput::Borrowed(take(*kind, &mut columns)?),
                            )?;
                        }
                        insert.raw_execute()?;
                    }
                    rows += piece.rows;
                    next = pieces.blocking_recv();
                    if rows >= AT_ONCE {
                        break;
                    }
                }
                transaction.commit()?;
            }
            Ok(())
        })
        .await
    }

    /// Does what takes long on a thread that nobody else waits for.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &str) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, CopyError> {
        let (held, name) = (self.held.clone(), self.name.clone());
        let done = spawn_blocking(move || {
            work(&held.lock().unwrap_or_else(PoisonError::into_inner).db, &name)
        })
        .await;
        let failed = |problem: String| CopyError::Failed { store: self.name.to_string(), problem };
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Failed::Sqlite(e))) => Err(failed(e.to_string())),
            Ok(Err(Failed::Row(e))) => Err(*e),
            Err(e) => Err(failed(e.to_string())),
        }
    }
}

/// Why something was not done.
pub(super) enum Failed {
    Sqlite(rusqlite::Error),
    Row(Box<CopyError>),
}

impl From<rusqlite::Error> for Failed {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

/// Adds a row to a piece; on failure gives the column that can't be copied, and what is wrong with
/// it.
fn put_row(row: &Row<'_>, table: &Table, piece: &mut Piece) -> Result<(), (&'static str, String)> {
    piece.begin_row(table.columns.len());
    for (at, (name, kind)) in table.columns.iter().enumerate() {
        let value = row.get_ref(at).map_err(|e| (*name, e.to_string()))?;
        put(*kind, value, piece).map_err(|problem| (*name, problem))?;
    }
    Ok(())
}

/// Adds a value to a row, in PostgreSQL's form.
fn put(kind: Kind, value: ValueRef<'_>, piece: &mut Piece) -> Result<(), String> {
    match (kind, value) {
        (_, ValueRef::Null) => piece.add(None),
        (Kind::Integer, ValueRef::Integer(n)) => piece.add(Some(&n.to_be_bytes())),
        (Kind::Small, ValueRef::Integer(n)) => {
            let n = i32::try_from(n)
                .map_err(|_| format!("is {n}, which is too much for PostgreSQL"))?;
            piece.add(Some(&n.to_be_bytes()));
        }
        (Kind::Flag, ValueRef::Integer(n @ (0 | 1))) => piece.add(Some(&[u8::from(n == 1)])),
        (Kind::Text, ValueRef::Text(text)) => {
            if text.contains(&0) {
                return Err("holds a NUL character, which PostgreSQL can't store".into());
            }
            std::str::from_utf8(text).map_err(|e| format!("is not UTF-8: {e}"))?;
            piece.add(Some(text));
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => piece.add(Some(bytes)),
        (kind, other) => {
            return Err(format!(
                "holds {} where {kind:?} belongs: damage from outside",
                other.data_type()
            ));
        }
    }
    Ok(())
}

/// The key of a row, for people.
fn key_of(row: &Row<'_>, table: &Table) -> String {
    let mut text = String::new();
    for (at, (name, _)) in table.columns.iter().take(table.key).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        // Writing to a string can't fail.
        let _ = write!(text, "{comma}{name} ");
        let _ = match row.get_ref(at) {
            Ok(ValueRef::Integer(n)) => write!(text, "{n}"),
            Ok(ValueRef::Text(key)) => write!(text, "{:?}", String::from_utf8_lossy(key)),
            Ok(ValueRef::Blob(bytes)) => write!(text, "{}", hex::encode(bytes)),
            _ => write!(text, "?"),
        };
    }
    text
}

/// Reads the next value of a row.
fn take<'a>(kind: Kind, columns: &mut Columns<'a>) -> rusqlite::Result<ValueRef<'a>> {
    let value = match columns.next() {
        Some(None) => Some(ValueRef::Null),
        Some(Some(bytes)) => match kind {
            Kind::Integer => {
                bytes.try_into().ok().map(|n| ValueRef::Integer(i64::from_be_bytes(n)))
            }
            Kind::Small => {
                bytes.try_into().ok().map(|n| ValueRef::Integer(i32::from_be_bytes(n).into()))
            }
            Kind::Flag => bytes.first().map(|flag| ValueRef::Integer((*flag).into())),
            Kind::Text => Some(ValueRef::Text(bytes)),
            Kind::Bytes => Some(ValueRef::Blob(bytes)),
        },
        None => None,
    };
    value.ok_or_else(|| row::impossible(0))
}
