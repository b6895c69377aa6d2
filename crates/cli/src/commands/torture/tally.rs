//! What was done, in numbers.

use std::time::Duration;

use serde::Serialize;

#[derive(Default, Clone, Serialize)]
pub(super) struct Tally {
    /// Grants that were given.
    pub(super) grants: u64,
    /// Refreshes that were answered with tokens, repeats not among them.
    pub(super) refreshes: u64,
    /// Requests that were sent again because their answer was lost.
    pub(super) retries: u64,
    /// Answers 503 of servers that were not killed meanwhile.
    pub(super) unavailable: u64,
    /// Refreshes that were answered and repeated with their key all the same.
    pub(super) repeats: u64,
    /// Those of them that were not marked with `Idempotency-Replayed`: right for a server whose
    /// database died under it, and for no other.
    pub(super) unmarked_repeats: u64,
    /// Slips that were presented twice at once, with two keys.
    pub(super) races: u64,
    /// Old slips that were presented without a key.
    pub(super) replays: u64,
    /// Bearer tokens shown at `/accounts` and `/introspect`, and answered.
    pub(super) reads: u64,
    /// Endings that were acknowledged.
    pub(super) revocations: u64,
    /// Ended grants of which every token was tried again.
    pub(super) ended_grants_checked: u64,
    /// SIGKILLs of servers.
    pub(super) kills_of_nodes: u64,
    /// Servers that were replaced by those of the next program.
    pub(super) replacements: u64,
    /// The longest time from the end of a server to the first answer of the one that replaced it,
    /// in milliseconds: the first changes the schema.
    pub(super) longest_replacement_ms: u64,
    /// SIGKILLs of the database.
    pub(super) kills_of_the_database: u64,
    /// The longest time from a client's first try to its answer, in milliseconds.
    pub(super) longest_wait_ms: u64,
}

impl Tally {
    pub(super) const fn kills(&self) -> u64 {
        self.kills_of_nodes + self.kills_of_the_database
    }

    pub(super) fn replaced(&mut self, took: Duration) {
        self.replacements += 1;
        self.longest_replacement_ms =
            self.longest_replacement_ms.max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    pub(super) fn waited(&mut self, wait: Duration) {
        self.longest_wait_ms =
            self.longest_wait_ms.max(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
}
