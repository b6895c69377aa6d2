//! A bank with several live nodes on one database.

use std::thread;
use std::time::{Duration, Instant};

use counterfoil_testing::fresh_database;

use crate::setting::{Answer, Live, Server, SignedIn, Tokens};

/// Its client.
const SHOP: &str = "shop";
/// Its customer.
pub const ALICE: (&str, &str) = ("alice", "alice-password");

/// A client and a customer, known to all nodes.
pub struct Bank {
    pub live: Live,
    secret: String,
}

impl Bank {
    pub fn new() -> Self {
        Self::on(&fresh_database())
    }

    /// On a database that is empty.
    pub fn on(store: &str) -> Self {
        let live = Live::on(store);
        let secret = thread::scope(|scope| {
            let customer = scope.spawn(|| live.add_customer(ALICE.0, ALICE.1));
            let secret = live.add_client(SHOP);
            customer.join().unwrap();
            secret
        });
        Self { live, secret }
    }

    /// Starts so many nodes at once.
    pub fn nodes<const N: usize>(&self) -> [Server; N] {
        nodes(&self.live)
    }

    pub fn shop(&self) -> (&str, &str) {
        (SHOP, &self.secret)
    }

    /// The customer's browser, signed in.
    pub async fn browser(&self, node: &Server) -> SignedIn {
        node.sign_in(SHOP, ALICE).await
    }

    /// New grants, each made at the next node.
    pub async fn grants(&self, nodes: &[Server], count: usize) -> Vec<Tokens> {
        let browser = self.browser(&nodes[0]).await;
        let mut grants = Vec::with_capacity(count);
        for number in 0..count {
            grants.push(nodes[number % nodes.len()].allow(&browser, self.shop()).await);
        }
        grants
    }
}

/// Starts so many nodes at once.
pub fn nodes<const N: usize>(live: &Live) -> [Server; N] {
    thread::scope(|scope| {
        let starting: [_; N] =
            std::array::from_fn(|number| scope.spawn(move || Server::spawn(live.node(number))));
        starting.map(|node| node.join().unwrap())
    })
}

/// Holds what a node says of tokens of a living grant against what is expected. The refresh token
/// is not used.
#[track_caller]
pub fn assert_good(answers: &[(&'static str, Answer)]) {
    for (asked, answer) in answers {
        let good = answer.status == 200
            && (!asked.starts_with("introspection") || answer.json()["active"] == true);
        assert!(good, "{asked}: {} {}", answer.status, answer.text);
    }
}

/// The same for tokens of a grant that has ended.
#[track_caller]
pub fn assert_dead(answers: &[(&'static str, Answer)]) {
    for (asked, answer) in answers {
        let dead = match asked.starts_with("introspection") {
            true => answer.status == 200 && answer.json() == serde_json::json!({ "active": false }),
            false => answer.status == 401,
        };
        assert!(dead, "{asked}: {} {}", answer.status, answer.text);
    }
}

/// What a node says of a grant's tokens, without using the refresh token.
pub async fn asked(
    node: &Server,
    client: (&str, &str),
    tokens: &Tokens,
) -> Vec<(&'static str, Answer)> {
    vec![
        ("accounts with the ID token", node.accounts(&tokens.id_token).await),
        ("accounts with the access token", node.accounts(&tokens.access_token).await),
        (
            "introspection of the refresh token",
            node.introspect(client, &tokens.refresh_token).await,
        ),
        ("introspection of the ID token", node.introspect(client, &tokens.id_token).await),
        ("introspection of the access token", node.introspect(client, &tokens.access_token).await),
    ]
}

impl Server {
    pub async fn introspect(&self, client: (&str, &str), token: &str) -> Answer {
        self.post_as(client, "/introspect", &[("token", token)]).await
    }
}

/// Asks until it is so; half a minute without that is a failure.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
