//! Grading a live client: a script of what networks and customers really do is played to it, and
//! what it does is watched.
//!
//! `script.rs` plays the events in order, `judge.rs` says of what was seen whether it is right,
//! `acts.rs` is what can be seen. While a client is graded its ID tokens live 20 seconds, and its
//! customer says yes at once: `/authorize` answers without a page.

mod acts;
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

/// The client that is graded, or was last.
#[derive(Debug)]
pub struct Grading {
    graded: Mutex<Option<Graded>>,
    changes: watch::Sender<u64>,
}

impl Default for Grading {
    fn default() -> Self {
        Self { graded: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

/// Which grading it is, of all that there were in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run(u64);

#[derive(Debug)]
struct Graded {
    run: Run,
    client: Arc<str>,
    started_at: Timestamp,
    /// What is wrong with the next answers of `/authorize`.
    spoils: VecDeque<Spoil>,
    /// Answers of `/authorize` that were spoiled, with the grant that their code is of.
    spoiled: Vec<(Spoil, GrantId)>,
    under_way: Option<UnderWay>,
    cases: Vec<Case>,
    outcome: Option<Outcome>,
    task: AbortHandle,
}

/// Ends a grading when it is dropped, unless it has ended already.
struct Ends {
    sandbox: Arc<Sandbox>,
    run: Run,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.sandbox.grading.change(self.run, Graded::stop);
        self.sandbox.faults.clear_played(self.run);
    }
}

impl Graded {
    fn stop(&mut self) {
        self.outcome = Some(Outcome::Stopped);
        self.under_way = None;
        self.task.abort();
    }
}

/// The first answers of `/authorize`, in their order.
const SPOILS: [Spoil; 3] = [Spoil::State, Spoil::Issuer, Spoil::NoIssuer];

/// What is wrong with an answer of `/authorize`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spoil {
    /// Its `state` is not the client's.
    State,
    /// Its `iss` is another server's.
    Issuer,
    /// It has no `iss`, though discovery says that every answer has.
    NoIssuer,
}

/// The event that is played now.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UnderWay {
    /// Its id.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// What the client is expected to do, and by when.
    pub expected: &'static str,
}

/// How the playing of the script ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was played to its end.
    Finished,
    /// No client came.
    NobodyCame,
    /// It was stopped.
    Stopped,
}

/// How far a grading is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The event that is played now.
    pub under_way: Option<UnderWay>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// The scorecard so far.
    pub report: Report,
}

impl Grading {
    /// Whether this client is graded now.
    pub fn is_of(&self, client: &str) -> bool {
        self.graded()
            .as_ref()
            .is_some_and(|graded| graded.outcome.is_none() && *graded.client == *client)
    }

    /// Changes whenever an event begins or ends.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How far the grading under way is, or the last one was; `None` where there never was one.
    pub fn progress(&self, issuer: &str) -> Option<Progress> {
        let guard = self.graded();
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

    fn graded(&self) -> MutexGuard<'_, Option<Graded>> {
        self.graded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes this grading; one that has ended meanwhile stays as it is.
    fn change<T>(&self, run: Run, change: impl FnOnce(&mut Graded) -> T) -> Option<T> {
        let changed = self
            .graded()
            .as_mut()
            .filter(|graded| graded.run == run && graded.outcome.is_none())
            .map(change);
        self.changes.send_modify(|count| *count += 1);
        changed
    }

    /// The grading that is under way.
    pub(super) fn playing(&self) -> Option<Run> {
        self.graded().as_ref().filter(|graded| graded.outcome.is_none()).map(|graded| graded.run)
    }
}

/// Begins to grade a client. By the end of this its earlier consents have been taken back, as far
/// as the store could, so an app may start upon the answer.
///
/// # Errors
/// 400 where there is no such client, 409 while one is graded.
pub async fn start(app: &Arc<App>, sandbox: &Arc<Sandbox>, client: &str) -> Result<(), Refused> {
    let ready = begin(app, sandbox, client)?;
    // No word comes where it was stopped meanwhile.
    let _ = ready.await;
    Ok(())
}

/// Begins to grade a client, and says when what was before has ended.
fn begin(
    app: &Arc<App>,
    sandbox: &Arc<Sandbox>,
    client: &str,
) -> Result<oneshot::Receiver<()>, Refused> {
    let Some(client) = app.client(client) else {
        return Err(malformed(app, format!("there is no client `{client}`")));
    };
    let mut current = sandbox.grading.graded();
    if let Some(playing) = current.as_ref().filter(|current| current.outcome.is_none()) {
        let reason = format!("{} is graded now: stop that first", playing.client);
        return Err(Refused::oauth(Refusal::GradingUnderWay, app.settings.dialect, reason));
    }
    let run = Run(current.as_ref().map_or(0, |earlier| earlier.run.0 + 1));
    // It finds itself in place: it waits for the lock that is held here.
    let (is_ready, ready) = oneshot::channel();
    let task =
        tokio::spawn(script::play(app.clone(), sandbox.clone(), client.id.clone(), run, is_ready))
            .abort_handle();
    *current = Some(Graded {
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

/// Stops grading; what was found so far stays. Nothing happens where no client is graded.
pub fn stop(sandbox: &Sandbox) {
    let Some(run) = sandbox.grading.playing() else {
        return;
    };
    sandbox.grading.change(run, Graded::stop);
    sandbox.faults.clear_played(run);
}
