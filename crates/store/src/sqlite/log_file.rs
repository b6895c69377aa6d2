//! The file of the write-ahead log. Where it grows with each commit, the fsync of each has to write
//! its new length too, which is a second write to the disk; so it is lengthened ahead of what
//! SQLite writes into it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::file::{LOG_BOUND, PAGE_SIZE};
use crate::files::beside;

/// Bytes that the file is lengthened by, once fewer than that are left: for seconds of refreshes
/// that come one by one.
const AHEAD: u64 = 4 << 20;
/// The length that it gets in this way. Longer ones SQLite makes.
const ENOUGH: u64 = LOG_BOUND;
/// Bytes that a page takes in the log beside itself (the file format of SQLite, section 4.1).
const FRAME_HEADER: u64 = 24;

/// The file. SQLite takes what is behind the log's last page for the end of it, as it does with
/// what is left of an earlier log.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    /// Whether it is to be lengthened.
    short: AtomicBool,
}

impl LogFile {
    /// That of the store which `db` is connected to.
    ///
    /// # Errors
    /// It is not there, or may not be written.
    pub fn of(db: &Connection) -> io::Result<Self> {
        // As SQLite names it: behind a symbolic link.
        let store = db.path().ok_or(io::ErrorKind::NotFound)?;
        let file = File::options().write(true).open(beside(Path::new(store), "-wal"))?;
        Ok(Self { file, short: AtomicBool::new(false) })
    }

    /// Looks whether there is room enough behind a log with pages of so many `bytes`.
    pub fn look(&self, bytes: u64) {
        let used = bytes + bytes / u64::from(PAGE_SIZE) * FRAME_HEADER;
        let short =
            self.file.metadata().is_ok_and(|file| file.len() < ENOUGH && file.len() < used + AHEAD);
        self.short.store(short, Ordering::Release);
    }

    /// Lengthens it, where the last look found it short. To be called within a write transaction
    /// that has written nothing yet: only so nobody else adds to the file meanwhile, of this
    /// process or another.
    pub fn lengthen_where_short(&self) {
        if self.short.swap(false, Ordering::AcqRel)
            && let Err(error) = self.lengthen()
        {
            tracing::debug!(%error, "the file of the write-ahead log could not be lengthened ahead; commits do that, one by one");
        }
    }

    fn lengthen(&self) -> io::Result<()> {
        /// As much as a page of the system's: what is written at once is kept in memory in one
        /// piece, and each later write into that takes as long as the piece is large.
        const PIECE: [u8; 4096] = [0; 4096];
        let end = self.file.metadata()?.len();
        let lengthened = (end..end + AHEAD)
            .step_by(PIECE.len())
            .try_for_each(|at| self.file.write_all_at(&PIECE, at));
        // Where there is no room for all of it, it takes none: the last of it is others' too.
        lengthened.or_else(|error| self.file.set_len(end).and(Err(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store, and its directory.
    fn store() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let db = Connection::open(directory.path().join("store.db")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n (n)",
        )
        .unwrap();
        (directory, db)
    }

    #[test]
    fn the_log_is_whole_where_its_file_is_longer() {
        let (directory, db) = store();
        let log = LogFile::of(&db).unwrap();
        let length = || std::fs::metadata(directory.path().join("store.db-wal")).unwrap().len();
        let used = length();
        for n in 0..3 {
            log.look(used + n * AHEAD);
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            log.lengthen_where_short();
            db.execute("INSERT INTO n VALUES (?1)", [n.cast_signed()]).unwrap();
            db.execute_batch("COMMIT").unwrap();
        }
        assert_eq!(length(), used + 3 * AHEAD);
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        log.look(used);
        log.lengthen_where_short();
        assert_eq!(length(), used + 3 * AHEAD, "there is room");
        for _ in 0..40 {
            log.look(length());
            log.lengthen_where_short();
        }
        db.execute_batch("COMMIT").unwrap();
        assert!((ENOUGH..ENOUGH + AHEAD).contains(&length()));

        // As after a crash: another process finds the log and no index of it.
        let named = |name: &str, ending: &str| directory.path().join(format!("{name}.db{ending}"));
        for ending in ["", "-wal"] {
            std::fs::copy(named("store", ending), named("copy", ending)).unwrap();
        }
        let found: i64 = Connection::open(named("copy", ""))
            .unwrap()
            .query_row("SELECT count(*) FROM n", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, 3);
    }

    #[test]
    fn the_log_of_a_store_behind_a_link_is_beside_the_store() {
        let (directory, db) = store();
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(db.path().unwrap(), &link).unwrap();
        let linked = Connection::open(&link).unwrap();
        linked.query_row("SELECT count(*) FROM n", [], |_| Ok(())).unwrap();
        assert!(LogFile::of(&linked).is_ok());
    }
}
