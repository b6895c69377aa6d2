//! `counterfoil sandbox --grade`, with the two sample clients: the good one passes all, the
//! careless one fails what it does wrong and nothing else. Live clients have clocks of their own,
//! so this takes its time, two minutes or three, for all of them at once.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::setting::{RECIPIENT, Server, run};

/// How long all events may take for a client that fails every one of them.
const PATIENCE: Duration = Duration::from_secs(400);

/// All events, in the order of the script.
const EVENTS: [&str; 12] = [
    "state",
    "issuer",
    "issuer-missing",
    "expiry",
    "lost-answer",
    "unauthorized",
    "retry-after-token",
    "retry-after-data",
    "new-keys",
    "revocation",
    "newest-token",
    "secret",
];

/// A sample client at work. It is killed when this is dropped.
struct Sample(Child);

impl Sample {
    fn start(script: &str, mistakes: Option<&str>, server: &Server, dir: &Path) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clients");
        let python = clients.join(".venv/bin/python");
        assert!(
            python.exists(),
            "{} is missing: scripts/install-test-tools makes it",
            python.display()
        );
        let mut command = Command::new(python);
        command
            .arg(clients.join(script))
            .env("OIDC_ISSUER", &server.origin)
            .env("TOKEN_FILE", dir.join("tokens.json"));
        match mistakes {
            Some(mistakes) => command.env("MISTAKES", mistakes),
            None => command.env_remove("MISTAKES"),
        };
        Self(
            command
                .stdin(Stdio::null())
                .stderr(std::fs::File::create(dir.join("client.log")).unwrap())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A scorecard that was written, and what was printed.
struct Scorecard {
    exit_code: Option<i32>,
    printed: String,
    dir: TempDir,
}

impl Scorecard {
    /// Grades a sample client.
    fn of(script: &str, mistakes: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let reports = ["html", "junit", "json"].map(|format| format!("{format}={}", path(format)));
        let options: Vec<&str> = ["--grade"]
            .into_iter()
            .chain(reports.iter().flat_map(|report| ["--report", report]))
            .collect();
        let mut server = Server::sandbox(&options);
        let client = Sample::start(script, mistakes, &server, dir.path());
        let exit_code = server.ended_within(PATIENCE).code();
        drop(client);
        Self { exit_code, printed: server.stdout(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The ids of the events that came out so.
    fn events(&self, result: &str) -> Vec<String> {
        let json: Value = serde_json::from_str(&self.text("json")).unwrap();
        let cases = json["plans"][0]["cases"].as_array().unwrap().clone();
        let ids = cases
            .iter()
            .filter(|case| case["checks"][0]["result"] == result)
            .map(|case| case["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    #[track_caller]
    fn failed_only(&self, failed: &[&str]) {
        let passed: Vec<&str> =
            EVENTS.into_iter().filter(|event| !failed.contains(event)).collect();
        assert_eq!(
            (self.events("failed"), self.events("passed")),
            (owned(failed), owned(&passed)),
            "{}\n{}",
            self.printed,
            self.text("client.log")
        );
        assert_eq!(self.exit_code, Some(i32::from(!failed.is_empty())));
        assert!(
            self.printed.contains(&format!(
                "{} passed, {} failed, 0 not run",
                passed.len(),
                failed.len()
            )),
            "{}",
            self.printed
        );
        for format in ["html", "junit", "json"] {
            let text = self.text(format);
            assert!(text.contains("lost-answer") && !text.contains(RECIPIENT.1), "{format}");
            // No token in full: they are masked, be it in the middle of something else.
            assert!(
                !text
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
                    .any(is_token),
                "{format}"
            );
        }
    }
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Whether a word is a token of ours: a slip, an access token, or a part of a JWT.
fn is_token(word: &str) -> bool {
    word.len() > 40 && ["cfc_", "cfr_", "cfa_", "eyJ"].iter().any(|prefix| word.starts_with(prefix))
}

/// All at once, since each of them mostly waits.
#[test]
fn each_client_fails_what_it_does_wrong_and_nothing_else() {
    // The careless one does keep the newest refresh token.
    let all: Vec<&str> = EVENTS.into_iter().filter(|event| *event != "newest-token").collect();
    let gradings: [(&str, Option<&str>, &[&str]); 4] = [
        ("good.py", None, &[]),
        ("careless.py", None, &all),
        (
            "careless.py",
            Some("issuer,lost-answer,stale-keys"),
            &["issuer", "issuer-missing", "lost-answer", "new-keys"],
        ),
        (
            "careless.py",
            Some("state,retry-after,keep-going,secret"),
            &["state", "retry-after-token", "retry-after-data", "revocation", "secret"],
        ),
    ];
    std::thread::scope(|scope| {
        for (script, mistakes, failed) in gradings {
            scope.spawn(move || Scorecard::of(script, mistakes).failed_only(failed));
        }
    });
}

#[test]
fn stopped_before_its_end_it_tells_how_far_it_came_and_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("grade.json");
    let mut server =
        Server::sandbox(&["--grade=sandbox-app", "--report", &format!("json={}", json.display())]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1));
    assert!(server.log().contains("stopped before the script was at its end"), "{}", server.log());
    let json: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&json["client_id"], &json["passed"]), (&"sandbox-app".into(), &0.into()));
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    run(&["sandbox", "--report", "html=report.html"]).refused(2, &["--grade"]);
    run(&["sandbox", "--grade", "--report", "pdf=report.pdf"])
        .refused(2, &["there is no format `pdf`"]);
    run(&["sandbox", "--grade", "--report", "html=/nowhere/at/all.html"])
        .refused(2, &["/nowhere/at/all.html"]);
    run(&["sandbox", "--listen", "127.0.0.1:0", "--grade=nobody"])
        .refused(2, &["no client `nobody`"]);
}
