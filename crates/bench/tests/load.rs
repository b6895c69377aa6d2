//! The load generator against small servers in the test's own process.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use counterfoil_bench::{
    BenchError, Client, ClientAuth, Contender, Entrant, Load, Measurement, Rounds, Standing, Tell,
    Workload,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A token server that rotates: a token is good once.
#[derive(Default)]
struct Bank {
    living: BTreeSet<String>,
    reused: u64,
    issued: u64,
}

type Shared = Arc<Mutex<Bank>>;

impl Bank {
    fn with(tokens: &[String]) -> Shared {
        Arc::new(Mutex::new(Self { living: tokens.iter().cloned().collect(), ..Self::default() }))
    }
}

async fn token(State(bank): State<Shared>, form: String) -> Response {
    let form: HashMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let mut bank = bank.lock().unwrap();
    assert_eq!(
        (form["grant_type"].as_str(), form["client_id"].as_str(), form["client_secret"].as_str()),
        ("refresh_token", "app", "a&b")
    );
    if !bank.living.remove(&form["refresh_token"]) {
        bank.reused += 1;
        return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response();
    }
    bank.issued += 1;
    // With a character that a form must escape.
    let next = format!("token+{}", bank.issued);
    bank.living.insert(next.clone());
    serde_json::json!({"access_token": "secret", "token_type": "Bearer", "refresh_token": next})
        .to_string()
        .into_response()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

/// Serves what `answer` says, raw, once a connection, and closes it.
async fn serve_once(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    origin
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("first-{number}")).collect()
}

fn contender(urls: Vec<String>, workload: Workload) -> Contender {
    Contender {
        name: "it".into(),
        note: String::new(),
        urls,
        workload,
        pids: Vec::new(),
        processes: Vec::new(),
        place: None,
    }
}

fn refreshing(url: String, tokens: Vec<String>) -> Contender {
    let client = Client { id: "app".into(), secret: Some("a&b".into()), auth: ClientAuth::Post };
    contender(vec![url], Workload::Refresh { client, tokens })
}

fn rounds(connections: usize) -> Rounds {
    let load = Load {
        connections,
        warm_up: Duration::from_millis(50),
        time: Duration::from_millis(300),
        once: false,
        ca: None,
    };
    Rounds { load, count: 2, cores: None }
}

async fn run(rounds: &Rounds, contenders: Vec<Contender>) -> Result<Measurement, BenchError> {
    let tell: Tell = Arc::new(|_| {});
    rounds.run(contenders.into_iter().map(Entrant::new).collect(), &tell).await
}

fn requests(standing: &Standing) -> u64 {
    standing.rounds.iter().map(|round| round.requests).sum()
}

#[tokio::test]
async fn each_answers_token_is_the_next_requests() {
    let first = numbered(20);
    let bank = Bank::with(&first);
    let origin = serve(Router::new().route("/token", post(token)).with_state(bank.clone())).await;
    let outcome =
        run(&rounds(8), vec![refreshing(format!("{origin}/token"), first.clone())]).await.unwrap();
    let bank = bank.lock().unwrap();
    let it = &outcome.report.contenders[0];
    assert_eq!((bank.reused, it.errors), (0, 0), "{:?}", it.first_error);
    assert!(it.rounds.iter().all(|round| round.requests > 0), "{it:?}");
    assert!(requests(it) <= bank.issued);
    for round in &it.rounds {
        assert!(
            0.0 < round.p50_ms
                && round.p50_ms <= round.p99_ms
                && round.p99_ms <= round.p999_ms
                && round.p999_ms <= round.max_ms
        );
        assert!(
            round.requests_per_second > 0.0 && round.load_share > 0.0 && round.reopened == 0,
            "{round:?}"
        );
    }
    // Every chain went on, and what is left over is what the server would take next.
    assert!(bank.living.iter().all(|token| !first.contains(token)));
    let [left] = &*outcome.tokens else { panic!("{:?}", outcome.tokens) };
    assert_eq!(left.iter().cloned().collect::<BTreeSet<_>>(), bank.living);
}

#[tokio::test]
async fn errors_end_their_chain_alone() {
    let bank = Bank::with(&numbered(6));
    let origin = serve(Router::new().route("/token", post(token)).with_state(bank.clone())).await;
    let tokens = [numbered(6), vec!["stale-1".into(), "stale-2".into()]].concat();
    let outcome =
        run(&rounds(4), vec![refreshing(format!("{origin}/token"), tokens)]).await.unwrap();
    let it = &outcome.report.contenders[0];
    assert_eq!((it.errors, bank.lock().unwrap().reused), (2, 2));
    assert_eq!(it.first_error.as_deref(), Some(r#"status 400: {"error":"invalid_grant"}"#));
    assert_eq!(outcome.tokens[0].len(), 6);
    assert!(outcome.report.table().contains("it: 2 errors, such as status 400"));
}

#[tokio::test]
async fn when_every_chain_is_dead_it_says_why() {
    let bank = Bank::with(&[]);
    let origin = serve(Router::new().route("/token", post(token)).with_state(bank)).await;
    let failed = async |url: String| {
        run(&rounds(4), vec![refreshing(url, numbered(5))]).await.unwrap_err().to_string()
    };
    let refused = r#"it can't be measured: its chains ended with errors, such as status 400: {"error":"invalid_grant"}"#;
    assert_eq!(failed(format!("{origin}/token")).await, refused);
    let without =
        serve_once("HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"id_token\":\"abc\"}").await;
    assert!(
        failed(without)
            .await
            .ends_with(r#"such as no refresh_token in status 200: {"id_token":"***"}"#)
    );
    let silent = serve_once("").await;
    assert!(
        failed(silent)
            .await
            .ends_with("such as no answer: it closed the connection before its answer was whole")
    );
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(
        failed(format!("http://{nobody}/token"))
            .await
            .starts_with(&format!("it can't be measured: {nobody} accepts no connection: "))
    );
}

#[tokio::test]
async fn a_closed_connection_is_opened_again() {
    let origin = serve_once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 21\r\n\r\n{\"refresh_token\":\"x\"}").await;
    let outcome = run(&rounds(2), vec![refreshing(origin, numbered(4))]).await.unwrap();
    let it = &outcome.report.contenders[0];
    assert_eq!(it.errors, 0, "{:?}", it.first_error);
    assert!(requests(it) > 0);
    // The first request of each connection needs none to be opened again, nor does what follows the
    // last.
    assert!(
        it.rounds.iter().all(|round| round.reopened >= round.requests.saturating_sub(2)),
        "{:?}",
        it.rounds
    );
}

#[tokio::test]
async fn contenders_and_nodes_take_turns() {
    let seen: Arc<Mutex<HashMap<(String, String), u64>>> = Arc::default();
    let node = async |name: &'static str| {
        let seen = seen.clone();
        let accounts = async move |headers: HeaderMap| {
            let token = headers["authorization"]
                .to_str()
                .unwrap()
                .strip_prefix("Bearer ")
                .unwrap()
                .to_owned();
            *seen.lock().unwrap().entry((name.to_owned(), token)).or_default() += 1;
        };
        serve(Router::new().route("/accounts", get(accounts))).await
    };
    let (left, right) = (node("left").await, node("right").await);
    let accounts = |origins: &[&String], tokens| {
        contender(
            origins.iter().map(|origin| format!("{origin}/accounts")).collect(),
            Workload::Bearer { tokens },
        )
    };
    // One token on three connections to two nodes; and ten tokens on one node.
    let one = accounts(&[&left, &right], vec!["only".into()]);
    let ten = accounts(&[&left], (0..10).map(|number| number.to_string()).collect());
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let telling = told.clone();
    let tell: Tell = Arc::new(move |what| telling.lock().unwrap().push(what));
    let named = |name: &str, contender| Entrant::new(Contender { name: name.into(), ..contender });
    let outcome = rounds(3).run(vec![named("one", one), named("ten", ten)], &tell).await.unwrap();
    assert!(
        outcome
            .report
            .contenders
            .iter()
            .all(|standing| standing.errors == 0 && requests(standing) > 0)
    );
    let seen = seen.lock().unwrap();
    assert!(
        ["left", "right"]
            .iter()
            .all(|node| seen.contains_key(&((*node).to_owned(), "only".to_owned()))),
        "{seen:?}"
    );
    assert!(
        (0..10).all(|number| seen.contains_key(&("left".to_owned(), number.to_string()))),
        "{seen:?}"
    );
    assert_eq!(
        *told.lock().unwrap(),
        ["round 1 of 2: one", "round 1 of 2: ten", "round 2 of 2: ten", "round 2 of 2: one"]
    );
}

#[tokio::test]
async fn a_token_that_is_sent_once() {
    let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    let counting = seen.clone();
    let accounts = async move |headers: HeaderMap| {
        *counting
            .lock()
            .unwrap()
            .entry(headers["authorization"].to_str().unwrap().to_owned())
            .or_default() += 1;
    };
    let origin = serve(Router::new().route("/accounts", get(accounts))).await;
    let mut rounds = rounds(2);
    rounds.load.once = true;
    let once = |count| {
        contender(vec![format!("{origin}/accounts")], Workload::Bearer { tokens: numbered(count) })
    };
    let dry = run(&rounds, vec![once(2)]).await.unwrap_err().to_string();
    assert!(dry.contains("were all sent before the time was over"), "{dry}");
    seen.lock().unwrap().clear();
    let outcome = run(&rounds, vec![once(1_000_000)]).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.values().all(|times| *times == 1));
    assert_eq!(seen.len() + outcome.tokens[0].len(), 1_000_000);
}

#[tokio::test]
async fn over_tls_with_a_certificate_of_ones_own() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/accounts", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                        .await
                        .unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    let asking =
        || vec![contender(vec![url.clone()], Workload::Bearer { tokens: vec!["t".into()] })];
    let with = |ca: Option<PathBuf>| {
        let mut rounds = rounds(2);
        rounds.load.ca = ca;
        rounds
    };
    let outcome = run(&with(Some(file.path().to_owned())), asking()).await.unwrap();
    assert!(
        requests(&outcome.report.contenders[0]) > 0 && outcome.report.contenders[0].errors == 0
    );
    let untrusted = run(&with(None), asking()).await.unwrap_err().to_string();
    assert!(untrusted.contains("accepts no connection: invalid peer certificate"), "{untrusted}");
}

#[tokio::test]
async fn processes_are_watched() {
    let origin = serve(Router::new().route("/accounts", get(async || "{}"))).await;
    let mut watched = contender(
        vec![format!("{origin}/accounts")],
        Workload::Bearer { tokens: vec!["t".into()] },
    );
    watched.pids = vec![std::process::id()];
    let outcome = run(&rounds(2), vec![watched]).await.unwrap();
    for round in &outcome.report.contenders[0].rounds {
        assert!(round.cpu_us_per_request.is_some_and(|micros| micros > 0.0), "{round:?}");
        assert!(
            round
                .rss_bytes
                .zip(round.peak_rss_bytes)
                .is_some_and(|(rss, peak)| 0 < rss && rss <= peak),
            "{round:?}"
        );
    }
    let mut gone = contender(vec![origin], Workload::Bearer { tokens: vec!["t".into()] });
    gone.pids = vec![u32::MAX];
    let refused = run(&rounds(1), vec![gone]).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("the processes of it can't be watched: there is no process 4294967295"),
        "{refused}"
    );
}
