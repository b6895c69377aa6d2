//! What the script plays with: the sandbox, its faults, and eyes on the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_core::grant::GrantId;
use counterfoil_report::{Case, Exchange, Mask};
use counterfoil_server::App;

use super::acts::{Act, What};
use super::{Run, Spoil};
use crate::Sandbox;
use crate::faults::{Effect, Kind, Wish, happen};
use crate::requests::{Observed, evidence, exposed};

/// How many requests are shown as evidence of one event: of data that was read as ever, and of all
/// the rest.
const MOST_EVIDENCE: usize = 40;
/// How many acts are remembered: a storm that goes on has long been seen for what it is.
const MOST_ACTS: usize = 100_000;
/// How long more requests are waited for before they are looked at.
const MOMENT: Duration = Duration::from_millis(20);

pub(super) struct Stage {
    pub(super) app: Arc<App>,
    sandbox: Arc<Sandbox>,
    pub(super) client: Arc<str>,
    pub(super) run: Run,
    began: Instant,
    /// How many requests of the sandbox were looked at.
    looked_at: u64,
    /// What the client did, in the order that it was answered.
    acts: Vec<Act>,
    /// The requests of the event under way, and the few of earlier ones that may be needed again,
    /// as evidence.
    kept: Vec<(Duration, Arc<Observed>)>,
    /// How many of them are of the event under way, data as ever and the rest, and how many of its
    /// requests were not kept.
    kept_of_event: [usize; 2],
    left_out: usize,
    /// The first secret where none belongs: when it came, and what and where it was.
    exposed: Option<(Duration, String)>,
    mask: Mask,
}

impl Stage {
    pub(super) fn new(app: Arc<App>, sandbox: Arc<Sandbox>, client: Arc<str>, run: Run) -> Self {
        let looked_at = *sandbox.requests.count().borrow();
        let (acts, kept) = (Vec::new(), Vec::new());
        Self {
            app,
            sandbox,
            client,
            run,
            began: Instant::now(),
            looked_at,
            acts,
            kept,
            kept_of_event: [0; 2],
            left_out: 0,
            exposed: None,
            mask: Mask::default(),
        }
    }

    /// The present moment, since the grading began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until `sees` gives something of what the client did since `from`, in the order that it
    /// came, or until `deadline`.
    pub(super) async fn until<T>(
        &mut self,
        from: Duration,
        deadline: Duration,
        sees: impl Fn(&[Act]) -> Option<T>,
    ) -> Option<T> {
        let mut count = self.sandbox.requests.count();
        loop {
            self.look();
            let acts = self.since(from);
            if let Some(seen) = sees(&acts) {
                return Some(seen);
            }
            let left = deadline.checked_sub(self.now())?;
            // Its end is the process's.
            tokio::time::timeout(left, count.changed()).await.ok()?.ok()?;
            // A storm is looked at in gusts.
            tokio::time::sleep(MOMENT).await;
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
        let mut acts: Vec<Act> = self.acts.iter().filter(|act| act.came >= from).cloned().collect();
        acts.sort_by_key(|act| act.came);
        acts
    }

    /// How many requests there were, and the first secret in them where none belongs.
    pub(super) fn exposed(&self) -> (usize, Option<(Duration, String)>) {
        (self.acts.len(), self.exposed.clone())
    }

    /// The requests since `from`, to be shown, with the time of each since then; before them the
    /// one that came at `also`. Ends the event.
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
        // A request whose client can't be told, for its token is nobody's, is this client's: nobody
        // else is here while it is graded.
        for request in new
            .into_iter()
            .filter(|request| request.client.as_ref().is_none_or(|client| *client == self.client))
        {
            let act = Act::of(&request, &ring, self.began);
            // Data that is read as ever must not push out what decides.
            let kind = usize::from(!matches!(act.what, What::Data { status: 200, .. }));
            let mut keep = self.kept_of_event[kind] < MOST_EVIDENCE;
            if self.exposed.is_none()
                && let Some(found) = exposed(&self.app, &request).into_iter().next()
            {
                self.mask.learn(&found.secret);
                let place = self.mask.text(request.path());
                self.exposed =
                    Some((act.came, format!("{} of {} {place}", found.what, request.method)));
                keep = true;
            }
            if keep {
                self.kept_of_event[kind] += 1;
                self.kept.push((act.came, request));
            } else {
                self.left_out += 1;
            }
            if self.acts.len() < MOST_ACTS {
                self.acts.push(act);
            }
        }
    }

    /// Sets a fault for the client's next `count` requests to `path`, and gives its id.
    pub(super) fn set_fault(
        &self,
        kind: Kind,
        effect: Effect,
        path: Option<&str>,
        count: u32,
    ) -> String {
        self.sandbox.faults.play(self.run, self.wish(kind, path), effect, count)
    }

    fn wish(&self, fault: Kind, path: Option<&str>) -> Wish {
        Wish {
            fault,
            client_id: Some(self.client.to_string()),
            customer: None,
            path: path.map(str::to_owned),
            value: None,
        }
    }

    /// Clears a fault, where requests have not used it up.
    pub(super) fn clear_fault(&self, id: &str) {
        self.sandbox.faults.clear_one_played(id);
    }

    /// Has a fault of the client happen at once. False where there was nothing for it to happen to.
    pub(super) async fn happens(&self, fault: Kind, effect: Effect) -> bool {
        happen(&self.app, &self.wish(fault, None), effect, self.app.clock.now()).await.is_ok()
    }

    /// Lets the customer take every consent of the client back at the bank, if there is one.
    pub(super) async fn end_grants(&self) {
        self.happens(Kind::RevokeGrant, Effect::RevokeGrant).await;
    }

    /// The grant whose code was in the answer that was spoiled in this way, once there was one.
    pub(super) fn spoiled(&self, spoil: Spoil) -> Option<GrantId> {
        let spoiled = self.sandbox.grading.change(self.run, |graded| {
            graded.spoiled.iter().find(|(how, _)| *how == spoil).map(|(_, grant)| *grant)
        });
        spoiled.flatten()
    }

    /// Whether the code of a grant ever came to `/token`.
    pub(super) fn was_presented(&self, grant: GrantId) -> bool {
        self.acts
            .iter()
            .any(|act| matches!(act.what, What::Exchange { grant: Some(of), .. } if of == grant))
    }

    /// Masks in a case what turned out to be a secret since.
    pub(super) fn mask_again(&self, case: &mut Case) {
        self.mask.again(case);
    }

    /// Waits until the client has not fetched the key set for as long; no longer than that.
    pub(super) async fn keys_at_rest(&mut self, rest: Duration) {
        let (now, acts) = (self.now(), self.since(Duration::ZERO));
        if let Some(last) = acts.iter().rfind(|act| act.what == What::Keys) {
            self.watch(now, last.came + rest).await;
        }
    }

    /// Waits until the client reads data and is answered, from now on.
    pub(super) async fn at_work(&mut self, patience: Duration) -> bool {
        let from = self.now();
        let reads = |acts: &[Act]| {
            acts.iter().find(|act| matches!(act.what, What::Data { status: 200, .. })).map(|_| ())
        };
        self.until(from, from + patience, reads).await.is_some()
    }
}
