//! `counterfoil serve` and its connections as a process has them: few files, signals, certificates
//! that are replaced.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::setting::{Live, Server, counterfoil, finish, send, wait_until};

const ASK: &[u8] = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// `command` with a limit of open files.
fn with_files(command: &Command, files: u32) -> Command {
    let mut limited = Command::new("bash");
    limited
        .args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.origin.strip_prefix("http://").unwrap()).unwrap()
}

#[tokio::test]
async fn few_files_are_enough() {
    let live = Live::new();
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    live.configure(&format!("metrics_listen = \"{metrics}\""));
    let server = Server::spawn(with_files(&live.command(), 64));
    let secret = live.add_client("shop");
    live.add_customer("alice", "a-good-password");
    let mut tokens = server.consent(("shop", &secret), ("alice", "a-good-password")).await;
    // More than there may be: some that ask and stay, some that say nothing, some that say half of
    // it.
    let mut others = Vec::new();
    for number in 0..150 {
        let mut stream = connect(&server);
        match number % 3 {
            0 => stream.write_all(ASK).unwrap(),
            1 => stream.write_all(&ASK[..20]).unwrap(),
            _ => {}
        }
        others.push(stream);
        if number % 10 == 0 {
            tokens = server.refresh(("shop", &secret), &tokens.refresh_token).await.tokens();
        }
    }
    live.admin("grant list").says(&["shop"]);
    let apart = |path: &str| send(server.http.get(format!("http://{metrics}{path}")));
    assert_eq!(
        (apart("/health/ready").await.status, apart("/health/live").await.status),
        (200, 200)
    );
    let counted = apart("/metrics").await.text;
    let value = |name: &str| -> u64 {
        counted.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    assert!(
        value("counterfoil_connections_closed_for_room_total{listener=\"public\"}") > 50,
        "{counted}"
    );
    assert_eq!(value("counterfoil_connections_not_accepted_total{listener=\"public\"}"), 0);
    assert!(
        value("counterfoil_connections{listener=\"public\"}")
            <= value("counterfoil_connections_limit{listener=\"public\"}")
    );
    let log = server.log();
    assert_eq!(log.matches("as many connections as there may be").count(), 1, "{log}");
    drop(others);
    server.stop();

    finish(&mut with_files(&live.command(), 32), "")
        .refused(1, &["32 files", "ulimit -n", "LimitNOFILE"]);
    live.configure("[connections]\nlimit = 5000");
    finish(&mut with_files(&live.command(), 1024), "")
        .refused(1, &["1024 files", "connections.limit"]);
    live.configure("[connections]\nlimit = 20");
    let server = live.serve();
    let counted = server.get("/metrics").await.text;
    assert!(
        counted.contains("counterfoil_connections_limit{listener=\"public\"} 20\n"),
        "{counted}"
    );
    server.stop();
}

/// A connection that trusts one certificate alone.
fn tls(
    server: &Server,
    trusted: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connection =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap())
            .unwrap();
    StreamOwned::new(connection, connect(server))
}

fn is_answered(stream: &mut (impl Read + Write)) -> bool {
    let mut answer = [0; 15];
    stream
        .write_all(ASK)
        .and_then(|()| stream.read_exact(&mut answer))
        .is_ok_and(|()| answer == *b"HTTP/1.1 200 OK")
}

/// Reads what is left of an answer that ends in `}`.
fn read_on(stream: &mut impl Read) {
    let mut byte = [0];
    while byte != *b"}" {
        stream.read_exact(&mut byte).unwrap();
    }
}

#[test]
fn a_hangup_reads_certificate_and_log_anew() {
    let live = Live::new();
    let (first, lines) = live.certificate();
    live.configure(&format!("log = \"warn\"\n{lines}"));
    let server = live.serve();
    let mut kept = tls(&server, &first);
    assert!(is_answered(&mut kept));
    read_on(&mut kept);
    let hang_up = |said: &str| {
        let before = server.log().matches(said).count();
        server.signal("HUP");
        wait_until(said, || (server.log().matches(said).count() > before).then_some(()));
    };

    // What can't be used leaves all as it was, and is said.
    std::fs::write(live.path("certificate.pem"), "no certificate").unwrap();
    hang_up("there is no certificate in it");
    assert!(is_answered(&mut tls(&server, &first)));
    let (second, _) = live.certificate();
    std::fs::write(live.path("key.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    hang_up("the certificate can't be used with the key");
    live.configure(&format!("log = \"loud\"\n{lines}"));
    hang_up("`loud`");
    live.configure(&format!("lag = \"info\"\n{lines}"));
    hang_up("lag");
    assert!(is_answered(&mut tls(&server, &first)) && !is_answered(&mut tls(&server, &second)));
    assert!(!server.log().contains("\"route\""), "{}", server.log());

    let (third, _) = live.certificate();
    live.configure(&format!("log = \"info\"\n{lines}"));
    hang_up("reloaded");
    assert!(is_answered(&mut tls(&server, &third)) && !is_answered(&mut tls(&server, &first)));
    // A connection that was there goes on, and is logged now.
    assert!(is_answered(&mut kept));
    wait_until("the line of a request", || {
        server.log().contains("\"route\":\"/health/ready\"").then_some(())
    });
    drop(kept);
    server.stop();
}

#[test]
fn a_hangup_ends_no_sandbox() {
    let server = Server::sandbox(&[]);
    server.signal("HUP");
    wait_until("the word of it", || server.log().contains("SIGHUP").then_some(()));
    assert!(is_answered(&mut connect(&server)));
    server.stop();
}

#[test]
fn who_tells_it_to_stop_twice_waits_for_nothing() {
    let live = Live::new();
    let mut command = live.command();
    command.env("COUNTERFOIL_SHUTDOWN_DELAY", "600s");
    let mut server = Server::spawn(command);
    let mut busy = connect(&server);
    busy.write_all(b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n")
        .unwrap();
    server.signal("TERM");
    wait_until("the word of it", || server.log().contains("told to stop").then_some(()));
    // It serves on, but says that it is not ready.
    let mut answer = String::new();
    let mut other = connect(&server);
    other.write_all(ASK).unwrap();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(!live.path("counterfoil.db.sock").exists());
}

#[test]
fn settings_of_connections_are_checked() {
    let live = Live::new();
    for (more, words) in [
        ("[connections]\nidle_timeout = \"soon\"", ["`connections.idle_timeout`", "soon"]),
        (
            "[connections]\nheader_timeout = \"0s\"",
            ["`connections.header_timeout`", "between 1 and 3600 seconds"],
        ),
        ("[connections]\nlimit = 3", ["`connections.limit`", "3"]),
        ("[connections]\nlimit = \"many\"", ["line 7", "a number, without quotes"]),
        ("[shutdown]\ndelay = \"-1s\"", ["`shutdown.delay`", "-1s"]),
        ("[shutdown]\ndelay = \"1h\"", ["`shutdown.delay`", "600"]),
    ] {
        live.configure(more);
        finish(live.command().arg("--check").env_remove("COUNTERFOIL_SHUTDOWN_DELAY"), "")
            .refused(2, &words);
    }
    live.configure("");
    let mut good = counterfoil(&["serve", "--check", "--config", &live.config()]);
    good.env("COUNTERFOIL_CONNECTIONS_LIMIT", "100")
        .env("COUNTERFOIL_CONNECTIONS_IDLE_TIMEOUT", "60s");
    finish(&mut good, "").says(&["good"]);
}
