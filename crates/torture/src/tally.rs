//! What was done, in numbers.

use std::time::Duration;

use serde::Serialize;

/// What was done, in numbers.
#[derive(Default, Clone, Serialize)]
pub struct Tally {
    /// Grants that were given.
    pub grants: u64,
    /// Refreshes that were answered with tokens, repeats not among them.
    pub refreshes: u64,
    /// Requests that were sent again because their answer was lost.
    pub retries: u64,
    /// Answers 503 of servers that were not killed meanwhile.
    pub unavailable: u64,
    /// Refreshes that were answered and repeated with their key all the same.
    pub repeats: u64,
    /// Those of them that were not marked with `Idempotency-Replayed`: right for a server whose
    /// database died under it, and for no other.
    pub unmarked_repeats: u64,
    /// Slips that were presented twice at once, with two keys.
    pub races: u64,
    /// Old slips that were presented without a key.
    pub replays: u64,
    /// Bearer tokens shown at `/accounts` and `/introspect`, and answered.
    pub reads: u64,
    /// Endings that were acknowledged.
    pub revocations: u64,
    /// Ended grants whose tokens were all tried again.
    pub ended_grants_checked: u64,
    /// SIGKILLs of servers.
    pub kills_of_nodes: u64,
    /// Servers that were replaced by those of the next program.
    pub replacements: u64,
    /// The longest time from the end of a server to the first answer of the one that replaced it,
    /// in milliseconds: the first changes the schema.
    pub longest_replacement_ms: u64,
    /// SIGKILLs of the database.
    pub kills_of_the_database: u64,
    /// The longest time from a client's first try to its answer, in milliseconds.
    pub longest_wait_ms: u64,
}

impl Tally {
    /// Kills of servers and of the database.
    #[must_use]
    pub const fn kills(&self) -> u64 {
        self.kills_of_nodes + self.kills_of_the_database
    }

    pub(crate) fn replaced(&mut self, took: Duration) {
        self.replacements += 1;
        self.longest_replacement_ms =
            self.longest_replacement_ms.max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    pub(crate) fn waited(&mut self, wait: Duration) {
        self.longest_wait_ms =
            self.longest_wait_ms.max(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
}
