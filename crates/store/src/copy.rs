//! Copying a whole store to a new one of the other engine.
//!
//! Two stores that live would redeem every slip twice. So the target says in its `meta` that it is
//! `copying` until the very end, and the source says where it was `moved_to` before the target may
//! be served; no server opens such a store. A file belongs to the copy by its lock. A database
//! can't be had alone: it says that it moved before it is read for the last time, and running nodes
//! learn of it as of every change.

pub(crate) mod error;
pub(crate) mod pieces;
pub(crate) mod tables;

pub use error::CopyError;

use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use counterfoil_core::random;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

use crate::postgres::copy::Database;
use crate::record::StoredKeys;
use crate::sqlite::copy::File;
use crate::{OpenError, OpenOptions, StoreAddress, StoreKind};
use pieces::{Piece, WAITING};
use tables::{TABLES, Table};

/// How long a running node may go by what was before a change.
const REACHES_ALL_WITHIN: Duration = Duration::from_secs(2);

/// How far a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyProgress {
    /// Whether the copy is made, or held against the source.
    pub comparing: bool,
    /// Rows done.
    pub rows: u64,
    /// Rows in all.
    pub of: u64,
}

/// What is told how far a copy is, now and then.
pub type TellProgress<'a> = &'a mut (dyn FnMut(CopyProgress) + Send);

/// A copy that was begun: the source is ours where it is a file, the target is empty and says that
/// it is unfinished.
#[derive(Debug)]
pub struct StoreCopy {
    from: Side,
    to: Side,
    /// The target, for people and for the source to name.
    target: String,
    /// What the target says of this copy, and of no other.
    mark: String,
    /// Whether the source said that it was moved to the target when this began: an earlier copy was
    /// cut short in its last steps.
    moved: bool,
}

/// A store on either side.
#[derive(Debug)]
enum Side {
    File(File),
    Database(Database),
}

/// Hands what is to be done to the engine.
macro_rules! on {
    ($side:expr, $verb:ident($($argument:expr),*)) => {
        match &$side {
            Side::File(file) => file.$verb($($argument),*).await,
            Side::Database(database) => database.$verb($($argument),*).await,
        }
    };
}

impl StoreCopy {
    /// Begins to copy the live store of `issuer` at `from` to `to`, where there is none yet, or a
    /// copy that was cut short. The schema of the source is brought up to date first, as servers do
    /// at their start.
    ///
    /// # Errors
    /// [`CopyError`], in words for the operator.
    pub async fn begin(
        from: &StoreAddress,
        to: &StoreAddress,
        issuer: &str,
    ) -> Result<Self, CopyError> {
        let (source, target) = (name(from), name(to));
        let options = OpenOptions {
            address: from.clone(),
            kind: StoreKind::Live,
            issuer: issuer.to_owned(),
            endings_log: None,
            holder: "counterfoil copy".into(),
        };
        let mark = format!("{:016x} {source}", u64::from_be_bytes(random::bytes()));
        let done = |error: CopyError| match error {
            CopyError::Store(OpenError::Moved { to, .. }) if to == target => {
                CopyError::Done { from: source.clone(), to }
            }
            error => error,
        };
        let (from, to, moved, claimed) = match (from, to) {
            (StoreAddress::Sqlite(_), StoreAddress::Sqlite(_)) => return Err(CopyError::Files),
            (StoreAddress::Postgres(_), StoreAddress::Postgres(_)) => {
                return Err(CopyError::Databases);
            }
            (StoreAddress::Sqlite(from), StoreAddress::Postgres(to)) => {
                let (file, moved) = File::source(from, &source, &target, &options)
                    .map_err(|error| done(error.into()))?;
                let database = Database::target((**to).clone(), &target).await?;
                let claimed = database.claim(&mark).await?;
                (Side::File(file), Side::Database(database), moved, claimed)
            }
            (StoreAddress::Postgres(from), StoreAddress::Sqlite(to)) => {
                let (database, moved) =
                    Database::source((**from).clone(), &source, &target, &options)
                        .await
                        .map_err(done)?;
                let file = File::target(to, &target, &options)?;
                let claimed = file.claim(&mark).await?;
                (Side::Database(database), Side::File(file), moved, claimed)
            }
        };
        match (claimed, moved) {
            (true, _) => Ok(Self { from, to, target, mark, moved }),
            (false, true) => Err(CopyError::Done { from: source, to: target }),
            (false, false) => Err(CopyError::NotNew(target)),
        }
    }

    /// Copies all rows, reads both sides again and compares them, has `carry_keys` take the keys
    /// along, and only then lets the target be served and the source no more. Gives the rows of
    /// each table.
    ///
    /// # Errors
    /// [`CopyError`], in words for the operator. The source is what it was, and may be served,
    /// unless a store failed in the last steps; then running the copy again is the way out.
    pub async fn run(
        self,
        tell: TellProgress<'_>,
        carry_keys: impl AsyncFnOnce(&Self) -> Result<(), String>,
    ) -> Result<Vec<(&'static str, u64)>, CopyError> {
        let copied = self.copy_rows(tell).await?;
        if let Err(error) = self.hand_over(copied, tell, carry_keys).await {
            // One that said so when this copy began is not this copy's to take back.
            if let Side::Database(from) = &self.from
                && !self.moved
            {
                from.stay(&self.target).await;
            }
            return Err(error);
        }
        on!(self.from, move_to(&self.target))?;
        on!(self.to, release(&self.mark))?;
        on!(self.from, moved_for_good())?;
        let mut counts = Vec::new();
        for table in &TABLES {
            counts.push((table.name, on!(self.to, count(table))?));
        }
        Ok(counts)
    }

    /// Whether the keys must be put into the target, from their directory; else they must be taken
    /// out of the source, to it.
    pub fn is_into_database(&self) -> bool {
        matches!(self.to, Side::Database(_))
    }

    /// The keys in the database, source or target.
    ///
    /// # Errors
    /// [`CopyError::Failed`].
    pub async fn keys(&self) -> Result<Option<StoredKeys>, CopyError> {
        match (&self.from, &self.to) {
            (Side::Database(database), _) | (_, Side::Database(database)) => database.keys().await,
            (Side::File(_), Side::File(_)) => Ok(None),
        }
    }

    /// Puts the keys into the target, as its first.
    ///
    /// # Errors
    /// [`CopyError::Failed`]; where the target is a file, which holds no keys, [`CopyError::Keys`].
    pub async fn put_keys(&self, document: &[u8]) -> Result<(), CopyError> {
        match &self.to {
            Side::Database(database) => database.put_keys(document).await,
            Side::File(_) => Err(CopyError::Keys("they are kept apart from a SQLite store".into())),
        }
    }

    async fn copy_rows(&self, tell: TellProgress<'_>) -> Result<u64, CopyError> {
        on!(self.from, begin_reading())?;
        let (mut rows, mut of) = (0, 0);
        for table in &TABLES {
            of += on!(self.from, count(table))?;
        }
        for table in &TABLES {
            let (read_to, mut read) = channel::<Piece>(WAITING);
            let (write_to, write) = channel(WAITING);
            let pass_on = async {
                // Once nobody takes them any more, the writing side says why.
                while let Some(piece) = read.recv().await {
                    rows += piece.rows;
                    tell(CopyProgress { comparing: false, rows, of });
                    if write_to.send(piece).await.is_err() {
                        break;
                    }
                }
                drop((write_to, read));
            };
            let (was_read, was_written, ()) = tokio::join!(
                self.from.read(table, read_to),
                async { on!(self.to, write(table, write)) },
                pass_on
            );
            was_read?;
            was_written?;
        }
        on!(self.from, end_reading())?;
        Ok(of)
    }

    /// What is left once the rows are copied, but for the marks.
    async fn hand_over(
        &self,
        rows: u64,
        tell: TellProgress<'_>,
        carry_keys: impl AsyncFnOnce(&Self) -> Result<(), String>,
    ) -> Result<(), CopyError> {
        if let Side::Database(from) = &self.from {
            from.move_to(&self.target).await?;
            sleep(REACHES_ALL_WITHIN).await;
            from.refuse_served().await?;
        }
        for table in &TABLES {
            if let Some(number) = table.number {
                on!(
                    self.to,
                    number_after(table, number, on!(self.from, last_number(table, number))?)
                )?;
            }
        }
        self.compare(rows, tell).await?;
        carry_keys(self).await.map_err(CopyError::Keys)?;
        if self.is_into_database() && self.keys().await?.is_none() {
            return Err(CopyError::Keys("they were not put into the database".into()));
        }
        Ok(())
    }

    /// Reads both sides, as they are now, and compares them.
    async fn compare(&self, of: u64, tell: TellProgress<'_>) -> Result<(), CopyError> {
        on!(self.from, begin_reading())?;
        on!(self.to, begin_reading())?;
        let mut done = 0;
        for table in &TABLES {
            let (from, pieces_from) = channel(WAITING);
            let (to, pieces_to) = channel(WAITING);
            let mut untold = |_| ();
            let mut told = |rows| tell(CopyProgress { comparing: true, rows: done + rows, of });
            let (from, to, source, target) = tokio::join!(
                self.from.read(table, from),
                self.to.read(table, to),
                digest(pieces_from, &mut untold),
                digest(pieces_to, &mut told)
            );
            from?;
            to?;
            let difference = match () {
                () if source.rows != target.rows => {
                    format!("are {} rows, and in the copy {}", source.rows, target.rows)
                }
                () if source.digest.as_ref() != target.digest.as_ref() => {
                    "is something else, in as many rows".into()
                }
                () => {
                    done += source.rows;
                    continue;
                }
            };
            return Err(CopyError::Differs { table: table.name, difference });
        }
        on!(self.from, end_reading())?;
        on!(self.to, end_reading())
    }
}

impl Side {
    async fn read(&self, table: &'static Table, to: Sender<Piece>) -> Result<(), CopyError> {
        on!(self, read(table, to))
    }
}

/// All rows of a table.
struct Whole {
    rows: u64,
    /// Of what they hold, in the order of the key.
    digest: Digest,
}

async fn digest(mut pieces: Receiver<Piece>, tell: &mut (dyn FnMut(u64) + Send)) -> Whole {
    let (mut rows, mut context) = (0, Context::new(&SHA256));
    while let Some(piece) = pieces.recv().await {
        rows += piece.rows;
        context.update(&piece.bytes);
        tell(rows);
    }
    Whole { rows, digest: context.finish() }
}

/// A store as the other side names it: without password, and the same from whatever directory it is
/// named.
fn name(address: &StoreAddress) -> String {
    match address {
        StoreAddress::Sqlite(path) => format!(
            "sqlite:{}",
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display()
        ),
        StoreAddress::Postgres(address) => address.to_string(),
    }
}
