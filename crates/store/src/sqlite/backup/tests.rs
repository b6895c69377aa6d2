//! What can go wrong while the writer copies. It is held up until all that is to happen is queued.

use std::sync::mpsc::{Sender, channel};

use tempfile::TempDir;

use super::*;
use crate::agreement::OnDifference;
use crate::{OpenOptions, StoreAddress, StoreKind};

/// A store that takes many steps to copy.
async fn store() -> (Sqlite, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let options = OpenOptions {
        address: StoreAddress::Sqlite(path.clone()),
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: None,
        holder: "the test".into(),
    };
    let store = Sqlite::open(&path, &options, OnDifference::Refuse).unwrap();
    let blob = "x".repeat(2 << 20);
    store.writer.queue(move |batch| super::super::set_meta(batch.db, "blob", &blob)).await.unwrap();
    (store, dir)
}

/// Keeps the writer busy until something is sent.
fn hold_up(store: &Sqlite) -> Sender<()> {
    let (go_on, told) = channel();
    // The writer runs it whether or not the answer is awaited.
    drop(store.writer.queue(move |_| {
        let _ = told.recv();
        Ok(())
    }));
    go_on
}

fn copying(to: PathBuf) -> (Partial, Copying, oneshot::Receiver<Result<Copied, BackupError>>) {
    let (partial, into, flusher) = Partial::make(to, None).unwrap();
    let (reply, copied) = oneshot::channel();
    (partial, Copying { into, flusher, reply }, copied)
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn a_write_that_fails_ends_the_copy_and_nothing_else() {
    let (store, _dir) = store().await;
    let there = tempfile::tempdir().unwrap();
    let (partial, copying, copied) = copying(there.path().join("backup.db"));
    let go_on = hold_up(&store);
    store.writer.copy(copying);
    let failing = store.writer.queue(|_| Err::<(), _>(rusqlite::Error::StatementChangedRows(0)));
    let after = store.probe();
    go_on.send(()).unwrap();
    let Err(BackupError::Interrupted(problem)) = copied.await.unwrap() else {
        panic!("it was copied")
    };
    assert!(problem.contains("Query changed 0 rows"), "{problem}");
    failing.await.unwrap_err();
    after.await.unwrap();
    drop(partial);
    assert_eq!(files(there.path()), 0);
    store.backup(&there.path().join("backup.db")).await.unwrap();
    assert_eq!(files(there.path()), 1);
}

#[tokio::test]
async fn a_place_that_is_gone_is_said_and_the_store_goes_on() {
    let (store, dir) = store().await;
    let there = dir.path().join("there");
    std::fs::create_dir(&there).unwrap();
    let go_on = hold_up(&store);
    let backup = async { store.backup(&there.join("backup.db")).await };
    let spoil = async {
        while !there.join("backup.db.partial").exists() {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(&there).unwrap();
        go_on.send(()).unwrap();
    };
    let (backup, ()) = tokio::join!(backup, spoil);
    backup.unwrap_err();
    store.probe().await.unwrap();
}

#[tokio::test]
async fn one_is_made_at_a_time_and_one_that_nobody_awaits_is_given_up() {
    let (store, dir) = store().await;
    let (_first, copying_first, first) = copying(dir.path().join("first.db"));
    let (_second, copying_second, second) = copying(dir.path().join("second.db"));
    let go_on = hold_up(&store);
    store.writer.copy(copying_first);
    store.writer.copy(copying_second);
    go_on.send(()).unwrap();
    first.await.unwrap().map(drop).unwrap();
    assert!(matches!(second.await.unwrap(), Err(BackupError::UnderWay)));

    let (_third, copying_third, third) = copying(dir.path().join("third.db"));
    drop(third);
    store.writer.copy(copying_third);
    store.probe().await.unwrap();
    store.backup(&dir.path().join("fourth.db")).await.unwrap();
}
