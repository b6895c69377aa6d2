//! stdout and stderr that are closed, full, without a reader, or with one that stalls: a server
//! serves all the same and stops when it is told to; a command says that its result is lost; and a
//! secret that is shown once is in use only where it was shown.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::setting::{BINARY, Done, Live, PROVIDER, Server, counterfoil, wait_until};

/// `O_NONBLOCK` on Linux.
const NONBLOCK: i32 = 0o4000;

/// What is wrong with a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    Closed,
    Full,
    ReaderGone,
    Stalled,
}

const TROUBLES: [Trouble; 4] =
    [Trouble::Closed, Trouble::Full, Trouble::ReaderGone, Trouble::Stalled];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stream {
    Stdout,
    Stderr,
}

/// A pipe without any room left.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    // Opened once more, so that the other's writes do block.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filling = File::options().write(true).custom_flags(NONBLOCK).open(path).unwrap();
    for bytes in [&[b'.'; 4096][..], b"."] {
        while filling.write(bytes).is_ok() {}
    }
    (reader, writer)
}

/// The binary with that trouble. A reader that stalls is one for as long as what is given is kept.
fn troubled(arguments: &[&str], stream: Stream, trouble: Trouble) -> (Command, Option<PipeReader>) {
    let mut command = counterfoil(arguments);
    let (at, reader): (Stdio, _) = match trouble {
        Trouble::Closed => {
            command = Command::new("bash");
            let closed = if stream == Stream::Stdout { ">&-" } else { "2>&-" };
            command.args(["-c", &format!("exec \"$0\" \"$@\" {closed}"), BINARY]).args(arguments);
            return (command, None);
        }
        Trouble::Full => (File::options().write(true).open("/dev/full").unwrap().into(), None),
        Trouble::ReaderGone => (pipe().unwrap().1.into(), None),
        Trouble::Stalled => {
            let (reader, writer) = full_pipe();
            (writer.into(), Some(reader))
        }
    };
    match stream {
        Stream::Stdout => command.stdout(at),
        Stream::Stderr => command.stderr(at),
    };
    (command, reader)
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Every request is answered, and a signal ends it in good order.
async fn serves(mut server: Server) -> String {
    for _ in 0..20 {
        assert_eq!(server.get("/health/live").await.status, 200);
        assert_eq!(server.refresh(("nobody", "nothing"), "cfr_hello").await.status, 401);
    }
    let metrics = server.get("/metrics").await.text;
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    metrics
}

fn counted(metrics: &str, name: &str) -> u64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

#[tokio::test]
async fn serve() {
    let live = Live::new();
    for (stream, trouble) in [Stream::Stderr, Stream::Stdout]
        .into_iter()
        .flat_map(|stream| TROUBLES.map(|trouble| (stream, trouble)))
    {
        let (mut command, stalled) =
            troubled(&["serve", "--config", &live.config()], stream, trouble);
        let address = free_address();
        command.env("COUNTERFOIL_LISTEN", &address).env("COUNTERFOIL_SHUTDOWN_DELAY", "0s");
        match stream {
            Stream::Stdout => command.stderr(Stdio::null()),
            Stream::Stderr => command.stdout(Stdio::null()),
        };
        let metrics = serves(Server::spawn_unheard(command, &address)).await;
        let errors = counted(&metrics, "counterfoil_log_write_errors_total");
        let must_fail =
            stream == Stream::Stderr && matches!(trouble, Trouble::Full | Trouble::ReaderGone);
        assert_eq!(errors > 0, must_fail, "{stream:?} {trouble:?}: {errors}");
        assert_eq!(
            counted(&metrics, "counterfoil_log_lines_dropped_total"),
            0,
            "{stream:?} {trouble:?}"
        );
        drop(stalled);
    }
}

#[tokio::test]
async fn sandbox() {
    for (stream, trouble) in [Stream::Stderr, Stream::Stdout]
        .into_iter()
        .flat_map(|stream| TROUBLES.map(|trouble| (stream, trouble)))
    {
        let address = free_address();
        let (mut command, stalled) = troubled(&["sandbox", "--listen", &address], stream, trouble);
        match stream {
            Stream::Stdout => command.stderr(Stdio::null()),
            Stream::Stderr => command.stdout(Stdio::null()),
        };
        serves(Server::spawn_unheard(command, &address)).await;
        drop(stalled);
    }
}

/// Both at once, as `2>&1 | reader` has it.
#[tokio::test]
async fn one_reader_that_stalls_for_both() {
    let live = Live::new();
    let (reader, writer) = full_pipe();
    let mut command = live.command();
    let address = free_address();
    command.env("COUNTERFOIL_LISTEN", &address).stdout(writer.try_clone().unwrap()).stderr(writer);
    serves(Server::spawn_unheard(command, &address)).await;
    drop(reader);
}

/// Runs a command to its end. Where its reader stalls, that one goes away in the end.
fn ended(arguments: &[&str], trouble: Trouble) -> Done {
    let (mut command, stalled) = troubled(arguments, Stream::Stdout, trouble);
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(reader) = stalled {
        waits_at_stdout(&child);
        drop(reader);
    }
    let ended = child.wait_with_output().unwrap();
    Done {
        code: ended.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Waits until a child waits for the reader of its stdout: the first argument of the system call
/// that it is in is 1.
fn waits_at_stdout(child: &Child) {
    let path = format!("/proc/{}/syscall", child.id());
    wait_until("a write to stdout", || {
        std::fs::read_to_string(&path)
            .unwrap()
            .split(' ')
            .nth(1)
            .filter(|first| *first == "0x1")
            .map(drop)
    });
}

/// Surroundings with a client and a customer: with a server that runs, and without one.
fn both() -> [(Live, Option<Server>); 2] {
    [true, false].map(|runs| {
        let live = Live::new();
        live.add_client("shop");
        live.add_customer("alice", "alice-password");
        let server = runs.then(|| live.serve());
        (live, server)
    })
}

/// What secrets there are.
fn state(live: &Live) -> [Value; 3] {
    ["client list --json", "client show shop --json", "customer list --json"]
        .map(|words| live.admin(words).json())
}

#[tokio::test]
async fn a_secret_that_can_not_be_shown_is_not_made() {
    let customer = format!("--provider {PROVIDER}");
    for (live, server) in both() {
        let browser = match &server {
            Some(server) => Some(server.sign_in("shop", ("alice", "alice-password")).await),
            None => None,
        };
        let before = state(&live);
        for (words, secret) in [
            ("client add till redirect_uris=https://till.example/cb", "client_secret"),
            ("client rotate-secret shop", "client_secret"),
            ("client rotate-secret shop --drop-old", "client_secret"),
            (&*format!("customer add bob {customer}"), "password"),
            (&*format!("customer set-password alice {customer}"), "password"),
        ] {
            for trouble in TROUBLES {
                for more in
                    [&["--config", &live.config()][..], &["--config", &live.config(), "--json"]]
                {
                    let done =
                        ended(&[&words.split(' ').collect::<Vec<_>>(), more].concat(), trouble);
                    let message = format!(
                        "counterfoil: nothing was changed: the {secret} is shown this once, and standard output"
                    );
                    assert_eq!(
                        (done.code, done.stderr.contains(&message)),
                        (Some(1), true),
                        "{words} {trouble:?}: {}",
                        done.stderr
                    );
                    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
                }
            }
        }
        assert_eq!(state(&live), before);
        if let (Some(server), Some(browser)) = (server, browser) {
            // Her password was not set, which would have ended the session.
            server.code(&browser, "shop").await;
        }
    }
}

/// What was shown is what is in use, to the second.
#[test]
fn a_secret_is_shown_as_it_is_then() {
    for (live, _server) in both() {
        for words in [
            "client add till redirect_uris=https://till.example/cb",
            "client rotate-secret shop",
            "client rotate-secret shop --drop-old",
        ] {
            let mut shown = live.admin(&format!("{words} --json")).json();
            let secret = shown.as_object_mut().unwrap().remove("client_secret").unwrap();
            assert!(secret.as_str().unwrap().starts_with("cf_secret_"));
            let id = shown["client_id"].as_str().unwrap().to_owned();
            assert_eq!(live.admin(&format!("client show {id} --json")).json(), shown, "{words}");
        }
    }
}

/// Where another command comes between showing and doing, the secret that was shown is said to be
/// void.
#[test]
fn a_secret_that_was_shown_and_is_refused() {
    for (live, _server) in both() {
        let config = live.config();
        let arguments = [
            "client",
            "add",
            "till",
            "redirect_uris=https://till.example/cb",
            "--json",
            "--config",
            &config,
        ];
        let (mut command, stalled) = troubled(&arguments, Stream::Stdout, Trouble::Stalled);
        let mut reader = stalled.unwrap();
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        waits_at_stdout(&child);
        live.add_client("till");
        let before = state(&live);
        let mut shown = String::new();
        reader.read_to_string(&mut shown).unwrap();
        assert!(shown.contains("cf_secret_"), "{shown}");
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            said.contains(
                "there is a client `till` already. The client_secret that was shown is void"
            ),
            "{said}"
        );
        assert_eq!(state(&live), before);
    }
}

/// A full disk must not look like an empty list. A reader that had enough, as `head`, and a stdout
/// that was closed are no failures.
#[test]
fn results() {
    let live = Live::new();
    live.add_client("shop");
    let config = live.config();
    for arguments in [
        &["client", "list", "--config", &config][..],
        &["keys", "rotate", "--config", &config, "--json"],
        &["--help"],
        &["--version"],
    ] {
        for (trouble, code, lines) in [
            (Trouble::Full, 1, 1),
            (Trouble::Closed, 0, 0),
            (Trouble::ReaderGone, 0, 0),
            (Trouble::Stalled, 0, 0),
        ] {
            let done = ended(arguments, trouble);
            assert_eq!(
                (done.code, done.stderr.lines().count()),
                (Some(code), lines),
                "{arguments:?} {trouble:?}: {}",
                done.stderr
            );
            assert!(
                lines == 0
                    || done
                        .stderr
                        .contains("could not be written to standard output: No space left"),
                "{}",
                done.stderr
            );
        }
    }
}

/// That nobody reads its messages makes no command fail.
#[test]
fn messages() {
    let live = Live::new();
    live.add_client("shop");
    for trouble in [Trouble::Closed, Trouble::Full, Trouble::ReaderGone] {
        for (words, code) in
            [("client rotate-secret shop", 0), ("client show nobody", 1), ("client dance", 2)]
        {
            let config = live.config();
            let arguments =
                [&words.split(' ').collect::<Vec<_>>()[..], &["--config", &config]].concat();
            let (mut command, _) = troubled(&arguments, Stream::Stderr, trouble);
            assert_eq!(
                command.stdout(Stdio::piped()).output().unwrap().status.code(),
                Some(code),
                "{words} {trouble:?}"
            );
        }
    }
}

/// A run goes to its end, with the sandbox's clock set right and its reports written, and waits
/// then, until somebody reads or it is told to stop.
#[tokio::test]
async fn a_run_that_nobody_reads() {
    for is_read in [true, false] {
        let sandbox = Server::sandbox(&[]);
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("report.json");
        let wanted = format!("json={}", report.display());
        let (mut command, stalled) = troubled(
            &["verify", &sandbox.origin, "--report", &wanted],
            Stream::Stdout,
            Trouble::Stalled,
        );
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        wait_until("the report", || {
            std::fs::read_to_string(&report).ok()?.ends_with("}\n").then_some(())
        });
        assert_eq!(sandbox.get("/sandbox/clock").await.json()["offset_seconds"], 0);
        let mut shown = String::new();
        if is_read {
            stalled.unwrap().read_to_string(&mut shown).unwrap();
        } else {
            wait_until("the end of a run that is told to stop", || {
                assert!(
                    Command::new("kill").arg(child.id().to_string()).status().unwrap().success()
                );
                child.try_wait().unwrap()
            });
        }
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(
            (ended.status.code(), shown.contains("token-management")),
            (Some(i32::from(!is_read)), is_read),
            "{shown} {said}"
        );
        assert_eq!(
            said.contains("the result was not read before this was told to stop"),
            !is_read,
            "{said}"
        );
    }
}

/// A sandbox that grades serves although nobody reads what it tells, and stops when it is told to.
#[tokio::test]
async fn a_grade_that_nobody_reads() {
    let address = free_address();
    let (mut command, stalled) =
        troubled(&["sandbox", "--grade", "--listen", &address], Stream::Stdout, Trouble::Stalled);
    command.stderr(Stdio::null());
    let mut server = Server::spawn_unheard(command, &address);
    let tokens = server.tokens().await;
    assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1), "as where it is stopped early");
    drop(stalled);
}
