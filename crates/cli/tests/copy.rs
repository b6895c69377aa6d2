//! `counterfoil copy` and `counterfoil migrate` as processes: a bank that outgrew its file goes on
//! with every token on PostgreSQL, and comes back.

use std::path::Path;

use counterfoil_testing::{fresh_database, psql};
use tokio::runtime::Handle;

use crate::setting::{Done, Live, Server, counterfoil, finish, wait_until};

const PASSWORD: &str = "recognisable-password";

/// Runs `counterfoil copy`.
fn copy(live: &Live, from: &str, to: &str, more: &[&str]) -> Done {
    finish(
        counterfoil(&["copy", "--from", from, "--to", to, "--config", &live.config()]).args(more),
        "",
    )
}

/// The same setting with the store elsewhere.
fn serve_at(live: &Live, store: &str) -> Server {
    let mut command = live.command();
    command.env("COUNTERFOIL_STORE", store);
    Server::spawn(command)
}

fn refused_at(live: &Live, store: &str, words: &[&str]) {
    finish(live.command().env("COUNTERFOIL_STORE", store), "").refused(1, words);
}

/// Where the configured store is.
fn file(live: &Live, name: &str) -> String {
    format!("sqlite:{}", live.path(name).display())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_with_their_tokens_on_postgres_and_back() {
    let live = Live::new();
    let server = live.serve();
    let secret = live.add_client("shop");
    let shop = ("shop", &*secret);
    for customer in ["alice", "bob"] {
        live.add_customer(customer, PASSWORD);
    }
    let (alice, bob) = (
        server.consent(shop, ("alice", PASSWORD)).await,
        server.consent(shop, ("bob", PASSWORD)).await,
    );
    assert_eq!(server.revoke(shop, &bob.refresh_token).await.status, 200);
    let used = alice.refresh_token.clone();
    let alice = server.refresh(shop, &used).await.tokens();
    let keys = server.get("/jwks").await.json();

    let (first, database, third) =
        (file(&live, "counterfoil.db"), fresh_database(), file(&live, "third.db"));
    copy(&live, &first, &database, &[])
        .refused(1, &["in use by counterfoil serve", "Stop it first"]);
    server.stop();
    let copied = copy(&live, &first, &database, &["--json"]);
    assert!(
        copied.stderr.contains("set `store`") && copied.stderr.contains("store.key"),
        "{}",
        copied.stderr
    );
    let counts = copied.json();
    assert_eq!(
        (counts["tables"]["terms"].clone(), counts["tables"]["customer"].clone()),
        (2.into(), 2.into())
    );
    finish(&mut live.command(), "")
        .refused(1, &["was moved to postgres://127.0.0.1", "set `store` to it", "to a new place"]);
    copy(&live, &first, &database, &[])
        .refused(1, &["was copied to", "before, and that copy is whole"]);

    let server = serve_at(&live, &database);
    assert_eq!(server.get("/jwks").await.json(), keys);
    assert_eq!(server.accounts(&alice.id_token).await.status, 200);
    assert_eq!(server.accounts(&alice.access_token).await.status, 200);
    assert_eq!(server.accounts(&bob.id_token).await.status, 401);
    assert_eq!(server.refresh(shop, &bob.refresh_token).await.status, 400);
    assert_eq!(server.refresh(shop, &used).await.status, 400);
    let renewed = server.refresh(shop, &alice.refresh_token).await.tokens();
    assert_eq!(server.accounts(&renewed.id_token).await.status, 200);
    let carol = server.consent(shop, ("bob", PASSWORD)).await;

    copy(&live, &database, &third, &[])
        .refused(1, &["in use by running servers", "stop every one"]);
    assert_eq!(server.get("/health/ready").await.status, 200);
    server.stop();
    // Another store's keys would be lost.
    let old_keys = std::fs::read(live.path("keys/keys.json")).unwrap();
    finish(
        counterfoil(&["keys", "rotate", "--config", &live.config()])
            .env("COUNTERFOIL_STORE", &database),
        "",
    )
    .says(&["slip-2"]);
    copy(&live, &database, &third, &[])
        .refused(1, &["keys.json", "holds other keys", "move it away"]);
    assert_eq!(std::fs::read(live.path("keys/keys.json")).unwrap(), old_keys);
    refused_at(&live, &third, &["unfinished copy", "counterfoil copy"]);
    std::fs::rename(live.path("keys/keys.json"), live.path("old-keys.json")).unwrap();
    copy(&live, &database, &third, &[]).says(&["terms", "3", "copied and compared"]);
    refused_at(&live, &database, &["was moved to sqlite:"]);

    let server = serve_at(&live, &third);
    for (tokens, good) in [(&renewed, 200), (&alice, 400), (&carol, 200), (&bob, 400)] {
        assert_eq!(server.refresh(shop, &tokens.refresh_token).await.status, good);
    }
    assert_eq!(server.accounts(&renewed.id_token).await.status, 200);
}

#[test]
fn no_store_is_left_behind_without_its_keys() {
    let live = Live::new();
    live.add_client("shop");
    let (store, database) = (file(&live, "counterfoil.db"), fresh_database());
    std::fs::rename(live.path("keys/keys.json"), live.path("keys.json")).unwrap();
    copy(&live, &store, &database, &[])
        .refused(1, &["the keys could not travel", "keys.json", "is missing"]);
    refused_at(&live, &database, &["unfinished copy"]);
    std::fs::rename(live.path("keys.json"), live.path("keys/keys.json")).unwrap();
    copy(&live, &store, &database, &[]).says(&["client_secret"]);

    // What seals them in the database is as needed on the way back.
    std::fs::rename(live.path("keys/store.key"), live.path("store.key")).unwrap();
    let back = file(&live, "back.db");
    copy(&live, &database, &back, &[]).refused(1, &["store.key", "is missing"]);
    std::fs::rename(live.path("store.key"), live.path("keys/store.key")).unwrap();
    copy(&live, &database, &back, &[]).says(&["client_secret"]);
}

/// A copy finds servers by their connections. One that it can't see stops by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_store_was_moved_answers_no_more() {
    let live = Live::new();
    let database = fresh_database();
    let server = serve_at(&live, &database);
    assert_eq!(server.get("/jwks").await.status, 200);
    psql(&database, "INSERT INTO meta VALUES ('moved_to', 'sqlite:/elsewhere');");
    wait_until("the refusal", || {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(server.get("/jwks")).status == 503
        })
        .then_some(())
    });
    wait_until("the reason", || {
        server
            .log()
            .contains("the store was moved to sqlite:/elsewhere; stop this server")
            .then_some(())
    });
    psql(&database, "DELETE FROM meta WHERE key = 'moved_to';");
    wait_until("the answer", || {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(server.get("/jwks")).status == 200
        })
        .then_some(())
    });
}

#[test]
fn what_can_not_be_copied_is_said() {
    let live = Live::new();
    let (store, database) = (file(&live, "counterfoil.db"), fresh_database());
    copy(&live, &store, &database, &[]).refused(1, &["there is no store at"]);
    live.add_client("shop");
    copy(&live, &store, &file(&live, "other.db"), &[])
        .refused(2, &["both stores are SQLite files", "backup"]);
    copy(&live, &database, &fresh_database(), &[])
        .refused(2, &["both stores are in PostgreSQL", "pg_dump"]);
    copy(&live, &store, "mysql://x", &[]).refused(2, &["sqlite:PATH or postgres://"]);
    copy(&live, &store, "postgres://u:secret@127.0.0.1:1/x", &[])
        .refused(1, &["postgres://127.0.0.1:1/x can't be reached"]);
    let other = ["copy", "--from", &store, "--to", &database, "--config", &live.config()];
    finish(counterfoil(&other).env("COUNTERFOIL_ISSUER", "https://other.example"), "")
        .refused(1, &["belongs to the issuer"]);
    psql(&database, "CREATE TABLE meta (theirs integer);");
    copy(&live, &store, &database, &[]).refused(1, &["tables of another program"]);
    live.serve().stop();
}

#[test]
fn a_schema_is_brought_up_to_date_on_its_own() {
    let live = Live::new();
    live.admin("migrate").refused(1, &["there is no store", "serve"]);
    assert!(!Path::new(&live.path("counterfoil.db")).exists());
    let server = live.serve();
    live.admin("migrate").refused(1, &["in use by counterfoil serve", "Stop it first"]);
    server.stop();
    live.admin("migrate").says(&["has schema 3", "nothing to do"]);
    assert_eq!(live.admin("migrate --json").json()["to"], 3);
    live.admin("migrate --finish").says(&["is written at level 2", "nothing to do"]);

    let database = fresh_database();
    let migrate = || {
        finish(
            counterfoil(&["migrate", "--config", &live.config(), "--json"])
                .env("COUNTERFOIL_STORE", &database),
            "",
        )
    };
    migrate().refused(1, &["there is no store at postgres://"]);
    // That of the file is another store's.
    std::fs::remove_file(live.path("endings.log")).unwrap();
    let server = serve_at(&live, &database);
    assert_eq!(migrate().json()["from"], 3);
    // As a store of version 1 is, once it was migrated. The node goes on.
    psql(&database, "DELETE FROM meta WHERE key IN ('level', 'oldest_reader');");
    let finish_it = || {
        let arguments = ["migrate", "--finish", "--config", &live.config(), "--json"];
        finish(counterfoil(&arguments).env("COUNTERFOIL_STORE", &database), "").json()
    };
    assert_eq!(
        finish_it(),
        serde_json::json!({ "store": database.replace("counterfoil@", ""), "from_level": 1, "level": 2 })
    );
    assert_eq!(finish_it()["from_level"], 2);
    server.stop();
    psql(
        &database,
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (7, 'later', '', '');",
    );
    assert_eq!(migrate().json()["to"], 7);
    psql(&database, "UPDATE meta SET value = '7' WHERE key = 'oldest_reader';");
    migrate().refused(1, &["has schema 7", "schemas up to 3"]);
}
