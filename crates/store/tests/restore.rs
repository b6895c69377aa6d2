//! Backups put in the place of the store they were made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::slip::Slip;
use counterfoil_store::{
    Endings, OpenError, OpenOptions, RestoreError, Restored, Store, StoreAddress, StoreKind,
    Tearing,
};
use tempfile::TempDir;

use crate::setting::{NOW, grant, new_grant, options, presented, redeem, refused, torn};

const LATER: Timestamp = NOW.plus(1000);

/// A store, closed, and a backup of it from before slip 1 of its first grant was torn and its
/// second was ended.
struct Restoring {
    dir: TempDir,
    /// The first grant's next slip.
    slip: Slip,
    revoked: GrantId,
}

impl Restoring {
    async fn new() -> Self {
        let (store, dir) = crate::setting::store().await;
        let (code, _) = grant(&store, 1).await;
        let (_, revoked) = grant(&store, 2).await;
        let first = torn(redeem(&store, presented(code, NOW, 1)).await);
        store.backup(&dir.path().join("backup.db")).await.unwrap();
        let second = torn(redeem(&store, presented(first, NOW, 2)).await);
        let slip = torn(redeem(&store, presented(second, NOW, 3)).await);
        store.end_grant(revoked.grant, EndedBy::Customer, NOW).await.unwrap();
        drop(store);
        Self { dir, slip, revoked: revoked.grant }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn endings(&self) -> Endings {
        Endings::read(&[self.path("endings.log")]).unwrap()
    }

    fn restore(&self) -> Result<Restored, RestoreError> {
        Store::restore(&options(&self.dir), &self.path("backup.db"), &self.endings(), false, LATER)
    }

    async fn open(&self) -> Store {
        Store::open(options(&self.dir)).await.unwrap()
    }

    /// Holds the store against what the restored one must be.
    async fn is_restored(&self) {
        let store = self.open().await;
        assert!(store.counterfoil(self.revoked).await.unwrap().unwrap().ended);
        assert_eq!(store.counterfoil(self.slip.grant).await.unwrap().unwrap().next_slip, 1);
        let after = redeem(&store, presented(self.slip, LATER, 4)).await;
        assert!(
            matches!(&after, counterfoil_store::Redeemed::Torn(torn) if torn.how() == Tearing::AfterLoss),
            "{after:?}"
        );
        refused(redeem(&store, presented(Slip { number: 1, ..self.slip }, LATER, 5)).await);
        refused(redeem(&store, presented(Slip { number: 2, ..self.slip }, LATER, 6)).await);
        torn(redeem(&store, presented(torn(after), LATER, 7)).await);
    }

    /// Every file, without the lock's.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries =
            std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: PathBuf| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        };
        entries.map(named).filter(|(name, _)| !name.ends_with(".lock")).collect()
    }
}

/// The state of a store elsewhere.
async fn opened_at(path: &Path) -> Store {
    let dir = tempfile::tempdir().unwrap();
    Store::open(OpenOptions {
        address: StoreAddress::Sqlite(path.to_owned()),
        endings_log: None,
        ..options(&dir)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn clients_go_on_and_what_was_revoked_stays_revoked() {
    let it = Restoring::new().await;
    let before = it.files();
    let restored = it.restore().unwrap();
    assert_eq!(
        (restored.loss.epoch, restored.loss.applied, restored.loss.known, restored.loss.unknown),
        (1, 1, 0, 0)
    );
    assert_eq!(restored.loss.bearers_from, None);
    let old = restored.old.unwrap();
    assert_eq!(old, it.path("store.db.before-restore-20260921T143000Z"));
    assert_eq!(&std::fs::read(&old).unwrap(), &before["store.db"]);
    assert_eq!(it.files().len(), before.len() + 1, "{:?}", it.files().keys());
    it.is_restored().await;
    assert_eq!(
        opened_at(&old).await.counterfoil(it.slip.grant).await.unwrap().unwrap().next_slip,
        3
    );
}

#[tokio::test]
async fn a_store_that_is_gone_is_restored_with_its_directory_empty() {
    let it = Restoring::new().await;
    std::fs::remove_file(it.path("store.db")).unwrap();
    assert_eq!(it.restore().unwrap().old, None);
    it.is_restored().await;
}

/// A second restore in the same second keeps what the first one kept, and starts from the backup
/// again.
#[tokio::test]
async fn it_can_be_done_again() {
    let it = Restoring::new().await;
    let first = it.restore().unwrap().old.unwrap();
    it.is_restored().await;
    let second = it.restore().unwrap().old.unwrap();
    assert!(first != second && first.exists() && second.exists());
    it.is_restored().await;
}

/// What was lost once is told by the journal that was begun after it, whatever is restored later.
#[tokio::test]
async fn endings_that_were_accepted_as_lost_stay_lost() {
    let it = Restoring::new().await;
    std::fs::remove_file(it.path("endings.log")).unwrap();
    let restore = |endings: &Endings, accept| {
        Store::restore(&options(&it.dir), &it.path("backup.db"), endings, accept, LATER)
    };
    assert_eq!(restore(&Endings::default(), true).unwrap().loss.bearers_from, Some(LATER));
    assert_eq!(it.open().await.bearers_from().await.unwrap(), Some(LATER));
    let again = restore(&it.endings(), false).unwrap();
    assert_eq!(again.loss.bearers_from, Some(LATER));
    assert_eq!(it.open().await.bearers_from().await.unwrap(), Some(LATER));
}

/// Each way in which a restore can be cut short, by the names that it leaves.
#[tokio::test]
async fn whenever_it_is_cut_short_there_is_the_old_store_or_the_restored_one() {
    let it = Restoring::new().await;
    it.restore().unwrap();
    let (restored, log) = (
        std::fs::read(it.path("store.db")).unwrap(),
        std::fs::read(it.path("endings.log")).unwrap(),
    );
    let at = "20260921T143000Z";
    let (ready, aside) =
        (format!("store.db.restored-{at}"), format!("store.db.before-restore-{at}"));

    for moved in 0..=3 {
        // A server that was killed: its last commits are in the log.
        let it = Restoring::new().await;
        let store = it.open().await;
        let (_, last) = grant(&store, 7).await;
        let running = ["", "-wal", "-shm"]
            .map(|suffix| (suffix, std::fs::read(it.path(&format!("store.db{suffix}"))).unwrap()));
        drop(store);
        for (n, (suffix, bytes)) in running.iter().enumerate() {
            let name = if n < moved { &aside } else { "store.db" };
            std::fs::remove_file(it.path(&format!("store.db{suffix}"))).ok();
            std::fs::write(it.path(&format!("{name}{suffix}")), bytes).unwrap();
        }
        std::fs::write(it.path(&ready), &restored).unwrap();
        std::fs::write(it.path("endings.log"), &log).unwrap();
        it.is_restored().await;
        assert!(!it.path(&ready).exists());
        let old = opened_at(&it.path(&aside)).await;
        assert!(old.counterfoil(last.grant).await.unwrap().is_some(), "the old store lost its log");
        assert_eq!(old.counterfoil(it.slip.grant).await.unwrap().unwrap().next_slip, 3);
    }

    // Not yet whole: the old one.
    let it = Restoring::new().await;
    std::fs::write(it.path("store.db.restoring"), &restored[..5000]).unwrap();
    std::fs::write(it.path("store.db.restoring-journal"), "half").unwrap();
    assert_eq!(it.open().await.counterfoil(it.slip.grant).await.unwrap().unwrap().next_slip, 3);
    it.restore().unwrap();
    assert!(!it.files().keys().any(|name| name.contains("restoring")));
    it.is_restored().await;

    // A restore that finds one cut short completes it first.
    let it = Restoring::new().await;
    std::fs::write(it.path(&ready), &restored).unwrap();
    it.restore().unwrap();
    assert_eq!(it.files().keys().filter(|name| name.contains("before-restore")).count(), 2);
    it.is_restored().await;
}

/// Whatever can't be restored leaves every file as it was.
#[tokio::test]
async fn what_can_not_be_restored_is_refused_before_anything_is_touched() {
    let it = Restoring::new().await;
    let backup = std::fs::read(it.path("backup.db")).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(it.path(name), bytes).unwrap();
        it.path(name)
    };
    let changed = |name: &str, sql: &str| {
        let path = file(name, &backup);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let mut torn = backup.clone();
    let middle = torn.len() / 2;
    torn[middle - 1024..middle + 1024].fill(0xaa);
    let try_with = |from: &Path, options: &OpenOptions, endings: &Endings| {
        Store::restore(options, from, endings, false, LATER)
    };
    for (from, words) in [
        (it.path("nowhere.db"), "No such file"),
        (file("text", b"hello, this is no database at all"), "not a database"),
        (file("empty.db", b""), "another program"),
        (changed("foreign.db", "PRAGMA application_id = 7"), "another program"),
        (changed("sandbox.db", "UPDATE meta SET value = 'sandbox' WHERE key = 'kind'"), "sandbox"),
        (
            changed(
                "issuer.db",
                "UPDATE meta SET value = 'https://b.example' WHERE key = 'issuer'",
            ),
            "belongs to the issuer https://b.example",
        ),
        (
            changed(
                "newer.db",
                "UPDATE refinery_schema_history SET version = 99 WHERE version = (SELECT max(version) FROM refinery_schema_history); UPDATE meta SET value = '99' WHERE key = 'oldest_reader'",
            ),
            "schema 99",
        ),
        (file("torn.db", &torn), "damaged"),
        (it.path("store.db"), "the store itself"),
    ] {
        let before = it.files();
        let error = try_with(&from, &options(&it.dir), &it.endings()).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(from.file_name().unwrap().to_str().unwrap()),
            "{error}"
        );
        assert!(it.files() == before, "{}", from.display());
    }

    // One that was made later than the clock says that it is: either is wrong.
    let ahead =
        changed("ahead.db", "INSERT OR REPLACE INTO meta VALUES ('newest_moment', '4000000000')");
    let before = it.files();
    assert!(matches!(
        try_with(&ahead, &options(&it.dir), &it.endings()),
        Err(RestoreError::Clock(_))
    ));
    assert!(it.files() == before);

    let nowhere = OpenOptions {
        address: StoreAddress::Sqlite(it.path("nowhere/store.db")),
        ..options(&it.dir)
    };
    assert!(matches!(
        try_with(&it.path("backup.db"), &nowhere, &it.endings()),
        Err(RestoreError::Store(OpenError::NoDirectory(_)))
    ));
    let sandbox = OpenOptions { kind: StoreKind::Sandbox, ..options(&it.dir) };
    assert!(matches!(
        try_with(&it.path("backup.db"), &sandbox, &it.endings()),
        Err(RestoreError::Store(OpenError::WrongKind { .. }))
    ));

    let before = it.files();
    let store = it.open().await;
    assert!(
        matches!(it.restore(), Err(RestoreError::Store(OpenError::InUse { holder, .. })) if holder.starts_with("the test"))
    );
    drop(store);
    assert!(it.files() == before);

    // A journal that can't be written: the endings of others would be known to nobody else.
    let unwritable =
        OpenOptions { endings_log: Some(it.path("nowhere/endings.log")), ..options(&it.dir) };
    let error =
        try_with(&it.path("backup.db"), &unwritable, &it.endings()).unwrap_err().to_string();
    assert!(
        error.contains("nowhere/endings.log") && error.contains("the store is as it was"),
        "{error}"
    );
    assert!(it.files() == before);
}

/// Journals that begin after the backup was made, or are another store's, are none.
#[tokio::test]
async fn journals_must_reach_back_to_the_backup() {
    let it = Restoring::new().await;
    let store = it.open().await;
    store.backup(&it.path("later.db")).await.unwrap();
    drop(store);
    let of = |n: u32| {
        format!(
            "{{\"at\":{},\"grant\":\"{}\",\"by\":\"client\"}}\n",
            NOW.unix(),
            Terms { ..new_grant(n).terms }.grant
        )
    };
    std::fs::write(it.path("others.log"), of(50) + &of(51)).unwrap();
    let endings = |names: &[&str]| {
        Endings::read(&names.iter().map(|name| it.path(name)).collect::<Vec<_>>()).unwrap()
    };
    let restore = |endings: &Endings, accept| {
        Store::restore(&options(&it.dir), &it.path("later.db"), endings, accept, LATER)
    };
    assert!(matches!(
        restore(&endings(&["others.log"]), false),
        Err(RestoreError::OtherEndings(1))
    ));
    assert!(matches!(restore(&endings(&[]), false), Err(RestoreError::OtherEndings(1))));
    assert_eq!(restore(&endings(&["others.log", "endings.log"]), false).unwrap().loss.unknown, 2);
    assert_eq!(restore(&endings(&["others.log"]), true).unwrap().loss.bearers_from, Some(LATER));
}
