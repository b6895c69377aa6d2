//! Peers: servers of other makers, started by a command that prints where they listen.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use counterfoil_core::jws::Algorithm;
use serde::Deserialize;

use crate::{BenchError, Client, ClientAuth, Contender, End, Place, ProcessGuard, Workload};

/// How long a peer may take to make its grants and start.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Characters of its log that a message shows.
const SHOWN: usize = 2_000;

/// What a peer prints, in one line, when it is ready.
#[derive(Deserialize)]
struct Ready {
    name: String,
    #[serde(default)]
    note: String,
    token_endpoint: String,
    client_id: String,
    client_secret: Option<String>,
    auth: ClientAuth,
    /// A file with a refresh token a line.
    refresh_tokens: PathBuf,
    #[serde(default)]
    pids: Vec<u32>,
}

/// Runs `command` with a shell, on `cores` where there are some, and waits until it says that its
/// server is ready. It takes its settings from `BENCH_ALG`, `BENCH_CHAINS`, `BENCH_PORT` and
/// `BENCH_DIR`, a directory in `parent` that goes when it does.
///
/// # Errors
/// It can't be started, or does not get ready.
pub(crate) fn start(
    command: &str,
    alg: Algorithm,
    chains: usize,
    cores: Option<&str>,
    parent: &Path,
) -> Result<Contender, BenchError> {
    let place = Place::new(parent)?;
    let log = place.directory().join("stderr.log");
    let mut shell = match cores {
        Some(cores) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", cores, "sh"]);
            taskset
        }
        None => Command::new("sh"),
    };
    shell
        .args(["-c", command])
        .env("BENCH_ALG", alg.name())
        .env("BENCH_CHAINS", chains.to_string());
    shell.env("BENCH_PORT", free_port()?.to_string()).env("BENCH_DIR", place.directory());
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).map_err(BenchError::file(&log))?);
    let child =
        shell.spawn().map_err(|error| BenchError::Start { program: command.to_owned(), error })?;
    let mut process = ProcessGuard(child, End::Terminate);

    let not_ready = |problem: &str| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let from = said.trim_end().char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
        BenchError::NotReady {
            name: command.to_owned(),
            problem: format!("{problem}\n{}", said[from..].trim()).trim_end().to_owned(),
        }
    };
    let (found, finding) = sync_channel(1);
    let stdout = process.0.stdout.take();
    // Keeps reading, so that a peer that goes on printing does not block.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout?).lines().map_while(Result::ok) {
            if line.starts_with('{') {
                let _ = found.try_send(line);
            }
        }
        Some(())
    });
    let line = finding.recv_timeout(PATIENCE).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            not_ready(&format!("it says nothing after {} minutes", PATIENCE.as_secs() / 60))
        }
        RecvTimeoutError::Disconnected => not_ready("it ended"),
    })?;
    let ready: Ready = serde_json::from_str(&line)
        .map_err(|error| not_ready(&format!("what it says can't be used: {error}: {line}")))?;
    let tokens = read_tokens(&ready.refresh_tokens)?;
    Ok(Contender {
        name: ready.name,
        note: ready.note,
        urls: vec![ready.token_endpoint],
        workload: Workload::Refresh {
            client: Client { id: ready.client_id, secret: ready.client_secret, auth: ready.auth },
            tokens,
        },
        pids: if ready.pids.is_empty() { vec![process.0.id()] } else { ready.pids },
        processes: vec![process],
        place: Some(place),
    })
}

/// Reads tokens, one a line.
///
/// # Errors
/// There are none.
pub fn read_tokens(path: &Path) -> Result<Vec<String>, BenchError> {
    let text = fs::read_to_string(path).map_err(BenchError::file(path))?;
    let tokens: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() {
        Err(BenchError::Plan(format!("{} holds no tokens; write one a line", path.display())))
    } else {
        Ok(tokens)
    }
}

/// A port that is free at the moment.
fn free_port() -> Result<u16, BenchError> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| BenchError::System(format!("there is no free port: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &str) -> Result<Contender, BenchError> {
        super::start(command, Algorithm::Es256, 2, None, &std::env::temp_dir())
    }

    #[test]
    fn a_peer_says_where_it_is() {
        let script = r#"printf 'one\n\n two \n' > "$BENCH_DIR/tokens"; echo starting
            echo '{"name": "'$BENCH_ALG' '$BENCH_CHAINS'", "token_endpoint": "http://127.0.0.1:'$BENCH_PORT'/token", "client_id": "c",
                "auth": "none", "refresh_tokens": "'$BENCH_DIR'/tokens"}' | tr -d '\n'; echo; read -r line"#;
        let contender = start(script).unwrap();
        assert_eq!((contender.name.as_str(), contender.note.as_str()), ("ES256 2", ""));
        let url = url::Url::parse(&contender.urls[0]).unwrap();
        assert!(url.port().is_some() && url.path() == "/token", "{url}");
        assert_eq!(contender.pids, [contender.processes[0].0.id()]);
        let Workload::Refresh { client, tokens } = &contender.workload else {
            panic!("{:?}", contender.workload)
        };
        assert_eq!(
            (client.id.as_str(), client.secret.as_deref(), client.auth),
            ("c", None, ClientAuth::None)
        );
        assert_eq!(tokens, &["one", "two"]);
        let directory = contender.place.as_ref().unwrap().directory().to_owned();
        assert!(directory.is_dir());
        drop(contender);
        assert!(!directory.exists());
    }

    #[test]
    fn a_peer_that_does_not_get_ready() {
        let refused = |command| start(command).unwrap_err().to_string();
        assert!(
            refused("echo no such grant >&2; exit 3")
                .ends_with("did not get ready: it ended\nno such grant")
        );
        let wrong = refused(r#"echo '{"name": "x"}'; read -r line"#);
        assert!(
            wrong.contains("what it says can't be used: missing field `token_endpoint`"),
            "{wrong}"
        );
    }
}
