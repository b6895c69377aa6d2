//! Connections for reading: each read is a transaction of its own, so it sees every write that was
//! answered before it began.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

/// The connections. A read takes microseconds, so few serve many.
#[derive(Debug)]
pub(super) struct Readers(Vec<Mutex<Connection>>);

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self(connections.into_iter().map(Mutex::new).collect())
    }

    /// A connection for one short read.
    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        for connection in &self.0 {
            if let Ok(reader) = connection.try_lock() {
                return reader;
            }
        }
        // All are busy for some microseconds. A panic while one was held leaves it as good as ever.
        self.0[0].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::connect;
    use super::*;

    #[test]
    fn a_read_sees_what_was_committed_and_is_in_nobodys_way_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n (n); INSERT INTO n VALUES (0)").unwrap();
        let readers = Readers::new(vec![connect(&path).unwrap()]);
        for n in 1..4 {
            db.execute("UPDATE n SET n = ?1", [n]).unwrap();
            let read: i64 =
                readers.reader().query_row("SELECT n FROM n", [], |row| row.get(0)).unwrap();
            assert_eq!(read, n);
            let busy: bool =
                db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0)).unwrap();
            assert!(!busy);
        }
    }
}
