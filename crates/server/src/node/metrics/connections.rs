//! Metrics of connections.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Maker;

/// Metrics of one listener's connections.
#[derive(Clone)]
pub(crate) struct ConnectionCounts {
    /// Open now.
    pub(crate) open: IntGauge,
    /// The limit.
    pub(crate) limit: IntGauge,
    /// Closed while waiting for their client, to make room for others.
    pub(crate) made_room: IntCounter,
    /// Had to wait for another to end.
    pub(crate) waited: IntCounter,
    /// How often the system failed to give one.
    pub(crate) not_accepted: IntCounter,
}

/// The same for all listeners, by name.
pub(super) struct ConnectionMetrics {
    open: IntGaugeVec,
    limit: IntGaugeVec,
    made_room: IntCounterVec,
    waited: IntCounterVec,
    not_accepted: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn new(maker: &Maker) -> Result<Self, Error> {
        let counters = |name, help| maker.counters(name, help, &["listener"]);
        let gauges = |name, help| maker.gauges(name, help, &["listener"]);
        Ok(Self {
            open: gauges("counterfoil_connections", "Open now")?,
            limit: gauges("counterfoil_connections_limit", "How many there may be")?,
            made_room: counters(
                "counterfoil_connections_closed_for_room_total",
                "Closed while they waited for their client, so that others could come in",
            )?,
            waited: counters(
                "counterfoil_connections_waited_total",
                "Had to wait until one of the others ended",
            )?,
            not_accepted: counters(
                "counterfoil_connections_not_accepted_total",
                "How often the system could give none",
            )?,
        })
    }

    pub(super) fn of(&self, listener: &str) -> ConnectionCounts {
        ConnectionCounts {
            open: self.open.with_label_values(&[listener]),
            limit: self.limit.with_label_values(&[listener]),
            made_room: self.made_room.with_label_values(&[listener]),
            waited: self.waited.with_label_values(&[listener]),
            not_accepted: self.not_accepted.with_label_values(&[listener]),
        }
    }
}
