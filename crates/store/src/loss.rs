//! What becomes of a declared loss of data.

use counterfoil_core::clock::Timestamp;

/// What declaring a loss of data did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LossDeclared {
    /// The store's epoch from now on. Refresh tokens newer than a counterfoil of an earlier one are
    /// accepted once.
    pub epoch: u32,
    /// Where endings were accepted as lost: bearers issued before this moment are refused.
    pub bearers_from: Option<Timestamp>,
    /// Endings that the store had forgotten and has now: of grants, removals of clients and
    /// customers.
    pub applied: u64,
    /// Endings that it had.
    pub known: u64,
    /// Endings of grants that it does not have: given after the backup, or swept since.
    pub unknown: u64,
}

impl LossDeclared {
    /// Adds what more endings came to.
    pub(crate) fn count(&mut self, more: Self) {
        self.applied += more.applied;
        self.known += more.known;
        self.unknown += more.unknown;
    }
}
