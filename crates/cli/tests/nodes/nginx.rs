//! nginx as Debian ships it, with the example of `contrib`, in front of two nodes: with connections
//! that are kept and buffers as they are, no request meets a node that is not there.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use tempfile::TempDir;
use tokio::task::{JoinHandle, block_in_place};

use super::bank::Bank;
use crate::setting::{Answer, Server, Tokens, send, try_send, wait_until};

const CLIENTS: usize = 8;

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx at work. It ends when it is dropped.
struct Nginx {
    process: Child,
    origin: String,
    _dir: TempDir,
}

impl Nginx {
    /// In front of nodes at these ports, each left aside for a second where it refuses.
    fn before([first, second]: [u16; 2]) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/nginx.conf");
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut site = std::fs::read_to_string(example).unwrap();
        for (from, to) in [
            (
                "127.0.0.1:8080 max_fails=1 fail_timeout=10s",
                format!("127.0.0.1:{first} max_fails=1 fail_timeout=1s"),
            ),
            (
                "127.0.0.1:8081 max_fails=1 fail_timeout=10s",
                format!("127.0.0.1:{second} max_fails=1 fail_timeout=1s"),
            ),
            ("listen 80;", format!("listen 127.0.0.1:{port};")),
        ] {
            assert!(site.contains(from), "{from}");
            site = site.replace(from, &to);
        }
        let place = dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"));
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log info;\nevents {{}}\nhttp {{\n{}{site}\n}}\n",
            temporary.concat()
        );
        let conf = dir.path().join("nginx.conf");
        std::fs::write(&conf, whole).unwrap();
        // Debian's is in a directory that users do not search.
        let program = ["/usr/sbin/nginx", "nginx"]
            .into_iter()
            .find(|program| Path::new(program).exists())
            .unwrap_or("nginx");
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&conf)
            .arg("-e")
            .arg(dir.path().join("error.log"));
        let process = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("nginx: {e}; run ./test, which installs it"));
        let listening = || TcpStream::connect(("127.0.0.1", port)).ok();
        wait_until("nginx listens", listening);
        Self { process, origin: format!("http://127.0.0.1:{port}"), _dir: dir }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self._dir.path().join("error.log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A node that listens at a port, and goes on for two seconds once it is told to stop.
fn node(bank: &Bank, number: usize, port: u16, more: &[(&str, &str)]) -> Server {
    let mut command = bank.live.node(number);
    command
        .env("COUNTERFOIL_LISTEN", format!("127.0.0.1:{port}"))
        .env("COUNTERFOIL_SHUTDOWN_DELAY", "2s");
    command.envs(more.iter().copied());
    Server::spawn(command)
}

fn refresh(http: &Client, origin: &str, client: (&str, &str), token: &str) -> RequestBuilder {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    http.post(format!("{origin}/token")).basic_auth(client.0, Some(client.1)).form(&form)
}

/// What clients do until they are stopped: refresh without ever trying again, and read accounts.
/// Every answer must be a good one.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    fn start(origin: &str, client: (&str, &str), grants: Vec<Tokens>) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = grants.into_iter().map(|mut held| {
            let (stop, answers, origin) = (stop.clone(), answers.clone(), origin.to_owned());
            let (id, secret, http) = (client.0.to_owned(), client.1.to_owned(), Client::new());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let next =
                        try_send(refresh(&http, &origin, (&id, &secret), &held.refresh_token))
                            .await;
                    held = good("refresh", next)?.tokens();
                    let accounts = try_send(
                        http.get(format!("{origin}/accounts")).bearer_auth(&held.id_token),
                    )
                    .await;
                    good("accounts", accounts)?;
                    answers.fetch_add(2, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let clients = clients.collect();
        Self { stop, answers, clients }
    }

    /// Waits for so many more answers.
    async fn answers(&self, more: usize) {
        let (began, before) = (Instant::now(), self.answers.load(Ordering::Relaxed));
        while self.answers.load(Ordering::Relaxed) < before + more
            && !self.clients.iter().any(JoinHandle::is_finished)
        {
            assert!(began.elapsed() < Duration::from_secs(60), "clients do not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn good(what: &str, answer: reqwest::Result<Answer>) -> Result<Answer, String> {
    match answer {
        Ok(answer) if answer.status == 200 => Ok(answer),
        Ok(answer) => Err(format!("{what}: {} {}", answer.status, answer.text)),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_replaced_behind_nginx_and_no_client_notices() {
    let bank = Bank::new();
    let ports = [free_port(), free_port()];
    let mut nodes: Vec<Server> = thread::scope(|scope| {
        let starting = [0, 1].map(|number| {
            scope.spawn({
                let bank = &bank;
                move || node(bank, number, ports[number], &[])
            })
        });
        starting.map(|node| node.join().unwrap()).into()
    });
    let nginx = Nginx::before(ports);
    let grants = bank.grants(&nodes, CLIENTS).await;
    let load = Load::start(&nginx.origin, bank.shop(), grants);
    load.answers(20 * CLIENTS).await;
    for number in [0, 1, 0] {
        block_in_place(|| {
            nodes.remove(number).stop();
            nodes.insert(number, node(&bank, number, ports[number], &[]));
        });
        load.answers(20 * CLIENTS).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in load.clients {
        if let Err(problem) = client.await.unwrap() {
            panic!("{problem}\n{}", nginx.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nginx_keeps_is_good_for_the_next_request() {
    let bank = Bank::new();
    let ports = [free_port(), free_port()];
    // What was one setting: heads that come slowly, and connections that are idle.
    let more =
        [("COUNTERFOIL_CONNECTIONS_HEADER_TIMEOUT", "1s"), ("COUNTERFOIL_SHUTDOWN_DELAY", "0s")];
    let node = block_in_place(|| node(&bank, 0, ports[0], &more));
    let nginx = Nginx::before(ports);
    let mut tokens = bank.grants(std::slice::from_ref(&node), 1).await.remove(0);
    for _ in 0..3 {
        // Longer than a head may take; nothing that could be moved measures it.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let answer =
            send(refresh(&node.http, &nginx.origin, bank.shop(), &tokens.refresh_token)).await;
        tokens = answer.tokens();
    }
    let log = nginx.log();
    assert!(!log.contains("prematurely closed") && !log.contains("reset by peer"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_take_and_answer_fits_the_buffers_of_nginx() {
    let bank = Bank::new();
    let ports = [free_port(), free_port()];
    let node = block_in_place(|| node(&bank, 0, ports[0], &[("COUNTERFOIL_SHUTDOWN_DELAY", "0s")]));
    let nginx = Nginx::before(ports);
    let url = |path: &str| format!("{}{path}", nginx.origin);
    // As long as an ID token may be.
    let bearer = send(node.http.get(url("/accounts")).bearer_auth("x".repeat(6000))).await;
    assert_eq!((bearer.status, &bearer.json()["code"]), (401, &602.into()));
    // Refused before it was sent to its end, which nginx must not take for a failure.
    for _ in 0..20 {
        let large = send(node.http.post(url("/token")).body("x".repeat(900_000))).await;
        assert_eq!(large.status, 413, "{}\n{}", large.text, nginx.log());
        assert_eq!(large.member("error"), "invalid_request");
    }
    assert_eq!(send(node.http.get(url("/metrics"))).await.status, 404);
    let discovery = send(node.http.get(url("/.well-known/openid-configuration"))).await;
    assert_eq!(discovery.status, 200);
}
