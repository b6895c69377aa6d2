//! Stores of version 1 go on: they are read and written as before, and those of their nodes that
//! still run read what is written.

mod version_1;

use counterfoil_core::clock::DAY;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::CodeBinding;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{Ending, Endings, GrantFilter, OpenError, Store, SweepTime};

use self::version_1::{Engine, Place, SETTINGS};
use crate::setting::{
    KEY, NOW, customer, grant, new_grant, presented, race, redeem, refused, torn,
};

fn id(grant: u32) -> i64 {
    new_grant(grant).terms.grant.number()
}

fn code(n: u32) -> Slip {
    let new = new_grant(n);
    Slip { key: KEY, grant: new.terms.grant, number: 0, issued_at: NOW, seal: new.seal }
}

fn bound(n: u32) -> CodeBinding {
    CodeBinding {
        redirect_uri: "https://app.example/cb".into(),
        challenge: Some(Challenge::from_bytes([9; 32])),
        nonce: Some(format!("nonce-{n}")),
    }
}

/// What stands in the terms and in the row of its own of what a code is bound to.
fn where_bound(place: &Place, n: u32) -> (String, String) {
    let id = id(n);
    let in_terms = place.says(&format!(
        "SELECT redirect_uri || coalesce(nonce, '') FROM terms WHERE grant_id = {id}"
    ));
    (in_terms, place.says(&format!("SELECT count(*) FROM code WHERE grant_id = {id}")))
}

async fn settings(store: &Store) -> counterfoil_core::client::ClientSettings {
    store.clients().await.unwrap().remove(0).settings
}

async fn goes_on(engine: Engine) {
    let place = Place::with_version_1(engine).await;
    // A crash had kept the ending out of the log.
    let store = place.open().await;
    let ended = code(11).grant;
    assert!(
        place.journal().contains(&format!(
            "\"grant\":\"{ended}\",\"by\":\"customer\",\"number\":1,\"store\":\""
        )),
        "{}",
        place.journal()
    );
    let whole = store.grant(ended).await.unwrap().unwrap();
    assert_eq!(
        (whole.ended.unwrap().by, whole.is_living(NOW), whole.terms.parent),
        (EndedBy::Customer, false, None)
    );

    let terms = store.terms(code(12).grant).await.unwrap().unwrap();
    assert!(store.living(&terms).await.unwrap().is_some());
    assert_eq!(store.code(terms.grant).await.unwrap(), Some(bound(12)));
    torn(redeem(&store, presented(code(12), NOW, 1)).await);
    refused(redeem(&store, presented(code(11), NOW, 1)).await);
    let accounts: Vec<_> =
        store.accounts(&customer()).await.unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(accounts, ["a1", "a2"]);
    assert_eq!(
        store.customer(&customer()).await.unwrap().unwrap().password.unwrap().expose(),
        "$argon2id$x"
    );
    while store.fill_logins().await.unwrap() {}
    assert_eq!(place.says("SELECT count(*) FROM customer WHERE login = customer"), "2");
    assert_eq!(settings(&store).await.duration_days, Some(90));

    // Level 1: what is written is what version 1 reads.
    grant(&store, 20).await;
    assert_eq!(where_bound(&place, 20), ("https://app.example/cb".into(), "0".into()));
    let mut renamed = settings(&store).await;
    renamed.set("name", "Renamed").unwrap();
    store.set_client("app".into(), renamed).await.unwrap();
    assert_eq!(
        place.says("SELECT settings FROM client"),
        SETTINGS.replace("\"App\"", "\"Renamed\"")
    );
    if engine == Engine::Postgres {
        by_version_1_beside(&place, &store).await;
    }

    // Level 2, once nobody of version 1 is left. A file must not be in use; a node on a database
    // learns of it.
    let store = if engine == Engine::Sqlite {
        assert!(matches!(
            Store::finish_migration(&place.options()).await.unwrap_err(),
            OpenError::InUse { .. }
        ));
        drop(store);
        assert_eq!(Store::finish_migration(&place.options()).await.unwrap(), (1, 2));
        place.open().await
    } else {
        assert_eq!(Store::finish_migration(&place.options()).await.unwrap(), (1, 2));
        store
    };
    assert_eq!(
        Store::finish_migration(&place.options()).await.map_err(|e| e.to_string()).ok(),
        (engine == Engine::Postgres).then_some((2, 2))
    );
    store.changes().await.unwrap();
    grant(&store, 21).await;
    assert_eq!(where_bound(&place, 21), (String::new(), "1".into()));
    assert_eq!(store.code(code(21).grant).await.unwrap(), Some(new_grant(21).code));
    assert_eq!(
        store.code(code(20).grant).await.unwrap(),
        Some(new_grant(20).code),
        "what was written before is read for good"
    );
    store.set_client("app".into(), settings(&store).await).await.unwrap();
    assert_eq!(
        place.says("SELECT settings FROM client"),
        r#"{"duration_days":90,"name":"Renamed","redirect_uris":["https://app.example/cb"]}"#
    );
    assert_eq!(place.says("SELECT count(*) FROM event"), "0");
    let index = |name| match engine {
        Engine::Sqlite => {
            place.says(&format!("SELECT count(*) FROM sqlite_master WHERE name = '{name}'"))
        }
        Engine::Postgres => {
            place.says(&format!("SELECT count(*) FROM pg_indexes WHERE indexname = '{name}'"))
        }
    };
    assert_eq!(
        (index("consent_by_customer"), index("terms_by_customer")),
        ("1".into(), "0".into())
    );
    assert_eq!(store.end_grant(code(13).grant, EndedBy::Client, NOW).await.unwrap(), Ending::Ended);
    store.note_time(NOW).await.unwrap();
    while store.sweep(SweepTime { now: NOW.plus(3 * DAY), ahead: 3 * DAY }).await.unwrap().more {}
    assert!(store.terms(code(12).grant).await.unwrap().is_some());
}

/// Statements of version 1's nodes, beside this one.
async fn by_version_1_beside(place: &Place, store: &Store) {
    let (theirs, no) = (id(30), "decode(repeat('07', 16), 'hex')");
    place.run(&format!(
        "INSERT INTO terms VALUES ({theirs}, 'app', 'bank', 'ada', 'Ada', 7, 4, '[]', NULL, 1790000000, 1821536000, 1790000000, \
            'https://app.example/cb', decode(repeat('09', 32), 'hex'), 'nonce-30', 0, 0); \
         INSERT INTO counterfoil VALUES ({theirs}, 0, 1790000300, 1790000000, 1, 0, false, {no}, NULL); \
         {}",
        version_1::ending(Engine::Postgres, 12)
    ));
    let terms = store.terms(code(30).grant).await.unwrap().unwrap();
    assert_eq!(store.code(terms.grant).await.unwrap(), Some(bound(30)));
    torn(redeem(store, presented(code(30), NOW, 1)).await);
    let whole = store.grant(code(12).grant).await.unwrap().unwrap();
    assert_eq!(whole.ended.unwrap().by, EndedBy::Customer);
    assert_eq!(place.says(&format!("SELECT number FROM ending WHERE grant_id = {}", id(12))), "2");
    // A node that starts finds it where the log lacks it.
    drop(place.open().await);
    assert!(
        place.journal().contains(&format!(
            "\"grant\":\"{}\",\"by\":\"customer\",\"number\":2",
            code(12).grant
        )),
        "{}",
        place.journal()
    );
    let list = GrantFilter { customer: Some(customer()), limit: 100, ..GrantFilter::default() };
    assert_eq!(store.grants(&list).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_version_1_goes_on() {
    goes_on(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_1_goes_on() {
    goes_on(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_is_raised_only_once_the_schema_is_up_to_date() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = Place::with_version_1(engine).await;
        let error = Store::finish_migration(&place.options()).await.unwrap_err();
        assert!(matches!(error, OpenError::Older { found: 1, known: 3, .. }), "{error}");
        assert_eq!(Store::migrate(&place.options()).await.unwrap(), (1, 3));
        assert_eq!(Store::finish_migration(&place.options()).await.unwrap(), (1, 2));
        assert_eq!(Store::finish_migration(&place.options()).await.unwrap(), (2, 2));
        let none = Place::empty(engine);
        assert!(matches!(
            Store::finish_migration(&none.options()).await.unwrap_err(),
            OpenError::NoStore(_)
        ));
    }
}

/// From version 2 on an upgrade can be taken back: a newer schema says who can read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_used_where_it_says_that_this_version_can_read_it() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = Place::empty(engine);
        let store = place.open().await;
        grant(&store, 1).await;
        drop(store);
        place.run(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (9, 'later', '', ''); \
             UPDATE meta SET value = '3' WHERE key = 'level'; ALTER TABLE terms ADD COLUMN later TEXT; CREATE TABLE later (id INTEGER);",
        );
        let store = place.open().await;
        torn(redeem(&store, presented(code(1), NOW, 1)).await);
        grant(&store, 2).await;
        assert_eq!(where_bound(&place, 2), (String::new(), "1".into()));
        drop(store);
        place.run("UPDATE meta SET value = '9' WHERE key = 'oldest_reader'");
        let error = Store::open(place.options()).await.unwrap_err();
        assert!(
            matches!(error, OpenError::Newer { found: 9, oldest_reader: 9, known: 3, .. }),
            "{error}"
        );
        // One that does not say is read by its own version alone.
        place.run("DELETE FROM meta WHERE key = 'oldest_reader'");
        assert!(matches!(Store::open(place.options()).await.unwrap_err(), OpenError::Newer { .. }));
    }
}

/// What a newer version has written is passed over, and nothing of it lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_wrote_is_passed_over_and_kept() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = Place::empty(engine);
        let store = place.open().await;
        let (dead, _) = grant(&store, 1).await;
        let (lives, _) = grant(&store, 2).await;
        store.end_grant(dead.grant, EndedBy::Client, NOW).await.unwrap();
        drop(store);
        place.run(&format!(
            "UPDATE terms SET scopes = scopes + 512, clusters = clusters + 65536, open = '{{\"kind\":\"later\"}}'; UPDATE ending SET ended_by = 'a_law'; \
             INSERT INTO client VALUES ('app', '{{\"name\":\"App\",\"profile\":\"fapi2\",\"dialect\":\"pirate\"}}', 1); \
             INSERT INTO customer (provider, customer, name, password, created_at) VALUES ('bank', '{}', 'Ada', NULL, 1)",
            customer().customer
        ));
        let store = place.open().await;
        let read = store.terms(lives.grant).await.unwrap().unwrap();
        assert_eq!(
            (read.scopes, read.clusters),
            (new_grant(2).terms.scopes, new_grant(2).terms.clusters)
        );
        assert_eq!(
            store.grant(dead.grant).await.unwrap().unwrap().ended.unwrap().by,
            EndedBy::Unknown
        );
        let mut changed = settings(&store).await;
        changed.set("name", "Renamed").unwrap();
        store.set_client("app".into(), changed).await.unwrap();
        assert_eq!(
            place.says("SELECT settings FROM client"),
            r#"{"dialect":"pirate","name":"Renamed","profile":"fapi2"}"#
        );
        assert!(store.customer(&customer()).await.unwrap().unwrap().password.is_none());
        store.set_password(customer(), Secret::new("x"), [0; 32]).await.unwrap();
        assert!(store.customer(&customer()).await.unwrap().unwrap().password.is_some());
    }
}

/// Nodes of the new version that start at once, and an index whose making was cut short.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_upgrade_a_database_at_once_make_its_indexes_once() {
    let place = Place::with_version_1(Engine::Postgres).await;
    let options = place.options();
    for node in race((0..4).map(|_| Store::open(options.clone())).collect()).await {
        drop(node.unwrap());
    }
    let whole = "SELECT count(*) FROM pg_index WHERE indexrelid IN ('consent_by_customer'::regclass, 'ending_by_number'::regclass) AND indisvalid";
    assert_eq!(place.says(whole), "2");
    assert_eq!(
        place.says("SELECT count(*) FROM pg_indexes WHERE indexname = 'terms_by_customer'"),
        "1",
        "nodes of version 1 list by it"
    );
    let made = "SELECT 'consent_by_customer'::regclass::oid";
    let first = place.says(made);
    drop(place.open().await);
    assert_eq!(place.says(made), first, "what is whole stays");
    place.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'consent_by_customer'::regclass",
    );
    for node in race((0..3).map(|_| Store::open(options.clone())).collect()).await {
        drop(node.unwrap());
    }
    assert_eq!(place.says(whole), "2");
    assert_ne!(place.says(made), first);
}

/// A backup that version 1 made becomes a store of this version.
#[tokio::test]
async fn a_backup_of_version_1_is_restored() {
    let place = Place::with_version_1(Engine::Sqlite).await;
    place.run("PRAGMA journal_mode = DELETE");
    let (backup, log) = (place.dir.path().join("store.db"), place.dir.path().join("endings.log"));
    let line =
        |n| format!("{{\"at\":1790000050,\"grant\":\"{}\",\"by\":\"customer\"}}\n", code(n).grant);
    let target = Place::empty(Engine::Sqlite);
    let options = target.options();
    let restore = || {
        Store::restore(
            &options,
            &backup,
            &Endings::read(std::slice::from_ref(&log)).unwrap(),
            false,
            NOW,
        )
    };
    // A log that does not reach back to it is refused, as that of any backup.
    std::fs::write(&log, line(12)).unwrap();
    assert!(restore().unwrap_err().to_string().contains("1 latest endings"));
    std::fs::write(&log, line(11) + &line(12)).unwrap();
    let restored = restore().unwrap();
    assert_eq!((restored.loss.applied, restored.loss.known), (1, 1));
    assert!(target.journal().contains(&code(12).grant.to_string()));
    let store = target.open().await;
    assert_eq!(
        store.grant(code(12).grant).await.unwrap().unwrap().ended.unwrap().by,
        EndedBy::Customer
    );
    assert_eq!(store.code(code(13).grant).await.unwrap(), Some(bound(13)));
    torn(redeem(&store, presented(code(13), NOW, 1)).await);
}
