//! Compares clocks; logs and counts the result.

use counterfoil_core::clock::{Change, Clock, Database, Deviation, LASTING, Millis};

use crate::node::metrics::Metrics;

/// Compares this machine's clocks, and the `database`'s clock as read at a given uptime.
pub(crate) fn compare(clock: &Clock, metrics: &Metrics, database: Option<(Millis, Database)>) {
    let seconds = LASTING / 1000;
    match clock.poll(database) {
        None => {}
        Some(Change::Disagrees(off)) => {
            tracing::warn!(
                off_seconds = off.seconds(),
                "{off}; time goes on as before. In {seconds} seconds that is taken over, or requests are refused"
            );
        }
        Some(Change::Unsure(off)) => {
            tracing::error!(
                off_seconds = off.seconds(),
                "ALARM: {off} for {seconds} seconds now. It is not known what time it is: requests are refused with 503, {}",
                remedy(off)
            );
        }
        Some(Change::Adopted(off)) => {
            metrics.count_clock_step();
            tracing::warn!(
                off_seconds = off.seconds(),
                "{off} for {seconds} seconds now, and is believed from now on"
            );
        }
        Some(Change::Agrees) => tracing::info!("all clocks agree again"),
        Some(Change::Accepted(0)) => tracing::info!(
            "the database's clock is right again, and what was accepted of it is over"
        ),
        Some(Change::Accepted(behind)) => {
            tracing::warn!(
                behind_seconds = behind,
                "the operator accepted the nodes' clocks, which the database's is behind, or ahead of where this is negative"
            );
        }
    }
}

/// What fixes the deviation.
const fn remedy(off: Deviation) -> &'static str {
    match off {
        Deviation::Wall(_) => {
            "until the clock is set right, or `counterfoil clock accept` says that it is"
        }
        Deviation::Database(_) => {
            "until the two clocks are set right, or `counterfoil clock accept` has nodes go by their own"
        }
    }
}
