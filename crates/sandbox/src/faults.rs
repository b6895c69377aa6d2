//! Fault injection: what a sandbox's user makes go wrong, to see whether a client survives it. Behind
//! `POST, GET, DELETE /sandbox/faults`.
//!
//! Some faults happen at once (keys are rotated, a grant is revoked); others wait for their client's
//! next requests.

mod at_once;
mod effect;
pub mod endpoint;

pub(crate) use at_once::happen;
pub use effect::{Effect, FaultSpec, Kind, PATHS};

use std::sync::{Mutex, MutexGuard, PoisonError};

use counterfoil_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::grade::RunId;

/// A fault that is set.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Its id, for `DELETE ?id=`.
    pub id: String,
    /// The request that set it.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// How many more requests it strikes.
    pub remaining: u32,
    /// The grading that set it, if one did. It is cleared when the grading ends, and never stored.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) played_by: Option<RunId>,
    /// Members written by nodes of newer versions.
    #[serde(flatten)]
    #[schema(ignore)]
    others: Map<String, Value>,
}

impl Fault {
    /// Whether it may strike requests of this client.
    pub(crate) fn is_of(&self, client: &str) -> bool {
        self.spec.client_id.as_deref().is_none_or(|of| of == client)
    }
}

/// The faults that are set. The user's are in the store, shared by all nodes and cached here; those
/// of a grading exist only in this process.
#[derive(Debug, Default)]
pub struct Faults {
    /// Held while the user's faults are changed or read, so that an older read never replaces a newer
    /// one.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<FaultState>,
}

#[derive(Debug, Default)]
struct FaultState {
    /// The stored document.
    text: Option<String>,
    set: FaultList,
    played: FaultList,
}

/// Faults waiting for requests.
#[derive(Clone, Debug, Default)]
struct FaultList {
    last_id: u64,
    /// In the order they were set, each with its effect and requests left to strike.
    faults: Vec<(Fault, Effect)>,
    /// Faults of kinds unknown to this version, set by nodes of a newer one, and kept for them.
    unknown: Vec<Value>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Document {
    last_id: u64,
    faults: Vec<Value>,
}

impl Faults {
    /// Reads the stored faults. Those of a kind unknown to this version strike only on other nodes.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn read(&self, store: &Store) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let text = store.faults().await?;
        self.found(text);
        Ok(())
    }

    /// Sets a fault for the next `count` matching requests. With a count of 0 it has already happened,
    /// and is only reported.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn set(
        &self,
        store: &Store,
        spec: FaultSpec,
        effect: Effect,
        count: u32,
    ) -> Result<Fault, StoreError> {
        loop {
            if let Some(fault) =
                self.change(store, |set| Some(set.add(spec.clone(), effect, count, None))).await?
            {
                return Ok(fault);
            }
        }
    }

    /// Sets a fault for a grading, and returns its id.
    pub(crate) fn play(&self, run: RunId, spec: FaultSpec, effect: Effect, count: u32) -> String {
        self.known().played.add(spec, effect, count, Some(run)).id
    }

    /// Clears the faults of a grading.
    pub(crate) fn clear_played(&self, run: RunId) {
        self.known().played.faults.retain(|(fault, _)| fault.played_by != Some(run));
    }

    /// Clears one fault of a grading, if it is still set.
    pub(crate) fn clear_one_played(&self, id: &str) -> bool {
        self.known().played.clear(Some(id))
    }

    /// The faults that are set, in order.
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

    /// Clears the fault with this id, or all faults. False if there is no such fault.
    ///
    /// # Errors
    /// The store can't answer.
    pub async fn clear(&self, store: &Store, id: Option<&str>) -> Result<bool, StoreError> {
        let played = self.known().played.clear(id);
        let set = self.change(store, |set| set.clear(id).then_some(())).await?.is_some();
        Ok(played || set || id.is_none())
    }

    /// Whether to drop a successful answer to this client. False if the store can't answer.
    pub(crate) async fn loses_answer(&self, store: &Store, client: &str) -> bool {
        let taken = self.take(store, |fault, effect| {
            (fault.is_of(client) && *effect == Effect::LoseAnswer).then_some(())
        });
        matches!(taken.await, Ok(Some(())))
    }

    /// Whether any fault `strikes`.
    pub(crate) fn any<T>(&self, strikes: impl Fn(&Fault, &Effect) -> Option<T>) -> bool {
        let known = self.known();
        known
            .set
            .faults
            .iter()
            .chain(&known.played.faults)
            .any(|(fault, effect)| strikes(fault, effect).is_some())
    }

    /// Uses up one request of the first fault that `strikes`. If none does, the store is not asked.
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

    /// Changes the user's faults, in the store first, by compare-and-swap: nodes that change them
    /// concurrently build on each other's changes. `None` if there is nothing to change.
    async fn change<T>(
        &self,
        store: &Store,
        change: impl Fn(&mut FaultList) -> Option<T>,
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
        let set = FaultList::read(text.as_deref());
        let mut known = self.known();
        (known.text, known.set) = (text, set);
    }

    fn known(&self) -> MutexGuard<'_, FaultState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultState {
    fn copied(&self) -> (Option<String>, FaultList) {
        (self.text.clone(), self.set.clone())
    }
}

impl FaultList {
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
                .and_then(|fault| fault.spec.effect().ok().map(|effect| (fault, effect)));
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

    fn add(
        &mut self,
        spec: FaultSpec,
        effect: Effect,
        count: u32,
        played_by: Option<RunId>,
    ) -> Fault {
        self.last_id += 1;
        let id = if played_by.is_some() {
            format!("played-{}", self.last_id)
        } else {
            self.last_id.to_string()
        };
        let fault = Fault { id, spec, remaining: count, played_by, others: Map::new() };
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

    /// Clears the fault with this id, or all. False if there was none.
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
        let mut waiting = FaultList::read(Some(text));
        assert_eq!((waiting.last_id, waiting.faults.len(), waiting.unknown.len()), (3, 1, 2));
        assert!(
            waiting
                .take(|_, effect| matches!(effect, Effect::Unavailable(_)).then_some(()))
                .is_some()
        );
        let mut expected: Value = serde_json::from_str(text).expect("JSON");
        expected["faults"][0]["remaining"] = 1.into();
        let written =
            |waiting: &FaultList| serde_json::from_str::<Value>(&waiting.text()).expect("JSON");
        assert_eq!(written(&waiting), expected);
        assert!(waiting.clear(Some("2")) && !waiting.clear(Some("2")));
        assert_eq!(written(&waiting)["faults"].as_array().map(Vec::len), Some(2));
        assert!(waiting.clear(None) && waiting.unknown.is_empty() && waiting.faults.is_empty());
    }
}
