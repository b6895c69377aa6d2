//! What is counted of connections.

use prometheus::{IntCounter, IntGauge};

/// What is counted of the connections of one listener.
#[derive(Clone)]
pub(crate) struct ConnectionCounts {
    /// Open now.
    pub(crate) open: IntGauge,
    /// How many there may be.
    pub(crate) limit: IntGauge,
    /// Closed while they waited for their client, so that others could come in.
    pub(crate) made_room: IntCounter,
    /// Had to wait until one of the others ended.
    pub(crate) waited: IntCounter,
    /// How often the system could give none.
    pub(crate) not_accepted: IntCounter,
}
