//! Limits on what strangers can make a node do at once.

use std::sync::{Arc, Mutex, PoisonError};

use counterfoil_core::clock::Timestamp;
use tokio::sync::Semaphore;

use crate::node::lockout::Turn;

/// Password hashes computed at once: each takes 19 MiB and keeps a core busy.
const PASSWORDS_AT_ONCE: usize = 2;
/// Large consent forms read at once: each takes up to a megabyte.
const LARGE_FORMS_AT_ONCE: usize = 16;
/// Continuations stored per second without any authentication: a thousand wrong passwords a second
/// must not fill the store.
const CONTINUATIONS_A_SECOND: u32 = 20;
/// Sign-in turns; customers share them by hash.
const TURNS: usize = 64;

/// A node's limits.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Limits the memory for password hashes.
    pub(crate) passwords: Arc<Semaphore>,
    /// Limits the memory for large consent forms.
    pub(crate) large_forms: Semaphore,
    /// Limits how fast anonymous posts can grow the store.
    pub(crate) continuations: Budget,
    /// Serialises attempts to sign in as one customer, so that a correct one in flight is not
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
    /// The turn of the customer whose attempts are counted under `key`.
    pub(crate) fn sign_in(&self, key: &[u8; 32]) -> &tokio::sync::Mutex<Turn> {
        &self.sign_ins[usize::from(key[0]) % TURNS]
    }
}

/// How many continuations were stored in the current second.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<(Option<Timestamp>, u32)>);

impl Budget {
    /// AcceptedTokens one from the budget; false if this second's is used up.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.0 != Some(now) {
            *stored = (Some(now), 0);
        }
        stored.1 += 1;
        stored.1 <= CONTINUATIONS_A_SECOND
    }
}
