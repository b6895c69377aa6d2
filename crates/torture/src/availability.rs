//! Whether servers that run are there for their clients.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::checker::{Fault, Violation};

/// For how long a server that runs may answer nothing but 503, as one does that is short of the
/// processor.
const LONGEST_UNAVAILABLE: Duration = Duration::from_secs(3);

/// What is known of each server.
pub(crate) struct Availability {
    /// In their order.
    servers: Mutex<Vec<Server>>,
    /// Whether the database is killed too: servers are excused then.
    database_dies: bool,
}

#[derive(Clone, Copy, Default)]
struct Server {
    /// Since when it runs, if it does.
    up_since: Option<Duration>,
    /// Since when it has answered nothing but 503.
    unavailable_since: Option<Duration>,
}

/// What an answer says of the server that gave it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// It is there, or was not up all the time and need not be.
    Good,
    /// It ran, and answered 503.
    Unavailable,
    /// It has answered nothing else for too long. Reported once.
    UnavailableForLong(Violation),
}

impl Availability {
    /// Of servers that all run.
    pub(crate) fn new(servers: usize, database_dies: bool) -> Self {
        let up = Server { up_since: Some(Duration::ZERO), unavailable_since: None };
        Self { servers: Mutex::new(vec![up; servers]), database_dies }
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server was killed or, with `up_since`, is back.
    pub(crate) fn set(&self, node: usize, up_since: Option<Duration>) {
        self.servers()[node] = Server { up_since, unavailable_since: None };
    }

    /// Notes that a server answered 503, or something else, at `now` to a request sent at `sent`.
    pub(crate) fn note(&self, node: usize, sent: Duration, now: Duration, is_503: bool) -> Health {
        let mut servers = self.servers();
        let server = &mut servers[node];
        if server.up_since.is_none_or(|since| since > sent) {
            return Health::Good;
        }
        let since = is_503.then(|| *server.unavailable_since.get_or_insert(now));
        server.unavailable_since = since;
        let Some(since) = since else { return Health::Good };
        if self.database_dies || now.saturating_sub(since) < LONGEST_UNAVAILABLE {
            return Health::Unavailable;
        }
        server.up_since = None;
        let seconds = LONGEST_UNAVAILABLE.as_secs();
        let what = format!("node {} answered nothing but 503 for {seconds} seconds", node + 1);
        Health::UnavailableForLong(Violation { fault: Fault::Unavailable, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(servers: &Availability, sent: u64, now: u64, is_503: bool) -> Health {
        servers.note(0, Duration::from_secs(sent), Duration::from_secs(now), is_503)
    }

    #[test]
    fn only_a_server_that_runs_must_answer() {
        let servers = Availability::new(1, false);
        assert_eq!(note(&servers, 1, 2, true), Health::Unavailable);
        assert_eq!(note(&servers, 1, 4, true), Health::Unavailable);
        // Another answer ends it.
        assert_eq!(note(&servers, 4, 5, false), Health::Good);
        assert_eq!(note(&servers, 5, 6, true), Health::Unavailable);
        // A request sent before it was back says nothing.
        servers.set(0, None);
        assert_eq!(note(&servers, 6, 7, true), Health::Good);
        servers.set(0, Some(Duration::from_secs(8)));
        assert_eq!(note(&servers, 7, 20, true), Health::Good);
        assert_eq!(note(&servers, 9, 21, true), Health::Unavailable);
        assert!(matches!(note(&servers, 9, 24, true), Health::UnavailableForLong(_)));
        assert_eq!(note(&servers, 10, 30, true), Health::Good);
    }

    #[test]
    fn a_server_whose_database_dies_is_excused() {
        let servers = Availability::new(1, true);
        for now in [2, 60] {
            assert_eq!(note(&servers, 1, now, true), Health::Unavailable);
        }
    }
}
