//! `counterfoil bench` as a process: against a server that runs already, and with servers that it
//! starts.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::setting::{OTHER, Server, counterfoil, finish, run, wait_until};

/// Enough to see that everything works.
const SHORT: [&str; 10] = [
    "--connections",
    "4",
    "--seconds",
    "0.4",
    "--warm-up",
    "0.1",
    "--rounds",
    "2",
    "--grants",
    "200",
];

/// Tokens of as many grants of a sandbox, one a line.
async fn tokens(sandbox: &Server, path: &Path, count: usize, member: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..count {
        let callback = sandbox.callback();
        let codes =
            [("client_id", OTHER.0), ("redirect_uri", &callback), ("customer", "customer_1")];
        let code = sandbox.post("/sandbox/codes", &codes).await.member("code");
        let form =
            [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", &callback)];
        tokens.push(sandbox.post_as(OTHER, "/token", &form).await.member(member));
    }
    std::fs::write(path, tokens.join("\n")).unwrap();
    tokens
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

fn bench(words: &[&str]) -> Command {
    let mut command = counterfoil(&[&["bench"], words].concat());
    command.env_remove("OIDC_CLIENT_ID").env_remove("OIDC_CLIENT_SECRET");
    command
}

/// Every round of a contender that answered, without an error.
#[track_caller]
fn measured(contender: &Value) {
    assert_eq!(
        (&contender["errors"], &contender["first_error"]),
        (&0.into(), &Value::Null),
        "{contender}"
    );
    let rounds = contender["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "{contender}");
    for round in rounds {
        assert!(round["requests"].as_u64().unwrap() > 0, "{round}");
        assert!(round["p50_ms"].as_f64().unwrap() <= round["p999_ms"].as_f64().unwrap(), "{round}");
    }
}

#[tokio::test]
async fn refreshes_at_a_server_that_runs_already() {
    let (sandbox, dir) = (Server::sandbox(&[]), TempDir::new().unwrap());
    let (file, kept, plot) = (path(&dir, "tokens"), path(&dir, "kept"), path(&dir, "plot.svg"));
    let first = tokens(&sandbox, dir.path().join("tokens").as_path(), 6, "refresh_token").await;
    let (url, pid) = (sandbox.url("/token"), sandbox.id().to_string());
    let there = [
        "refresh",
        "--url",
        &url,
        "--client-id",
        OTHER.0,
        "--client-secret",
        OTHER.1,
        "--tokens",
        &file,
    ];
    let more =
        ["--auth", "basic", "--pid", &pid, "--keep-tokens", &kept, "--plot", &plot, "--json"];
    let report = finish(&mut bench(&[&there, &SHORT[..8], &more].concat()), "").json();
    let [it] = &**report["contenders"].as_array().unwrap() else { panic!("{report}") };
    measured(it);
    assert_eq!(
        (report["mode"].as_str(), it["name"].as_str()),
        (Some("refresh"), Some(&*url)),
        "{report}"
    );
    assert!(
        it["rss_bytes"]["median"].as_f64().unwrap() > 0.0
            && it["cpu_us_per_request"]["median"].as_f64().unwrap() > 0.0,
        "{it}"
    );
    assert!(std::fs::read_to_string(&plot).unwrap().starts_with("<svg"));

    // Each chain can go on where it was left, and nowhere else.
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(kept).unwrap();
    assert_eq!(kept.lines().count(), 6);
    for token in kept.lines() {
        assert!(!first.iter().any(|used| used == token));
        assert_eq!(sandbox.refresh(OTHER, token).await.status, 200);
    }
    // What was used up is refused, and the words for it are shown.
    finish(&mut bench(&[&there, &SHORT[..8]].concat()), "")
        .refused(1, &["can't be measured: its chains ended with errors, such as status 4"]);
}

#[tokio::test]
async fn accounts_at_a_server_that_runs_already() {
    let (sandbox, dir) = (Server::sandbox(&[]), TempDir::new().unwrap());
    let (file, url) = (path(&dir, "tokens"), sandbox.url("/accounts"));
    tokens(&sandbox, dir.path().join("tokens").as_path(), 2, "id_token").await;
    let there = ["bearer", "--url", &url, "--tokens", &file];
    let report = finish(&mut bench(&[&there, &SHORT[..8], &["--json"]].concat()), "").json();
    assert_eq!(report["mode"], "bearer");
    measured(&report["contenders"][0]);
    let dry = finish(&mut bench(&[&there, &SHORT[..8], &["--first-sight"]].concat()), "");
    dry.refused(2, &["were all sent before the time was over"]);
}

#[tokio::test]
async fn side_by_side() {
    let (sandbox, dir, stores) =
        (Server::sandbox(&[]), TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = path(&dir, "tokens");
    tokens(&sandbox, dir.path().join("tokens").as_path(), 4, "refresh_token").await;
    let ready = serde_json::json!({
        "name": "somebody else", "note": "in memory", "token_endpoint": sandbox.url("/token"), "client_id": OTHER.0,
        "client_secret": OTHER.1, "auth": "post", "refresh_tokens": file, "pids": [sandbox.id()],
    });
    let peer = format!(
        "test -d \"$BENCH_DIR\" && test \"$BENCH_ALG\" = EdDSA && echo '{ready}' && read -r end"
    );
    let words = [
        "refresh",
        "--alg",
        "eddsa",
        "--store",
        stores.path().to_str().unwrap(),
        "--peer",
        &peer,
        "--json",
    ];
    let report = finish(&mut bench(&[&words, &SHORT[..]].concat()), "").json();
    let contenders = report["contenders"].as_array().unwrap();
    let names: Vec<_> =
        contenders.iter().map(|contender| contender["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["floor", "counterfoil", "somebody else"]);
    assert_eq!((report["alg"].as_str(), report["connections"].as_u64()), (Some("EdDSA"), Some(4)));
    for contender in contenders {
        measured(contender);
        assert!(contender["peak_rss_bytes"].as_u64().unwrap() > 0, "{contender}");
    }
    assert_eq!((&contenders[1]["grants"], &contenders[2]["grants"]), (&200.into(), &Value::Null));
    assert!(
        contenders[0]["of_floor"].is_null()
            && contenders[1]["of_floor"]["median"].as_f64().unwrap() > 0.0
    );
    assert_eq!(std::fs::read_dir(stores.path()).unwrap().count(), 0, "what was made is gone");
}

#[test]
fn one_connection_is_held_against_its_parts() {
    let words = [
        "refresh",
        "--grants",
        "50",
        "--connections",
        "1",
        "--seconds",
        "0.4",
        "--warm-up",
        "0",
        "--rounds",
        "1",
    ];
    let done = finish(&mut bench(&words), "");
    done.says(&[
        "Alone, an fdatasync takes ",
        "counterfoil, 50 grants: its p50 is ",
        " times their sum",
        "SQLite, FULL",
    ]);
}

#[test]
fn accounts_side_by_side() {
    for more in [&["--chains", "20"][..], &["--first-sight", "--chains", "30000"]] {
        let report =
            finish(&mut bench(&[&["bearer", "--json"], &SHORT[..], more].concat()), "").json();
        let contenders = report["contenders"].as_array().unwrap();
        assert_eq!(contenders.len(), 2, "{report}");
        contenders.iter().for_each(measured);
    }
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_behind() {
    let stores = TempDir::new().unwrap();
    let store = stores.path().to_str().unwrap();
    let mut command = bench(&["refresh", "--grants", "200", "--seconds", "600", "--store", store]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.starts_with("round 1 of 5")));
    assert!(mentioned(store) > 1, "servers are at work");
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(said.any(|line| line == "counterfoil: stopped"));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(std::fs::read_dir(stores.path()).unwrap().count(), 0);
    wait_until("the end of all servers", || (mentioned(store) == 0).then_some(()));
}

/// How many processes name a text among their arguments.
fn mentioned(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
        })
        .count()
}

#[test]
fn what_makes_no_sense() {
    let dir = TempDir::new().unwrap();
    let empty = path(&dir, "empty");
    std::fs::write(&empty, "\n").unwrap();
    let nowhere = path(&dir, "nowhere");
    for (words, said) in [
        (&["refresh", "--url", "http://127.0.0.1:1/token"][..], "--tokens <FILE>"),
        (
            &["refresh", "--url", "http://127.0.0.1:1/token", "--tokens", &empty],
            "--client-id is missing",
        ),
        (
            &[
                "refresh",
                "--url",
                "http://127.0.0.1:1/token",
                "--tokens",
                &empty,
                "--client-id",
                "x",
            ],
            "holds no tokens",
        ),
        (
            &["refresh", "--url", "http://127.0.0.1:1/token", "--tokens", &empty, "--grants", "5"],
            "cannot be used with",
        ),
        (&["refresh", "--store", &nowhere], "name a directory"),
        (&["refresh", "--store", "postgres://"], "--store: "),
        (&["refresh", "--nodes", "2"], "one process owns a SQLite file"),
        (&["refresh", "--grants", "10", "--chains", "11"], "11 chains need as many grants"),
        (&["refresh", "--alg", "HS256"], "write one of RS256, ES256, PS256, EdDSA"),
        (&["refresh", "--seconds", "0"], "nothing is measured in no time"),
        (&["refresh", "--seconds", "ten"], "write a number of seconds"),
        (&["bearer", "--plot", &format!("{nowhere}/plot.svg")], "there is no such directory"),
    ] {
        finish(&mut bench(words), "").refused(2, &[said]);
    }
    run(&[
        "bench",
        "refresh",
        "--grants",
        "10",
        "--load-cores",
        "4000",
        "--store",
        dir.path().to_str().unwrap(),
    ])
    .refused(2, &["cores 4000: "]);
}

#[test]
fn starts_are_timed() {
    let report =
        finish(&mut bench(&["start", "--grants", "1000", "--rounds", "3", "--json"]), "").json();
    let starts = report["starts"].as_array().unwrap();
    assert_eq!(starts.len(), 3);
    for start in starts {
        let (ready, answered) =
            (start["ready_ms"].as_f64().unwrap(), start["answered_ms"].as_f64().unwrap());
        assert!(0.0 < ready && ready < answered, "{start}");
    }
}
