//! Faults: what a sandbox's user asks to go wrong, so that a client can be seen to survive it. `POST, GET, DELETE /sandbox/faults`.
//!
//! Some happen at once (keys are rotated, a grant is revoked); the others wait for the next requests of their client.

mod at_once;
mod effect;
pub mod endpoint;
mod strike;

pub(in crate::sandbox) use at_once::happen;
pub use effect::{Effect, Kind, PATHS, Wish};
pub use strike::{before_redeeming, loses_answer, skew, strike};

use crate::sandbox::grade::Run;
use counterfoil_store::{Pending, Store};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A fault that waits for requests to strike.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// What `DELETE ?id=` names it by.
    pub id: String,
    /// What was asked for.
    #[serde(flatten)]
    pub wish: Wish,
    /// How many more requests it strikes.
    pub remaining: u32,
    /// The grading whose script set it, if one did: it goes when that does, and no store remembers it.
    #[serde(skip)]
    pub(in crate::sandbox) played_by: Option<Run>,
}

/// The faults that are set.
#[derive(Debug)]
pub struct Faults(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    last_id: u64,
    /// Each with what it does, in the order they were set; none is spent.
    waiting: Vec<(Fault, Effect)>,
}

impl Faults {
    /// The faults that a store remembers. One that can't be read any more is left out.
    pub fn remembered(text: Option<&str>) -> Self {
        let faults: Vec<Fault> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let last_id = faults.iter().filter_map(|fault| fault.id.parse().ok()).max().unwrap_or(0);
        let waiting = faults.into_iter().filter_map(|fault| fault.wish.effect().ok().map(|effect| (fault, effect)));
        Self(Mutex::new(List { last_id, waiting: waiting.collect() }))
    }

    /// Sets a fault for the next `count` requests that it fits; with none, it has happened at once and is told of alone.
    pub fn set(&self, wish: Wish, effect: Effect, count: u32) -> Fault {
        self.list().add(wish, effect, count, None)
    }

    /// Sets a fault that a grading plays, and gives its id.
    pub(in crate::sandbox) fn play(&self, run: Run, wish: Wish, effect: Effect, count: u32) -> String {
        self.list().add(wish, effect, count, Some(run)).id
    }

    /// Clears what a grading has set.
    pub(in crate::sandbox) fn clear_played(&self, run: Run) {
        self.list().waiting.retain(|(fault, _)| fault.played_by != Some(run));
    }

    /// The faults that wait, in the order they were set.
    pub fn waiting(&self) -> Vec<Fault> {
        self.list().waiting.iter().map(|(fault, _)| fault.clone()).collect()
    }

    /// Clears the fault of this id, or all of them. False where there is no such fault.
    pub fn clear(&self, id: Option<&str>) -> bool {
        let mut list = self.list();
        let before = list.waiting.len();
        list.waiting.retain(|(fault, _)| id.is_some_and(|id| fault.id != id));
        id.is_none() || list.waiting.len() < before
    }

    /// Whether there is a fault that `strikes`.
    fn any(&self, strikes: impl Fn(&Fault, &Effect) -> Option<()>) -> bool {
        self.list().waiting.iter().any(|(fault, effect)| strikes(fault, effect).is_some())
    }

    /// The first fault that `strikes`, one request poorer, and who played it.
    fn take<T>(&self, strikes: impl Fn(&Fault, &Effect) -> Option<T>) -> Option<(T, Option<Run>)> {
        let mut list = self.list();
        let (at, struck) =
            list.waiting.iter().enumerate().find_map(|(at, (fault, effect))| strikes(fault, effect).map(|struck| (at, struck)))?;
        let (fault, _) = &mut list.waiting[at];
        let played_by = fault.played_by;
        fault.remaining -= 1;
        if fault.remaining == 0 {
            list.waiting.remove(at);
        }
        Some((struck, played_by))
    }

    /// Has the store remember the list. The write is queued before the list can change again, so the last one written is the last one.
    fn remember(&self, store: &Store) -> Pending<()> {
        let list = self.list();
        let kept: Vec<&Fault> = list.waiting.iter().map(|(fault, _)| fault).filter(|fault| fault.played_by.is_none()).collect();
        store.set_faults(serde_json::to_string(&kept).unwrap_or_default())
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn add(&mut self, wish: Wish, effect: Effect, count: u32, played_by: Option<Run>) -> Fault {
        self.last_id += 1;
        let fault = Fault { id: self.last_id.to_string(), wish, remaining: count, played_by };
        if count > 0 {
            self.waiting.push((fault.clone(), effect));
        }
        fault
    }
}
