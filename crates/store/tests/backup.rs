//! Backups of a store that is used meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use counterfoil_core::grant::Seal;
use counterfoil_core::slip::Slip;
use counterfoil_store::{BackupError, Redeemed, Store};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::setting::{KEY, NOW, new_grant, options, presented, redeem};

/// So many that the copy takes some twenty steps.
const GRANTS: u32 = 16_000;
/// Pairs of grants that are far apart in the file.
const PAIRS: u32 = 8;

async fn store_with_grants() -> (Arc<Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(&dir)).await.unwrap();
    for from in (0..GRANTS).step_by(1000) {
        let made: Vec<_> = (from..from + 1000).map(|n| store.create_grant(new_grant(n))).collect();
        for made in made {
            made.await.unwrap();
        }
    }
    (Arc::new(store), dir)
}

fn read_only(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn next_slip(db: &Connection, n: u32) -> u64 {
    let id = new_grant(n).terms.grant.number();
    let next: i64 = db
        .query_row("SELECT next_slip FROM counterfoil WHERE grant_id = ?1", [id], |row| row.get(0))
        .unwrap();
    next.try_into().unwrap()
}

async fn tear(store: &Store, n: u32, number: u64) {
    let slip = Slip {
        key: KEY,
        grant: new_grant(n).terms.grant,
        number,
        issued_at: NOW,
        seal: Seal::from_bytes([7; 16]),
    };
    let torn = redeem(store, presented(slip, NOW, number)).await;
    assert!(matches!(torn, Redeemed::Torn(_)), "{torn:?}");
}

/// Each pair's first grant is refreshed, then its second, and so on: in every state that was ever
/// committed the first is at most one ahead.
#[tokio::test]
async fn a_copy_made_under_load_is_one_committed_state() {
    let (store, dir) = store_with_grants().await;
    let stop = Arc::<AtomicBool>::default();
    let acknowledged: Arc<Vec<AtomicU64>> =
        Arc::new((0..PAIRS).map(|_| AtomicU64::new(0)).collect());
    let writer = |pair: u32| {
        let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                tear(&store, pair, number).await;
                tear(&store, GRANTS - 1 - pair, number).await;
                acknowledged[pair as usize].store(number + 1, Ordering::Relaxed);
            }
        })
    };
    let writers: Vec<_> = (0..PAIRS).map(writer).collect();
    while acknowledged.iter().any(|n| n.load(Ordering::Relaxed) < 3) {
        tokio::task::yield_now().await;
    }
    let seen = || acknowledged.iter().map(|n| n.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let before = seen();
    let to = dir.path().join("backup.db");
    let backup = store.backup(&to).await.unwrap();
    let after = seen();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        before.iter().zip(&after).all(|(before, after)| before < after),
        "nothing was written meanwhile: {before:?} {after:?}"
    );

    let copy = read_only(&to);
    for pair in 0..PAIRS {
        let (first, second) = (next_slip(&copy, pair), next_slip(&copy, GRANTS - 1 - pair));
        assert!(first == second || first == second + 1, "{first} {second}");
        let (before, after) = (before[pair as usize], after[pair as usize]);
        assert!((before..=after + 1).contains(&second), "{before} {second} {after}");
    }
    let grants: u32 = copy
        .query_row("SELECT count(*) FROM counterfoil JOIN terms USING (grant_id)", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(grants, GRANTS);
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert_eq!(backup.bytes, std::fs::metadata(&to).unwrap().len());
    assert!(backup.longest_stall <= backup.took);
}

/// It needs no file beside it, not even to be read, and is for its user alone.
#[tokio::test]
async fn a_copy_is_one_file() {
    let (store, dir) = crate::setting::store().await;
    crate::setting::grant(&store, 1).await;
    let there = tempfile::tempdir().unwrap();
    let to = there.path().join("backup.db");
    store.backup(&to).await.unwrap();
    let copy = read_only(&to);
    assert_eq!(next_slip(&copy, 1), 0);
    let mode: String = copy.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    let issuer: String = copy
        .query_row("SELECT value FROM meta WHERE key = 'issuer'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(issuer, "https://a.example");
    let files: Vec<_> =
        std::fs::read_dir(there.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["backup.db"]);
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    drop((store, dir));
}

#[tokio::test]
async fn no_file_is_written_over_and_none_is_left_where_it_fails() {
    let (store, dir) = crate::setting::store().await;
    let to = dir.path().join("backup.db");
    store.backup(&to).await.unwrap();
    let first = std::fs::read(&to).unwrap();
    crate::setting::grant(&store, 1).await;
    assert!(matches!(store.backup(&to).await, Err(BackupError::Exists(path)) if path == to));
    assert_eq!(std::fs::read(&to).unwrap(), first);

    let half = dir.path().join("other.db.partial");
    std::fs::write(&half, "half").unwrap();
    assert!(
        matches!(store.backup(&dir.path().join("other.db")).await, Err(BackupError::Partial(path)) if path == half)
    );
    assert_eq!(std::fs::read(&half).unwrap(), b"half");

    let nowhere = dir.path().join("nowhere/backup.db");
    let error = store.backup(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains(nowhere.to_str().unwrap()) && error.contains("No such file"), "{error}");
}
