//! Nodes that are stopped and started again one after the other, under load.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::block_in_place;

use super::bank::Bank;
use super::load::{Balancer, Load};
use crate::setting::Server;

const CLIENTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_while_nodes_are_stopped_killed_and_started_again() {
    let bank = Bank::new();
    let mut nodes = Vec::from(bank.nodes::<3>());
    let grants = bank.grants(&nodes, CLIENTS).await;
    let spare = bank.grants(&nodes, 40).await;
    let balancer = Arc::new(Balancer::new(&nodes));
    let load = Load::start(&balancer, bank.shop(), grants, spare);
    load.refreshes(2 * CLIENTS).await;
    for end in [Server::stop, Server::stop, Server::kill] {
        for number in 0..nodes.len() {
            block_in_place(|| {
                end(nodes.remove(number));
                nodes.insert(number, Server::spawn(bank.live.node(number)));
            });
            balancer.moved(number, &nodes[number]);
            load.refreshes(CLIENTS).await;
        }
    }
    let told = load.stop().await;
    assert!(balancer.unanswered.load(Ordering::Relaxed) > 0, "no request met a node that was gone");
    assert!(!told.revoked.is_empty() && told.redeemed.len() > 10 * CLIENTS);
    told.holds(&nodes, bank.shop()).await;
}
