//! A clock that is wrong when a server starts, and what an operator can say and do about it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod setting;

use counterfoil_core::clock::{Clock, DAY, Seconds};
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use setting::{Live, Server, finish};

/// Tells the store that it is so many seconds later than it is, as a server does whose clock is ahead.
async fn used_ahead(live: &Live, seconds: Seconds) {
    let options = OpenOptions {
        address: StoreAddress::Sqlite(live.path("counterfoil.db")),
        kind: StoreKind::Live,
        issuer: "http://127.0.0.1:8080".into(),
        endings_log: None,
        holder: "the test".into(),
    };
    let store = Store::open(options).await.unwrap();
    store.note_time(Clock::live().now().plus(seconds)).await.unwrap();
}

#[tokio::test]
async fn a_clock_behind_the_last_use_of_the_store_or_years_ahead_of_it_is_refused_in_words() {
    let live = Live::new();
    live.serve().stop();
    for (seconds, words) in [(800 * DAY, "800 days later"), (3600, "60 minutes later"), (-800 * DAY, "800 days earlier")] {
        used_ahead(&live, seconds).await;
        let expected = [words, "set the clock right", "--accept-clock", "clock repair"];
        finish(&mut live.command(), "").refused(1, &expected);
        // Nor does any other command date something by it.
        live.admin("client list").refused(1, &[words]);
    }
    // Nodes are not quite together, and a store may be at rest for months.
    for seconds in [20, -300 * DAY] {
        used_ahead(&live, seconds).await;
        live.serve().stop();
    }
}

#[tokio::test]
async fn the_operator_may_insist_or_mend() {
    let live = Live::new();
    live.serve().stop();
    used_ahead(&live, 800 * DAY).await;
    let status = live.admin("clock status --json").json();
    assert_eq!((&status["answering"], &status["off"]), (&true.into(), &serde_json::Value::Null));
    assert!(status["store_last_used"].as_str() > status["machine"].as_str(), "{status}");

    let mut insisting = live.command();
    insisting.arg("--accept-clock");
    let server = Server::spawn(insisting);
    assert_eq!(server.get("/health/ready").await.status, 200);
    let status = live.admin("clock status --json").json();
    assert!(status["store_last_used"].as_str() <= status["machine"].as_str(), "{status}");
    server.stop();
    live.serve().stop();

    for remedy in ["accept", "repair"] {
        used_ahead(&live, 800 * DAY).await;
        finish(&mut live.command(), "").refused(1, &["800 days later"]);
        live.admin(&format!("clock {remedy} --json")).json();
        live.serve().stop();
    }
}
