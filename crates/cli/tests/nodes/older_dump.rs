//! An older dump is restored, under nodes that run and before they start: what was revoked since
//! does not live again.

use std::time::Duration;

use counterfoil_testing::{dump, fresh_database, psql};
use tokio::task::block_in_place;

use super::bank::{ALICE, Bank, asked, assert_dead, assert_good, until};
use crate::setting::{Server, Tokens, finish};

/// A bank of two nodes, a dump, and two grants that were ended since: one at the first node, which
/// remembers that for a while, and one by a command, which no node knows of.
struct Dumped {
    url: String,
    bank: Bank,
    nodes: [Server; 2],
    dump: String,
    kept: Tokens,
    revoked: Tokens,
    ended: Tokens,
}

impl Dumped {
    async fn new() -> Self {
        let url = fresh_database();
        let bank = Bank::on(&url);
        let nodes = bank.nodes();
        let [ended, kept, revoked]: [Tokens; 3] = bank.grants(&nodes, 3).await.try_into().unwrap();
        let dump = block_in_place(|| dump(&url));
        assert_eq!(nodes[0].revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
        block_in_place(|| {
            let grants = bank.live.admin("grant list --json").json();
            let living =
                grants.as_array().unwrap().iter().find(|grant| grant["living"] == true).unwrap();
            bank.live
                .admin(&format!("grant end {}", living["grant"].as_str().unwrap()))
                .says(&["ended"]);
        });
        let (ended, kept) = if nodes[0].accounts(&ended.id_token).await.status == 401 {
            (ended, kept)
        } else {
            (kept, ended)
        };
        for node in &nodes {
            for tokens in [&revoked, &ended] {
                assert_dead(&asked(node, bank.shop(), tokens).await);
            }
        }
        // Every node has looked since.
        tokio::time::sleep(Duration::from_millis(700)).await;
        Self { url, bank, nodes, dump, kept, revoked, ended }
    }

    /// What the operator is told to run.
    fn declare(&self) {
        let logs = [0, 1]
            .map(|number| format!("--endings {}", self.bank.live.endings_log(number).display()))
            .join(" ");
        let declared = self.bank.live.admin(&format!("declare-loss {logs} --json")).json();
        assert!(declared["endings_applied"].as_u64() >= Some(1), "{declared}");
    }

    /// No node takes what was revoked for good.
    async fn refuses(&self) {
        for node in &self.nodes {
            for tokens in [&self.revoked, &self.ended] {
                for (asked, answer) in asked(node, self.bank.shop(), tokens).await {
                    assert_eq!(answer.status, 503, "{asked}: {}", answer.text);
                }
            }
        }
    }

    async fn goes_on(&self, nodes: &[Server]) {
        for node in nodes {
            until("it serves", async || {
                node.get("/health/ready").await.status == 200
                    && node.accounts(&self.kept.id_token).await.status == 200
            })
            .await;
            for tokens in [&self.revoked, &self.ended] {
                assert_dead(&asked(node, self.bank.shop(), tokens).await);
            }
            assert_good(&asked(node, self.bank.shop(), &self.kept).await);
        }
        nodes[1].consent(self.bank.shop(), ALICE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_nodes_that_run() {
    let it = Dumped::new().await;
    block_in_place(|| psql(&it.url, &it.dump));
    for node in &it.nodes {
        // From its first look at the latest, which is half a second away.
        until("it refuses", async || node.get("/jwks").await.status == 503).await;
    }
    it.refuses().await;
    for node in &it.nodes {
        assert!(node.log().contains("ALARM: the store has forgotten endings"), "{}", node.log());
    }
    block_in_place(|| it.declare());
    it.goes_on(&it.nodes).await;
}

/// The database is another one at once, so no connection outlives it.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_place_of_the_database_under_nodes_that_run() {
    let it = Dumped::new().await;
    let (server, name) = it.url.rsplit_once('/').unwrap();
    let old = fresh_database();
    block_in_place(|| {
        psql(&old, &it.dump);
        let restored = old.rsplit_once('/').unwrap().1;
        let close = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        let server = format!("{server}/postgres");
        psql(&server, &close.replace("; ", ";\n"));
        psql(
            &server,
            &format!(
                "ALTER DATABASE {name} RENAME TO {name}_gone;\nALTER DATABASE {restored} RENAME TO {name};"
            ),
        );
    });
    // From the first request on.
    it.refuses().await;
    block_in_place(|| it.declare());
    it.goes_on(&it.nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_nodes_start() {
    let it = Dumped::new().await;
    it.nodes.iter().for_each(|node| node.signal("TERM"));
    block_in_place(|| {
        psql(&it.url, &it.dump);
        // A node whose log says so tells it to those whose logs know nothing of it.
        finish(&mut it.bank.live.node(0), "")
            .refused(1, &["earlier state", "counterfoil declare-loss"]);
        finish(&mut it.bank.live.node(1), "")
            .refused(1, &["earlier state", "counterfoil declare-loss"]);
        it.bank.live.admin("grant list").refused(1, &["counterfoil declare-loss"]);
    });
    block_in_place(|| it.declare());
    let nodes = block_in_place(|| it.bank.nodes::<2>());
    it.goes_on(&nodes).await;
}

/// A node that is new, or gone for good, is in nobody's way; one that lost its log is told so.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_and_go_with_their_logs() {
    let bank = Bank::new();
    let nodes = bank.nodes::<2>();
    let grants = bank.grants(&nodes, 3).await;
    for (node, tokens) in nodes.iter().zip(&grants) {
        assert_eq!(node.revoke(bank.shop(), &tokens.refresh_token).await.status, 200);
    }
    let [first, second] = nodes;
    first.stop();
    second.stop();
    // The second never comes back, the third is new.
    block_in_place(|| {
        std::fs::remove_file(bank.live.endings_log(1)).unwrap();
        Server::spawn(bank.live.node(2)).stop();
        Server::spawn(bank.live.node(0)).stop();
        let refused = finish(&mut bank.live.node(1), "");
        refused.refused(
            1,
            &["endings-1.log is missing", "counterfoil serve --accept-lost-endings --config"],
        );
        let mut accepting = bank.live.node(1);
        accepting.arg("--accept-lost-endings");
        Server::spawn(accepting).stop();
        Server::spawn(bank.live.node(1)).stop();
    });
}
