//! Clusters do what tests rely on.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use counterfoil_testing::{Postgres, SHARED, TlsPostgres, fresh_database, psql};

/// The directory of the cluster at a URL.
fn directory(url: &str) -> String {
    psql(url, "SHOW unix_socket_directories")
}

fn is_there(directory: &str) -> bool {
    Path::new(directory).exists()
}

/// Waits until it holds; the minute only bounds a failure.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn databases_are_apart_and_empty() {
    let (one, two) = (fresh_database(), fresh_database());
    psql(&one, "CREATE TABLE mine (n int)");
    assert_eq!(psql(&one, "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "1");
    assert_eq!(psql(&two, "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "0");
    assert_eq!(psql(&two, "SHOW server_encoding"), "UTF8");
}

#[test]
fn what_was_committed_survives_a_crash_and_the_rest_ends_with_the_cluster() {
    let postgres = Postgres::start(&[("work_mem", "5MB")]);
    let (url, directory) = (postgres.fresh_database(), directory(postgres.url()));
    psql(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)");
    for durable in ["fsync", "full_page_writes", "synchronous_commit"] {
        assert_eq!(psql(&url, &format!("SHOW {durable}")), "on", "{durable}");
    }

    postgres.kill();
    assert!(TcpStream::connect(postgres.address()).is_err(), "it listens after SIGKILL");
    postgres.start_again();
    assert_eq!(psql(&url, "SELECT n FROM kept"), "7");

    postgres.set("log_line_prefix", "it's %p ");
    assert_eq!(psql(&url, "SHOW log_line_prefix"), "it's %p");
    postgres.set("max_connections", "50");
    postgres.restart();
    assert_eq!(psql(&url, "SHOW max_connections; SHOW work_mem"), "50\n5MB");

    let address = postgres.address();
    drop(postgres);
    assert!(TcpStream::connect(address).is_err(), "it listens after its end");
    assert!(!is_there(&directory), "{directory} was left behind");
}

#[test]
fn a_standby_follows_falls_behind_and_takes_over() {
    let primary = Postgres::start(&[]);
    let url = primary.fresh_database();
    let name = url.rsplit('/').next().unwrap();
    psql(&url, "CREATE TABLE written (n int); INSERT INTO written VALUES (1)");
    let standby = primary.standby("second", &[]);
    let on_standby = format!("postgres://counterfoil@{}/{name}", standby.address());
    let seen = || psql(&on_standby, "SELECT string_agg(n::text, ',' ORDER BY n) FROM written");
    assert_eq!(seen(), "1");

    // Synchronous, a commit waits for the standby: while it is cut off, for ever.
    primary.set("synchronous_standby_names", "second");
    assert_eq!(
        psql(primary.url(), "SELECT application_name, sync_state FROM pg_stat_replication"),
        "second|sync"
    );
    standby.freeze();
    let (answered, answer) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            psql(&url, "INSERT INTO written VALUES (2)");
            answered.send(()).unwrap();
        });
        until("no commit waits", || {
            psql(
                primary.url(),
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            ) == "1"
        });
        assert!(answer.try_recv().is_err(), "a commit was answered that the standby doesn't have");
        standby.thaw();
    });
    standby.catch_up_with(&primary);
    assert_eq!(seen(), "1,2");

    // Asynchronous, it misses what is written while it is cut off.
    primary.set("synchronous_standby_names", "");
    standby.freeze();
    psql(&url, "INSERT INTO written VALUES (3)");
    primary.kill();
    standby.promote();
    assert_eq!(seen(), "1,2");
    psql(&on_standby, "INSERT INTO written VALUES (4)");
    assert_eq!(seen(), "1,2,4");
}

#[test]
fn with_tls_nothing_else_is_taken() {
    let tls = TlsPostgres::start(&[]);
    let url = tls.postgres.fresh_database();
    let secure =
        |mode: &str| format!("{url}?sslmode={mode}&sslrootcert={}", tls.authority().display());
    assert_eq!(
        psql(&secure("verify-full"), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
        "t"
    );
    let refused = std::panic::catch_unwind(|| psql(&secure("disable"), "SELECT 1")).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("no encryption"), "{refused:?}");
}

/// Started by the test below, which kills it.
#[test]
#[ignore = "it waits to be killed"]
fn uses_the_shared_cluster_until_it_is_killed() {
    println!("\nat {}", fresh_database());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn nothing_stays_behind_a_killed_test() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::uses_the_shared_cluster_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env_remove(SHARED)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("at ").map(str::to_owned))
        .unwrap();
    let directory = directory(&url);
    let postmaster = psql(&url, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
    assert!(is_there(&directory) && is_there(&format!("/proc/{postmaster}")));

    test.kill().unwrap();
    test.wait().unwrap();
    until("its directory stays", || !is_there(&directory));
    assert!(!is_there(&format!("/proc/{postmaster}")), "PostgreSQL stays");
}
