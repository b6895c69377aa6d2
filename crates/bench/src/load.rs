//! The load: connections that each have one request in flight all the time.

mod connection;
mod request;
mod response;
mod target;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::figures::{Latencies, Round, micros};
use crate::process::Tree;
use crate::{BenchError, Contender, Workload};
use connection::Connection;
use request::RequestTemplate;
use target::Target;

/// How long the last answers may take once the measured time is over.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a contender is loaded.
#[derive(Clone, Debug)]
pub struct Load {
    /// Connections, each with one request under way.
    pub connections: usize,
    /// How long it is loaded before anything is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub time: Duration,
    /// Whether a bearer token is sent once, and not again and again.
    pub once: bool,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// The tokens that each connection has still to send, from one round to the next.
#[derive(Debug)]
pub(crate) struct Queues(Vec<VecDeque<String>>);

/// Where in the measurement we are, which begins with the warm-up.
#[derive(Default)]
struct Phase(AtomicU8);

impl Phase {
    const MEASURED: u8 = 1;
    const OVER: u8 = 2;

    fn enter(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn now(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one connection saw.
#[derive(Default)]
struct Samples {
    /// Of good answers whose requests began in the measured time, in microseconds.
    latencies: Vec<u32>,
    /// Good answers that came in the measured time.
    answered: u64,
    errors: u64,
    first_error: Option<String>,
    reopened: u64,
    /// Its tokens, each of which is sent once, are all sent.
    ran_dry: bool,
}

impl Queues {
    /// Takes a contender's tokens and spreads them evenly over connections, or over fewer where
    /// there are not as many tokens.
    pub(crate) fn of(workload: &mut Workload, load: &Load) -> Self {
        let (Workload::Refresh { tokens, .. } | Workload::Bearer { tokens }) = workload;
        let mut tokens = std::mem::take(tokens);
        // A bearer token that takes turns may be on many connections at once.
        if matches!(workload, Workload::Bearer { .. }) && !load.once {
            tokens =
                tokens.iter().cycle().take(tokens.len().max(load.connections)).cloned().collect();
        }
        let mut queues = vec![VecDeque::new(); load.connections.min(tokens.len())];
        for (number, token) in tokens.into_iter().enumerate() {
            let queue = number % queues.len();
            queues[queue].push_back(token);
        }
        Self(queues)
    }

    /// Every token that was not sent yet, or that the last answer of its chain brought.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(String::as_str)
    }
}

/// Loads a contender for one round.
///
/// # Errors
/// It accepts no connections, all its chains ended with errors, or its tokens are all sent.
pub(crate) async fn load(
    contender: &Contender,
    queues: &mut Queues,
    load: &Load,
) -> Result<Round, BenchError> {
    let wrong = |problem: String| BenchError::Answers { name: contender.name.clone(), problem };
    let mut targets = Vec::with_capacity(contender.urls.len());
    for url in &contender.urls {
        let target = Target::of(url, load.ca.as_deref())?;
        targets.push(Arc::new((
            RequestTemplate::new(&contender.workload, &target, load.once),
            target,
        )));
    }
    let phase = Arc::new(Phase::default());
    let mut opened = Vec::with_capacity(queues.0.len());
    for target in targets.iter().cycle().take(queues.0.len()) {
        let connection = Connection::open(&target.1).await;
        opened.push(connection.map_err(|error| {
            wrong(format!("{} accepts no connection: {error}", target.1.authority))
        })?);
    }
    let mut connections = JoinSet::new();
    for (number, (connection, queue)) in opened.into_iter().zip(&mut queues.0).enumerate() {
        let (target, phase, mut queue) =
            (targets[number % targets.len()].clone(), phase.clone(), std::mem::take(queue));
        connections.spawn(async move {
            let seen = keep_asking(&target, connection, &mut queue, &phase).await;
            (number, queue, seen)
        });
    }

    tokio::time::sleep(load.warm_up).await;
    let failed = |error| {
        BenchError::System(format!("the processes of {} can't be watched: {error}", contender.name))
    };
    let watched = if contender.pids.is_empty() {
        None
    } else {
        Some(Tree::of(&contender.pids).map_err(failed)?)
    };
    let own = Tree::own().map_err(failed)?;
    let cpu = || (watched.as_ref().map(Tree::cpu), own.cpu());
    let (before, began) = (cpu(), Instant::now());
    phase.enter(Phase::MEASURED);
    tokio::time::sleep(load.time).await;
    phase.enter(Phase::OVER);
    let (seconds, after) = (began.elapsed().as_secs_f64(), cpu());

    let mut all = Samples::default();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !connections.is_empty() {
        let ended = tokio::time::timeout_at(deadline, connections.join_next()).await;
        let Ok(Some(ended)) = ended else {
            return Err(wrong(format!(
                "an answer takes longer than {} seconds",
                PATIENCE.as_secs()
            )));
        };
        let (number, queue, seen) = ended.map_err(|error| BenchError::System(error.to_string()))?;
        queues.0[number] = queue;
        all.add(seen);
    }
    match &all.first_error {
        Some(error)
            if all.latencies.is_empty() || (!load.once && queues.tokens().next().is_none()) =>
        {
            return Err(wrong(format!("its chains ended with errors, such as {error}")));
        }
        _ => {}
    }
    if all.ran_dry {
        return Err(BenchError::Plan(format!(
            "the tokens of {} were all sent before the time was over: give it more tokens, or less time",
            contender.name
        )));
    }
    let memory = watched.as_ref().map(Tree::memory);
    let latencies = Latencies::new(all.latencies);
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / all.answered as f64;
    Ok(Round {
        requests: all.answered,
        seconds,
        requests_per_second: all.answered as f64 / seconds,
        p50_ms: latencies.percentile(0.5),
        p90_ms: latencies.percentile(0.9),
        p99_ms: latencies.percentile(0.99),
        p999_ms: latencies.percentile(0.999),
        max_ms: latencies.percentile(1.0),
        errors: all.errors,
        first_error: all.first_error,
        reopened: all.reopened,
        cpu_us_per_request: before
            .0
            .zip(after.0)
            .filter(|_| all.answered > 0)
            .map(|(before, after)| per_request(after.saturating_sub(before))),
        rss_bytes: memory.map(|memory| memory.rss),
        peak_rss_bytes: memory.map(|memory| memory.peak),
        load_share: (after.1.saturating_sub(before.1)).as_secs_f64() / seconds,
    })
}

/// Sends requests with one token of the queue after the other until the time is over or there are none.
async fn keep_asking(
    target: &(RequestTemplate, Target),
    connection: Connection,
    queue: &mut VecDeque<String>,
    phase: &Phase,
) -> Samples {
    let (asking, target) = target;
    let mut connection = Some(connection);
    let mut request = Vec::new();
    let mut seen = Samples::default();
    while phase.now() != Phase::OVER {
        let Some(token) = queue.pop_front() else {
            seen.ran_dry = matches!(asking, RequestTemplate::Bearer { once: true, .. });
            break;
        };
        asking.write(&token, &mut request);
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(target).await {
                Ok(opened) => {
                    seen.reopened += 1;
                    opened
                }
                Err(error) => {
                    seen.wrong(format!("no connection: {error}"));
                    continue;
                }
            },
        };
        let (measured, began) = (phase.now() == Phase::MEASURED, Instant::now());
        let answer = open.exchange(&request).await;
        let took = began.elapsed();
        let (next, keeps) = match answer {
            Ok(answer) => (asking.next(token, &answer), answer.keeps),
            Err(problem) => (Err(format!("no answer: {problem}")), false),
        };
        match next {
            Ok(token) => {
                queue.extend(token);
                if measured {
                    seen.latencies.push(micros(took));
                }
                seen.answered += u64::from(phase.now() == Phase::MEASURED);
            }
            Err(problem) => seen.wrong(problem),
        }
        connection = keeps.then_some(open);
    }
    seen
}

impl Samples {
    fn wrong(&mut self, problem: String) {
        self.errors += 1;
        self.first_error.get_or_insert(problem);
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.answered += other.answered;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.reopened += other.reopened;
        self.ran_dry |= other.ran_dry;
    }
}
