//! A clock that is wrong when a server starts, and what an operator can say and do about it.

use counterfoil_core::clock::{Clock, DAY, Seconds};

use crate::setting::{Live, Server, finish};

/// Has the store remember that it was used so many seconds from now, as by a server whose clock is
/// ahead.
fn used_ahead(live: &Live, seconds: Seconds) {
    let moment = Clock::live().now().plus(seconds).unix().to_string();
    let db = rusqlite::Connection::open(live.path("counterfoil.db")).unwrap();
    assert_eq!(
        db.execute("UPDATE meta SET value = ?1 WHERE key = 'newest_moment'", [moment]).unwrap(),
        1
    );
}

#[test]
fn a_clock_behind_the_last_use_of_the_store_or_years_ahead_of_it_is_refused_in_words() {
    let live = Live::new();
    live.serve().stop();
    for (seconds, words) in [
        (800 * DAY + 90, "800 days later"),
        (3690, "61 minutes later"),
        (-800 * DAY - 90, "800 days earlier"),
    ] {
        used_ahead(&live, seconds);
        let remedy = if seconds > 0 { "clock repair" } else { "clock accept" };
        let expected = [words, "set the clock right", "--accept-clock", remedy];
        finish(&mut live.command(), "").refused(1, &expected);
        // Nor does any other command date something by it.
        live.admin("client list").refused(1, &[words]);
    }
    // Nodes are not quite together, and a store may be at rest for months.
    for seconds in [20, -300 * DAY] {
        used_ahead(&live, seconds);
        live.serve().stop();
    }
}

#[tokio::test]
async fn the_operator_may_insist_or_mend() {
    let live = Live::new();
    live.serve().stop();
    used_ahead(&live, 800 * DAY + 90);
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

    let today = Clock::live().now();
    let day = |days: Seconds| today.plus(days * DAY).to_string()[..10].to_owned();
    for remedy in ["accept".to_owned(), format!("repair --today {}", day(0))] {
        used_ahead(&live, 800 * DAY + 90);
        finish(&mut live.command(), "").refused(1, &["800 days later"]);
        live.admin(&format!("clock {remedy} --json")).json();
        live.serve().stop();
    }
    // With a clock that is behind, everything would be dated in the future.
    for (today, words) in
        [(day(10), "today is"), (day(-10), "Nothing was changed"), ("soon".to_owned(), "not a day")]
    {
        live.admin(&format!("clock repair --today {today}")).refused(1, &[words]);
    }
    live.admin("clock repair").refused(2, &["--today"]);
}
