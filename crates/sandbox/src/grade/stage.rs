//! The stage of the script: the sandbox with its faults, and the observed actions of the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_core::grant::GrantId;
use counterfoil_report::{Case, Exchange, Mask};
use counterfoil_server::App;

use super::actions::{Action, ActionKind};
use super::{RunId, Spoil};
use crate::Sandbox;
use crate::faults::{Effect, FaultSpec, Kind, happen};
use crate::requests::{RequestRecord, evidence, leaks};

/// How many requests are kept as evidence of one event: so many successful reads of data, and so many
/// others.
const MOST_EVIDENCE: usize = 40;
/// How many actions are remembered; a longer storm adds nothing.
const MOST_ACTS: usize = 100_000;
/// How long to gather requests before looking at them.
const MOMENT: Duration = Duration::from_millis(20);

pub(super) struct Stage {
    pub(super) app: Arc<App>,
    sandbox: Arc<Sandbox>,
    pub(super) client: Arc<str>,
    pub(super) run: RunId,
    began: Instant,
    /// How many of the sandbox's requests have been processed.
    looked_at: u64,
    /// What the client did, ordered by when it was answered.
    actions: Vec<Action>,
    /// Evidence: the requests of the current event, and the few earlier ones that may be needed again.
    kept: Vec<(Duration, Arc<RequestRecord>)>,
    /// How many of them belong to the current event: successful reads of data, and others. `left_out`
    /// counts the event's requests that were not kept.
    kept_of_event: [usize; 2],
    left_out: usize,
    /// The first leaked secret: when it came, what it was and where.
    leak: Option<(Duration, String)>,
    mask: Mask,
}

impl Stage {
    pub(super) fn new(app: Arc<App>, sandbox: Arc<Sandbox>, client: Arc<str>, run: RunId) -> Self {
        let looked_at = *sandbox.requests.count().borrow();
        let (actions, kept) = (Vec::new(), Vec::new());
        Self {
            app,
            sandbox,
            client,
            run,
            began: Instant::now(),
            looked_at,
            actions,
            kept,
            kept_of_event: [0; 2],
            left_out: 0,
            leak: None,
            mask: Mask::default(),
        }
    }

    /// The time since the grading began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until `sees` finds something in what the client did since `from`, in the order that it
    /// came, or until `deadline`.
    pub(super) async fn until<T>(
        &mut self,
        from: Duration,
        deadline: Duration,
        sees: impl Fn(&[Action]) -> Option<T>,
    ) -> Option<T> {
        let mut count = self.sandbox.requests.count();
        loop {
            self.look();
            let actions = self.since(from);
            if let Some(seen) = sees(&actions) {
                return Some(seen);
            }
            let left = deadline.checked_sub(self.now())?;
            // The channel closes only with the process.
            tokio::time::timeout(left, count.changed()).await.ok()?.ok()?;
            // A storm is processed in batches.
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// What the client did between two moments, in order of arrival.
    pub(super) async fn watch(&mut self, from: Duration, to: Duration) -> Vec<Action> {
        self.until(from, to, |_| None::<()>).await;
        self.look();
        self.since(from).into_iter().filter(|action| action.came <= to).collect()
    }

    /// What the client did since `from`, in order of arrival.
    pub(super) fn since(&self, from: Duration) -> Vec<Action> {
        let mut actions: Vec<Action> =
            self.actions.iter().filter(|action| action.came >= from).cloned().collect();
        actions.sort_by_key(|action| action.came);
        actions
    }

    /// How many requests there were, and the first leaked secret.
    pub(super) fn leak(&self) -> (usize, Option<(Duration, String)>) {
        (self.actions.len(), self.leak.clone())
    }

    /// The evidence since `from`, each request with its time relative to that, preceded by the request
    /// that came at `also`. Ends the event.
    pub(super) fn evidence(&mut self, from: Duration, also: Option<Duration>) -> Vec<Exchange> {
        let is_shown = |came: Duration| came >= from || also == Some(came);
        let mut shown: Vec<_> =
            self.kept.iter().filter(|(came, _)| is_shown(*came)).cloned().collect();
        shown.sort_by_key(|(came, _)| *came);
        let last = shown.len().saturating_sub(1);
        let left_out = std::mem::take(&mut self.left_out);
        let mut exchanges = Vec::new();
        for (at, (came, observed)) in shown.iter().enumerate() {
            let after = came.as_secs_f64() - from.as_secs_f64();
            let more = if left_out > 0 && at == last {
                format!("; {left_out} more requests are left out")
            } else {
                String::new()
            };
            exchanges.push(evidence(
                &self.app,
                observed,
                &format!("{after:+.1} s{more}"),
                &mut self.mask,
            ));
        }
        self.kept_of_event = [0; 2];
        exchanges
    }

    fn look(&mut self) {
        let (count, new) = self.sandbox.requests.since(self.looked_at);
        self.looked_at = count;
        let ring = self.app.keys.ring();
        // A request whose client is unknown, because its token is nobody's, counts as this client's: no
        // other client is here while it is graded.
        for request in new
            .into_iter()
            .filter(|request| request.client.as_ref().is_none_or(|client| *client == self.client))
        {
            let action = Action::of(&request, &ring, self.began);
            // Successful reads of data must not crowd out the requests that decide.
            let kind = usize::from(!matches!(action.kind, ActionKind::Data { status: 200, .. }));
            let mut keep = self.kept_of_event[kind] < MOST_EVIDENCE;
            if self.leak.is_none()
                && let Some(found) = leaks(&self.app, &request).into_iter().next()
            {
                self.mask.learn(&found.secret);
                let place = self.mask.text(request.path());
                self.leak =
                    Some((action.came, format!("{} of {} {place}", found.what, request.method)));
                keep = true;
            }
            if keep {
                self.kept_of_event[kind] += 1;
                self.kept.push((action.came, request));
            } else {
                self.left_out += 1;
            }
            if self.actions.len() < MOST_ACTS {
                self.actions.push(action);
            }
        }
    }

    /// Sets a fault for the client's next `count` requests to `path`, and returns its id.
    pub(super) fn set_fault(
        &self,
        kind: Kind,
        effect: Effect,
        path: Option<&str>,
        count: u32,
    ) -> String {
        self.sandbox.faults.play(self.run, self.spec(kind, path), effect, count)
    }

    fn spec(&self, fault: Kind, path: Option<&str>) -> FaultSpec {
        FaultSpec {
            fault,
            client_id: Some(self.client.to_string()),
            customer: None,
            path: path.map(str::to_owned),
            value: None,
        }
    }

    /// Clears a fault, unless requests have used it up.
    pub(super) fn clear_fault(&self, id: &str) {
        self.sandbox.faults.clear_one_played(id);
    }

    /// Makes a fault happen to the client at once. False if there was nothing it applies to.
    pub(super) async fn happens(&self, fault: Kind, effect: Effect) -> bool {
        happen(&self.app, &self.spec(fault, None), effect, self.app.clock.now()).await.is_ok()
    }

    /// Revokes every grant of the client, as the customer would at the bank.
    pub(super) async fn end_grants(&self) {
        self.happens(Kind::RevokeGrant, Effect::RevokeGrant).await;
    }

    /// The grant of the answer that was spoiled this way, once there was one.
    pub(super) fn spoiled(&self, spoil: Spoil) -> Option<GrantId> {
        let spoiled = self.sandbox.grading.change(self.run, |graded| {
            graded.spoiled.iter().find(|(how, _)| *how == spoil).map(|(_, grant)| *grant)
        });
        spoiled.flatten()
    }

    /// Whether the code of a grant was ever presented at `/token`.
    pub(super) fn was_presented(&self, grant: GrantId) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action.kind, ActionKind::Exchange { grant: Some(of), .. } if of == grant))
    }

    /// Masks in a case what has since turned out to be a secret.
    pub(super) fn mask_again(&self, case: &mut Case) {
        self.mask.again(case);
    }

    /// Waits until `rest` has passed since the client last fetched the key set.
    pub(super) async fn keys_at_rest(&mut self, rest: Duration) {
        let (now, actions) = (self.now(), self.since(Duration::ZERO));
        if let Some(last) = actions.iter().rfind(|action| action.kind == ActionKind::Keys) {
            self.watch(now, last.came + rest).await;
        }
    }

    /// Waits until the client next reads data successfully.
    pub(super) async fn at_work(&mut self, patience: Duration) -> bool {
        let from = self.now();
        let reads = |actions: &[Action]| {
            actions
                .iter()
                .find(|action| matches!(action.kind, ActionKind::Data { status: 200, .. }))
                .map(|_| ())
        };
        self.until(from, from + patience, reads).await.is_some()
    }
}
