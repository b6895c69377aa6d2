//! Clients that follow the documented retry while nodes and databases come and go, and remember
//! every answer that they were given.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use tokio::task::JoinHandle;

use crate::setting::{Answer, Server, Tokens, try_send};

/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(30);

/// Knows where the nodes are, as what stands before them in a bank does.
pub struct Balancer {
    http: Client,
    origins: Mutex<Vec<String>>,
    next: AtomicUsize,
    /// Requests that were answered with 503, or not at all.
    pub unanswered: AtomicUsize,
}

impl Balancer {
    pub fn new(nodes: &[Server]) -> Self {
        let origins = nodes.iter().map(|node| node.origin.clone()).collect();
        let http = Client::builder().timeout(PATIENCE).build().unwrap();
        Self {
            http,
            origins: Mutex::new(origins),
            next: AtomicUsize::default(),
            unanswered: AtomicUsize::default(),
        }
    }

    /// A node was started again, and listens elsewhere.
    pub fn moved(&self, number: usize, node: &Server) {
        self.origins.lock().unwrap()[number].clone_from(&node.origin);
    }

    /// Asks the nodes in turn until one answers with something else than 503.
    async fn ask(&self, request: impl Fn(&Client, &str) -> RequestBuilder) -> Answer {
        let began = Instant::now();
        loop {
            let origin = {
                let origins = self.origins.lock().unwrap();
                origins[self.next.fetch_add(1, Ordering::Relaxed) % origins.len()].clone()
            };
            match try_send(request(&self.http, &origin)).await {
                Ok(answer) if answer.status != 503 => return answer,
                unanswered => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    assert!(began.elapsed() < PATIENCE, "no node answers: {unanswered:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// What all clients share.
struct Shared {
    balancer: Arc<Balancer>,
    client: (String, String),
    /// Grants that are there to be revoked.
    spare: Mutex<Vec<Tokens>>,
    stop: AtomicBool,
    refreshes: AtomicUsize,
}

/// What a client was told.
#[derive(Default)]
pub struct Told {
    /// The tokens that it holds.
    pub held: Vec<Tokens>,
    /// Refresh tokens that were redeemed.
    pub redeemed: Vec<String>,
    /// Tokens of grants that were revoked.
    pub revoked: Vec<Tokens>,
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    working: Vec<JoinHandle<Told>>,
}

impl Load {
    /// A client for each of `grants`, which also revokes one of `spare` now and then.
    pub fn start(
        balancer: &Arc<Balancer>,
        client: (&str, &str),
        grants: Vec<Tokens>,
        spare: Vec<Tokens>,
    ) -> Self {
        let shared = Arc::new(Shared {
            balancer: balancer.clone(),
            client: (client.0.to_owned(), client.1.to_owned()),
            spare: Mutex::new(spare),
            stop: AtomicBool::default(),
            refreshes: AtomicUsize::default(),
        });
        let working = grants.into_iter().enumerate();
        let working = working
            .map(|(number, tokens)| tokio::spawn(work(shared.clone(), number, tokens)))
            .collect();
        Self { shared, working }
    }

    /// Waits for so many more refreshes, or until a client found something wrong.
    pub async fn refreshes(&self, more: usize) {
        let (began, before) = (Instant::now(), self.shared.refreshes.load(Ordering::Relaxed));
        while self.shared.refreshes.load(Ordering::Relaxed) < before + more
            && !self.working.iter().any(JoinHandle::is_finished)
        {
            assert!(began.elapsed() < 2 * PATIENCE, "clients do not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the clients once they have their answers.
    pub async fn stop(self) -> Told {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut told = Told::default();
        for client in self.working {
            let one = client.await.unwrap();
            told.held.extend(one.held);
            told.redeemed.extend(one.redeemed);
            told.revoked.extend(one.revoked);
        }
        told
    }
}

async fn work(shared: Arc<Shared>, client: usize, mut held: Tokens) -> Told {
    let mut told = Told::default();
    let mut round = 0_u32;
    while !shared.stop.load(Ordering::Relaxed) {
        round += 1;
        let key = format!("refresh-{client:08}-{round:08}");
        let next = shared.refresh(&held.refresh_token, Some(&key)).await;
        assert_eq!(next.status, 200, "client {client}, refresh {round}: {}", next.text);
        shared.refreshes.fetch_add(1, Ordering::Relaxed);
        let redeemed = std::mem::replace(&mut held, next.tokens());
        for token in [&held.id_token, &held.access_token] {
            let answer = shared.accounts(token).await;
            assert_eq!(answer.status, 200, "client {client}, refresh {round}: {}", answer.text);
        }
        if round.is_multiple_of(4) {
            let again = shared.refresh(&redeemed.refresh_token, None).await;
            assert_eq!(again.status, 400, "client {client}, refresh {round} again: {}", again.text);
        }
        told.redeemed.push(redeemed.refresh_token);
        let spare = if round.is_multiple_of(2) { shared.spare.lock().unwrap().pop() } else { None };
        if let Some(spare) = spare {
            let revoked = shared.revoke(&spare.refresh_token).await;
            assert_eq!((revoked.status, &*revoked.text), (200, ""));
            let answer = shared.accounts(&spare.id_token).await;
            assert_eq!(answer.status, 401, "{}", answer.text);
            told.revoked.push(spare);
        }
    }
    told.held.push(held);
    told
}

impl Shared {
    async fn refresh(&self, token: &str, key: Option<&str>) -> Answer {
        let refresh = |http: &Client, origin: &str| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
            let request = http
                .post(format!("{origin}/token"))
                .basic_auth(&self.client.0, Some(&self.client.1))
                .form(&form);
            match key {
                Some(key) => request.header("Idempotency-Key", key),
                None => request,
            }
        };
        self.balancer.ask(refresh).await
    }

    async fn revoke(&self, token: &str) -> Answer {
        let revoke = |http: &Client, origin: &str| {
            http.post(format!("{origin}/revoke"))
                .basic_auth(&self.client.0, Some(&self.client.1))
                .form(&[("token", token)])
        };
        self.balancer.ask(revoke).await
    }

    async fn accounts(&self, token: &str) -> Answer {
        self.balancer
            .ask(|http, origin| http.get(format!("{origin}/accounts")).bearer_auth(token))
            .await
    }
}

impl Told {
    /// Holds every answer that was given against what the nodes say now.
    pub async fn holds(&self, nodes: &[Server], client: (&str, &str)) {
        for (number, tokens) in self.revoked.iter().enumerate() {
            let node = &nodes[number % nodes.len()];
            for token in [&tokens.id_token, &tokens.access_token] {
                let answer = node.accounts(token).await;
                assert_eq!(answer.status, 401, "revoked grant {number}: {}", answer.text);
            }
            let answer = node.refresh(client, &tokens.refresh_token).await;
            assert_eq!(answer.status, 400, "revoked grant {number}: {}", answer.text);
        }
        for (number, token) in self.redeemed.iter().enumerate() {
            let answer = nodes[number % nodes.len()].refresh(client, token).await;
            assert_eq!(answer.status, 400, "redeemed token {number}: {}", answer.text);
        }
        for (number, tokens) in self.held.iter().enumerate() {
            let (here, there) = (&nodes[number % nodes.len()], &nodes[(number + 1) % nodes.len()]);
            assert_eq!(here.accounts(&tokens.id_token).await.status, 200, "client {number}");
            let next = here.refresh(client, &tokens.refresh_token).await.tokens();
            assert_eq!(there.accounts(&next.access_token).await.status, 200, "client {number}");
        }
    }
}
