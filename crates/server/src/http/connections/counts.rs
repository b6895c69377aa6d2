//! What is counted of connections.

use metrics::{Counter, Gauge, Key, Label, Metadata, Recorder};

/// What is counted of the connections of one listener.
#[derive(Clone)]
pub(crate) struct ConnectionCounts {
    /// Open now.
    pub(super) open: Gauge,
    /// How many there may be.
    pub(super) limit: Gauge,
    /// Closed while they waited for their client, so that others could come in.
    pub(super) made_room: Counter,
    /// Had to wait until one of the others ended.
    pub(super) waited: Counter,
    /// How often the system could give none.
    pub(super) not_accepted: Counter,
}

impl ConnectionCounts {
    pub(crate) fn new(
        recorder: &impl Recorder,
        metadata: &Metadata<'_>,
        listener: &'static str,
    ) -> Self {
        let key =
            |name: &'static str| Key::from_parts(name, vec![Label::new("listener", listener)]);
        let gauge = |name| recorder.register_gauge(&key(name), metadata);
        let counter = |name| recorder.register_counter(&key(name), metadata);
        Self {
            open: gauge("counterfoil_connections"),
            limit: gauge("counterfoil_connections_limit"),
            made_room: counter("counterfoil_connections_closed_for_room_total"),
            waited: counter("counterfoil_connections_waited_total"),
            not_accepted: counter("counterfoil_connections_not_accepted_total"),
        }
    }
}
