//! `counterfoil sandbox` as a process: its ready line, its signals, what it keeps, and the
//! walk-through that it prints.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::setting::{Live, RECIPIENT, Server, finish, run};

#[tokio::test]
async fn the_ready_line_carries_the_real_port() {
    let server = Server::sandbox(&[]);
    assert!(server.stdout().starts_with(&format!("ready {}\n", server.origin)));
    assert!(!server.origin.ends_with(":0"));
    assert_eq!(
        server.get("/.well-known/openid-configuration").await.member("issuer"),
        server.origin
    );
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.get("/health/ready").await.status, 200);
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn wrong_usage() {
    run(&["sandbox", "--listen", "0.0.0.0:0"]).refused(2, &["0.0.0.0:0", "--issuer"]);
    run(&["sandbox", "--listen", "[::]:0"]).refused(2, &["--issuer"]);
    run(&["sandbox", "--listen", "localhost"])
        .refused(2, &["`localhost` is not an IP address with a port", "127.0.0.1:8080"]);
    run(&["sandbox", "--issuer", "http://sandbox:8080/"]).refused(2, &["without a path"]);
    run(&["sandbox", "--issuer", "http://u:secret@sandbox"])
        .refused(2, &["must not hold a user name or password"]);
    run(&["sandbox", "--issuer", "http://sandbox", "--tls"]).refused(2, &["--tls", "https"]);
    run(&["sandbox", "--host", "sandbox:8080"]).refused(2, &["leave out scheme, port and path"]);
    run(&["sandbox", "--data", "d", "--store", "sqlite:s"]).refused(2, &["--data", "--store"]);
    run(&["sandbox", "--store", "mysql://db"]).refused(2, &["sqlite:PATH"]);
    run(&["sandbox", "--store", "postgres:///db"]).refused(2, &["names no host"]);
    run(&["sandbox", "--log", "inof"]).refused(2, &["`inof`", "info"]);
    run(&["sandbox", "--print-env", "--listen", "127.0.0.1:0"]).refused(2, &["port", "--issuer"]);
    run(&["sandbox", "--colour"]).refused(2, &["--colour"]);
}

#[tokio::test]
async fn a_wildcard_address_works_with_an_issuer() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (listen, issuer) = (format!("0.0.0.0:{port}"), format!("http://localhost:{port}"));
    let server = Server::spawn(crate::setting::counterfoil(&[
        "sandbox", "--listen", &listen, "--issuer", &issuer,
    ]));
    assert_eq!(server.origin, issuer);
    let tokens = server.tokens().await;
    assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
}

#[test]
fn print_env() {
    run(&["sandbox", "--print-env"]).says(&[
        "OIDC_ISSUER=http://127.0.0.1:8080\n",
        "OIDC_CLIENT_ID=sandbox-recipient\n",
        "OIDC_CLIENT_SECRET=sandbox-recipient-secret-for-local-use\n",
        "OIDC_REDIRECT_URI=http://127.0.0.1:8080/sandbox/callback\n",
        "SANDBOX_CUSTOMER=customer_1\n",
    ]);
    run(&["sandbox", "--print-env", "--listen", "127.0.0.1:9"])
        .says(&["OIDC_ISSUER=http://127.0.0.1:9\n"]);
    run(&["sandbox", "--print-env", "--tls", "--data", "/data"])
        .says(&["OIDC_ISSUER=https://127.0.0.1:8080\n", "SANDBOX_CA_FILE=/data/tls/ca.pem\n"]);
}

/// Among containers a server goes by the name of its service.
#[tokio::test]
async fn names_that_were_named_and_no_others() {
    let address = free_address();
    let mut command = crate::setting::counterfoil(&[
        "sandbox",
        "--listen",
        &address,
        "--issuer",
        "http://sandbox:8080",
    ]);
    command.args(["--host", "bank.test", "--host", "192.0.2.7", "--host", "2001:db8::7"]);
    let server = Server::spawn(command);
    assert!(server.stdout().starts_with("ready http://sandbox:8080\n"));
    let clock = async |name: &'static str, value: &str| {
        server
            .http
            .get(format!("http://{address}/sandbox/clock"))
            .header(name, value)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    for host in [
        "sandbox:8080",
        "sandbox",
        "bank.test:1",
        "BANK.test",
        "192.0.2.7",
        "[2001:db8::7]:8080",
        "localhost",
    ] {
        assert_eq!(clock("host", host).await, 200, "{host}");
    }
    for host in ["evil.example", "bank.test.evil.example", "192.0.2.8", "sandbox.evil.example"] {
        assert_eq!(clock("host", host).await, 403, "{host}");
    }
    assert_eq!(
        (
            clock("origin", "http://bank.test:3000").await,
            clock("origin", "http://evil.example").await
        ),
        (200, 403)
    );
    // The own callback may be used, although no other redirect URI may be http under such a name.
    let form = [
        ("client_id", RECIPIENT.0),
        ("customer", "customer_1"),
        ("redirect_uri", "http://sandbox:8080/sandbox/callback"),
    ];
    let codes = server
        .http
        .post(format!("http://{address}/sandbox/codes"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(codes.status(), 201);
}

/// Clients that trust the CA go on doing so when the certificate is another.
#[test]
fn tls_by_a_ca_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("tls/ca.pem");
    let mut seen = Vec::new();
    for host in ["sandbox", "bank.test"] {
        let mut command = crate::setting::counterfoil(&[
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--tls",
            "--host",
            host,
            "--data",
        ]);
        let server = Server::spawn({
            command.arg(dir.path());
            command
        });
        let origin = server.stdout().split_whitespace().nth(1).unwrap().to_owned();
        assert!(
            origin.starts_with("https://127.0.0.1:")
                && server.stdout().contains(ca.to_str().unwrap()),
            "{}",
            server.stdout()
        );
        let port = origin.rsplit(':').next().unwrap();
        let curl = |url: &str| {
            let resolve = format!("{host}:{port}:127.0.0.1");
            finish(
                Command::new("curl").args([
                    "-sS",
                    "--cacert",
                    ca.to_str().unwrap(),
                    "--resolve",
                    &resolve,
                    "-D",
                    "-",
                    url,
                ]),
                "",
            )
        };
        for name in ["127.0.0.1", "localhost", host] {
            curl(&format!("https://{name}:{port}/sandbox/clock"))
                .says(&["200 OK", "offset_seconds"]);
        }
        let ask = format!(
            "response_type=code&client_id={}&redirect_uri={origin}/sandbox/callback&scope=openid",
            RECIPIENT.0
        );
        curl(&format!("{origin}/authorize?{ask}")).says(&["200 OK", "__Host-", "Secure"]);
        let mut clock = crate::setting::counterfoil(&["sandbox-ctl", &origin, "clock", "--json"]);
        assert_eq!(finish(clock.env("SSL_CERT_FILE", &ca), "").json()["offset_seconds"], 0);
        seen.push((
            std::fs::read(&ca).unwrap(),
            std::fs::read(dir.path().join("tls/certificate.pem")).unwrap(),
        ));
        server.stop();
    }
    assert!(seen[0].0 == seen[1].0 && seen[0].1 != seen[1].1);
    for key in ["key.pem", "ca-key.pem"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(dir.path().join("tls").join(key)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[derive(serde::Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(serde::Deserialize)]
struct Service {
    command: Vec<String>,
    #[serde(default)]
    entrypoint: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// The compose file, with processes in the place of containers.
#[test]
fn the_compose_file() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/compose.yaml"))
            .unwrap();
    let Compose { mut services } = crate::yaml::read(&text);
    let (sandbox, app) = (services.remove("sandbox").unwrap(), services.remove("app").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let free = free_address().rsplit(':').next().unwrap().to_owned();
    let here = |text: &str| {
        let text = text.replace("8443", &free).replace("0.0.0.0", "127.0.0.1");
        text.replace("/data", data)
            .replace("/sandbox/tls", &format!("{data}/tls"))
            .replace("$$", "$")
    };
    let mut command = crate::setting::counterfoil(&[]);
    command.args(sandbox.command.iter().map(|word| here(word)));
    let server = Server::spawn(command);
    assert!(
        server.stdout().starts_with(&format!("ready https://sandbox:{free}\n")),
        "{}",
        server.stdout()
    );
    std::fs::write(dir.path().join(".curlrc"), format!("resolve = sandbox:{free}:127.0.0.1\n"))
        .unwrap();
    let words: Vec<_> = app.entrypoint.iter().chain(&app.command).map(|word| here(word)).collect();
    let environment = app.environment.iter().map(|(name, value)| (name, here(value)));
    finish(Command::new(&words[0]).args(&words[1..]).envs(environment).env("CURL_HOME", data), "")
        .says(&["accountId"]);
}

/// A request of which the body has not come yet is in flight; one that has not begun is not.
#[test]
fn a_signal_stops_it_once_requests_in_flight_are_finished() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::sandbox(&[]);
        let address = server.origin.strip_prefix("http://").unwrap().to_owned();
        let mut idle = TcpStream::connect(&address).unwrap();
        idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
        let _speculative = TcpStream::connect(&address).unwrap();
        let mut in_flight = TcpStream::connect(&address).unwrap();
        let (head, body) = (
            "POST /sandbox/clock HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n",
            "advance=1h",
        );
        let kind = "Content-Type: application/x-www-form-urlencoded";
        write!(in_flight, "{head}{kind}\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        // Asked for its body, the request is in the hands of its endpoint.
        let mut go_on = [0; 25];
        in_flight.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let told = std::time::Instant::now();
        server.signal(signal);
        crate::setting::wait_until("the end of listening", || TcpStream::connect(&address).err());
        in_flight.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        in_flight.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("\"offset_seconds\":3600"),
            "{answer}"
        );
        assert_eq!(server.ended().code(), Some(0), "{}", server.log());
        assert!(told.elapsed().as_secs() < 10, "idle connections kept it for {:?}", told.elapsed());
    }
}

#[test]
fn without_data_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = crate::setting::counterfoil(&["sandbox", "--listen", "127.0.0.1:0"]);
    command.env("TMPDIR", temporary.path());
    let server = Server::spawn(command);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    server.stop();
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn with_data_a_restart_finds_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::sandbox_in(&data);
    let listen = server.origin.strip_prefix("http://").unwrap().to_owned();
    let (kept, ended) = (server.tokens().await, server.tokens().await);
    assert_eq!(server.revoke(RECIPIENT, &ended.refresh_token).await.status, 200);
    server.post("/sandbox/clock", &[("advance", "2h")]).await;
    let keys = server.get("/jwks").await.json();
    server.stop();

    let server = Server::spawn(crate::setting::counterfoil(&[
        "sandbox",
        "--listen",
        &listen,
        "--data",
        data.to_str().unwrap(),
    ]));
    assert_eq!(server.get("/sandbox/clock").await.json()["offset_seconds"], 7200);
    assert_eq!(server.get("/jwks").await.json(), keys);
    assert_eq!(server.accounts(&kept.id_token).await.status, 200);
    assert_eq!(server.accounts(&ended.id_token).await.status, 401);
    let next = server.refresh(RECIPIENT, &kept.refresh_token).await.tokens();
    assert_eq!(server.accounts(&next.access_token).await.status, 200);
    assert_eq!(server.refresh(RECIPIENT, &kept.refresh_token).await.status, 400);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::sandbox_in(dir.path());
    let listen = server.origin.strip_prefix("http://").unwrap().to_owned();
    let mut tokens = server.tokens().await;
    let ended = server.tokens().await;
    for _ in 0..3 {
        let used = tokens.refresh_token;
        tokens = server.refresh(RECIPIENT, &used).await.tokens();
        assert_eq!(server.revoke(RECIPIENT, &ended.id_token).await.status, 200);
        server.kill();
        server = Server::spawn(crate::setting::counterfoil(&[
            "sandbox",
            "--listen",
            &listen,
            "--data",
            dir.path().to_str().unwrap(),
        ]));
        assert_eq!(server.refresh(RECIPIENT, &used).await.status, 400);
        assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
        assert_eq!(server.accounts(&ended.id_token).await.status, 401);
    }
    server.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
}

#[test]
fn one_process_owns_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::sandbox_in(dir.path());
    let data = dir.path().to_str().unwrap();
    let holder = format!("counterfoil sandbox, process {}", server.id());
    run(&["sandbox", "--listen", "127.0.0.1:0", "--data", data]).refused(1, &["in use", &holder]);
    server.stop();
    Server::sandbox_in(dir.path()).stop();
}

#[test]
fn a_port_that_is_taken() {
    let server = Server::sandbox(&[]);
    let listen = server.origin.strip_prefix("http://").unwrap();
    run(&["sandbox", "--listen", listen]).refused(1, &[listen, "can't be listened on", "in use"]);
}

#[test]
fn a_store_is_for_one_of_the_two() {
    let live = Live::new();
    let store = format!("sqlite:{}", live.path("counterfoil.db").display());
    Server::sandbox(&["--store", &store]).stop();
    finish(&mut live.command(), "")
        .refused(1, &["is a sandbox store", "`counterfoil serve` needs a live one"]);
    live.admin("client list").refused(1, &["is a sandbox store"]);

    let live = Live::new();
    live.serve().stop();
    let store = format!("sqlite:{}", live.path("counterfoil.db").display());
    run(&["sandbox", "--listen", "127.0.0.1:0", "--store", &store])
        .refused(1, &["is a live store", "`counterfoil sandbox` needs a sandbox one"]);
}

#[test]
fn keys_that_went_missing_are_said() {
    let dir = tempfile::tempdir().unwrap();
    Server::sandbox_in(dir.path()).stop();
    std::fs::remove_dir_all(dir.path().join("keys")).unwrap();
    run(&["sandbox", "--listen", "127.0.0.1:0", "--data", dir.path().to_str().unwrap()])
        .refused(1, &["no keys", "client secrets"]);
}

/// What is printed, pasted into a shell as it is, with every line that does something shown to
/// succeed.
#[test]
fn the_walk_through_works_to_its_end() {
    let server = Server::sandbox(&[]);
    let printed = crate::setting::wait_until("the walk-through", || {
        Some(server.stdout()).filter(|text| text.contains("/revoke"))
    });
    let script = printed.split_once("paste these:\n").unwrap().1;
    let done = finish(Command::new("bash").arg("-eu"), script);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{}", done.stdout);
    let mut rest = done.stdout.as_str();
    for expected in [
        "cfc_",
        "\"refresh_token\":\"",
        "{\"accounts\":[{",
        "\"refresh_token\":\"",
        "HTTP/1.1 400 Bad Request",
        "counterfoil-reason: ",
        "Refresh token is invalid or has already been claimed by another client.",
        "\"offset_seconds\":90000",
        "{\"code\":602,\"message\":\"Customer not authorized\"}",
        "\"offset_seconds\":0",
        "HTTP/1.1 200 OK",
        "{\"code\":602,\"message\":\"Customer not authorized\"}",
    ] {
        let at = rest
            .find(expected)
            .unwrap_or_else(|| panic!("no {expected:?} in {rest} of {}", done.stdout));
        rest = &rest[at + expected.len()..];
    }
}
