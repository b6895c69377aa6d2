//! A primary that dies, with a synchronous standby that takes its place.

use std::sync::Arc;

use counterfoil_testing::Postgres;
use tokio::task::block_in_place;

use super::bank::Bank;
use super::load::{Balancer, Load};
use crate::setting::Server;

const CLIENTS: usize = 12;

/// The URL of a database of `primary` that names `standby` too.
pub fn with_both_hosts(database: &str, primary: &Postgres, standby: &Postgres) -> String {
    let address = primary.address().to_string();
    assert!(database.contains(&address), "{database} does not name {address}");
    database.replace(&address, &format!("{address},{}", standby.address()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_synchronous_standby_takes_over_under_load() {
    let primary = Postgres::start(&[]);
    let standby = primary.standby("twin", &[]);
    primary.set("synchronous_standby_names", "twin");
    let bank = Bank::on(&with_both_hosts(&primary.fresh_database(), &primary, &standby));
    let nodes = bank.nodes::<2>();
    let grants = bank.grants(&nodes, CLIENTS).await;
    let spare = bank.grants(&nodes, 60).await;
    let balancer = Arc::new(Balancer::new(&nodes));
    let load = Load::start(&balancer, bank.shop(), grants, spare);
    load.refreshes(5 * CLIENTS).await;
    block_in_place(|| {
        primary.kill();
        standby.promote();
    });
    load.refreshes(5 * CLIENTS).await;
    let told = load.stop().await;
    assert!(!told.revoked.is_empty() && told.redeemed.len() >= 10 * CLIENTS);
    told.holds(&nodes, bank.shop()).await;
    // The nodes met it, and called nobody.
    let logs = nodes.each_ref().map(Server::log).concat();
    let troubles =
        logs.lines().filter(|line| !line.contains("\"INFO\"")).collect::<Vec<_>>().join("\n");
    assert!(troubles.contains("the database") && !troubles.contains("ALARM"), "{troubles}");
}
