//! Filling a new store with many grants at once, to measure what a store of that size does. They go
//! the way of a copy's rows.

use counterfoil_core::grant::{CodeBinding, GrantId, Terms};
use counterfoil_core::random;
use counterfoil_core::verdict::Counterfoil;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;

use crate::columns::Value;
use crate::copy::error::CopyError;
use crate::copy::pieces::{Piece, WAITING};
use crate::level::Level;
use crate::postgres::copy::Database;
use crate::sqlite::copy::File;
use crate::{OpenOptions, StoreAddress, terms};

/// What a new store is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<T, C> {
    /// How many grants.
    pub grants: u64,
    /// The terms of each, from 0 on. Their ids must go up.
    pub terms: T,
    /// Which it is, and where it stands.
    pub counterfoil: C,
}

impl<T, C> Filling<T, C>
where
    T: Fn(u64) -> Terms + Send + 'static,
    C: Fn(u64) -> (GrantId, Counterfoil) + Send + 'static,
{
    /// Makes the live store at `options.address`, where there must be none yet, and fills it. One
    /// that was cut short is served by nobody; in a database the next one takes its place, and that
    /// of a copy that was cut short.
    ///
    /// # Errors
    /// [`CopyError`], in words for the operator; [`CopyError::NotNew`] where there is a store.
    pub async fn fill(self, options: &OpenOptions) -> Result<(), CopyError> {
        let Self { grants, terms, counterfoil } = self;
        let terms = rows(grants, move |n, piece| put_terms(&terms(n), piece));
        let counterfoils = rows(grants, move |n, piece| {
            let (grant, counterfoil) = counterfoil(n);
            put_counterfoil(grant, &counterfoil, piece);
        });
        let mark = format!("{:016x} filling", u64::from_be_bytes(random::bytes()));
        match &options.address {
            StoreAddress::Sqlite(path) => {
                let name = path.display().to_string();
                if path.exists() {
                    return Err(CopyError::NotNew(name));
                }
                let file = File::target(path, &name, options)?;
                if !file.claim(&mark).await? {
                    return Err(CopyError::NotNew(name));
                }
                file.fill(terms, counterfoils).await?;
                file.release(&mark).await
            }
            StoreAddress::Postgres(address) => {
                let name = address.to_string();
                let database = Database::target((**address).clone(), &name).await?;
                if !database.claim(&mark).await? {
                    return Err(CopyError::NotNew(name));
                }
                database.fill(terms, counterfoils).await?;
                database.release(&mark).await
            }
        }
    }
}

/// Has a store that was filled, and that nobody uses, be written in the form that nodes of schema 1
/// can read. To be followed by [`hide_schema_2`], once it has a client.
///
/// # Errors
/// [`CopyError`], in words for the operator.
pub async fn keep_to_level_1(options: &OpenOptions) -> Result<(), CopyError> {
    run(options, "UPDATE meta SET value = '1' WHERE key = 'level'").await
}

/// Has it look as if it were of schema 1, so that a version which knows no other can be measured on
/// it. What schema 2 added is in nobody's way who makes no grants.
///
/// # Errors
/// [`CopyError`], in words for the operator.
pub async fn hide_schema_2(options: &OpenOptions) -> Result<(), CopyError> {
    run(options, "DELETE FROM refinery_schema_history WHERE version > 1").await
}

async fn run(options: &OpenOptions, sql: &'static str) -> Result<(), CopyError> {
    match &options.address {
        StoreAddress::Sqlite(path) => {
            let done = rusqlite::Connection::open(path).and_then(|db| db.execute_batch(sql));
            done.map_err(|e| CopyError::Failed {
                store: path.display().to_string(),
                problem: e.to_string(),
            })
        }
        StoreAddress::Postgres(address) => {
            Database::target((**address).clone(), &address.to_string()).await?.obey(sql).await
        }
    }
}

/// Rows that are made while others are written.
fn rows(count: u64, put: impl Fn(u64, &mut Piece) + Send + 'static) -> Receiver<Piece> {
    let (to, rows) = channel(WAITING);
    spawn_blocking(move || {
        let mut piece = Piece::default();
        for n in 0..count {
            put(n, &mut piece);
            // Where nobody takes them any more, whoever did says why.
            if let Some(full) = piece.take_if_full()
                && to.blocking_send(full).is_err()
            {
                return;
            }
        }
        let _ = to.blocking_send(piece);
    });
    rows
}

/// A row of `terms`, in the order of the copy.
fn put_terms(terms: &Terms, piece: &mut Piece) {
    piece.begin_row(terms::TABLE.len());
    for value in terms::to_insert(terms, &SWEPT, Level::Two) {
        match value {
            Value::Null => piece.add(None),
            Value::Integer(number) => piece.add(Some(&number.to_be_bytes())),
            Value::Text(text) => piece.add(Some(text.as_bytes())),
            Value::Bytes(bytes) => piece.add(Some(bytes)),
        }
    }
    // `open`.
    piece.add(None);
}

/// What their codes were bound to is gone.
const SWEPT: CodeBinding =
    CodeBinding { redirect_uri: String::new(), challenge: None, nonce: None };

/// A row of `counterfoil`; its columns as in `copy/tables.rs`.
fn put_counterfoil(grant: GrantId, row: &Counterfoil, piece: &mut Piece) {
    piece.begin_row(9);
    piece.add(Some(&grant.number().to_be_bytes()));
    piece.add(Some(&row.next_slip.to_be_bytes()));
    piece.add(Some(&row.expires_at.unix().to_be_bytes()));
    piece.add(Some(&row.redeemed_at.unix().to_be_bytes()));
    piece.add(Some(&u32::from(row.slip_key.0).to_be_bytes()));
    piece.add(Some(&row.epoch.to_be_bytes()));
    piece.add(Some(&[u8::from(row.ended)]));
    piece.add(Some(row.seal.expose()));
    piece.add(row.claim.as_ref().map(|claim| claim.as_bytes().as_slice()));
}
