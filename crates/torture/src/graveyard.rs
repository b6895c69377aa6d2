//! Grants that ended, to be tried again later.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chance::Chance;
use crate::client_grant::ClientGrant;

/// Ended grants that are remembered.
const ROOM: usize = 10_000;

#[derive(Default)]
pub(crate) struct Graveyard(Mutex<VecDeque<ClientGrant>>);

impl Graveyard {
    fn graves(&self) -> MutexGuard<'_, VecDeque<ClientGrant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an ended grant. Returns the oldest one if there is no room for it.
    pub(crate) fn bury(&self, grant: ClientGrant) -> Option<ClientGrant> {
        let mut graves = self.graves();
        graves.push_back(grant);
        if graves.len() > ROOM { graves.pop_front() } else { None }
    }

    /// Takes out any of them.
    pub(crate) fn dig(&self, chance: &mut Chance) -> Option<ClientGrant> {
        let mut graves = self.graves();
        let at = chance.below(graves.len());
        graves.swap_remove_back(at)
    }
}
