//! Keys are replaced while nodes serve: no node restarts, and no client is refused for a key that
//! another node made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::task::{JoinHandle, block_in_place};

use super::bank::{ALICE, Bank, asked, assert_good, until};
use crate::setting::{Server, Tokens};

/// Clients that refresh at one node and use the tokens at the next, at once.
struct Carriers {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    running: Vec<JoinHandle<()>>,
}

impl Carriers {
    fn start(bank: &Arc<Bank>, nodes: &Arc<[Server; 3]>, grants: Vec<Tokens>) -> Self {
        let (stop, rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let carry = async |bank: Arc<Bank>,
                           nodes: Arc<[Server; 3]>,
                           first: usize,
                           mut tokens: Tokens,
                           stop: Arc<AtomicBool>,
                           rounds: Arc<AtomicUsize>| {
            let mut at = first;
            while !stop.load(Ordering::Relaxed) {
                tokens = nodes[at % 3].refresh(bank.shop(), &tokens.refresh_token).await.tokens();
                at += 1;
                assert_good(&asked(&nodes[at % 3], bank.shop(), &tokens).await);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        };
        let running = grants.into_iter().enumerate();
        let running = running
            .map(|(first, tokens)| {
                tokio::spawn(carry(
                    bank.clone(),
                    nodes.clone(),
                    first,
                    tokens,
                    stop.clone(),
                    rounds.clone(),
                ))
            })
            .collect();
        Self { stop, rounds, running }
    }

    /// Waits for so many more rounds.
    async fn rounds(&self, more: usize) {
        let until_then = self.rounds.load(Ordering::Relaxed) + more;
        until("tokens are carried on", async || {
            self.rounds.load(Ordering::Relaxed) >= until_then
                || self.running.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for one in self.running {
            one.await.unwrap();
        }
    }
}

/// The key that is used now for what `alg` says.
fn current(bank: &Bank, alg: &str) -> String {
    let keys = block_in_place(|| bank.live.admin("keys list --json")).json();
    let current =
        keys.as_array().unwrap().iter().find(|key| key["alg"] == alg && key["state"] == "current");
    current.unwrap_or_else(|| panic!("no current key for {alg} in {keys}"))["kid"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn drop_key(bank: &Bank, kid: &str) {
    let more = if kid.starts_with("slip-") { " --refuse-now --yes" } else { "" };
    block_in_place(|| bank.live.admin(&format!("keys rotate --compromised {kid}{more} --json")))
        .json();
}

/// The first part of a token, which names its key and says nothing else that differs from one to
/// the next.
fn header(id_token: &str) -> &str {
    id_token.split('.').next().unwrap()
}

async fn published(node: &Server) -> Value {
    node.get("/jwks").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_refuse_nobody_and_reach_every_node() {
    let bank = Arc::new(Bank::new());
    let nodes = Arc::new(bank.nodes::<3>());
    let grants = bank.grants(&*nodes, 3).await;
    let carriers = Carriers::start(&bank, &nodes, grants);
    for _ in 0..6 {
        carriers.rounds(5).await;
        block_in_place(|| bank.live.admin("keys rotate --json")).json();
    }
    // A first use of the last slip key.
    carriers.rounds(10).await;
    let keys = block_in_place(|| bank.live.admin("keys list --json")).json();
    let made = keys.as_array().unwrap().iter().filter(|key| key["alg"] == "RS256").count();
    assert_eq!(made, 7, "{keys}");
    let made: Vec<&str> = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["alg"] == "RS256")
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    for node in &*nodes {
        until("all keys are published", async || {
            let there = published(node).await.to_string();
            made.iter().all(|kid| there.contains(kid))
        })
        .await;
    }
    let all = published(&nodes[0]).await;
    assert_eq!((&published(&nodes[1]).await, &published(&nodes[2]).await), (&all, &all));
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_signing_key_is_refused_everywhere_when_the_command_is_done() {
    let bank = Arc::new(Bank::new());
    let nodes = bank.nodes::<3>();
    let mut tokens = bank.grants(&nodes, 1).await.remove(0);
    for round in 0..2 {
        let kid = current(&bank, "RS256");
        let compromised = tokens.id_token.clone();
        let dropping = tokio::task::spawn_blocking({
            let (bank, kid) = (bank.clone(), kid.clone());
            move || drop_key(&bank, &kid)
        });
        // Until then each node goes over to the new key in its time; what is signed with it is good
        // at those that do not know it yet.
        let mut at = 0;
        while !dropping.is_finished() {
            at += 1;
            tokens = nodes[at % 3].refresh(bank.shop(), &tokens.refresh_token).await.tokens();
            let answer = nodes[(at + 1) % 3].accounts(&tokens.id_token).await;
            let by_the_old = header(&tokens.id_token) == header(&compromised);
            assert!(
                answer.status == 200 || by_the_old && answer.status == 401,
                "{} {}",
                answer.status,
                answer.text
            );
        }
        dropping.await.unwrap();
        for (node, number) in nodes.iter().zip(0..) {
            let answer = node.accounts(&compromised).await;
            assert_eq!(answer.status, 401, "round {round}, node {number}: {}", answer.text);
            assert!(!published(node).await.to_string().contains(&kid));
            // What another key vouches for is good as before.
            assert_eq!(node.accounts(&tokens.access_token).await.status, 200);
        }
        assert_ne!(current(&bank, "RS256"), kid);
        for node in &nodes {
            tokens = node.refresh(bank.shop(), &tokens.refresh_token).await.tokens();
            for other in &nodes {
                assert_good(&asked(other, bank.shop(), &tokens).await);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_slip_key_is_refused_everywhere_when_the_command_is_done() {
    let bank = Bank::new();
    let nodes = bank.nodes::<3>();
    let browser = bank.browser(&nodes[0]).await;
    for round in 0..2 {
        let tokens = nodes[round].allow(&browser, bank.shop()).await;
        let code = nodes[round].code(&browser, bank.shop().0).await;
        let kid = current(&bank, "slip");
        drop_key(&bank, &kid);
        for (node, number) in nodes.iter().zip(0..) {
            let seen = (
                node.accounts(&tokens.access_token).await.status,
                node.refresh(bank.shop(), &tokens.refresh_token).await.status,
                node.exchange(bank.shop(), &code).await.status,
                node.accounts(&tokens.id_token).await.status,
            );
            assert_eq!(seen, (401, 400, 400, 200), "round {round}, node {number}");
        }
        for node in &nodes {
            let mut tokens = node.allow(&browser, bank.shop()).await;
            for other in &nodes {
                assert_good(&asked(other, bank.shop(), &tokens).await);
                tokens = other.refresh(bank.shop(), &tokens.refresh_token).await.tokens();
            }
        }
    }
    nodes[1].consent(bank.shop(), ALICE).await;
}
