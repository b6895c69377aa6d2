//! Sandboxes with one store and issuer are the nodes of one system.

use std::net::TcpListener;

use counterfoil_testing::fresh_database;
use serde_json::json;
use tokio::task::JoinSet;

use crate::setting::{OTHER, RECIPIENT, Server, counterfoil, run, send};

const CALLBACK: &str = "http://127.0.0.1/callback";

/// Two nodes; the issuer is where the first one listens.
fn pair(store: &str) -> [Server; 2] {
    let first = Server::sandbox(&["--store", store]);
    // The ready line tells the issuer, so the port must be known before.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut second = Server::spawn(counterfoil(&[
        "sandbox",
        "--listen",
        &address,
        "--store",
        store,
        "--issuer",
        &first.origin,
    ]));
    assert_eq!(second.origin, first.origin);
    second.client.origin = format!("http://{address}");
    [first, second]
}

async fn offset(node: &Server) -> i64 {
    node.get("/sandbox/clock").await.json()["offset_seconds"].as_i64().unwrap()
}

async fn code(node: &Server, client: &str) -> String {
    let form = [("client_id", client), ("redirect_uri", CALLBACK), ("customer", "customer_1")];
    node.post("/sandbox/codes", &form).await.member("code")
}

async fn delete(node: &Server, path: &str) -> u16 {
    send(node.http.delete(node.url(path))).await.status
}

async fn faults(node: &Server) -> usize {
    node.get("/sandbox/faults").await.json()["faults"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sandboxes_on_one_database_are_one_system() {
    let database = fresh_database();
    let nodes = pair(&database);
    let [a, b] = &nodes;
    for node in &nodes {
        assert!(node.log().contains("in the clear"), "{}", node.log());
    }
    assert_eq!(a.get("/jwks").await.json(), b.get("/jwks").await.json());

    // A code of one is redeemed at the other.
    let form = |code: String| {
        [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", CALLBACK.to_owned()),
        ]
    };
    let code = code(a, OTHER.0).await;
    let form = form(code);
    let form: Vec<(&str, &str)> =
        form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let tokens = b.post_as(OTHER, "/token", &form).await.tokens();
    assert_eq!(a.accounts(&tokens.id_token).await.status, 200);

    // Time is everybody's in the next request.
    for hours in 1..=20 {
        let (here, there) = if hours % 2 == 0 { (a, b) } else { (b, a) };
        assert_eq!(here.post("/sandbox/clock", &[("advance", "1h")]).await.status, 200);
        assert_eq!(offset(there).await, hours * 3600);
    }
    assert_eq!(a.post("/sandbox/clock", &[("advance", "5h")]).await.status, 200);
    assert_eq!(b.accounts(&tokens.id_token).await.status, 401);
    assert_eq!(delete(b, "/sandbox/clock").await, 200);
    assert_eq!(offset(a).await, 0);
    assert_eq!(a.accounts(&tokens.id_token).await.status, 200);

    // However many ask at once, a fault strikes as many as it says.
    for _ in 0..5 {
        assert_eq!(
            a.post(
                "/sandbox/faults",
                &[("fault", "unavailable"), ("count", "1"), ("client_id", RECIPIENT.0)]
            )
            .await
            .status,
            201
        );
        let mut asked = JoinSet::new();
        for number in 0..20 {
            let node = &nodes[number % 2];
            let request =
                node.http.post(node.url("/token")).basic_auth(RECIPIENT.0, Some(RECIPIENT.1));
            asked.spawn(send(request.form(&[("grant_type", "none")])));
        }
        let mut answers: Vec<u16> =
            asked.join_all().await.iter().map(|answer| answer.status).collect();
        answers.sort_unstable();
        assert_eq!((answers[18], answers[19]), (400, 503), "{answers:?}");
        assert_eq!((faults(a).await, faults(b).await), (0, 0));
    }
    // What one set, the other clears, and it strikes nobody any more.
    for (here, there) in [(a, b), (b, a)] {
        assert_eq!(
            here.post("/sandbox/faults", &[("fault", "unavailable"), ("count", "5")]).await.status,
            201
        );
        assert_eq!(faults(there).await, 1);
        assert_eq!(delete(there, "/sandbox/faults").await, 200);
        assert_eq!(faults(here).await, 0);
        here.post_as(RECIPIENT, "/token", &[("grant_type", "none")])
            .await
            .is(400, json!({ "error": "invalid_grant" }));
    }

    // The one stops; the other goes on with what both did.
    let [a, b] = nodes;
    a.stop();
    b.refresh(OTHER, &tokens.refresh_token).await.tokens();
    assert_eq!(b.revoke(OTHER, &tokens.access_token).await.status, 200);
    assert_eq!(b.accounts(&tokens.id_token).await.status, 401);
}

#[test]
fn a_sandbox_that_is_not_of_the_system_is_refused() {
    let database = fresh_database();
    let node = Server::sandbox(&["--store", &database]);
    let other = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &database,
        "--issuer",
        "http://127.0.0.1:1",
    ];
    run(&other).refused(1, &["belongs to the issuer", &node.origin, "http://127.0.0.1:1"]);
    // It is a sandbox's, whatever its issuer.
    let live = crate::setting::Live::on(&database);
    let text = std::fs::read_to_string(live.config()).unwrap();
    std::fs::write(live.config(), text.replace("http://127.0.0.1:8080", &node.origin)).unwrap();
    live.admin("client list").refused(1, &["sandbox"]);

    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", dir.path().join("sandbox.db").display());
    let node = Server::sandbox(&["--store", &store]);
    let second =
        ["sandbox", "--listen", "127.0.0.1:0", "--store", &store, "--issuer", &node.origin];
    run(&second).refused(1, &["in use by counterfoil sandbox, process", &node.id().to_string()]);
}
