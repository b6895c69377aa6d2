//! `counterfoil serve` as a process: its settings, its files and who may read them, TLS, its log,
//! its endings log, its keys.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use counterfoil_core::clock::Clock;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::setting::{Live, Server, finish, run, wait_until};

const PASSWORD: &str = "recognisable-password";

#[tokio::test]
async fn the_smallest_configuration_serves() {
    let live = Live::new();
    finish(live.command().arg("--check"), "").says(&["the settings are good"]);
    assert!(!live.path("counterfoil.db").exists());

    let server = live.serve();
    assert!(server.stdout().ends_with(" as http://127.0.0.1:8080\n"), "{}", server.stdout());
    assert_eq!(
        server.get("/.well-known/openid-configuration").await.member("issuer"),
        "http://127.0.0.1:8080"
    );
    assert_eq!(server.get("/health/ready").await.status, 200);
    for path in ["/", "/sandbox", "/sandbox/clock", "/sandbox/codes", "/sandbox/callback"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    server.stop();
    assert!(!live.path("counterfoil.db.sock").exists());
}

#[test]
fn its_files_are_for_its_user_alone() {
    let live = Live::new();
    let _server = live.serve();
    let mode =
        |name: &str| std::fs::metadata(live.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys"), 0o700);
    let files = [
        "counterfoil.db",
        "counterfoil.db-wal",
        "counterfoil.db-shm",
        "counterfoil.db.lock",
        "counterfoil.db.sock",
    ];
    for name in files.into_iter().chain(["keys/keys.json", "endings.log"]) {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let live = Live::new();
    live.add_client("first");
    live.admin("keys list").says(&["RS256", "slip-1"]);
    for (name, open, wanted) in
        [("keys", 0o750, "chmod 700"), ("keys/keys.json", 0o644, "chmod 600")]
    {
        let before = std::fs::metadata(live.path(name)).unwrap().permissions();
        std::fs::set_permissions(live.path(name), PermissionsExt::from_mode(open)).unwrap();
        finish(&mut live.command(), "").refused(1, &[live.path(name).to_str().unwrap(), wanted]);
        std::fs::set_permissions(live.path(name), before).unwrap();
    }
    live.serve().stop();
}

#[test]
fn settings_that_are_wrong_are_said_with_their_place() {
    let live = Live::new();
    let said = |more: &str, words: &[&str]| {
        live.configure(more);
        finish(live.command().arg("--check"), "").refused(2, words);
        finish(&mut live.command(), "").refused(2, words);
    };
    said("lisen = \"127.0.0.1:1\"", &["counterfoil.toml", "line 6", "lisen", "listen"]);
    said("log = \"loud\"", &["`loud`", "info"]);
    said(
        "metrics_listen = \"localhost:9\"",
        &["`metrics_listen`", "`localhost:9`", "127.0.0.1:8080"],
    );
    said("[lifetimes]\nid_token = \"25h\"", &["lifetimes.id_token", "24h"]);
    said("[lifetimes]\ngrant = \"soon\"", &["`lifetimes.grant`", "soon"]);
    said("[errors]\ndialect = \"french\"", &["`errors.dialect`", "network", "rfc", "french"]);
    said("[tls]\nkey = \"key.pem\"", &["tls.certificate"]);
    said("issuer = \"twice\"", &["line 6", "duplicate key"]);
    run(&["serve"]).refused(2, &["--config <FILE>"]);
    run(&["serve", "--config", "/nowhere/counterfoil.toml"])
        .refused(2, &["/nowhere/counterfoil.toml", "can't be read"]);

    live.configure("");
    let text =
        std::fs::read_to_string(live.config()).unwrap().replace("endings_log", "# endings_log");
    std::fs::write(live.config(), text).unwrap();
    finish(&mut live.command(), "").refused(2, &["`endings_log` is missing"]);
    finish(live.command().env("COUNTERFOIL_ENDINGS_LOG", "e").arg("--check"), "").says(&["good"]);
}

#[tokio::test]
async fn the_environment_wins() {
    let live = Live::new();
    finish(live.command().env("COUNTERFOIL_COLOUR", "red").arg("--check"), "")
        .refused(2, &["COUNTERFOIL_COLOUR", "COUNTERFOIL_LISTEN"]);
    finish(live.command().env("COUNTERFOIL_LISTEN", "8080").arg("--check"), "")
        .refused(2, &["`listen`", "`8080`"]);
    let mut command = live.command();
    command
        .env("COUNTERFOIL_ISSUER", "http://localhost:9")
        .env("COUNTERFOIL_ERRORS_DIALECT", "rfc");
    let server = Server::spawn(command);
    assert_eq!(
        server.get("/.well-known/openid-configuration").await.member("issuer"),
        "http://localhost:9"
    );
    let secret = live
        .admin("client add shop redirect_uris=http://127.0.0.1/cb --json")
        .json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    server
        .post_as(("shop", &secret), "/token", &[("grant_type", "wish")])
        .await
        .is(400, json!({ "error": "unsupported_grant_type" }));
}

#[test]
fn a_store_belongs_to_one_issuer() {
    let live = Live::new();
    live.serve().stop();
    finish(live.command().env("COUNTERFOIL_ISSUER", "https://other.example"), "").refused(
        1,
        &["belongs to the issuer http://127.0.0.1:8080", "not to https://other.example"],
    );
}

#[test]
fn a_second_server_is_told_who_holds_the_store() {
    let live = Live::new();
    let server = live.serve();
    finish(&mut live.command(), "")
        .refused(1, &["in use", &format!("counterfoil serve, process {}", server.id())]);
    server.stop();
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let live = Live::new();
    let server = live.serve();
    server.get("/jwks").await;
    assert!(
        server
            .get("/metrics")
            .await
            .text
            .contains("counterfoil_requests_total{route=\"/jwks\",status=\"2xx\"} 1")
    );
    server.stop();

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    live.configure(&format!("metrics_listen = \"127.0.0.1:{port}\""));
    let server = live.serve();
    assert_eq!(server.get("/metrics").await.status, 404);
    let apart = |path: &str| {
        crate::setting::send(server.http.get(format!("http://127.0.0.1:{port}{path}")))
    };
    assert!(apart("/metrics").await.text.contains("counterfoil_store_wal_bytes"));
    assert_eq!(apart("/jwks").await.status, 404);
    server.stop();
}

#[test]
fn it_speaks_tls_itself() {
    let live = Live::new();
    let (certificate, lines) = live.certificate();
    live.configure(&lines);
    let server = live.serve();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connection =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap())
            .unwrap();
    let address = server.origin.strip_prefix("http://").unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream
        .write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{\"ready\":true}"),
        "{answer}"
    );
    server.stop();
}

#[test]
fn a_certificate_that_can_not_be_used_is_named() {
    let live = Live::new();
    let (_, lines) = live.certificate();
    live.configure(&lines);
    std::fs::write(live.path("certificate.pem"), "no certificate").unwrap();
    finish(&mut live.command(), "")
        .refused(1, &["certificate.pem", "there is no certificate in it"]);
    std::fs::remove_file(live.path("certificate.pem")).unwrap();
    finish(&mut live.command(), "").refused(1, &["certificate.pem", "No such file"]);
    assert!(!live.path("counterfoil.db").exists());
}

/// Every way in which a secret comes in or goes out; none of it may be in the log.
#[tokio::test]
async fn the_log_is_json_and_names_no_secret() {
    let live = Live::new();
    live.configure("log = \"debug\"");
    let server = live.serve();
    let secret = live.add_client("shop");
    live.add_customer("alice", PASSWORD);
    let shop = ("shop", secret.as_str());
    let first = server.consent(shop, ("alice", PASSWORD)).await;
    let second = server.refresh(shop, &first.refresh_token).await.tokens();
    server.refresh(shop, &first.refresh_token).await;
    server.refresh(("shop", "recognisable-wrong-secret"), &second.refresh_token).await;
    server.accounts(&second.id_token).await;
    server.bearer("/userinfo", &second.access_token).await;
    server.post_as(shop, "/introspect", &[("token", &second.access_token)]).await;
    server.get("/jwks?recognisable-query=1").await;
    server.get("/recognisable-path").await;
    server
        .post(
            "/token",
            &[
                ("client_id", "shop"),
                ("client_secret", &secret),
                ("recognisable-parameter", "recognisable-value"),
            ],
        )
        .await;
    server
        .post_as(
            shop,
            "/token",
            &[("grant_type", "authorization_code"), ("code", "recognisable-code")],
        )
        .await;
    server.bearer("/accounts", "recognisable.bearer.token").await;
    let said = server
        .http
        .get(server.url("/accounts"))
        .header("FDX-API-Actor-Type", "BATCH")
        .header("x-akoya-interaction-type", "recognisable");
    crate::setting::send(said).await;
    server.revoke(shop, &second.refresh_token).await;
    let rotated = live.admin("client rotate-secret shop --json").json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let log = crate::setting::wait_until("the line of the revocation", || {
        Some(server.log()).filter(|log| log.contains("/revoke"))
    });
    for token in [&first, &second] {
        for secret in [&token.id_token, &token.access_token, &token.refresh_token] {
            assert!(
                !log.contains(secret.as_str()) && !log.contains(&secret[secret.len() - 20..]),
                "{secret} in {log}"
            );
        }
    }
    for secret in ["recognisable", PASSWORD, &secret, &rotated] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let grant = live.admin("grant list --json").json()[0]["grant"].as_str().unwrap().to_owned();
    let refused = lines
        .iter()
        .find(|line| line["reason"].as_str().is_some_and(|reason| reason.contains("was claimed")))
        .unwrap();
    assert_eq!(
        (&refused["route"], &refused["status"], &refused["client"]),
        (&json!("/token"), &json!(400), &json!("shop"))
    );
    assert_eq!(refused["grant"], grant.as_str());
    let said: Vec<_> = lines.iter().filter(|line| line["actor_type"] == "batch").collect();
    assert_eq!(
        (said.len(), &said[0]["interaction_type"], &said[0]["route"]),
        (1, &json!("other"), &json!("/accounts"))
    );
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
}

#[tokio::test]
async fn an_ending_is_in_its_log_before_it_is_acknowledged() {
    let live = Live::new();
    let server = live.serve();
    let secret = live.add_client("shop");
    let (shop, alice) = (("shop", secret.as_str()), ("alice", PASSWORD));
    live.add_customer(alice.0, alice.1);
    let log = || std::fs::read_to_string(live.path("endings.log")).unwrap();
    assert!(
        log().starts_with(r#"{"opened_after":0,"store":""#) && log().lines().count() == 1,
        "{}",
        log()
    );

    let revoked = server.consent(shop, alice).await;
    assert_eq!(server.revoke(shop, &revoked.id_token).await.status, 200);
    let line: Value = serde_json::from_str(log().lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        (&line["grant"], &line["line"]),
        (&live.admin("grant list --json").json()[0]["grant"], &1.into())
    );

    // A rotation of logs takes the file away; the next line is found under the name all the same.
    std::fs::rename(live.path("endings.log"), live.path("endings.log.1")).unwrap();
    let again = server.consent(shop, alice).await;
    assert_eq!(server.revoke(shop, &again.id_token).await.status, 200);
    assert!(
        log().starts_with(r#"{"opened_after":1,"store":""#) && log().lines().count() == 2,
        "{}",
        log()
    );
    live.admin("client remove shop").says(&["removed shop"]);
    assert!(log().lines().nth(2).unwrap().contains("\"client\":\"shop\""), "{}", log());

    // What a crash kept out of the log is in it once the next server has started.
    server.kill();
    let written: String = log().lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(live.path("endings.log"), written + "{\"half a li").unwrap();
    let server = live.serve();
    assert!(!log().contains("half") && log().contains("\"client\":\"shop\""), "{}", log());
    server.stop();
    live.serve().stop();
}

/// Either of the endings log and its store went back in time, and either is told what to run.
#[tokio::test]
async fn an_endings_log_and_its_store_must_agree() {
    let live = Live::new();
    let server = live.serve();
    let secret = live.add_client("shop");
    let (shop, alice) = (("shop", secret.as_str()), ("alice", PASSWORD));
    live.add_customer(alice.0, alice.1);
    let [first, revoked, kept] = [
        server.consent(shop, alice).await,
        server.consent(shop, alice).await,
        server.consent(shop, alice).await,
    ];
    assert_eq!(server.revoke(shop, &first.id_token).await.status, 200);
    server.stop();
    let copy =
        |from: &str, to: &str| assert!(std::fs::copy(live.path(from), live.path(to)).unwrap() > 0);
    copy("counterfoil.db", "earlier.db");
    copy("endings.log", "earlier.log");
    let server = live.serve();
    assert_eq!(server.revoke(shop, &revoked.id_token).await.status, 200);
    server.stop();
    // What was issued by now is older than what follows.
    let issued = Clock::live().now();
    wait_until("the next second", || (Clock::live().now() > issued).then_some(()));
    copy("counterfoil.db", "later.db");
    copy("endings.log", "later.log");
    let (run, config) =
        (|more: &str| finish(live.command().args(more.split_whitespace()), ""), live.config());

    // The store is older.
    copy("earlier.db", "counterfoil.db");
    for more in ["", "--accept-lost-endings"] {
        run(more).refused(
            1,
            &["earlier state", "(1)", &format!("counterfoil declare-loss --config {config}")],
        );
    }
    live.admin("grant list").refused(1, &["counterfoil declare-loss"]);
    live.admin("declare-loss").says(&["1 were applied"]);
    let server = live.serve();
    assert_eq!(server.accounts(&revoked.id_token).await.status, 401);
    assert_eq!(server.accounts(&kept.id_token).await.status, 200);
    server.stop();

    // The log is older, or gone.
    for log in [Some("earlier.log"), None] {
        copy("later.db", "counterfoil.db");
        match log {
            Some(log) => copy(log, "endings.log"),
            None => std::fs::remove_file(live.path("endings.log")).unwrap(),
        }
        run("").refused(
            1,
            &["endings.log", &format!("counterfoil serve --accept-lost-endings --config {config}")],
        );
        let server = Server::spawn({
            let mut command = live.command();
            command.arg("--accept-lost-endings");
            command
        });
        assert_eq!(server.accounts(&kept.id_token).await.status, 401, "clients refresh");
        server.stop();
        live.serve().stop();
    }

    // Another store's.
    let other = Live::new();
    other.serve().stop();
    std::fs::copy(other.path("endings.log"), live.path("endings.log")).unwrap();
    run("").refused(1, &["is of another store"]);
}

#[tokio::test]
async fn keys_survive_restarts_and_are_never_made_anew_for_a_store_in_use() {
    let live = Live::new();
    let server = live.serve();
    let secret = live.add_client("shop");
    live.add_customer("alice", PASSWORD);
    let keys = server.get("/jwks").await.json();
    let tokens = server.consent(("shop", &secret), ("alice", PASSWORD)).await;
    server.stop();

    std::fs::rename(live.path("keys"), live.path("elsewhere")).unwrap();
    for mut command in [
        live.command(),
        crate::setting::counterfoil(&["grant", "list", "--config", &live.config()]),
    ] {
        finish(&mut command, "")
            .refused(1, &["no keys in", "the store holds grants", "restore them from a backup"]);
        assert!(!live.path("keys").exists());
    }
    std::fs::rename(live.path("elsewhere"), live.path("keys")).unwrap();
    let server = live.serve();
    assert_eq!(server.get("/jwks").await.json(), keys);
    server.refresh(("shop", &secret), &tokens.refresh_token).await.tokens();
    server.stop();

    std::fs::write(live.path("keys/keys.json"), "{}").unwrap();
    finish(&mut live.command(), "").refused(1, &["keys.json", "restore it from a backup"]);
}

#[test]
fn clients_without_grants_need_their_keys_too() {
    let live = Live::new();
    live.add_client("shop");
    std::fs::remove_dir_all(live.path("keys")).unwrap();
    finish(&mut live.command(), "").refused(1, &["no keys in", "the store holds client secrets"]);
}

#[test]
fn a_path_too_long_for_the_socket_is_said_before_it_is_ready() {
    let live = Live::new();
    let long = live.path(&"x".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let store = format!("sqlite:{}/c.db", long.display());
    finish(live.command().env("COUNTERFOIL_STORE", &store), "")
        .refused(1, &["admin socket", "107", "shorter"]);
    finish(live.command().arg("--check").env("COUNTERFOIL_STORE", &store), "")
        .refused_with(1, &["admin socket", "107", "shorter"]);
}

#[test]
fn the_example_configuration_is_good() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/counterfoil.toml");
    // Its directories are another machine's.
    let settings_of =
        |path: &Path| run(&["serve", "--check", "--config", path.to_str().unwrap()]).stdout;
    assert!(settings_of(&example).contains("the settings are good"));
    // What is commented out is good too.
    let text: String = std::fs::read_to_string(&example)
        .unwrap()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line)))
        .collect();
    assert!(text.contains("\n[tls]\n"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("all.toml"), text).unwrap();
    assert!(settings_of(&dir.path().join("all.toml")).contains("the settings are good"));
}
