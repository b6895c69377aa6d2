//! `counterfoil torture` as a process: what it shows of a server that forgets nothing, and what it
//! finds where something was forgotten.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::setting::{counterfoil, run, wait_until};

/// Of these the first kills come when the clients have been at work for a while, and not too close
/// together.
const MOMENTS: [&str; 4] = ["--clients", "8", "--seed", "6"];

fn store(dir: &Path) -> String {
    format!("sqlite:{}/torture.db", dir.display())
}

#[test]
fn nothing_is_lost_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let summary =
        run(&[&["torture", "--kills", "5", "--store", &store, "--json"], &MOMENTS[..]].concat())
            .json();
    assert_eq!(summary["findings"], Value::Array(vec![]));
    for done in
        ["refreshes", "repeats", "races", "replays", "reads", "revocations", "ended_grants_checked"]
    {
        assert!(summary[done].as_u64().unwrap() > 0, "{done}: {summary}");
    }
    assert!(summary["kills_of_nodes"].as_u64().unwrap() >= 5, "{summary}");
    assert_eq!(summary["unmarked_repeats"], 0, "{summary}");
}

/// A store that is put back while its server is down has forgotten what was acknowledged since.
#[test]
fn what_a_store_forgets_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let spoil = "cd \"$(dirname \"$0\")\" && if [ -d old ]; then rm torture.db torture.db-*al torture.db-shm; cp old/* .; \
                 else mkdir old && cp torture.db torture.db-*al torture.db-shm old; fi";
    let script = dir.path().join("spoil");
    std::fs::write(&script, spoil).unwrap();
    let while_down = format!("sh {}", script.display());
    let store = store(dir.path());
    let done = run(&[
        &["torture", "--kills", "3", "--store", &store, "--while-down", &while_down],
        &MOMENTS[..],
    ]
    .concat());
    assert_eq!(done.code, Some(1), "{} {}", done.stdout, done.stderr);
    assert!(done.stderr.contains("finding"), "{}", done.stderr);
    assert!(
        ["redemption lost", "retry refused"].iter().any(|name| done.stdout.contains(name)),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("node 1 is killed"), "{}", done.stdout);
    for secret in ["cfr_", "cfa_", "cfc_", "eyJ"] {
        assert!(!done.stdout.contains(secret), "{}", done.stdout);
    }
}

#[test]
fn wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    run(&["torture"]).refused(2, &["--store"]);
    run(&["torture", "--store", &store, "--nodes", "2"])
        .refused(2, &["one process owns a SQLite file", "postgres://"]);
    run(&["torture", "--store", &store, "--restart-database", "true"])
        .refused(2, &["--restart-database", "postgres://"]);
    run(&["torture", "--store", &store, "--minutes", "0"]).refused(2, &["more than 0"]);
    run(&["torture", "--store", &store, "--minutes", "1", "--kills", "1"]).refused(2, &["--kills"]);
    run(&["torture", "--store", &store, "--kills", "0"]).refused(2, &["--kills"]);
    run(&["torture", "--store", "mysql://db"]).refused(2, &["sqlite:PATH"]);
    assert!(!dir.path().join("torture.db").exists());
}

#[test]
fn a_live_store_is_left_alone() {
    let live = crate::setting::Live::new();
    live.add_client("someone");
    let store = format!("sqlite:{}", live.path("counterfoil.db").display());
    run(&["torture", "--kills", "1", "--store", &store]).refused(1, &["sandbox", "live"]);
}

/// The servers go with it, even if it is killed itself.
#[test]
fn no_server_is_left_behind() {
    for signal in ["INT", "KILL"] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let killed = dir.path().join("killed");
        let touch = format!("touch {}", killed.display());
        let mut torture =
            counterfoil(&["torture", "--minutes", "5", "--while-down", &touch, "--store", &store])
                .args(MOMENTS)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        wait_until("the first kill", || killed.exists().then_some(()));
        assert!(
            Command::new("kill")
                .args(["-s", signal, &torture.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        let lines: Vec<_> =
            BufReader::new(torture.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
        let status = torture.wait().unwrap();
        if signal == "INT" {
            assert_eq!(status.code(), Some(0), "{lines:?}");
            assert!(lines.iter().any(|line| line.starts_with("refreshes")), "{lines:?}");
        }
        // Its lock is free once no server has the store.
        wait_until("the end of the server", || {
            let done = run(&["torture", "--kills", "1", "--clients", "1", "--store", &store]);
            (!done.stderr.contains("is in use by")).then_some(())
        });
    }
}
