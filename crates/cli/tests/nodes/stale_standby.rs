//! A primary that dies, and an asynchronous standby takes its place that has missed its last
//! writes.

use counterfoil_testing::Postgres;
use tokio::task::block_in_place;

use super::bank::{ALICE, Bank, asked, assert_dead, assert_good, until};
use super::failover::with_both_hosts;
use crate::setting::{Server, Tokens};

/// Two nodes on a primary with an asynchronous standby.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    bank: Bank,
    nodes: [Server; 2],
}

impl Pair {
    fn start() -> Self {
        let primary = Postgres::start(&[]);
        let standby = primary.standby("behind", &[]);
        let bank = Bank::on(&with_both_hosts(&primary.fresh_database(), &primary, &standby));
        let nodes = bank.nodes();
        Self { primary, standby, bank, nodes }
    }

    /// From now on, the standby misses everything.
    fn freeze(&self) {
        block_in_place(|| {
            self.standby.catch_up_with(&self.primary);
            self.standby.freeze();
        });
    }

    fn fail_over(&self) {
        block_in_place(|| {
            self.primary.kill();
            self.standby.promote();
        });
    }

    async fn refreshed(&self, node: usize, tokens: &Tokens) -> Tokens {
        self.nodes[node].refresh(self.bank.shop(), &tokens.refresh_token).await.tokens()
    }

    async fn refuses(&self, tokens: &Tokens) {
        for node in &self.nodes {
            let answer = node.refresh(self.bank.shop(), &tokens.refresh_token).await;
            assert_eq!(answer.status, 400, "{}", answer.text);
        }
    }
}

/// The first answer of a node that is not 503.
async fn first_answer(node: &Server, token: &str) -> u16 {
    let status = std::cell::Cell::new(503);
    until("it answers", async || {
        status.set(node.accounts(token).await.status);
        status.get() != 503
    })
    .await;
    status.get()
}

/// What was counted of slips that are newer than the database knows.
async fn ahead(node: &Server) -> f64 {
    let metrics = node.get("/metrics").await.text;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("counterfoil_slips_total{outcome=\"ahead\"} "));
    line.unwrap_or_else(|| panic!("no such count in {metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_stays_so_and_after_a_declared_loss_clients_go_on() {
    let pair = Pair::start();
    let (bank, [a, b]) = (&pair.bank, &pair.nodes);
    let [quiet, busy, revoked, at_other]: [Tokens; 4] =
        bank.grants(&pair.nodes, 4).await.try_into().unwrap();
    let known = pair.refreshed(0, &busy).await;
    pair.freeze();
    let missed = pair.refreshed(0, &known).await;
    let last = pair.refreshed(1, &missed).await;
    assert_eq!(a.revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
    assert_eq!(b.revoke(bank.shop(), &at_other.id_token).await.status, 200);
    pair.fail_over();

    // Each node sees to what it has acknowledged itself before it answers anything.
    assert_eq!(first_answer(a, &revoked.id_token).await, 401);
    assert_eq!(first_answer(b, &at_other.id_token).await, 401);
    for tokens in [&revoked, &at_other] {
        for node in [a, b] {
            assert_dead(&asked(node, bank.shop(), tokens).await);
        }
        pair.refuses(tokens).await;
    }
    for node in [a, b] {
        assert!(node.log().contains("ALARM: the database had forgotten endings"), "{}", node.log());
    }

    // A client that is ahead of the database is refused, and somebody is called.
    let before = [ahead(a).await, ahead(b).await];
    pair.refuses(&last).await;
    assert_eq!([ahead(a).await, ahead(b).await], [before[0] + 1.0, before[1] + 1.0]);
    for node in [a, b] {
        assert!(node.log().contains("ALARM: a slip that can't be"), "{}", node.log());
    }

    let logs = [0, 1]
        .map(|number| format!("--endings {}", bank.live.endings_log(number).display()))
        .join(" ");
    let declared =
        block_in_place(|| bank.live.admin(&format!("declare-loss {logs} --json"))).json();
    assert_eq!(
        (&declared["epoch"], &declared["endings_applied"]),
        (&1.into(), &0.into()),
        "{declared}"
    );
    assert!(declared["endings_known"].as_u64() >= Some(2), "{declared}");
    // Clients go on with what they hold; what is older is refused as ever.
    let next = pair.refreshed(1, &last).await;
    assert_good(&asked(a, bank.shop(), &next).await);
    for old in [&busy, &known, &missed, &last] {
        pair.refuses(old).await;
    }
    pair.refreshed(0, &next).await;
    pair.refreshed(1, &quiet).await;
    for tokens in [&revoked, &at_other] {
        assert_dead(&asked(a, bank.shop(), tokens).await);
        pair.refuses(tokens).await;
    }
    a.consent(bank.shop(), ALICE).await;
}

/// Nodes notice a change by the number of changes. Here as many changes are lost as are made while
/// the nodes can't poll, so the number comes back to what it was.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_lost_are_told_from_as_many_new_ones() {
    let pair = Pair::start();
    let bank = &pair.bank;
    pair.freeze();
    let lost = block_in_place(|| bank.live.add_client("lost"));
    for node in &pair.nodes {
        assert_eq!(node.introspect(("lost", &lost), "nonsense").await.status, 200);
        node.signal("STOP");
    }
    pair.fail_over();
    let new = block_in_place(|| bank.live.add_client("new"));
    for node in &pair.nodes {
        node.signal("CONT");
        until("it answers", async || node.get("/jwks").await.status == 200).await;
        until("the new client is known", async || {
            node.introspect(("new", &new), "nonsense").await.status == 200
        })
        .await;
        assert_eq!(node.introspect(("lost", &lost), "nonsense").await.status, 401);
    }
}
