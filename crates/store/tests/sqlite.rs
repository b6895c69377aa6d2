//! What only a SQLite store has: one process that owns the file, and files that are something else.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use counterfoil_store::{OpenError, Store, StoreAddress};
use tokio::runtime::Runtime;

use crate::setting::{options, path, store};

#[tokio::test]
async fn one_process_owns_the_file() {
    let (open, dir) = store().await;
    let error = Store::open(options(&dir)).await.unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse { holder, .. } if holder.contains("the test, process")),
        "{error}"
    );
    drop(open);
    Store::open(options(&dir)).await.unwrap();
}

#[tokio::test]
async fn foreign_and_damaged_files_are_told_apart_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = path(&dir);
    std::fs::write(&path, "not a database, but long enough to be looked at by whoever opens it as one, which takes 100 bytes or more")
        .unwrap();
    assert!(matches!(Store::open(options(&dir)).await.unwrap_err(), OpenError::Foreign { .. }));
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipes (x)").unwrap();
    assert!(matches!(Store::open(options(&dir)).await.unwrap_err(), OpenError::Foreign { .. }));
    std::fs::remove_file(&path).unwrap();
    drop(Store::open(options(&dir)).await.unwrap());
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE refinery_schema_history SET version = 99 WHERE version = (SELECT max(version) FROM refinery_schema_history); UPDATE meta SET value = '99' WHERE key = 'oldest_reader'",
        )
        .unwrap();
    assert!(matches!(
        Store::open(options(&dir)).await.unwrap_err(),
        OpenError::Newer { found: 99, .. }
    ));
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len().min(1024);
    bytes[200..page].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Store::open(options(&dir)).await.unwrap_err(), OpenError::Damaged { .. }));
    let nowhere = counterfoil_store::OpenOptions {
        address: StoreAddress::Sqlite(dir.path().join("missing/store.db")),
        ..options(&dir)
    };
    assert!(matches!(Store::open(nowhere).await.unwrap_err(), OpenError::NoDirectory(_)));
}

/// A child has what its parent has open until it executes its program, the lock file among it.
#[test]
fn processes_that_others_start_do_not_hold_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let opened =
            (0..100).try_for_each(|_| runtime.block_on(Store::open(options(&dir))).map(drop));
        done.store(true, Ordering::Relaxed);
        opened.unwrap();
    });
}
