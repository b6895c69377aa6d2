//! What the script plays with: the sandbox, its faults, and eyes on the client.

use super::Spoil;
use super::acts::{Act, What};
use crate::app::App;
use crate::sandbox::Sandbox;
use crate::sandbox::faults::{Effect, Kind, Wish};
use crate::sandbox::requests::{Observed, evidence};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use counterfoil_report::{Exchange, Mask};
use counterfoil_store::GrantFilter;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many requests are shown as evidence of one event.
const MOST_EVIDENCE: usize = 60;
/// How many grants of the client are ended at the most.
const GRANTS: u32 = 100;

pub(super) struct Stage {
    pub(super) app: Arc<App>,
    pub(super) client: Arc<str>,
    began: Instant,
    /// How many requests of the sandbox were looked at.
    looked_at: u64,
    /// What the client did, in the order that it was answered, with what it was seen by.
    acts: Vec<(Act, Arc<Observed>)>,
    mask: Mask,
}

impl Stage {
    pub(super) fn new(app: Arc<App>, client: Arc<str>) -> Self {
        let looked_at = app.sandbox.as_ref().map_or(0, |sandbox| *sandbox.requests.count().borrow());
        Self { app, client, began: Instant::now(), looked_at, acts: Vec::new(), mask: Mask::default() }
    }

    /// The present moment, since the grading began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until `sees` gives something of what the client did since `from`, in the order that it came, or until `deadline`.
    pub(super) async fn until<T>(&mut self, from: Duration, deadline: Duration, sees: impl Fn(&[Act]) -> Option<T>) -> Option<T> {
        let mut count = self.sandbox()?.requests.count();
        loop {
            self.look();
            let acts = self.since(from);
            if let Some(seen) = sees(&acts) {
                return Some(seen);
            }
            let left = deadline.checked_sub(self.now())?;
            // Its end is the process's.
            tokio::time::timeout(left, count.changed()).await.ok()?.ok()?;
        }
    }

    /// What the client did from one moment to another, in the order that it came.
    pub(super) async fn watch(&mut self, from: Duration, to: Duration) -> Vec<Act> {
        self.until(from, to, |_| None::<()>).await;
        self.look();
        self.since(from).into_iter().filter(|act| act.came <= to).collect()
    }

    /// Everything that the client did since `from`, in the order that it came.
    pub(super) fn since(&self, from: Duration) -> Vec<Act> {
        let mut acts: Vec<Act> = self.acts.iter().map(|(act, _)| act).filter(|act| act.came >= from).cloned().collect();
        acts.sort_by_key(|act| act.came);
        acts
    }

    /// Every request of the client, with when it came, as it was observed.
    pub(super) fn observed(&self) -> impl Iterator<Item = (Duration, &Observed)> {
        self.acts.iter().map(|(act, observed)| (act.came, &**observed))
    }

    /// The requests since `from`, to be shown, with the time of each since then; before them the one that came at `also`.
    pub(super) fn evidence(&mut self, from: Duration, also: Option<Duration>) -> Vec<Exchange> {
        let is_shown = |act: &Act| act.came >= from || also == Some(act.came);
        let mut shown: Vec<_> = self.acts.iter().filter(|(act, _)| is_shown(act)).cloned().collect();
        shown.sort_by_key(|(act, _)| act.came);
        let left_out = shown.len().saturating_sub(MOST_EVIDENCE);
        shown.truncate(MOST_EVIDENCE);
        let last = shown.len().saturating_sub(1);
        let mut exchanges = Vec::new();
        for (at, (act, observed)) in shown.iter().enumerate() {
            let after = act.came.as_secs_f64() - from.as_secs_f64();
            let more = if left_out > 0 && at == last { format!("; {left_out} more requests are left out") } else { String::new() };
            exchanges.push(evidence(observed, &format!("{after:+.1} s{more}"), &mut self.mask));
        }
        exchanges
    }

    fn look(&mut self) {
        let Some(sandbox) = &self.app.sandbox else { return };
        let (count, new) = sandbox.requests.since(self.looked_at);
        self.looked_at = count;
        let ring = self.app.keys.ring();
        // A request whose client can't be told, for its token is nobody's, is this client's: nobody else is here while it is graded.
        for request in new.into_iter().filter(|request| request.client.as_ref().is_none_or(|client| *client == self.client)) {
            self.acts.push((Act::of(&request, &ring, self.began), request));
        }
    }

    fn sandbox(&self) -> Option<&Sandbox> {
        self.app.sandbox.as_ref()
    }

    /// Sets a fault for the client's next `count` requests to `path`, and gives its id.
    pub(super) fn set_fault(&self, kind: Kind, effect: Effect, path: Option<&str>, count: u32) -> Option<String> {
        let wish =
            Wish { fault: kind, client_id: Some(self.client.to_string()), customer: None, path: path.map(str::to_owned), value: None };
        Some(self.sandbox()?.faults.play(wish, effect, count))
    }

    /// Clears a fault, where requests have not used it up.
    pub(super) fn clear_fault(&self, id: Option<&str>) {
        if let (Some(sandbox), Some(id)) = (self.sandbox(), id) {
            sandbox.faults.clear(Some(id));
        }
    }

    /// Lets the customer take every consent of the client back at the bank. False where there was none.
    pub(super) async fn end_grants(&self) -> bool {
        let filter = GrantFilter { client: Some(self.client.to_string()), customer: None, before: None, limit: GRANTS };
        let grants = self.app.store.grants(&filter).unwrap_or_default();
        let mut ended = false;
        for grant in grants.iter().filter(|grant| grant.ended.is_none()) {
            let ending = self.app.store.end_grant(grant.terms.grant, EndedBy::Customer, self.app.clock.now());
            ended |= ending.await.is_ok();
        }
        ended
    }

    /// The grant whose code was in the answer that was spoiled in this way, once there was one.
    pub(super) fn spoiled(&self, spoil: Spoil) -> Option<GrantId> {
        let sandbox = self.sandbox()?;
        let spoiled = sandbox.grading.change(|graded| graded.spoiled.iter().find(|(how, _)| *how == spoil).map(|(_, grant)| *grant));
        spoiled.flatten()
    }

    /// Waits until the client reads data and is answered, from now on.
    pub(super) async fn at_work(&mut self, patience: Duration) -> bool {
        let from = self.now();
        let reads = |acts: &[Act]| acts.iter().find(|act| matches!(act.what, What::Data { status: 200, .. })).map(|_| ());
        self.until(from, from + patience, reads).await.is_some()
    }
}
