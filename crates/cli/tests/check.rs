//! `serve --check`: all that a start would need, told at once, and nothing changed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use counterfoil_testing::fresh_database;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::setting::{Done, Live, Server, finish};

fn check(live: &Live) -> Done {
    finish(live.command().arg("--check"), "")
}

/// What is in a directory: names, modes, sizes and times of change.
fn all_of(directory: &Path) -> Vec<(String, u32, u64, std::time::SystemTime)> {
    let mut all: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            (
                entry.file_name().into_string().unwrap(),
                meta.permissions().mode(),
                meta.len(),
                meta.modified().unwrap(),
            )
        })
        .collect();
    all.sort();
    all
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Where a server shall listen, which the configuration can name.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A live server at addresses that are known before.
fn listening(live: &Live) -> String {
    let (public, metrics) = (free_address(), free_address());
    live.configure(&format!("metrics_listen = \"{metrics}\""));
    let path = live.path("counterfoil.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("127.0.0.1:0\"", &format!("{public}\""))).unwrap();
    public
}

#[test]
fn before_the_first_start_and_while_it_runs() {
    let live = Live::new();
    listening(&live);
    let before = all_of(live.dir.path());
    check(&live).says(&[
        "the settings are good",
        "no store at",
        "no keys in",
        "no endings log at",
        "nothing hinders a start",
    ]);
    assert_eq!(all_of(live.dir.path()), before);

    let server = live.serve();
    live.add_client("shop");
    // The server itself writes now and then.
    let names = || {
        all_of(live.dir.path()).into_iter().map(|(name, mode, ..)| (name, mode)).collect::<Vec<_>>()
    };
    let before = names();
    check(&live).says(&["in use by counterfoil serve", "nothing hinders a start"]);
    assert_eq!(names(), before);
    server.kill();
    check(&live).says(&["nothing hinders a start"]);
    live.serve().stop();
}

/// What a setting names by mistake is not written to.
#[test]
fn another_file_is_no_endings_log() {
    let live = Live::new();
    let refused = |log: &str, words: &str| {
        let with = |more: &[&str]| {
            finish(live.command().args(more).env("COUNTERFOIL_ENDINGS_LOG", live.path(log)), "")
        };
        with(&[]).refused(1, &[log, words]);
        let checked = with(&["--check"]);
        assert!(
            checked.code == Some(1)
                && checked.stderr.contains(words)
                && checked.stderr.contains(log),
            "{}",
            checked.stderr
        );
    };
    for log in ["counterfoil.db", "counterfoil.db.lock"] {
        refused(log, "the store's own file");
        assert!(!live.path(log).exists());
    }
    fs::write(live.path("notes.json"), r#"{"mine": true}"#).unwrap();
    refused("notes.json", "another file");
    live.serve().stop();
    symlink(live.path("counterfoil.db"), live.path("link.log")).unwrap();
    fs::copy(live.path("counterfoil.db"), live.path("copy.db")).unwrap();
    let before = |log: &str| fs::read(live.path(log)).unwrap();
    let others = [
        ("keys/keys.json", "another file"),
        ("notes.json", "another file"),
        ("copy.db", "another file"),
    ];
    for (log, words) in others
        .into_iter()
        .chain([("counterfoil.db", "the store's own file"), ("link.log", "the store's own file")])
    {
        let content = before(log);
        refused(log, words);
        assert!(before(log) == content, "{log}");
    }
    live.serve().stop();
}

#[test]
fn all_that_is_wrong_at_once() {
    let live = Live::new();
    let server = live.serve();
    live.add_client("shop");
    server.kill();
    fs::remove_file(live.path("endings.log")).unwrap();
    fs::create_dir(live.path("endings.log")).unwrap();
    set_mode(&live.path("counterfoil.db"), 0o604);
    set_mode(&live.path("counterfoil.db-wal"), 0o602);
    set_mode(&live.path("counterfoil.db.sock"), 0o666);
    set_mode(&live.path("keys/keys.json"), 0o640);
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = holder.local_addr().unwrap().to_string();
    let done = finish(
        live.command()
            .arg("--check")
            .env("COUNTERFOIL_LISTEN", &listen)
            .env("COUNTERFOIL_ISSUER", "https://other.example"),
        "",
    );
    assert_eq!(done.code, Some(1));
    for words in [
        "belongs to the issuer",
        "keys.json: its mode is 640",
        "counterfoil.db, whose mode is 604",
        "counterfoil.db-wal, whose mode is 602",
        "counterfoil.db.sock, whose mode is 666",
        "endings.log can't be written: it is no regular file",
    ] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    drop(holder);
    // A start that others could look over the shoulder of does not come about either.
    fs::remove_dir(live.path("endings.log")).unwrap();
    set_mode(&live.path("keys/keys.json"), 0o600);
    finish(&mut live.command(), "").refused(1, &["counterfoil.db, whose mode is 604", "chmod o="]);
    set_mode(&live.path("counterfoil.db"), 0o640);
    for suffix in ["-wal", "-shm", ".sock"] {
        if live.path(&format!("counterfoil.db{suffix}")).exists() {
            set_mode(&live.path(&format!("counterfoil.db{suffix}")), 0o600);
        }
    }
    set_mode(live.dir.path(), 0o777);
    finish(&mut live.command(), "").refused(1, &["others may put files in the place of those in"]);
    set_mode(live.dir.path(), 0o700);
    live.serve().stop();
}

#[test]
fn keys_that_are_gone_and_files_that_are_none_of_ours() {
    let live = Live::new();
    live.serve().stop();
    live.add_client("shop");
    fs::rename(live.path("keys"), live.path("away")).unwrap();
    check(&live).refused_with(1, &["no keys in", "the store holds client secrets made with some"]);
    fs::rename(live.path("away"), live.path("keys")).unwrap();
    fs::write(live.path("keys/keys.json"), "{").unwrap();
    check(&live).refused_with(1, &["keys.json", "not readable"]);

    let live = Live::new();
    fs::write(
        live.path("counterfoil.db"),
        "not a database, and long enough to be looked at as one",
    )
    .unwrap();
    set_mode(&live.path("counterfoil.db"), 0o600);
    check(&live).refused_with(1, &["counterfoil.db"]);
    fs::remove_file(live.path("counterfoil.db")).unwrap();
    let elsewhere = finish(
        live.command()
            .arg("--check")
            .env("COUNTERFOIL_STORE", "sqlite:/nowhere/c.db")
            .env("COUNTERFOIL_KEYS", "/nowhere/k"),
        "",
    );
    elsewhere.refused_with(
        1,
        &["2 things hinder a start", "/nowhere for the store does not exist", "/nowhere/k"],
    );
}

#[test]
fn an_address_that_somebody_else_has() {
    let live = Live::new();
    let public = listening(&live);
    // Of another issuer, and so another server.
    let other = Server::sandbox_at(&public);
    check(&live).refused_with(1, &[&format!("{public} can't be listened on")]);
    other.stop();
    check(&live).says(&["nothing hinders a start"]);
    let both = finish(live.command().arg("--check").env("COUNTERFOIL_METRICS_LISTEN", &public), "");
    both.refused_with(1, &[&format!("{public} can't be listened on")]);
}

#[test]
fn certificates() {
    let live = Live::new();
    let line = |name: &str, file: &str| format!("{name} = \"{}\"\n", live.path(file).display());
    live.configure(&format!(
        "[tls]\n{}{}",
        line("certificate", "certificate.pem"),
        line("key", "key.pem")
    ));
    let write = |from: (i32, u8, u8), until: (i32, u8, u8)| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        fs::write(live.path("certificate.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(live.path("key.pem"), key.serialize_pem()).unwrap();
        set_mode(&live.path("key.pem"), 0o600);
    };
    check(&live).refused_with(1, &["certificate.pem", "No such file"]);
    write((2020, 1, 1), (2999, 1, 1));
    let good = check(&live);
    good.says(&["nothing hinders a start"]);
    assert!(!good.stderr.contains("warning"), "{}", good.stderr);
    set_mode(&live.path("key.pem"), 0o644);
    let seen = check(&live);
    assert!(
        seen.code == Some(0) && seen.stderr.contains("key.pem, whose mode is 644"),
        "{}",
        seen.stderr
    );
    for (from, until, words) in [
        ((2020, 1, 1), (2021, 2, 3), "has expired at 2021-02-03T00:00:00Z"),
        ((2999, 4, 5), (2999, 6, 1), "is not valid before 2999-04-05T00:00:00Z"),
    ] {
        write(from, until);
        let warned = check(&live);
        assert!(warned.code == Some(0) && warned.stderr.contains(words), "{}", warned.stderr);
    }
    fs::write(live.path("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    check(&live).refused_with(1, &["KeyMismatch"]);
}

#[test]
fn on_a_database() {
    let live = Live::on(&fresh_database());
    check(&live).says(&["no store at postgres://", "no keys in", "nothing hinders a start"]);
    let server = live.serve();
    live.add_client("shop");
    check(&live).says(&["nothing hinders a start"]);
    server.stop();
    fs::rename(live.path("keys"), live.path("away")).unwrap();
    check(&live).refused_with(1, &["the keys in the store can't be read without the key in it"]);
    assert!(!live.path("keys").exists());
    let other = finish(
        live.command().arg("--check").env("COUNTERFOIL_ISSUER", "https://other.example"),
        "",
    );
    other.refused_with(1, &["belongs to the issuer"]);
    let gone = finish(
        live.command().arg("--check").env("COUNTERFOIL_STORE", "postgres://u:geheim@127.0.0.1:1/d"),
        "",
    );
    gone.refused_with(1, &["can't be reached"]);
    assert!(!gone.stderr.contains("geheim"));
}
