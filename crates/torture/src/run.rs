//! What all tasks of a torture share: where the nodes are, the phase, and how a request is sent
//! until it is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counterfoil_sandbox::seed::SeedClient;
use reqwest::Client;
use tokio::sync::watch;

use crate::availability::{Availability, Health};
use crate::chance::Chance;
use crate::checker::{Fault, Violation};
use crate::findings::{Finding, Findings, Subject};
use crate::history::{Exchange, Reply};
use crate::requests::{self, Issued, Request};
use crate::tally::Tally;

/// How long a client keeps retrying.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pauses of a client that is not answered grow up to this.
const LONGEST_PAUSE_MS: usize = 250;

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) enum Phase {
    /// Clients work and servers are killed.
    Torture,
    /// Clients finish, and no more servers are killed.
    Closing,
    /// No more requests are sent.
    Over,
}

/// What happens during a torture.
pub enum Event<'a> {
    /// What was done until now.
    Progress {
        /// In numbers.
        tally: &'a Tally,
        /// How many things are wrong.
        findings: usize,
        /// Whether the kills are over, and the rest is being checked.
        closing: bool,
    },
    /// Something is wrong; findings are numbered from 1.
    Found(usize, &'a Finding),
    /// An interrupt came: clients finish what they are doing.
    Finishing,
}

/// Who hears of it.
pub type Tell = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// What all tasks of a run share.
pub(crate) struct Run {
    pub(crate) http: Client,
    pub(crate) origins: Vec<String>,
    tell: Tell,
    began: Instant,
    phase: watch::Sender<Phase>,
    tally: Mutex<Tally>,
    availability: Availability,
    pub(crate) findings: Findings,
}

/// A request that was sent until it was answered: every try, and the tokens that came.
pub(crate) struct Attempts {
    pub(crate) tries: Vec<Exchange>,
    pub(crate) issued: Option<Issued>,
}

impl Run {
    pub(crate) fn new(http: Client, origins: Vec<String>, tell: Tell, database_dies: bool) -> Self {
        Self {
            availability: Availability::new(origins.len(), database_dies),
            http,
            origins,
            tell,
            began: Instant::now(),
            phase: watch::Sender::new(Phase::Torture),
            tally: Mutex::default(),
            findings: Findings::default(),
        }
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves on to `phase`, never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = if later { phase } else { *now };
            later
        });
    }

    /// Waits until the run is at `phase` or past it.
    pub(crate) async fn reaches(&self, phase: Phase) {
        // Fails only once the sender is gone, which is in `self`.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub(crate) fn tell(&self, event: Event<'_>) {
        (self.tell)(event);
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what was done to the servers, for the histories of findings.
    pub(crate) fn incident(&self, what: String) {
        self.findings.incident(self.now(), what);
    }

    /// A server was killed or, with `is_up`, is back.
    pub(crate) fn server_is(&self, node: usize, is_up: bool) {
        self.availability.set(node, is_up.then(|| self.now()));
    }

    /// Looks whether a server is there for its clients: at an answer to a request sent at `sent`.
    fn was_answered(&self, node: usize, sent: Duration, answer: Option<&Reply>) {
        let is_503 = match answer {
            Some(Reply::Lost(why)) if why.starts_with("503") => true,
            Some(Reply::Lost(_)) => return,
            _ => false,
        };
        match self.availability.note(node, sent, self.now(), is_503) {
            Health::Good => {}
            Health::Unavailable => self.tally().unavailable += 1,
            Health::UnavailableForLong(violation) => {
                self.tally().unavailable += 1;
                self.report(violation, None);
            }
        }
    }

    /// Sends a request once.
    pub(crate) async fn ask_once(&self, request: Request<'_>, node: usize) -> Attempts {
        let sent = self.now();
        let (answer, issued) = requests::send(&self.http, &self.origins[node], &request).await;
        self.was_answered(node, sent, Some(&answer));
        Attempts {
            tries: vec![Exchange {
                sent,
                answered: self.now(),
                node: node + 1,
                operation: request.operation,
                answer,
            }],
            issued,
        }
    }

    /// Sends a request until it is answered, with the same key as documented, to this node or each
    /// time to another.
    pub(crate) async fn ask(
        &self,
        chance: &mut Chance,
        request: Request<'_>,
        node: Option<usize>,
    ) -> Attempts {
        let began = self.now();
        let mut attempts = Attempts { tries: Vec::new(), issued: None };
        while self.phase() < Phase::Over {
            let Attempts { tries, issued } = self
                .ask_once(request, node.unwrap_or_else(|| chance.below(self.origins.len())))
                .await;
            attempts.tries.extend(tries);
            let Some(last) = attempts.tries.last_mut() else {
                break;
            };
            let waited = last.answered.saturating_sub(began);
            match &last.answer {
                Reply::Lost(why) if waited > PATIENCE => last.answer = Reply::Never(why.clone()),
                Reply::Lost(_) => {
                    self.tally().retries += 1;
                    pause(chance, attempts.tries.len()).await;
                    continue;
                }
                _ => attempts.issued = issued,
            }
            self.tally().waited(waited);
            break;
        }
        attempts
    }

    /// A new code, or `None` if the server gives none.
    pub(crate) async fn code(
        &self,
        chance: &mut Chance,
        client: &SeedClient,
        customer: &str,
    ) -> Option<String> {
        let (began, mut tries) = (self.now(), 0);
        while self.phase() < Phase::Over {
            let (node, sent) = (chance.below(self.origins.len()), self.now());
            let answer = requests::code(&self.http, &self.origins[node], client, customer).await;
            self.was_answered(node, sent, answer.as_ref().err());
            let waited = self.now().saturating_sub(began);
            match answer {
                Ok(code) => {
                    self.tally().waited(waited);
                    return Some(code);
                }
                Err(Reply::Lost(_)) if waited <= PATIENCE => {
                    self.tally().retries += 1;
                    tries += 1;
                    pause(chance, tries).await;
                }
                Err(answer) => {
                    let fault = if matches!(answer, Reply::Lost(_)) {
                        Fault::NoAnswer
                    } else {
                        Fault::Unexpected
                    };
                    let what = format!("a code for {customer}: {answer}");
                    self.report(Violation { fault, what }, None);
                    return None;
                }
            }
        }
        None
    }

    /// Tells what is wrong, and keeps it for the summary.
    pub(crate) fn report(&self, violation: Violation, subject: Option<Subject<'_>>) {
        if let Some((number, finding)) = self.findings.add(violation, subject) {
            self.tell(Event::Found(number, &finding));
        }
        if self.findings.are_enough() {
            self.enter(Phase::Over);
        }
    }
}

/// What a client waits before its next try: longer from try to try, and not in step with other
/// clients.
async fn pause(chance: &mut Chance, tries: usize) {
    let longest = (10_usize << tries.min(10)).min(LONGEST_PAUSE_MS);
    let millis = longest / 2 + chance.below(longest / 2);
    tokio::time::sleep(Duration::from_millis(millis.try_into().unwrap_or_default())).await;
}
