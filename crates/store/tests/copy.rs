//! A whole store is copied to the other engine and back; what is refused, and what a copy that was
//! cut short leaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use counterfoil_core::client::{ClientSettings, SecretDigest};
use counterfoil_core::clock::{DAY, HOUR};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::login::LetterCase;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::secret::Secret;
use counterfoil_store::{
    Account, CopyError, Customer, Endings, NewCustomer, OpenError, OpenOptions, Session, SignIn,
    Store, StoreAddress, StoreCopy, StoreError, StoreKind,
};
use counterfoil_testing::{fresh_database, psql};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::setting::{NOW, customer, grant, keyed, new_grant, presented, redeem, refused, torn};

const ISSUER: &str = "https://a.example";

fn address(text: &str) -> StoreAddress {
    StoreAddress::parse(text).unwrap()
}

fn file(dir: &TempDir, name: &str) -> StoreAddress {
    StoreAddress::Sqlite(dir.path().join(name))
}

fn options(address: &StoreAddress) -> OpenOptions {
    let (issuer, holder) = (ISSUER.into(), "the test".into());
    OpenOptions {
        address: address.clone(),
        kind: StoreKind::Live,
        issuer,
        endings_log: None,
        holder,
    }
}

async fn open(address: &StoreAddress) -> Store {
    Store::open(options(address)).await.unwrap()
}

async fn refusal(address: &StoreAddress) -> OpenError {
    Store::open(options(address)).await.unwrap_err()
}

/// The same, once what was under way has ended.
async fn freed(address: &StoreAddress) -> OpenError {
    loop {
        match refusal(address).await {
            OpenError::InUse { .. } => tokio::task::yield_now().await,
            refusal => return refusal,
        }
    }
}

/// Copies a store; keys travel as `document`.
async fn copy(
    from: &StoreAddress,
    to: &StoreAddress,
    document: &[u8],
) -> Result<BTreeMap<&'static str, u64>, CopyError> {
    let copy = StoreCopy::begin(from, to, ISSUER).await?;
    let counts = copy.run(&mut |_| (), async |copy| carry(copy, document).await).await?;
    Ok(counts.into_iter().collect())
}

async fn carry(copy: &StoreCopy, document: &[u8]) -> Result<(), String> {
    if copy.is_into_database() {
        return copy.put_keys(document).await.map_err(|e| e.to_string());
    }
    assert_eq!(copy.keys().await.unwrap().unwrap().document, document);
    Ok(())
}

/// Puts rows into every table.
async fn fill(store: &Store) {
    for name in ["app", "gone", "later"] {
        store
            .add_client(
                name.into(),
                ClientSettings::new("Äpp ✓"),
                Some(SecretDigest([name.len() as u8; 32])),
                NOW,
            )
            .await
            .unwrap();
    }
    for name in ["ada", "Zoë", "abe", "gone"] {
        let id =
            counterfoil_core::grant::CustomerId { provider: "bank".into(), customer: name.into() };
        let accounts =
            vec![Account { id: "a1".into(), entity: r#"{"depositAccount": {}}"#.into() }];
        let password = (name != "abe").then(|| Secret::new("$argon2id$"));
        let customer =
            Customer { id, name: format!("{name} 'x' \\N\t"), password, created_at: NOW };
        store.add_customer(NewCustomer { customer, accounts }, LetterCase::Matters).await.unwrap();
    }
    store.remove_client("gone".into(), NOW).await.unwrap();
    store
        .remove_customer(
            counterfoil_core::grant::CustomerId { customer: "gone".into(), ..customer() },
            NOW,
        )
        .await
        .unwrap();
    while store.work_off_removals(NOW).await.unwrap() {}
    for n in 0..50 {
        grant(store, n).await;
    }
    let mut full = new_grant(50);
    full.terms.lookback_days = Some(30);
    full.code.challenge = Some(Challenge::from_bytes([3; 32]));
    full.code.nonce = Some("n".into());
    store.create_grant(full).await.unwrap();
    let (code, _) = grant(store, 60).await;
    let successor = torn(redeem(store, presented(code, NOW, 1)).await);
    refused(redeem(store, presented(code, NOW.plus(DAY), 2)).await);
    torn(redeem(store, keyed(successor, NOW)).await);
    for ended in [code.grant, new_grant(7).terms.grant] {
        store.end_grant(ended, EndedBy::Customer, NOW).await.unwrap();
    }
    let session = Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: NOW,
        expires_at: NOW.plus(HOUR),
        customer_era: 0,
    };
    // Signs everybody out, so it comes first.
    store.declare_loss(&Endings::default(), true, NOW).await.unwrap();
    for id in [[0; 32], [0xff; 32]] {
        store.create_session(id, session.clone(), None, session.expires_at).await.unwrap();
    }
    assert!(matches!(store.begin_sign_in([9; 32], NOW).await.unwrap(), SignIn::Try { .. }));
    store.remove_client("later".into(), NOW).await.unwrap();
}

/// Everything in a SQLite store but what it says of this copy, table by table.
fn contents(address: &StoreAddress) -> BTreeMap<String, Vec<String>> {
    let StoreAddress::Sqlite(path) = address else { panic!("{address} is no file") };
    let db = Connection::open(path).unwrap();
    let rows = |select: &str| {
        let mut select = db.prepare(select).unwrap();
        let columns = select.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>()
        };
        let mut rows: Vec<_> =
            select.query_map([], row).unwrap().map(|row| format!("{:?}", row.unwrap())).collect();
        rows.sort_unstable();
        rows
    };
    let mut names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'refinery_schema_history'").unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let content = |name: String| {
        let which = if name == "meta" { "WHERE key NOT IN ('moved_to', 'probe')" } else { "" };
        let rows = rows(&format!("SELECT * FROM \"{name}\" {which}"));
        (name, rows)
    };
    names.into_iter().map(content).collect()
}

fn change(address: &StoreAddress, sql: &str) {
    let StoreAddress::Sqlite(path) = address else { panic!("{address} is no file") };
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_the_same_after_it_went_to_a_database_and_came_back() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second, third) =
        (file(&dir, "first.db"), address(&fresh_database()), file(&dir, "third.db"));
    let store = open(&first).await;
    fill(&store).await;
    drop(store);
    // The numbers of rows that are gone are not given again. What no verb writes is copied too.
    change(
        &first,
        "UPDATE sqlite_sequence SET seq = 1000 WHERE name IN ('removal', 'ending'); INSERT INTO endings_log VALUES ('0a', 7, 6, 'one', '/endings.log'); \
         INSERT INTO event VALUES (7, 1, 'CONSENT_REVOKED', 1, 'INDIVIDUAL'); INSERT INTO delivery VALUES (8, 1, 'CONSENT_REVOKED', 1, 'INDIVIDUAL'); \
         INSERT INTO \"authorization\" VALUES (x'01', x'02', 'request', '{}', 9); UPDATE terms SET open = '{\"kind\":\"later\"}' WHERE nonce IS NULL",
    );
    let before = contents(&first);
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "{table} is empty, so nothing shows that it is copied");
    }

    let counts = copy(&first, &second, b"sealed").await.unwrap();
    for (table, rows) in before.iter().filter(|(table, _)| !table.starts_with("sqlite_")) {
        assert_eq!(counts[table.as_str()], rows.len() as u64, "{table}");
    }
    assert!(
        matches!(refusal(&first).await, OpenError::Moved { to, .. } if to == second.to_string())
    );
    let done = copy(&first, &second, b"").await.unwrap_err();
    assert!(matches!(&done, CopyError::Done { .. }), "{done}");

    let back = copy(&second, &third, b"sealed").await.unwrap();
    assert_eq!(back, counts);
    assert!(matches!(refusal(&second).await, OpenError::Moved { .. }));
    assert_eq!(contents(&third), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_copied_goes_on_as_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (file(&dir, "store.db"), address(&fresh_database()));
    let store = open(&from).await;
    let (code, _) = grant(&store, 1).await;
    let first = torn(redeem(&store, presented(code, NOW, 1)).await);
    let second = torn(redeem(&store, keyed(first, NOW)).await);
    let (ended, terms) = grant(&store, 2).await;
    store.end_grant(ended.grant, EndedBy::Client, NOW).await.unwrap();
    fill(&store).await;
    drop(store);
    copy(&from, &to, b"sealed").await.unwrap();

    let store = open(&to).await;
    assert_eq!(torn(redeem(&store, keyed(first, NOW)).await), second, "a repeat is known");
    refused(redeem(&store, presented(first, NOW, 7)).await);
    torn(redeem(&store, presented(second, NOW, 8)).await);
    assert_eq!(store.living(&terms).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap().unwrap().version, 1);
    // Numbers are given after those that were copied.
    let audit = store.audit(ended.grant).await.unwrap();
    assert!(!audit.is_empty());
    store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap();
    store
        .add_client("new".into(), ClientSettings::new("New"), Some(SecretDigest([77; 32])), NOW)
        .await
        .unwrap();
    store.remove_client("new".into(), NOW).await.unwrap();
    assert!(store.changes().await.unwrap().number > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_in_use_is_refused_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (from, used) = (file(&dir, "store.db"), address(&fresh_database()));
    drop(open(&from).await);
    open(&used)
        .await
        .add_client("app".into(), ClientSettings::new("App"), None, NOW)
        .await
        .unwrap();
    assert!(matches!(copy(&from, &used, b"").await.unwrap_err(), CopyError::NotNew(_)));
    assert_eq!(open(&used).await.clients().await.unwrap().len(), 1);
    assert!(matches!(copy(&used, &from, b"").await.unwrap_err(), CopyError::NotNew(_)));
    open(&from).await.probe().await.unwrap();

    assert!(matches!(copy(&from, &file(&dir, "x"), b"").await.unwrap_err(), CopyError::Files));
    assert!(matches!(
        copy(&used, &address(&fresh_database()), b"").await.unwrap_err(),
        CopyError::Databases
    ));
    assert!(!dir.path().join("x").exists());
    let nowhere =
        copy(&file(&dir, "nowhere.db"), &address(&fresh_database()), b"").await.unwrap_err();
    assert!(matches!(&nowhere, CopyError::Store(OpenError::NoStore(_))), "{nowhere}");
    assert!(!dir.path().join("nowhere.db").exists());
    let nothing = copy(&address(&fresh_database()), &file(&dir, "x"), b"").await.unwrap_err();
    assert!(matches!(&nothing, CopyError::Store(OpenError::NoStore(_))), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_issuer_or_a_sandbox_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let from = file(&dir, "store.db");
    drop(
        Store::open(OpenOptions { issuer: "https://b.example".into(), ..options(&from) })
            .await
            .unwrap(),
    );
    let target = address(&fresh_database());
    let refused = copy(&from, &target, b"").await.unwrap_err();
    assert!(matches!(&refused, CopyError::Store(OpenError::OtherIssuer { .. })), "{refused}");
    let sandbox = address(&fresh_database());
    drop(Store::open(OpenOptions { kind: StoreKind::Sandbox, ..options(&sandbox) }).await.unwrap());
    let refused = copy(&sandbox, &file(&dir, "x"), b"").await.unwrap_err();
    assert!(matches!(&refused, CopyError::Store(OpenError::WrongKind { .. })), "{refused}");
    // Nothing was written to the target: it is as new as before.
    open(&target).await.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [
        (file(&dir, "store.db"), address(&fresh_database())),
        (address(&fresh_database()), file(&dir, "x")),
    ] {
        let store = open(&from).await;
        store.probe().await.unwrap();
        let refused = copy(&from, &to, b"").await.unwrap_err();
        assert!(
            matches!(
                &refused,
                CopyError::Served { .. } | CopyError::Store(OpenError::InUse { .. })
            ),
            "{refused}"
        );
        store.probe().await.unwrap();
        store.changes().await.unwrap();
    }
}

/// A node that was started meanwhile is found before the copy counts; one whose connections can't
/// be seen learns that its store has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_on_learns_that_its_store_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let url = fresh_database();
    let (from, to) = (address(&url), file(&dir, "store.db"));
    drop(open(&from).await);
    let copying = StoreCopy::begin(&from, &to, ISSUER).await.unwrap();
    let node = Arc::new(open(&from).await);
    let before = node.changes().await.unwrap().number;
    let during = copying.run(&mut |_| (), async |_| Ok(())).await.unwrap_err();
    assert!(matches!(&during, CopyError::Served { .. }), "{during}");
    // The copy came to nothing, so the node goes on, and has seen both.
    assert_eq!(node.changes().await.unwrap().number, before + 2);
    psql(&url, "INSERT INTO meta VALUES ('moved_to', 'sqlite:/elsewhere');");
    assert!(
        matches!(node.changes().await.unwrap_err(), StoreError::Moved(to) if to == "sqlite:/elsewhere")
    );
    psql(&url, "DELETE FROM meta WHERE key = 'moved_to';");
    drop(node);
    let (code, _) = grant(&open(&from).await, 1).await;
    open(&from).await.swap_keys(0, b"sealed".to_vec()).await.unwrap();
    let copying = StoreCopy::begin(&from, &to, ISSUER).await.unwrap();
    copying.run(&mut |_| (), async |_| Ok(())).await.unwrap();
    assert!(open(&to).await.counterfoil(code.grant).await.unwrap().is_some());
    assert!(matches!(refusal(&from).await, OpenError::Moved { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_cut_short_is_served_by_nobody_and_started_over() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second, third) =
        (file(&dir, "first.db"), address(&fresh_database()), file(&dir, "third.db"));
    let store = open(&first).await;
    fill(&store).await;
    drop(store);
    let before = contents(&first);
    for (from, to) in [(&first, &second), (&second, &third)] {
        // Cut short before anything was copied, and when all was, but for the keys.
        drop(StoreCopy::begin(from, to, ISSUER).await.unwrap());
        assert!(matches!(refusal(to).await, OpenError::Unfinished(_)));
        let copying = StoreCopy::begin(from, to, ISSUER).await.unwrap();
        let failed = copying.run(&mut |_| (), async |_| Err("lost".into())).await.unwrap_err();
        assert!(matches!(&failed, CopyError::Keys(why) if why == "lost"), "{failed}");
        assert!(matches!(refusal(to).await, OpenError::Unfinished(_)));
        assert!(matches!(
            Store::migrate(&options(to)).await.unwrap_err(),
            OpenError::Unfinished(_)
        ));
        // Cut short between, as when the process is killed.
        let copying = StoreCopy::begin(from, to, ISSUER).await.unwrap();
        let begun = Notify::new();
        let mut tell = |_| begun.notify_one();
        tokio::select! {
            biased;
            () = begun.notified() => {}
            _ = copying.run(&mut tell, async |_| panic!("it was cut short before the keys travelled")) => panic!("it was not cut short"),
        }
        assert!(matches!(freed(to).await, OpenError::Unfinished(_)));
        // An unfinished copy is no source, and the source is what it was.
        assert!(StoreCopy::begin(to, from, ISSUER).await.is_err());
        while matches!(Store::open(options(from)).await, Err(OpenError::InUse { .. })) {
            tokio::task::yield_now().await;
        }
        open(from).await.probe().await.unwrap();
        copy(from, to, b"sealed").await.unwrap();
    }
    assert_eq!(contents(&third), before);
}

/// Between the last two steps neither store is served; running the copy again is the way out.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_moved_to_an_unfinished_copy_is_copied_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let url = fresh_database();
    let (from, to) = (file(&dir, "store.db"), address(&url));
    grant(&open(&from).await, 1).await;
    copy(&from, &to, b"sealed").await.unwrap();
    assert!(matches!(copy(&from, &to, b"sealed").await.unwrap_err(), CopyError::Done { .. }));
    // As if it had been cut short before its last step.
    psql(&url, "INSERT INTO meta VALUES ('copying', 'x');");
    let StoreAddress::Sqlite(path) = &from else { panic!("{from}") };
    Connection::open(path)
        .unwrap()
        .execute_batch("DELETE FROM meta WHERE key = 'moved_for_good'")
        .unwrap();
    assert!(matches!(refusal(&from).await, OpenError::Moved { .. }));
    assert!(matches!(refusal(&to).await, OpenError::Unfinished(_)));
    let elsewhere = copy(&from, &address(&fresh_database()), b"").await.unwrap_err();
    assert!(matches!(&elsewhere, CopyError::Store(OpenError::Moved { .. })), "{elsewhere}");
    assert_eq!(copy(&from, &to, b"sealed").await.unwrap()["terms"], 1);
    open(&to).await.probe().await.unwrap();
}

/// Of two copies of one database that run at once one is served; the other takes back nothing that
/// is not its own.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_at_once_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let url = fresh_database();
    let (from, first, second) = (address(&url), file(&dir, "first.db"), file(&dir, "second.db"));
    grant(&open(&from).await, 1).await;
    let one = StoreCopy::begin(&from, &first, ISSUER).await.unwrap();
    let other = StoreCopy::begin(&from, &second, ISSUER).await.unwrap();
    one.run(&mut |_| (), async |_| Ok(())).await.unwrap();
    let refused = other.run(&mut |_| (), async |_| Ok(())).await.unwrap_err();
    assert!(matches!(&refused, CopyError::Store(OpenError::Moved { .. })), "{refused}");
    assert!(matches!(refusal(&from).await, OpenError::Moved { .. }));
    assert!(matches!(refusal(&second).await, OpenError::Unfinished(_)));
    open(&first).await.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_database_can_not_hold_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (n, (sql, words)) in [
        (
            "UPDATE terms SET name = 'a' || char(0) || 'b'",
            "terms in sqlite:{} can't be copied: its name holds a NUL",
        ),
        ("UPDATE counterfoil SET epoch = 4000000000", "its epoch is 4000000000, which is too much"),
        ("UPDATE audit SET event = x'00'", "event 00, hour 497222 of the table audit"),
        (
            "INSERT INTO era VALUES ('', 'bank', CAST(x'ff' AS TEXT), 1)",
            "its customer is not UTF-8",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (from, to) = (file(&dir, &format!("{n}.db")), address(&fresh_database()));
        let store = open(&from).await;
        let (code, _) = grant(&store, 3).await;
        store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap();
        drop(store);
        change(&from, sql);
        let refused = copy(&from, &to, b"").await.unwrap_err();
        assert!(matches!(refused, CopyError::Row { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(&words.replace("{}", &from.to_string())), "{said}");
        assert!(n == 3 || said.contains(&format!("grant_id {}", code.grant.number())), "{said}");
        assert!(matches!(refusal(&to).await, OpenError::Unfinished(_)));
        change(
            &from,
            "CREATE TEMP TABLE once (n CHECK (n = 0)); INSERT INTO once SELECT count(*) FROM meta WHERE key = 'moved_to'",
        );
    }
}

/// What is read again after the copy is compared value by value.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_differs_is_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    for (spoil, words) in [
        (
            "UPDATE counterfoil SET next_slip = next_slip + 1 WHERE grant_id = (SELECT max(grant_id) FROM counterfoil)",
            "counterfoil is something else",
        ),
        ("DELETE FROM ending", "ending are 1 rows, and in the copy 0"),
        ("UPDATE client SET settings = settings || ' '", "client is something else"),
        ("UPDATE terms SET nonce = ''", "terms is something else"),
    ] {
        let url = fresh_database();
        let (from, to) = (file(&dir, &format!("{}.db", spoil.len())), address(&url));
        let store = open(&from).await;
        store.add_client("app".into(), ClientSettings::new("App"), None, NOW).await.unwrap();
        let (code, _) = grant(&store, 3).await;
        store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap();
        drop(store);
        // A trigger spoils the copy once its last table is written.
        let copying = StoreCopy::begin(&from, &to, ISSUER).await.unwrap();
        let spoiling = format!(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {spoil}; RETURN NULL; END $$; \
             CREATE TRIGGER spoil AFTER INSERT ON sign_in_failure FOR EACH STATEMENT EXECUTE FUNCTION spoil();"
        );
        psql(&url, &spoiling);
        let refused = copying
            .run(&mut |_| (), async |_| panic!("keys travel only with a good copy"))
            .await
            .unwrap_err();
        assert!(matches!(&refused, CopyError::Differs { .. }), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        assert!(matches!(refusal(&to).await, OpenError::Unfinished(_)));
        open(&from).await.probe().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_brought_up_to_date_where_there_is_a_store_and_a_newer_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url = fresh_database();
    for store in [file(&dir, "store.db"), address(&url)] {
        assert!(matches!(
            Store::migrate(&options(&store)).await.unwrap_err(),
            OpenError::NoStore(_)
        ));
        drop(open(&store).await);
        assert_eq!(Store::migrate(&options(&store)).await.unwrap(), (3, 3));
        let other = OpenOptions { issuer: "https://b.example".into(), ..options(&store) };
        assert!(matches!(Store::migrate(&other).await.unwrap_err(), OpenError::OtherIssuer { .. }));
        let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (9, 'later', '', '');";
        match &store {
            StoreAddress::Sqlite(_) => change(&store, newer),
            StoreAddress::Postgres(_) => drop(psql(&url, newer)),
        }
        // It says that this version can read it, but what it holds beside is not known, and would
        // not be copied.
        assert_eq!(Store::migrate(&options(&store)).await.unwrap(), (9, 9));
        let begun = StoreCopy::begin(&store, &file(&dir, "x"), ISSUER).await;
        assert!(matches!(
            begun.unwrap_err(),
            CopyError::Store(OpenError::Newer { .. }) | CopyError::Files
        ));
        let newer = "UPDATE meta SET value = '4' WHERE key = 'oldest_reader';";
        match &store {
            StoreAddress::Sqlite(_) => change(&store, newer),
            StoreAddress::Postgres(_) => drop(psql(&url, newer)),
        }
        assert!(matches!(
            Store::migrate(&options(&store)).await.unwrap_err(),
            OpenError::Newer { found: 9, .. }
        ));
        assert!(StoreCopy::begin(&store, &file(&dir, "x"), ISSUER).await.is_err());
    }
    let store = file(&dir, "served.db");
    let _served = open(&store).await;
    assert!(matches!(Store::migrate(&options(&store)).await.unwrap_err(), OpenError::InUse { .. }));
    // Beside nodes that run.
    let shared = address(&fresh_database());
    let node = open(&shared).await;
    assert_eq!(Store::migrate(&options(&shared)).await.unwrap(), (3, 3));
    node.probe().await.unwrap();
    assert!(!Path::new("x").exists());
}
