//! What was found to be wrong, with the evidence for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::checker::Violation;
use crate::history::{Exchange, Moment};

/// Findings after which nothing new is to be learnt.
const ENOUGH: usize = 100;

/// Something wrong, with the evidence for it.
#[derive(Clone, Serialize)]
pub struct Finding {
    /// Which rule was broken.
    pub fault: &'static str,
    /// How.
    pub what: String,
    /// The grant and its client, if it is about one.
    pub about: Option<String>,
    /// Requests and kills in the order of time.
    pub history: Vec<String>,
}

/// The grant that a violation is about.
pub(crate) struct Subject<'a> {
    pub(crate) name: String,
    pub(crate) history: &'a [Exchange],
}

#[derive(Default)]
pub(crate) struct Findings {
    all: Mutex<Vec<Finding>>,
    /// What was done to the servers.
    incidents: Mutex<Vec<(Duration, String)>>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Findings {
    /// Remembers what was done to a server, for the histories.
    pub(crate) fn incident(&self, at: Duration, what: String) {
        lock(&self.incidents).push((at, what));
    }

    /// Adds a finding; gives it with its number, unless there are enough already.
    pub(crate) fn add(
        &self,
        violation: Violation,
        subject: Option<Subject<'_>>,
    ) -> Option<(usize, Finding)> {
        let Violation { fault, what } = violation;
        let history =
            subject.as_ref().map_or_else(Vec::new, |subject| self.history(subject.history));
        let about = subject.map(|subject| subject.name);
        let finding = Finding { fault: fault.name(), what, about, history };
        let mut all = lock(&self.all);
        if all.len() == ENOUGH {
            return None;
        }
        all.push(finding.clone());
        Some((all.len(), finding))
    }

    /// Whether nothing new is to be learnt.
    pub(crate) fn are_enough(&self) -> bool {
        self.count() == ENOUGH
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.all).len()
    }

    pub(crate) fn all(&self) -> Vec<Finding> {
        lock(&self.all).clone()
    }

    /// The requests about a grant and what was done to the servers meanwhile.
    fn history(&self, exchanges: &[Exchange]) -> Vec<String> {
        let (Some(first), Some(last)) = (exchanges.first(), exchanges.last()) else {
            return Vec::new();
        };
        let incidents = lock(&self.incidents);
        let meanwhile =
            incidents.iter().filter(|(when, _)| *when >= first.sent && *when <= last.answered);
        let mut lines: Vec<_> =
            meanwhile.map(|(when, what)| (*when, format!("{} {what}", Moment(*when)))).collect();
        lines.extend(exchanges.iter().map(|exchange| (exchange.answered, exchange.to_string())));
        lines.sort_by_key(|(when, _)| *when);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
