//! Faults: what a sandbox's user asks to go wrong, so that a client can be seen to survive it.
//! `POST, GET, DELETE /sandbox/faults`.
//!
//! Some happen at once (keys are rotated, a grant is revoked); the others wait for the next
//! requests of their client.

mod at_once;
mod effect;
pub mod endpoint;

pub(crate) use at_once::happen;
pub use effect::{Effect, Kind, PATHS, Wish};

use std::sync::{Mutex, MutexGuard, PoisonError};

use counterfoil_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::grade::Run;

/// A fault that waits for requests to strike.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// What `DELETE ?id=` names it by.
    pub id: String,
    /// What was asked for.
    #[serde(flatten)]
    pub wish: Wish,
    /// How many more requests it strikes.
    pub remaining: u32,
    /// The grading whose script set it, if one did: it goes when that does, and no store remembers
    /// it.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) played_by: Option<Run>,
    /// What a node of a newer version has said of it.
    #[serde(flatten)]
    #[schema(ignore)]
    others: Map<String, Value>,
}

impl Fault {
    /// Whether it may strike requests of this client.
    pub(crate) fn is_of(&self, client: &str) -> bool {
        self.wish.client_id.as_deref().is_none_or(|of| of == client)
    }
}

/// The faults that are set. Those of the sandbox's user are in the store, for all its nodes, and
/// known here as they were when last looked at; those that a grading plays are this process's
/// alone.
#[derive(Debug, Default)]
pub struct Faults {
    /// Held while the user's are changed or read, so that what was read earlier never replaces what
    /// was read later.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What the store has.
    text: Option<String>,
    set: Waiting,
    played: Waiting,
}

/// Faults that wait.
#[derive(Clone, Debug, Default)]
struct Waiting {
    last_id: u64,
    /// Each with what it does, in the order they were set; none is spent.
    faults: Vec<(Fault, Effect)>,
    /// Those that nodes of a newer version have set, of kinds that this one does not know: kept for
    /// them.
    unknown: Vec<Value>,
}

/// How the store keeps them.
#[derive(Serialize, Deserialize)]
struct Document {
    last_id: u64,
    faults: Vec<Value>,
}

impl Faults {
    /// Reads the faults that the store has. One of a kind that is not known here strikes at other
    /// nodes alone.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn read(&self, store: &Store) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let text = store.faults().await?;
        self.found(text);
        Ok(())
    }

    /// Sets a fault for the next `count` requests that it fits; with none, it has happened at once
    /// and is told of alone.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn set(
        &self,
        store: &Store,
        wish: Wish,
        effect: Effect,
        count: u32,
    ) -> Result<Fault, StoreError> {
        loop {
            if let Some(fault) =
                self.change(store, |set| Some(set.add(wish.clone(), effect, count, None))).await?
            {
                return Ok(fault);
            }
        }
    }

    /// Sets a fault that a grading plays, and gives its id.
    pub(crate) fn play(&self, run: Run, wish: Wish, effect: Effect, count: u32) -> String {
        self.known().played.add(wish, effect, count, Some(run)).id
    }

    /// Clears what a grading has set.
    pub(crate) fn clear_played(&self, run: Run) {
        self.known().played.faults.retain(|(fault, _)| fault.played_by != Some(run));
    }

    /// Clears one that a grading has set, if it still waits.
    pub(crate) fn clear_one_played(&self, id: &str) -> bool {
        self.known().played.clear(Some(id))
    }

    /// The faults that wait, in the order they were set.
    pub fn waiting(&self) -> Vec<Fault> {
        let known = self.known();
        known
            .set
            .faults
            .iter()
            .chain(&known.played.faults)
            .map(|(fault, _)| fault.clone())
            .collect()
    }

    /// Clears the fault of this id, or all of them. False where there is no such fault.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn clear(&self, store: &Store, id: Option<&str>) -> Result<bool, StoreError> {
        let played = self.known().played.clear(id);
        let set = self.change(store, |set| set.clear(id).then_some(())).await?.is_some();
        Ok(played || set || id.is_none())
    }

    /// Whether the answer to this client, which says that something was done, shall be lost. It is
    /// not where the store can't answer.
    pub(crate) async fn loses_answer(&self, store: &Store, client: &str) -> bool {
        let taken = self.take(store, |fault, effect| {
            (fault.is_of(client) && *effect == Effect::LoseAnswer).then_some(())
        });
        matches!(taken.await, Ok(Some(())))
    }

    /// Whether there is a fault that `strikes`.
    pub(crate) fn any<T>(&self, strikes: impl Fn(&Fault, &Effect) -> Option<T>) -> bool {
        let known = self.known();
        known
            .set
            .faults
            .iter()
            .chain(&known.played.faults)
            .any(|(fault, effect)| strikes(fault, effect).is_some())
    }

    /// The first fault that `strikes`, one request poorer. Where none does, the store is not asked.
    ///
    /// # Errors
    /// The store can't answer.
    pub(crate) async fn take<T>(
        &self,
        store: &Store,
        strikes: impl Fn(&Fault, &Effect) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        if !self.any(&strikes) {
            return Ok(None);
        }
        let played = self.known().played.take(&strikes);
        match played {
            Some(struck) => Ok(Some(struck)),
            None => self.change(store, |set| set.take(&strikes)).await,
        }
    }

    /// Changes the user's faults, in the store first: of all nodes that change the same ones, each
    /// changes what the one before it left. `None` where there is nothing to change.
    async fn change<T>(
        &self,
        store: &Store,
        change: impl Fn(&mut Waiting) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let _turn = self.turn.lock().await;
        loop {
            let (before, mut set) = self.known().copied();
            let Some(changed) = change(&mut set) else {
                return Ok(None);
            };
            let after = set.text();
            if store.swap_faults(before, after.clone()).await? {
                self.found(Some(after));
                return Ok(Some(changed));
            }
            let text = store.faults().await?;
            self.found(text);
        }
    }

    fn found(&self, text: Option<String>) {
        let set = Waiting::read(text.as_deref());
        let mut known = self.known();
        (known.text, known.set) = (text, set);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn copied(&self) -> (Option<String>, Waiting) {
        (self.text.clone(), self.set.clone())
    }
}

impl Waiting {
    fn read(text: Option<&str>) -> Self {
        let Some(Document { last_id, faults }) =
            text.and_then(|text| serde_json::from_str(text).ok())
        else {
            return Self::default();
        };
        let mut waiting = Self { last_id, ..Self::default() };
        for document in faults {
            let fault = Fault::deserialize(&document)
                .ok()
                .and_then(|fault| fault.wish.effect().ok().map(|effect| (fault, effect)));
            match fault {
                Some(fault) => waiting.faults.push(fault),
                None => waiting.unknown.push(document),
            }
        }
        waiting
    }

    fn text(&self) -> String {
        let faults = self.faults.iter().filter_map(|(fault, _)| serde_json::to_value(fault).ok());
        let faults = faults.chain(self.unknown.iter().cloned()).collect();
        serde_json::to_string(&Document { last_id: self.last_id, faults }).unwrap_or_default()
    }

    fn add(&mut self, wish: Wish, effect: Effect, count: u32, played_by: Option<Run>) -> Fault {
        self.last_id += 1;
        let id = if played_by.is_some() {
            format!("played-{}", self.last_id)
        } else {
            self.last_id.to_string()
        };
        let fault = Fault { id, wish, remaining: count, played_by, others: Map::new() };
        if count > 0 {
            self.faults.push((fault.clone(), effect));
        }
        fault
    }

    fn take<T>(&mut self, strikes: impl Fn(&Fault, &Effect) -> Option<T>) -> Option<T> {
        let (at, struck) =
            self.faults.iter().enumerate().find_map(|(at, (fault, effect))| {
                strikes(fault, effect).map(|struck| (at, struck))
            })?;
        let (fault, _) = &mut self.faults[at];
        fault.remaining -= 1;
        if fault.remaining == 0 {
            self.faults.remove(at);
        }
        Some(struck)
    }

    /// Clears the one of this id, or all. False where there was none.
    fn clear(&mut self, id: Option<&str>) -> bool {
        let before = self.faults.len() + self.unknown.len();
        self.faults.retain(|(fault, _)| id.is_some_and(|id| fault.id != id));
        self.unknown.retain(|fault| id.is_some_and(|id| fault["id"] != id));
        self.faults.len() + self.unknown.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_node_has_set_is_kept_for_it() {
        let text = r#"{"last_id":3,"faults":[
            {"id":"1","fault":"unavailable","client_id":null,"customer":null,"path":null,"value":null,"remaining":2,"shade":"blue"},
            {"id":"2","fault":"rain","client_id":null,"customer":null,"path":null,"value":"cats","remaining":1},
            {"id":"3","fault":"snow","remaining":1}]}"#;
        let mut waiting = Waiting::read(Some(text));
        assert_eq!((waiting.last_id, waiting.faults.len(), waiting.unknown.len()), (3, 1, 2));
        assert!(
            waiting
                .take(|_, effect| matches!(effect, Effect::Unavailable(_)).then_some(()))
                .is_some()
        );
        let mut expected: Value = serde_json::from_str(text).expect("JSON");
        expected["faults"][0]["remaining"] = 1.into();
        let written =
            |waiting: &Waiting| serde_json::from_str::<Value>(&waiting.text()).expect("JSON");
        assert_eq!(written(&waiting), expected);
        assert!(waiting.clear(Some("2")) && !waiting.clear(Some("2")));
        assert_eq!(written(&waiting)["faults"].as_array().map(Vec::len), Some(2));
        assert!(waiting.clear(None) && waiting.unknown.is_empty() && waiting.faults.is_empty());
    }
}
