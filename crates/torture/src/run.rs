//! One run: where the nodes are, what was done to them, and what was found.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counterfoil_sandbox::seed::SeedClient;
use reqwest::Client;
use serde::Serialize;
use tokio::sync::watch;

use crate::chance::Chance;
use crate::checker::{Fault, Finding};
use crate::grant::Grant;
use crate::history::{Answer, Exchange, Moment};
use crate::requests::{self, Issued, Request};
use crate::tally::Tally;

/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pauses of a client that is not answered grow up to this.
const LONGEST_PAUSE_MS: usize = 250;
/// Ended grants that are remembered.
const GRAVES: usize = 10_000;
/// For how long a server that runs may answer nothing but 503, as one does that is short of the
/// processor.
const LONGEST_UNAVAILABLE: Duration = Duration::from_secs(3);
/// Findings after which nothing new is to be learnt.
const ENOUGH: usize = 100;

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) enum Phase {
    /// Clients work and servers are killed.
    Torture,
    /// Clients finish what they are at, and no server is killed any more.
    Closing,
    /// Nobody asks anything any more.
    Over,
}

/// Something wrong, with its evidence.
#[derive(Serialize)]
pub struct Found {
    /// Which rule was broken.
    pub fault: &'static str,
    /// How.
    pub what: String,
    /// The grant and its client, if it is about one.
    pub about: Option<String>,
    /// Requests and kills in the order of time.
    pub history: Vec<String>,
}

/// What happens during a torture.
pub enum Event<'a> {
    /// What was done until now.
    Progress {
        /// In numbers.
        tally: &'a Tally,
        /// How many things are wrong.
        findings: usize,
        /// Whether nobody is killed any more, and what is left is checked.
        closing: bool,
    },
    /// Something is wrong; findings are numbered from 1.
    Found(usize, &'a Found),
    /// An interrupt came: clients finish what they are doing.
    Finishing,
}

/// Who hears of it.
pub type Tell = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// What everybody in a run shares.
pub(crate) struct Run {
    pub(crate) http: Client,
    pub(crate) origins: Vec<String>,
    tell: Tell,
    /// Whether the database is killed too.
    database_dies: bool,
    began: Instant,
    phase: watch::Sender<Phase>,
    tally: Mutex<Tally>,
    incidents: Mutex<Vec<(Duration, String)>>,
    /// What is known of each server, in their order.
    servers: Mutex<Vec<Server>>,
    found: Mutex<Vec<Found>>,
    graves: Mutex<VecDeque<Grant>>,
}

/// Whether a server answers.
#[derive(Clone, Copy, Default)]
struct Server {
    /// Since when it runs, if it does.
    up_since: Option<Duration>,
    /// Since when it has answered nothing but 503.
    unavailable_since: Option<Duration>,
}

/// A request that was sent until it was answered: every try, and the tokens that came.
pub(crate) struct Asking {
    pub(crate) tries: Vec<Exchange>,
    pub(crate) issued: Option<Issued>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    pub(crate) fn new(http: Client, origins: Vec<String>, tell: Tell, database_dies: bool) -> Self {
        let running = Server { up_since: Some(Duration::ZERO), unavailable_since: None };
        Self {
            servers: Mutex::new(vec![running; origins.len()]),
            http,
            origins,
            tell,
            database_dies,
            began: Instant::now(),
            phase: watch::Sender::new(Phase::Torture),
            tally: Mutex::default(),
            incidents: Mutex::default(),
            found: Mutex::default(),
            graves: Mutex::default(),
        }
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes on to `phase`; never back.
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
        lock(&self.tally)
    }

    /// Remembers what was done to the servers, for the histories of findings.
    pub(crate) fn incident(&self, what: String) {
        lock(&self.incidents).push((self.now(), what));
    }

    /// A server was killed or, with `is_up`, is back.
    pub(crate) fn server_is(&self, node: usize, is_up: bool) {
        lock(&self.servers)[node] =
            Server { up_since: is_up.then(|| self.now()), unavailable_since: None };
    }

    /// An answer that says nothing: 503, or none at all.
    fn lost_by(&self, node: usize, sent: Duration, why: &str) {
        if why.starts_with("503") {
            self.was_answered(node, sent, true);
        }
    }

    /// Looks whether a server that was up when it was asked at `sent` is there for its clients. One
    /// whose database may be dead is excused.
    fn was_answered(&self, node: usize, sent: Duration, unavailable: bool) {
        let now = self.now();
        let mut servers = lock(&self.servers);
        let server = &mut servers[node];
        if server.up_since.is_none_or(|since| since > sent) {
            return;
        }
        let since = unavailable.then(|| *server.unavailable_since.get_or_insert(now));
        server.unavailable_since = since;
        let Some(since) = since else { return };
        self.tally().unavailable += 1;
        if now.saturating_sub(since) >= LONGEST_UNAVAILABLE && !self.database_dies {
            server.up_since = None;
            drop(servers);
            let what = format!(
                "node {} answered nothing but 503 for {} seconds",
                node + 1,
                LONGEST_UNAVAILABLE.as_secs()
            );
            self.report(Finding { fault: Fault::Unavailable, what }, None);
        }
    }

    /// Sends a request once.
    pub(crate) async fn ask_once(&self, request: Request<'_>, node: usize) -> Asking {
        let sent = self.now();
        let (answer, issued) = requests::send(&self.http, &self.origins[node], &request).await;
        match &answer {
            Answer::Lost(why) => self.lost_by(node, sent, why),
            _ => self.was_answered(node, sent, false),
        }
        Asking {
            tries: vec![Exchange {
                sent,
                answered: self.now(),
                node: node + 1,
                asked: request.asked,
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
    ) -> Asking {
        let began = self.now();
        let mut asking = Asking { tries: Vec::new(), issued: None };
        while self.phase() < Phase::Over {
            let Asking { tries, issued } = self
                .ask_once(request, node.unwrap_or_else(|| chance.below(self.origins.len())))
                .await;
            asking.tries.extend(tries);
            let Some(last) = asking.tries.last_mut() else {
                break;
            };
            let waited = last.answered.saturating_sub(began);
            match &last.answer {
                Answer::Lost(why) if waited > PATIENCE => last.answer = Answer::Never(why.clone()),
                Answer::Lost(_) => {
                    self.tally().retries += 1;
                    pause(chance, asking.tries.len()).await;
                    continue;
                }
                _ => asking.issued = issued,
            }
            self.tally().waited(waited);
            break;
        }
        asking
    }

    /// A new code, or `None` where there is none to be had.
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
            match &answer {
                Err(Answer::Lost(why)) => self.lost_by(node, sent, why),
                _ => self.was_answered(node, sent, false),
            }
            let waited = self.now().saturating_sub(began);
            match answer {
                Ok(code) => {
                    self.tally().waited(waited);
                    return Some(code);
                }
                Err(Answer::Lost(_)) if waited <= PATIENCE => {
                    self.tally().retries += 1;
                    tries += 1;
                    pause(chance, tries).await;
                }
                Err(answer) => {
                    let fault = if matches!(answer, Answer::Lost(_)) {
                        Fault::NoAnswer
                    } else {
                        Fault::Unexpected
                    };
                    self.report(
                        Finding { fault, what: format!("a code for {customer}: {answer}") },
                        None,
                    );
                    return None;
                }
            }
        }
        None
    }

    /// Keeps an ended grant, so that it can be tried again. Gives one back that there is no more
    /// room for.
    pub(crate) fn bury(&self, grant: Grant) -> Option<Grant> {
        let mut graves = lock(&self.graves);
        graves.push_back(grant);
        if graves.len() > GRAVES { graves.pop_front() } else { None }
    }

    /// Takes out one of the ended grants.
    pub(crate) fn dig(&self, chance: &mut Chance) -> Option<Grant> {
        let mut graves = lock(&self.graves);
        let at = chance.below(graves.len());
        graves.swap_remove_back(at)
    }

    /// Tells what is wrong, and keeps it for the summary.
    pub(crate) fn report(&self, finding: Finding, grant: Option<&Grant>) {
        let Finding { fault, what } = finding;
        let found = Found {
            fault: fault.name(),
            what,
            about: grant.map(Grant::in_words),
            history: grant.map_or_else(Vec::new, |grant| self.history(grant.history())),
        };
        let mut all = lock(&self.found);
        if all.len() == ENOUGH {
            return;
        }
        self.tell(Event::Found(all.len() + 1, &found));
        all.push(found);
        if all.len() == ENOUGH {
            self.enter(Phase::Over);
        }
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

    /// Everything that was found, and whether the run was broken off because it was enough.
    pub(crate) fn take_found(&self) -> (Vec<Found>, bool) {
        let found = std::mem::take(&mut *lock(&self.found));
        let enough = found.len() == ENOUGH;
        (found, enough)
    }

    pub(crate) fn findings(&self) -> usize {
        lock(&self.found).len()
    }
}

/// What a client waits before its next try: longer from try to try, and not in step with other
/// clients.
async fn pause(chance: &mut Chance, tries: usize) {
    let longest = (10_usize << tries.min(10)).min(LONGEST_PAUSE_MS);
    let millis = longest / 2 + chance.below(longest / 2);
    tokio::time::sleep(Duration::from_millis(millis.try_into().unwrap_or_default())).await;
}
