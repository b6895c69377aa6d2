//! Connections for reading. Between two commits each stays in one read transaction: to enter and to
//! leave one takes three system calls, which cost as much as a small read itself.
//!
//! Nothing that is read is older than the last write that was answered: commits are counted before
//! they are answered, and a connection that has stayed since an older count leaves first. What
//! never changes once it is there may be read of an older moment.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

/// How many commits there were, each counted once it may have taken effect and before anybody is
/// told.
#[derive(Debug, Default)]
pub(super) struct Commits(AtomicU64);

impl Commits {
    /// To be called after a commit, whatever came of it, and before anything else learns of it:
    /// answers, and what is in memory beside the store, such as eras, which may not be newer than
    /// what is read.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn so_far(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The connections. A read takes microseconds, so few serve many.
#[derive(Debug)]
pub(super) struct Readers {
    connections: Vec<Mutex<Reading>>,
    commits: Arc<Commits>,
    /// How often all were told to leave.
    told: AtomicU64,
    may_stay: AtomicBool,
}

#[derive(Debug)]
struct Reading {
    db: Connection,
    /// When its transaction began, where it is in one.
    since: Moment,
}

/// What had happened by then.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Moment {
    /// How many commits there were.
    commits: u64,
    /// How often connections were told to leave: one that was busy just then leaves at its next
    /// use.
    told: u64,
}

impl Reading {
    fn leave(&self) -> rusqlite::Result<()> {
        if !self.db.is_autocommit() {
            self.db.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }
}

/// A connection for one short read.
pub(super) struct Reader<'a> {
    reading: MutexGuard<'a, Reading>,
    may_stay: &'a AtomicBool,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.reading.db
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if !self.may_stay.load(Ordering::SeqCst) {
            left(self.reading.leave());
        }
    }
}

/// Says where a connection could not leave.
fn left(outcome: rusqlite::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a read transaction could not be ended; the write-ahead log grows until it is");
    }
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>, commits: Arc<Commits>) -> Self {
        let connections = connections
            .into_iter()
            .map(|db| Mutex::new(Reading { db, since: Moment::default() }))
            .collect();
        Self { connections, commits, told: AtomicU64::new(0), may_stay: AtomicBool::new(true) }
    }

    /// A connection that reads everything that was answered by now.
    pub(super) fn reader(&self) -> rusqlite::Result<Reader<'_>> {
        self.enter(|since, now| since == now)
    }

    /// A connection for what never changes once it is there: it may read what was some commits ago,
    /// and not find what came since. So it keeps the pages that it has read, which SQLite forgets
    /// when a transaction begins after a commit.
    pub(super) fn reader_of_the_past(&self) -> rusqlite::Result<Reader<'_>> {
        self.enter(|since, now| since.told == now.told)
    }

    /// A connection that goes on in its transaction where `may_go_on` says so, of when that began
    /// and of now.
    fn enter(
        &self,
        may_go_on: impl FnOnce(Moment, Moment) -> bool,
    ) -> rusqlite::Result<Reader<'_>> {
        let mut reading = self.free();
        let now = Moment { commits: self.commits.so_far(), told: self.told.load(Ordering::SeqCst) };
        let may_stay = self.may_stay.load(Ordering::SeqCst);
        if !may_stay || !may_go_on(reading.since, now) {
            reading.leave()?;
        }
        if may_stay && reading.db.is_autocommit() {
            // Its moment is that of the first read, so it may hold a commit more than were counted.
            reading.db.prepare_cached("BEGIN")?.execute([])?;
            reading.since = now;
        }
        Ok(Reader { reading, may_stay: &self.may_stay })
    }

    fn free(&self) -> MutexGuard<'_, Reading> {
        for connection in &self.connections {
            if let Ok(reading) = connection.try_lock() {
                return reading;
            }
        }
        // All are busy for some microseconds. After a panic while one was held, its transaction is
        // as good as ever.
        self.connections[0].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connections that stay in a transaction leave it: a checkpoint goes no further than
    /// the oldest. Who reads at this moment goes on with that.
    pub(super) fn leave(&self) {
        self.told.fetch_add(1, Ordering::SeqCst);
        for connection in &self.connections {
            left(connection.try_lock().map_or(Ok(()), |reading| reading.leave()));
        }
    }

    /// Does `work` while each read is a transaction of its own, so that who waits for reads to end
    /// waits for those under way alone.
    pub(super) fn while_none_stays<T>(&self, work: impl FnOnce() -> T) -> T {
        self.may_stay.store(false, Ordering::SeqCst);
        self.leave();
        let done = work();
        self.may_stay.store(true, Ordering::SeqCst);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::super::connect;
    use super::*;

    /// A file with a number in it, the connection that writes it, and readers.
    fn file() -> (tempfile::TempDir, Connection, Readers) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n (n); INSERT INTO n VALUES (0)").unwrap();
        let readers = Readers::new(vec![connect(&path).unwrap()], Arc::default());
        (directory, db, readers)
    }

    fn number(readers: &Readers) -> i64 {
        readers.reader().unwrap().query_row("SELECT n FROM n", [], |row| row.get(0)).unwrap()
    }

    fn set(db: &Connection, n: i64) {
        db.execute("UPDATE n SET n = ?1", [n]).unwrap();
    }

    fn is_in_the_way_of_a_restart(db: &Connection) -> bool {
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn it_stays_until_a_commit_was_counted() {
        let (_directory, db, readers) = file();
        assert_eq!(number(&readers), 0);
        set(&db, 1);
        assert_eq!(number(&readers), 0, "nobody was told of it yet");
        readers.commits.count();
        assert_eq!(number(&readers), 1);
    }

    #[test]
    fn who_reads_of_the_past_stays_until_a_checkpoint() {
        let (_directory, db, readers) = file();
        let past = || {
            readers
                .reader_of_the_past()
                .unwrap()
                .query_row("SELECT n FROM n", [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(past(), 0);
        set(&db, 1);
        readers.commits.count();
        assert_eq!(past(), 0);
        let busy = readers.reader_of_the_past().unwrap();
        readers.leave();
        drop(busy);
        assert_eq!(past(), 1, "it was told while it was busy");
        set(&db, 2);
        readers.commits.count();
        assert_eq!(number(&readers), 2, "others read what was answered");
    }

    #[test]
    fn a_checkpoint_goes_past_where_it_stayed() {
        let (_directory, db, readers) = file();
        let checkpoint = || {
            db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
                .unwrap()
        };
        assert_eq!(number(&readers), 0);
        set(&db, 1);
        let (logged, copied): (i64, i64) = checkpoint();
        assert!(copied < logged);
        readers.leave();
        let (logged, copied) = checkpoint();
        assert_eq!(copied, logged);
        readers.commits.count();
        assert_eq!(number(&readers), 1);
    }

    #[test]
    fn none_stays_while_the_log_is_begun_anew() {
        let (_directory, db, readers) = file();
        let restart = || is_in_the_way_of_a_restart(&db);
        assert_eq!(number(&readers), 0);
        assert!(restart(), "a reader that stays is in the way");
        readers.while_none_stays(|| {
            assert_eq!(number(&readers), 0);
            set(&db, 1);
            assert_eq!(number(&readers), 1);
            assert!(!restart());
        });
        assert_eq!(number(&readers), 1);
        set(&db, 2);
        assert_eq!(number(&readers), 1, "it stays again");
    }

    #[test]
    fn a_read_under_way_does_not_stay_then() {
        let (_directory, db, readers) = file();
        let under_way = readers.reader().unwrap();
        under_way.query_row("SELECT n FROM n", [], |_| Ok(())).unwrap();
        set(&db, 1);
        readers.while_none_stays(|| {
            assert!(is_in_the_way_of_a_restart(&db));
            drop(under_way);
            assert!(!is_in_the_way_of_a_restart(&db));
        });
    }
}
