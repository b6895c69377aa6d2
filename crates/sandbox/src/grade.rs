//! Grading a live client: plays a script of what real networks and customers do, and observes how
//! the client reacts.
//!
//! `script.rs` plays the events in order, `actions.rs` defines what a client can be observed to do,
//! `judge.rs` decides whether it is right. While a client is graded its ID tokens live 20 seconds,
//! and its customer consents at once: `/authorize` answers without a page.

mod actions;
mod consent;
pub mod endpoint;
mod judge;
mod script;
mod stage;

pub use consent::consent;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::grant::GrantId;
use counterfoil_report::{Case, Plan, Report};
use counterfoil_server::App;
use counterfoil_server::http::body::malformed;
use counterfoil_server::http::refused::Refused;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use crate::Sandbox;

/// How long ID tokens live while their client is graded, in seconds.
pub const ID_TOKEN_WHILE_GRADED: Seconds = 20;
/// The plan's name in reports.
const PLAN: &str = "client";

/// The current grading, or the last one.
#[derive(Debug)]
pub struct Grading {
    current: Mutex<Option<GradingRun>>,
    changes: watch::Sender<u64>,
}

impl Default for Grading {
    fn default() -> Self {
        Self { current: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

/// The number of a grading in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId(u64);

#[derive(Debug)]
struct GradingRun {
    run: RunId,
    client: Arc<str>,
    started_at: Timestamp,
    /// What to spoil in the next answers of `/authorize`.
    spoils: VecDeque<Spoil>,
    /// Spoiled answers of `/authorize`, each with the grant of its code.
    spoiled: Vec<(Spoil, GrantId)>,
    under_way: Option<CurrentEvent>,
    cases: Vec<Case>,
    outcome: Option<Outcome>,
    task: AbortHandle,
}

/// Stops a grading when dropped, unless it has ended.
struct StopGuard {
    sandbox: Arc<Sandbox>,
    run: RunId,
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.sandbox.grading.change(self.run, GradingRun::stop);
        self.sandbox.faults.clear_played(self.run);
    }
}

impl GradingRun {
    fn stop(&mut self) {
        self.outcome = Some(Outcome::Stopped);
        self.under_way = None;
        self.task.abort();
    }
}

/// How the first answers of `/authorize` are spoiled, in order.
const SPOILS: [Spoil; 3] = [Spoil::State, Spoil::Issuer, Spoil::NoIssuer];

/// What is wrong with an answer of `/authorize`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spoil {
    /// Its `state` is not the client's.
    State,
    /// Its `iss` is another server's (RFC 9207).
    Issuer,
    /// It has no `iss`, although discovery promises one in every answer.
    NoIssuer,
}

/// The event being played.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CurrentEvent {
    /// Its id.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What the client is expected to do, and by when.
    pub expected: &'static str,
}

/// How a grading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The script was played to its end.
    Finished,
    /// No client came.
    NobodyCame,
    /// It was stopped.
    Stopped,
}

/// The progress of a grading.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The event being played.
    pub under_way: Option<CurrentEvent>,
    /// How it ended, once it did.
    pub outcome: Option<Outcome>,
    /// The scorecard so far.
    pub report: Report,
}

impl Grading {
    /// Whether this client is being graded.
    pub fn is_of(&self, client: &str) -> bool {
        self.current()
            .as_ref()
            .is_some_and(|graded| graded.outcome.is_none() && *graded.client == *client)
    }

    /// Changes whenever an event begins or ends.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The progress of the current grading, or the last one; `None` before the first.
    pub fn progress(&self, issuer: &str) -> Option<Progress> {
        let guard = self.current();
        let graded = guard.as_ref()?;
        let report = Report {
            title: "counterfoil sandbox --grade".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            issuer: issuer.to_owned(),
            client_id: graded.client.to_string(),
            started_at: graded.started_at.to_string(),
            plans: vec![Plan {
                plan: PLAN.into(),
                title: "What a client does when networks and customers do what they do".into(),
                cases: graded.cases.clone(),
            }],
        };
        Some(Progress { under_way: graded.under_way.clone(), outcome: graded.outcome, report })
    }

    fn current(&self) -> MutexGuard<'_, Option<GradingRun>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes this grading, unless it has ended.
    fn change<T>(&self, run: RunId, change: impl FnOnce(&mut GradingRun) -> T) -> Option<T> {
        let changed = self
            .current()
            .as_mut()
            .filter(|graded| graded.run == run && graded.outcome.is_none())
            .map(change);
        self.changes.send_modify(|count| *count += 1);
        changed
    }

    /// The grading in progress.
    pub(super) fn playing(&self) -> Option<RunId> {
        self.current().as_ref().filter(|graded| graded.outcome.is_none()).map(|graded| graded.run)
    }
}

/// Begins to grade a client. When this returns, its earlier grants have been revoked, as far as the
/// store could, so the client may start.
///
/// # Errors
/// 400 where there is no such client, 409 while one is graded.
pub async fn start(app: &Arc<App>, sandbox: &Arc<Sandbox>, client: &str) -> Result<(), Refused> {
    let ready = begin(app, sandbox, client)?;
    // An error means that the grading was stopped in the meantime.
    let _ = ready.await;
    Ok(())
}

/// Begins to grade a client; the receiver resolves once its earlier grants are revoked.
fn begin(
    app: &Arc<App>,
    sandbox: &Arc<Sandbox>,
    client: &str,
) -> Result<oneshot::Receiver<()>, Refused> {
    let Some(client) = app.client(client) else {
        return Err(malformed(app, format!("there is no client `{client}`")));
    };
    let mut current = sandbox.grading.current();
    if let Some(playing) = current.as_ref().filter(|current| current.outcome.is_none()) {
        let reason = format!("{} is graded now: stop that first", playing.client);
        return Err(Refused::oauth(Refusal::GradingUnderWay, app.settings.dialect, reason));
    }
    let run = RunId(current.as_ref().map_or(0, |earlier| earlier.run.0 + 1));
    // The task finds its `GradingRun` in place: it waits for the lock held here.
    let (is_ready, ready) = oneshot::channel();
    let task =
        tokio::spawn(script::play(app.clone(), sandbox.clone(), client.id.clone(), run, is_ready))
            .abort_handle();
    *current = Some(GradingRun {
        run,
        client: client.id.clone(),
        started_at: app.clock.now(),
        spoils: VecDeque::from(SPOILS),
        spoiled: Vec::new(),
        under_way: None,
        cases: Vec::new(),
        outcome: None,
        task,
    });
    Ok(ready)
}

/// Stops grading, and keeps the results so far. Does nothing if no client is being graded.
pub fn stop(sandbox: &Sandbox) {
    let Some(run) = sandbox.grading.playing() else {
        return;
    };
    sandbox.grading.change(run, GradingRun::stop);
    sandbox.faults.clear_played(run);
}
