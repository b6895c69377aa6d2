//! Connections and the heads that come in by them: how many there may be, what is refused of a
//! head, how a server ends, and what probes see.

use std::time::Duration;

use counterfoil_server::Bounds;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::setting::{Answer, RECIPIENT, Sandbox, Setting, Tokens, not_authorized, send};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// A request whose body is on the way, so that its connection is busy.
const BUSY: &str = "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";

/// A client that writes bytes.
struct Raw(TcpStream);

impl Raw {
    async fn connect(sandbox: &Sandbox) -> Self {
        Self(TcpStream::connect(sandbox.url("").strip_prefix("http://").unwrap()).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// What comes until the text ends in `end`, or the connection does.
    async fn read_to(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let reading = async {
            while !read.ends_with(end.as_bytes()) || end.is_empty() {
                match self.0.read_u8().await {
                    Ok(byte) => read.push(byte),
                    Err(_) => break,
                }
            }
        };
        timeout(Duration::from_secs(30), reading).await.unwrap();
        String::from_utf8(read).unwrap()
    }

    /// The head of the next answer.
    async fn head(&mut self) -> String {
        self.read_to("\r\n\r\n").await
    }

    /// Everything until the server closes.
    async fn rest(&mut self) -> String {
        self.read_to("").await
    }

    async fn ask(&mut self, request: &str) -> String {
        self.send(request).await;
        self.head().await
    }
}

async fn with_limit(limit: usize) -> Sandbox {
    Sandbox::with(Setting { bounds: Bounds { limit, ..Bounds::default() }, ..Setting::default() })
        .await
}

/// The value of a metric, labels and all.
async fn metric(sandbox: &Sandbox, name: &str) -> u64 {
    let text = sandbox.get("/metrics").await.text;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {text}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn the_longest_idle_makes_room() {
    let sandbox = with_limit(4).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Raw::connect(&sandbox).await;
        assert!(client.ask(LIVE).await.starts_with("HTTP/1.1 200"));
        clients.push(client);
    }
    assert!(Raw::connect(&sandbox).await.ask(LIVE).await.starts_with("HTTP/1.1 200"));
    assert_eq!(clients.remove(0).rest().await, "");
    assert!(clients.pop().unwrap().ask(LIVE).await.starts_with("HTTP/1.1 200"));
    assert!(
        metric(&sandbox, "counterfoil_connections_closed_for_room_total{listener=\"public\"}")
            .await
            >= 1
    );
    assert_eq!(metric(&sandbox, "counterfoil_connections_limit{listener=\"public\"}").await, 4);
}

#[tokio::test]
async fn where_all_are_busy_the_next_one_waits() {
    let sandbox = with_limit(2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = Raw::connect(&sandbox).await;
        client.send(BUSY).await;
        busy.push(client);
    }
    let mut next = Raw::connect(&sandbox).await;
    next.send(LIVE).await;
    assert!(timeout(Duration::from_millis(300), next.head()).await.is_err());
    // Whose client could go on asking for ever.
    let last = busy.pop().unwrap().ask("a=b&").await;
    assert!(last.starts_with("HTTP/1.1 4") && last.contains("connection: close"), "{last}");
    assert!(next.head().await.starts_with("HTTP/1.1 200"));
    assert!(
        metric(&sandbox, "counterfoil_connections_waited_total{listener=\"public\"}").await >= 1
    );
}

/// What a head is answered at paths of each shape, body and all.
async fn refused(sandbox: &Sandbox, version: &str, headers: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for target in ["POST /token", "GET /accounts", "GET /authorize", "GET /nowhere"] {
        let mut client = Raw::connect(sandbox).await;
        client
            .send(&format!("{target} HTTP/{version}\r\n{headers}Connection: close\r\n\r\n"))
            .await;
        let answer = client.rest().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("\r\ncache-control: no-store"), "{head}");
        answers.push((head[9..12].parse().unwrap(), body.to_owned()));
    }
    answers
}

#[tokio::test]
async fn a_request_has_one_host() {
    let sandbox = Sandbox::start().await;
    for headers in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a/b\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
    ] {
        let [token, accounts, page, nowhere] =
            refused(&sandbox, "1.1", headers).await.try_into().unwrap();
        for oauth in [token, nowhere] {
            assert_eq!(oauth, (400, "{\"error\":\"invalid_request\"}".to_owned()), "{headers:?}");
        }
        assert_eq!(
            accounts,
            (400, "{\"code\":401,\"message\":\"Invalid input\"}".to_owned()),
            "{headers:?}"
        );
        assert!(page.0 == 400 && page.1.starts_with("<!"), "{headers:?} {page:?}");
    }
    // HTTP/1.0 knows no Host; two of them are no better there.
    assert_eq!(refused(&sandbox, "1.0", "").await[1].0, 401);
    assert_eq!(refused(&sandbox, "1.0", "Host: a\r\nHost: a\r\n").await[1].0, 400);
    for host in ["", "auth.bank.example:8443", "[::1]:80", "xn--bcher-kva.example"] {
        assert_eq!(
            refused(&sandbox, "1.1", &format!("Host: {host}\r\n")).await[1].0,
            401,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_head_has_32_kib_at_the_most() {
    let sandbox = Sandbox::start().await;
    let headers = |bytes: usize| format!("Host: localhost\r\nX-Much: {}\r\n", "x".repeat(bytes));
    assert_eq!(refused(&sandbox, "1.1", &headers(32_000)).await[1].0, 401);
    let [token, accounts, page, nowhere] =
        refused(&sandbox, "1.1", &headers(33_000)).await.try_into().unwrap();
    for oauth in [token, nowhere] {
        assert_eq!(oauth, (431, "{\"error\":\"invalid_request\"}".to_owned()));
    }
    assert_eq!(accounts.0, 400);
    assert!(page.0 == 431 && page.1.starts_with("<!"));
    // Nobody reads on to find out for which path it would be.
    let mut client = Raw::connect(&sandbox).await;
    client.send(&format!("GET /accounts HTTP/1.1\r\n{}\r\n", headers(1 << 20))).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_connection_ends_with_a_body_that_was_not_read() {
    let sandbox = Sandbox::start().await;
    let post = |path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: 4\r\n\r\na=b&")
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (request, is_last) in [
        (post("/token", form), false),
        (post("/userinfo", form), false),
        (post("/userinfo", ""), true),
        (post("/nowhere", form), true),
        (LIVE.to_owned(), false),
        ("POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(), false),
    ] {
        let head = Raw::connect(&sandbox).await.ask(&request).await;
        assert_eq!(head.contains("connection: close"), is_last, "{request}{head}");
    }
}

#[tokio::test]
async fn an_answer_is_readable_while_its_body_is_still_sent() {
    let sandbox = Sandbox::start().await;
    for _ in 0..20 {
        let mut client = Raw::connect(&sandbox).await;
        client
            .send("POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
            .await;
        for _ in 0..10 {
            client.send(&"x".repeat(100_000)).await;
        }
        assert!(client.rest().await.starts_with("HTTP/1.1 413"));
    }
}

/// Whether a page of the client's origin may read an answer, and whether it is told that it may
/// ask.
async fn crosses(sandbox: &Sandbox, method: Method, path: &str, body: String) -> Answer {
    let origin = "http://localhost:3000";
    let answer = send(
        sandbox.http.request(method.clone(), sandbox.url(path)).header("origin", origin).body(body),
    )
    .await;
    let preflight =
        sandbox.http.request(Method::OPTIONS, sandbox.url(path)).header("origin", origin);
    let preflight = send(preflight.header("access-control-request-method", method.as_str())).await;
    assert_eq!(preflight.status, 200, "{path}");
    for answer in [&answer, &preflight] {
        let allowed = answer.header("access-control-allow-origin");
        assert!(allowed == origin || allowed == "*", "{path}: {answer:?}");
    }
    answer
}

#[tokio::test]
async fn pages_of_clients_may_read_why_they_are_refused() {
    let sandbox = Sandbox::start().await;
    assert_eq!(crosses(&sandbox, Method::POST, "/token", "x".repeat(70_000)).await.status, 413);
    assert_eq!(crosses(&sandbox, Method::PUT, "/revoke", String::new()).await.status, 405);
    assert_eq!(crosses(&sandbox, Method::GET, "/userinfo", String::new()).await.status, 401);
    let long = format!("/token?{}", "x".repeat(40_000));
    assert_eq!(crosses(&sandbox, Method::POST, &long, String::new()).await.status, 431);
}

#[tokio::test]
async fn an_access_token_may_come_in_the_body_of_userinfo() {
    let sandbox = Sandbox::start().await;
    let tokens: Tokens = sandbox.tokens(RECIPIENT).await;
    let wanted = sandbox.bearer("/userinfo", &tokens.access_token).await;
    assert_eq!(wanted.status, 200);
    let sent = [("access_token", tokens.access_token.as_str())];
    sandbox.post("/userinfo", &sent).await.is(200, wanted.json());
    sandbox.post("/userinfo", &[("other", "value"), sent[0]]).await.is(200, wanted.json());
    for wrong in ["cfa_wrong", &tokens.id_token, &tokens.refresh_token] {
        let answer = sandbox.post("/userinfo", &[("access_token", wrong)]).await;
        answer.is(401, json!({ "error": "invalid_token" }));
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
    // In one place, once, and not where it ends up in logs.
    let twice = send(
        sandbox.http.post(sandbox.url("/userinfo")).bearer_auth(&tokens.access_token).form(&sent),
    )
    .await;
    for answer in [twice, sandbox.post("/userinfo", &[sent[0], sent[0]]).await] {
        answer.is(400, json!({ "error": "invalid_request" }));
        assert!(
            answer.header("www-authenticate").starts_with("Bearer ")
                && answer.header("www-authenticate").contains("invalid_request")
        );
    }
    assert_eq!(
        sandbox.get(&format!("/userinfo?access_token={}", tokens.access_token)).await.status,
        401
    );
    assert_eq!(sandbox.post("/userinfo", &[("other", "value")]).await.status, 401);
    let body = format!("access_token={}", tokens.access_token);
    let untyped =
        sandbox.http.post(sandbox.url("/userinfo")).header("content-type", "text/plain").body(body);
    assert_eq!(send(untyped).await.status, 401);
    sandbox.bearer("/accounts", "wrong").await.is(401, not_authorized());
}

#[tokio::test]
async fn what_holds_tokens_is_kept_by_nobody() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code(RECIPIENT.0).await;
    for answer in [
        sandbox.exchange(RECIPIENT, &code).await,
        sandbox.exchange(RECIPIENT, &code).await,
        sandbox.get("/accounts").await,
    ] {
        assert_eq!(
            (answer.header("cache-control"), answer.header("pragma")),
            ("no-store", "no-cache"),
            "{answer:?}"
        );
    }
    assert_eq!(sandbox.get("/jwks").await.header("pragma"), "");
}

#[tokio::test]
async fn probes_cost_no_writes() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.get("/health/ready").await.status, 200);
    let before = metric(&sandbox, "counterfoil_store_commits_total").await;
    for _ in 0..200 {
        assert_eq!(sandbox.get("/health/ready").await.status, 200);
    }
    let written = metric(&sandbox, "counterfoil_store_commits_total").await - before;
    assert!(written < 20, "{written}");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_is_not_ready_serves_on_and_drains() {
    let sandbox =
        Sandbox::with(Setting { shutdown_delay: Duration::from_secs(1), ..Setting::default() })
            .await;
    let (mut idle, mut silent, mut busy) =
        (Raw::connect(&sandbox).await, Raw::connect(&sandbox).await, Raw::connect(&sandbox).await);
    let head = idle.ask(LIVE).await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("close"), "{head}");
    let mut asked = Raw::connect(&sandbox).await;
    asked.ask(LIVE).await;
    busy.send(BUSY).await;
    let (url, http) = (sandbox.url(""), sandbox.http.clone());
    let ended = sandbox.stop();
    // For a while only readiness shows it.
    let ready = loop {
        let ready = send(http.get(format!("{url}/health/ready"))).await;
        if ready.status != 200 {
            break ready;
        }
    };
    assert_eq!((ready.status, ready.header("connection")), (503, "close"));
    assert_eq!(send(http.get(format!("{url}/jwks"))).await.status, 200);
    let head = asked.ask(LIVE).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close"), "{head}");
    assert_eq!(asked.rest().await, "");
    // Then connections that wait are closed, and requests in flight are finished.
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err());
    silent.send(LIVE).await;
    let head = silent.head().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close"), "{head}");
    let head = busy.ask("a=b&").await;
    assert!(head.starts_with("HTTP/1.1 4") && head.contains("connection: close"), "{head}");
    drop((silent, busy));
    ended.await.unwrap().unwrap();
}
