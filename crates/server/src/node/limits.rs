//! Bounds on what strangers can have a node do at once.

use std::sync::{Arc, Mutex, PoisonError};

use counterfoil_core::clock::Timestamp;
use tokio::sync::Semaphore;

use crate::node::lockout::Turn;

/// Password hashes computed at once: each takes 19 MiB and a core for a while.
const PASSWORDS_AT_ONCE: usize = 2;
/// Consent forms read at once of which each takes up to a megabyte.
const LARGE_FORMS_AT_ONCE: usize = 16;
/// Continuations stored in one second without proof of anything: a thousand wrong passwords a
/// second must not fill the store.
const CONTINUATIONS_A_SECOND: u32 = 20;
/// Sign-in turns: one a customer, by hash.
const TURNS: usize = 64;

/// A node's bounds.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Bounds the memory that password hashes take.
    pub(crate) passwords: Arc<Semaphore>,
    /// Bounds the memory that large consent forms take.
    pub(crate) large_forms: Semaphore,
    /// Bounds how fast the store grows by what anybody may post.
    pub(crate) continuations: Budget,
    /// Tries to sign in as one customer wait for each other, so that a right one in flight is not
    /// counted as failed.
    sign_ins: [tokio::sync::Mutex<Turn>; TURNS],
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            passwords: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
            large_forms: Semaphore::new(LARGE_FORMS_AT_ONCE),
            continuations: Budget::default(),
            sign_ins: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }
}

impl Limits {
    /// The turn of the customer whose tries are counted under `key`.
    pub(crate) fn sign_in(&self, key: &[u8; 32]) -> &tokio::sync::Mutex<Turn> {
        &self.sign_ins[usize::from(key[0]) % TURNS]
    }
}

/// How many continuations were stored in the current second.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<(Option<Timestamp>, u32)>);

impl Budget {
    /// Takes one; false where the second has none left.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.0 != Some(now) {
            *stored = (Some(now), 0);
        }
        stored.1 += 1;
        stored.1 <= CONTINUATIONS_A_SECOND
    }
}
