//! What a disk can do to it: full, read-only, damaged, somebody else's. It says so in words and
//! loses nothing that it acknowledged.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::setting::{
    Answer, BINARY, Done, Live, OTHER, RECIPIENT, Server, Tokens, counterfoil, finish,
    with_small_files,
};

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.is(503, json!({ "error": "temporarily_unavailable" }));
    assert!(
        answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0),
        "{:?}",
        answer.headers
    );
}

/// Makes and redeems grants until a write fails. Gives of each the token that was used and the one
/// that came for it.
async fn fill(server: &Server) -> Vec<(String, Tokens)> {
    let (callback, nonce) = (server.callback(), "n".repeat(200));
    let mut acknowledged = Vec::new();
    loop {
        let form = [
            ("client_id", OTHER.0),
            ("redirect_uri", &*callback),
            ("customer", "customer_1"),
            ("nonce", &nonce),
        ];
        let code = server.post("/sandbox/codes", &form).await;
        if code.status == 503 {
            return acknowledged;
        }
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code.member("code")),
            ("redirect_uri", &callback),
        ];
        let exchanged = server.post_as(OTHER, "/token", &form).await;
        if exchanged.status == 503 {
            unavailable(&exchanged);
            return acknowledged;
        }
        let first = exchanged.tokens();
        let refreshed = server.refresh(OTHER, &first.refresh_token).await;
        if refreshed.status == 503 {
            unavailable(&refreshed);
            return acknowledged;
        }
        acknowledged.push((first.refresh_token, refreshed.tokens()));
    }
}

#[tokio::test]
async fn a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let server = Server::spawn(with_small_files(
        160,
        &["sandbox", "--listen", "127.0.0.1:0", "--data", data],
    ));
    let listen = server.origin.strip_prefix("http://").unwrap().to_owned();
    let mut acknowledged = Vec::new();
    // A log that is full makes room again as long as the file takes what is in it; then there is
    // room for small writes alone, then none.
    while !server.log().contains("a checkpoint failed") {
        acknowledged.extend(fill(&server).await);
    }
    acknowledged.extend(fill(&server).await);
    while server.get("/health/ready").await.status == 200 {}
    let (_, last) = acknowledged.last().unwrap();
    for _ in 0..5 {
        unavailable(&server.refresh(OTHER, &last.refresh_token).await);
        unavailable(&server.revoke(OTHER, &last.refresh_token).await);
        unavailable(&server.get("/health/ready").await);
    }
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.accounts(&last.id_token).await.status, 200);
    assert_eq!(server.bearer("/userinfo", &last.access_token).await.status, 200);
    server.stop();

    let server = Server::spawn(counterfoil(&["sandbox", "--listen", &listen, "--data", data]));
    assert_eq!(server.get("/health/ready").await.status, 200);
    for (used, current) in &acknowledged {
        assert_eq!(server.refresh(OTHER, used).await.status, 400);
        assert_eq!(server.accounts(&current.id_token).await.status, 200);
        server.refresh(OTHER, &current.refresh_token).await.tokens();
    }
}

/// The soft limit of the size of files, for a process that runs.
fn limit_files(server: &Server, bytes: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &server.id().to_string(), &format!("--fsize={bytes}:")])
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn a_store_that_can_not_be_written_for_a_while() {
    let server = Server::sandbox(&[]);
    let (tokens, other) = (server.tokens().await, server.tokens().await);
    for _ in 0..3 {
        limit_files(&server, "0");
        unavailable(&server.refresh(RECIPIENT, &tokens.refresh_token).await);
        unavailable(&server.revoke(RECIPIENT, &tokens.id_token).await);
        unavailable(&server.post("/sandbox/clock", &[("advance", "1h")]).await);
        unavailable(&server.get("/health/ready").await);
        assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
        limit_files(&server, "unlimited");
        assert_eq!(server.get("/health/ready").await.status, 200);
        assert_eq!(server.get("/sandbox/clock").await.json()["offset_seconds"], 0);
    }
    let next = server.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
    assert_eq!(server.refresh(RECIPIENT, &tokens.refresh_token).await.status, 400);
    assert_eq!(server.revoke(RECIPIENT, &next.refresh_token).await.status, 200);
    server.refresh(RECIPIENT, &other.refresh_token).await.tokens();
    assert!(server.log().contains("a write failed"));
    server.stop();
}

/// A store that is taken away must not be made anew, empty, under its server.
#[tokio::test]
async fn a_store_that_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::sandbox_in(dir.path());
    let tokens = server.tokens().await;
    for name in ["sandbox.db", "sandbox.db-wal", "sandbox.db-shm"] {
        std::fs::rename(dir.path().join(name), dir.path().join(format!("{name}.away"))).unwrap();
    }
    limit_files(&server, "0");
    unavailable(&server.refresh(RECIPIENT, &tokens.refresh_token).await);
    limit_files(&server, "unlimited");
    unavailable(&server.refresh(RECIPIENT, &tokens.refresh_token).await);
    assert!(!dir.path().join("sandbox.db").exists());
    for name in ["sandbox.db", "sandbox.db-wal", "sandbox.db-shm"] {
        std::fs::rename(dir.path().join(format!("{name}.away")), dir.path().join(name)).unwrap();
    }
    server.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
}

#[tokio::test]
async fn an_endings_log_that_can_not_be_written() {
    let live = Live::new();
    let server = live.serve();
    let secret = live.add_client("shop");
    live.add_customer("alice", "alice-password");
    let shop = ("shop", secret.as_str());
    let (one, two) = (
        server.consent(shop, ("alice", "alice-password")).await,
        server.consent(shop, ("alice", "alice-password")).await,
    );
    let log = live.path("endings.log");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    unavailable(&server.revoke(shop, &one.id_token).await);
    unavailable(&server.revoke(shop, &one.id_token).await);
    unavailable(&server.get("/health/ready").await);
    assert_eq!(server.accounts(&two.id_token).await.status, 200);
    let two = server.refresh(shop, &two.refresh_token).await.tokens();
    live.admin("client remove shop").refused(1, &["the endings log"]);
    std::fs::remove_dir(&log).unwrap();
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert_eq!(server.accounts(&one.id_token).await.status, 401);
    assert_eq!(server.accounts(&two.id_token).await.status, 401);
    let written = std::fs::read_to_string(&log).unwrap();
    assert!(written.contains("\"grant\":") && written.contains("\"client\":\"shop\""), "{written}");
    server.stop();

    finish(live.command().env("COUNTERFOIL_ENDINGS_LOG", live.dir.path()), "")
        .refused(1, &["the endings log", "can't be written", "directory"]);
    finish(live.command().env("COUNTERFOIL_ENDINGS_LOG", live.path("no/e.log")), "")
        .refused(1, &["the endings log", "is missing"]);
}

/// Starts both servers and an admin command on a store at `path`; none may start, and what lies
/// there stays as it is.
#[track_caller]
fn refused(live: &Live, path: &Path, words: &[&str]) {
    let before = std::fs::read(path).ok();
    let store = format!("sqlite:{}", path.display());
    for arguments in [
        &["serve"][..],
        &["client", "list"],
        &["sandbox", "--listen", "127.0.0.1:0", "--store", &store],
    ] {
        let mut command = counterfoil(arguments);
        if arguments[0] != "sandbox" {
            command.args(["--config", &live.config()]).env("COUNTERFOIL_STORE", &store);
        }
        let done = finish(&mut command, "");
        done.refused(1, words);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        assert_eq!(std::fs::read(path).ok(), before, "{arguments:?}");
    }
}

#[test]
fn what_is_no_store() {
    let live = Live::new();
    let path = live.path("other.db");
    refused(
        &live,
        &live.path("missing/store.db"),
        &["the directory", "missing for the store does not exist"],
    );
    refused(&live, live.dir.path(), &["is not a Counterfoil store: it is a directory"]);
    std::fs::write(&path, "Dear diary, today I learnt what a database is.\n".repeat(100)).unwrap();
    refused(&live, &path, &["is not a Counterfoil store: it is not a SQLite file"]);
    std::fs::write(&path, "short").unwrap();
    refused(&live, &path, &["is not a Counterfoil store: it is not a SQLite file"]);
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipe (name)").unwrap();
    refused(&live, &path, &["is the SQLite database of another program"]);
}

/// A store of each kind that was closed in good order.
fn stores(live: &Live) -> [std::path::PathBuf; 2] {
    live.serve().stop();
    let sandbox = live.path("sandbox.db");
    Server::sandbox(&["--store", &format!("sqlite:{}", sandbox.display())]).stop();
    [live.path("counterfoil.db"), sandbox]
}

#[test]
fn a_store_of_a_newer_version() {
    let live = Live::new();
    for path in stores(&live) {
        let newer = "UPDATE refinery_schema_history SET version = 99 WHERE version = (SELECT max(version) FROM refinery_schema_history); \
            UPDATE meta SET value = '99' WHERE key = 'oldest_reader'";
        rusqlite::Connection::open(&path).unwrap().execute_batch(newer).unwrap();
        refused(&live, &path, &["has schema 99", "use the version that wrote it or a newer one"]);
    }
}

#[test]
fn a_damaged_store() {
    let live = Live::new();
    for path in stores(&live) {
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[100..1000].fill(0xa5);
        std::fs::write(&path, damaged).unwrap();
        refused(&live, &path, &["is damaged", "restore it from a backup"]);
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refused(&live, &path, &["is damaged", "restore it from a backup"]);
    }
}

/// Runs the binary as a user who is not root, who owns nothing.
fn as_nobody(dir: &Path, arguments: &[&str]) -> Done {
    let binary = dir.join("counterfoil");
    if !binary.exists() {
        std::fs::copy(BINARY, &binary).unwrap();
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }
    // Who is nobody already can't become it.
    let become_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let is_root = finish(Command::new("id").arg("-u"), "").stdout.trim() == "0";
    let mut command = if is_root { Command::new("setpriv") } else { Command::new(&binary) };
    if is_root {
        command.args(become_nobody).arg(&binary);
    }
    finish(command.args(arguments), "")
}

#[test]
fn files_that_this_user_may_only_read() {
    let live = Live::new();
    let stores = stores(&live);
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    let config = live.config();
    let sandbox = format!("sqlite:{}", stores[1].display());
    let attempts = [
        vec!["serve", "--config", &config],
        vec!["sandbox", "--listen", "127.0.0.1:0", "--store", &sandbox],
    ];
    // A directory that can't be written: not even the lock can be taken.
    std::fs::remove_file(live.path("counterfoil.db.lock")).unwrap();
    std::fs::remove_file(live.path("sandbox.db.lock")).unwrap();
    mode(&live.path("counterfoil.db"), 0o444);
    mode(&stores[1], 0o444);
    as_nobody(live.dir.path(), &["--version"]).says(&["counterfoil"]);
    mode(live.dir.path(), 0o555);
    for attempt in &attempts {
        as_nobody(live.dir.path(), attempt)
            .refused(1, &["the store", "can't be opened for writing", "Permission denied"]);
    }
    // A directory that can, but not the file.
    mode(live.dir.path(), 0o777);
    let before = stores.each_ref().map(|path| std::fs::read(path).unwrap());
    for attempt in &attempts {
        as_nobody(live.dir.path(), attempt)
            .refused(1, &["the store", "can't be opened for writing"]);
    }
    // A file that can't even be read.
    for path in &stores {
        mode(path, 0o000);
    }
    for attempt in &attempts {
        as_nobody(live.dir.path(), attempt)
            .refused(1, &["the store", "can't be opened for writing"]);
    }
    for path in &stores {
        mode(path, 0o600);
    }
    assert_eq!(stores.each_ref().map(|path| std::fs::read(path).unwrap()), before);
}
