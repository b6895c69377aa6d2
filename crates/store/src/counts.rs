//! What the store counts while it works, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, and from whatever thread.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened since the store was opened, by this process.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: Count,
    pub(crate) redeem_batches: Count,
    pub(crate) redeem_batched: Count,
    pub(crate) read_batches: Count,
    pub(crate) reads: Count,
    pub(crate) retries: Count,
    pub(crate) unknown_outcomes: Count,
    pub(crate) connections: Count,
    pub(crate) endings_forgotten: Count,
}

/// What happened since the store was opened, by this process: each is a number that only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreCounts {
    /// Transactions committed.
    pub commits: u64,
    /// Statements or transactions that redeemed slips.
    pub redeem_batches: u64,
    /// Slips that were sent to be redeemed in those.
    pub redeem_batched: u64,
    /// Round trips of reads on the token path; 0 where reads need none.
    pub read_batches: u64,
    /// Reads that were answered by those.
    pub reads: u64,
    /// Transactions tried again because another was in the way.
    pub retries: u64,
    /// Writes whose connection or file was lost before their outcome was known, and which found it
    /// out.
    pub unknown_outcomes: u64,
    /// Connections made to the database.
    pub connections: u64,
    /// Endings that this node had acknowledged and a database it came back to did not know: an
    /// alarm.
    pub endings_forgotten: u64,
}

impl Counts {
    pub(crate) fn read(&self) -> StoreCounts {
        StoreCounts {
            commits: self.commits.get(),
            redeem_batches: self.redeem_batches.get(),
            redeem_batched: self.redeem_batched.get(),
            read_batches: self.read_batches.get(),
            reads: self.reads.get(),
            retries: self.retries.get(),
            unknown_outcomes: self.unknown_outcomes.get(),
            connections: self.connections.get(),
            endings_forgotten: self.endings_forgotten.get(),
        }
    }
}
