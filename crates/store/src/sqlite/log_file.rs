//! The file of the write-ahead log. Where it grows with each commit, the fsync of each has to write its new length too, which is a second
//! write to the disk; so it is lengthened ahead of what SQLite writes into it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that the file is lengthened by, once fewer than that are left: for half a second of refreshes that come one by one.
const AHEAD: u64 = 4 << 20;
/// The length that it gets in this way. Longer ones SQLite makes.
const ENOUGH: u64 = super::checkpoint::LOG_BOUND;

/// The file. SQLite takes what is behind the log's last page for the end of it, as it does with what is left of an earlier log.
#[derive(Debug)]
pub struct LogFile(File);

impl LogFile {
    /// That of the SQLite store at `store`, which must be open.
    ///
    /// # Errors
    /// It is not there, or may not be written.
    pub fn open(store: &Path) -> io::Result<Self> {
        File::options().write(true).open(path(store)).map(Self)
    }

    /// Whether it is to be lengthened, with `used` bytes of it in the log.
    pub fn is_short(&self, used: u64) -> bool {
        self.0.metadata().is_ok_and(|file| file.len() < ENOUGH && file.len() < used + AHEAD)
    }

    /// Lengthens it. To be called by who writes the log, between two transactions: nobody else may add to the file meanwhile.
    ///
    /// # Errors
    /// It could not be lengthened, or not by all of it; the log is as good as before.
    pub fn lengthen(&self) -> io::Result<()> {
        /// As much as a page of the system's: what is written at once is kept in memory in one piece, and each later write into that takes as long
        /// as the piece is large.
        const PIECE: [u8; 4096] = [0; 4096];
        let end = self.0.metadata()?.len();
        (end..end + AHEAD).step_by(PIECE.len()).try_for_each(|at| self.0.write_all_at(&PIECE, at))
    }
}

fn path(store: &Path) -> PathBuf {
    let mut path = OsString::from(store);
    path.push("-wal");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn the_log_is_whole_where_its_file_is_longer() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store.db");
        let db = Connection::open(&store).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n (n)").unwrap();
        let log = LogFile::open(&store).unwrap();
        let length = || std::fs::metadata(path(&store)).unwrap().len();
        let used = length();
        assert!(log.is_short(used));
        for n in 0..3 {
            db.execute("INSERT INTO n VALUES (?1)", [n]).unwrap();
            log.lengthen().unwrap();
        }
        assert!(!log.is_short(used) && length() > used + 2 * AHEAD);

        // As after a crash: another process finds the log and no index of it.
        let copy = directory.path().join("copy.db");
        for ending in ["", "-wal"] {
            let named = |path: &Path| format!("{}{ending}", path.display());
            std::fs::copy(named(&store), named(&copy)).unwrap();
        }
        let found: i64 = Connection::open(&copy).unwrap().query_row("SELECT count(*) FROM n", [], |row| row.get(0)).unwrap();
        assert_eq!(found, 3);
    }
}
