//! The script: the events played to the client, in order, and how long each waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_core::fdx::FdxError;
use counterfoil_report::{Case, Check};
use counterfoil_server::App;
use tokio::sync::oneshot;

use super::actions::{Action, ActionKind};
use super::judge::{self, PARALLEL_WINDOW, RETRY_AFTER, STORM_WINDOW, Verdict};
use super::stage::Stage;
use super::{CurrentEvent, Outcome, RunId, SPOILS, Spoil, StopGuard};
use crate::Sandbox;
use crate::faults::{Effect, Kind};

/// How long to wait for the client's first request.
const FIRST_CONTACT: Duration = Duration::from_secs(600);
/// How long the client may take to resume work between two events, or to ask again for a lost
/// consent.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for a refresh: twice the lifetime of an ID token, for clients that notice late.
const NEXT_REFRESH: Duration = Duration::from_secs(40);

/// The client is only expected to fetch the key set again after this long: libraries hold back for up
/// to a minute, so that unknown key ids can't make them storm.
const KEYS_AT_REST: Duration = Duration::from_secs(61);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Event {
    id: &'static str,
    title: &'static str,
    clause: &'static str,
    /// What happens to the client.
    given: &'static str,
    /// What the client should do, and by when.
    expected: &'static str,
    play: for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>,
}

const EVENTS: [Event; 12] = [
    Event {
        id: "state",
        title: "An answer with a foreign state",
        clause: "RFC 6749 section 10.12; RFC 9700 section 4.7.1",
        given: "the customer's browser comes back with a code and a state that the client never sent",
        expected: "the code never comes to /token; the client asks for consent again within 60 seconds",
        play: |stage| Box::pin(foreign_answer(stage, Spoil::State)),
    },
    Event {
        id: "issuer",
        title: "An answer of another issuer",
        clause: "RFC 9207 section 2.4",
        given: "the customer's browser comes back with a code, the right state, and the iss of another server",
        expected: "the code never comes to /token; the client asks for consent again within 60 seconds",
        play: |stage| Box::pin(foreign_answer(stage, Spoil::Issuer)),
    },
    Event {
        id: "issuer-missing",
        title: "An answer without an issuer",
        clause: "RFC 9207 section 2.4",
        given: "the customer's browser comes back with a code, the right state, and no iss, which discovery says every answer has",
        expected: "the code never comes to /token; the client asks for consent again within 60 seconds",
        play: |stage| Box::pin(foreign_answer(stage, Spoil::NoIssuer)),
    },
    Event {
        id: "expiry",
        title: "The ID token expires",
        clause: "RFC 6749 section 1.5; RFC 9700 section 4.14.2",
        given: "an ID token lives 20 seconds, and the answer to its refresh takes 2",
        expected: "one refresh within 40 seconds, none beside it for 5; then data is read with the new token within 15",
        play: |stage| Box::pin(expiry(stage)),
    },
    Event {
        id: "lost-answer",
        title: "The answer to a refresh is lost",
        clause: "RFC 6749 section 6; docs/integrate.md, When an answer is lost",
        given: "the refresh is done, and the connection ends without an answer",
        expected: "within 30 seconds the request is repeated with its Idempotency-Key, or after one refusal at the most the customer is asked for consent, once",
        play: |stage| Box::pin(lost_answer(stage)),
    },
    Event {
        id: "unauthorized",
        title: "Data is refused, whatever token comes",
        clause: "RFC 6750 section 3.1",
        given: "/accounts answers 401 to every token for 10 seconds",
        expected: "at most 3 requests to /accounts in these 10 seconds, and at most 2 to /token",
        play: |stage| Box::pin(unauthorized(stage)),
    },
    Event {
        id: "retry-after-token",
        title: "/token asks to come back later",
        clause: "RFC 9110 section 10.2.3",
        given: "a refresh is answered with 503 and Retry-After: 5; nothing is claimed",
        expected: "no request to /token for 5 seconds, then one within 20",
        play: |stage| Box::pin(retry_after_at_token(stage)),
    },
    Event {
        id: "retry-after-data",
        title: "/accounts asks to come back later",
        clause: "RFC 6585 section 4; RFC 9110 section 10.2.3",
        given: "/accounts answers 429 with Retry-After: 5",
        expected: "no request to /accounts for 5 seconds, then one within 20",
        play: |stage| Box::pin(retry_after_at_data(stage)),
    },
    Event {
        id: "new-keys",
        title: "New signing keys",
        clause: "OpenID Connect Core 1.0 section 10.1.1",
        given: "the server's signing keys are replaced; the next ID token is signed with one that nobody has seen",
        expected: "within 15 seconds of that token the key set is fetched again and data is read with the token",
        play: |stage| Box::pin(new_keys(stage)),
    },
    Event {
        id: "revocation",
        title: "The customer takes the consent back",
        clause: "FDX API, consent revocation; RFC 7009 section 1",
        given: "the customer revokes at the bank: /accounts answers 401, a refresh is refused",
        expected: "at most 3 requests with the tokens that are gone, and within 30 seconds the customer is asked for consent again, once",
        play: |stage| Box::pin(revocation(stage)),
    },
    Event {
        id: "newest-token",
        title: "Always the newest refresh token",
        clause: "RFC 6749 section 6; RFC 9700 section 4.14.2",
        given: "everything that was played",
        expected: "no refresh token is presented once a later one has reached the client",
        play: |stage| Box::pin(async { judge::newest_token(&stage.since(Duration::ZERO)) }),
    },
    Event {
        id: "secret",
        title: "Secrets go where they belong",
        clause: "RFC 6749 section 2.3.1; RFC 6750 section 5.3",
        given: "everything that was played",
        expected: "the client secret is sent to /token, /revoke and /introspect alone, and neither it nor a token is in a URL",
        play: |stage| Box::pin(async { judge::secrets(stage.leak()) }),
    },
];

/// Plays the whole script. Signals `ready` once the client's earlier grants are revoked.
pub(super) async fn play(
    app: Arc<App>,
    sandbox: Arc<Sandbox>,
    client: Arc<str>,
    run: RunId,
    ready: oneshot::Sender<()>,
) {
    // Ends the grading however this returns: finished, stopped or by a panic.
    let _guard = StopGuard { sandbox: sandbox.clone(), run };
    let mut stage = Stage::new(app, sandbox.clone(), client, run);
    stage.end_grants().await;
    // The request that started it may be gone.
    let _ = ready.send(());
    let first =
        stage.until(Duration::ZERO, FIRST_CONTACT, |actions| actions.first().map(|_| ())).await;
    if first.is_none() {
        sandbox.grading.change(run, |graded| graded.outcome = Some(Outcome::NobodyCame));
        return;
    }
    for event in &EVENTS {
        let Event { id, title, expected, .. } = *event;
        sandbox
            .grading
            .change(run, |graded| graded.under_way = Some(CurrentEvent { id, title, expected }));
        let from = stage.now();
        let verdict = (event.play)(&mut stage).await;
        tracing::info!(event = id, result = ?verdict.result, seen = verdict.seen, reason = verdict.reason, "graded");
        let case = scored(event, verdict, &mut stage, from);
        sandbox.grading.change(run, |graded| graded.cases.push(case));
    }
    let late: Vec<Spoil> = SPOILS
        .into_iter()
        .filter(|spoil| stage.spoiled(*spoil).is_some_and(|grant| stage.was_presented(grant)))
        .collect();
    sandbox.grading.change(stage.run, |graded| {
        for spoil in late {
            if let Some(check) = graded
                .cases
                .iter_mut()
                .find(|case| case.id == event_of(spoil))
                .and_then(|case| case.checks.first_mut())
            {
                let Verdict { result, seen, reason, .. } =
                    judge::spoiled_answer(Some(true), parameter(spoil));
                (check.result, check.seen, check.reason) = (result, seen, reason);
            }
        }
        // Secrets that were recognized late are masked in earlier cases too.
        graded.cases.iter_mut().for_each(|case| stage.mask_again(case));
        graded.under_way = None;
        graded.outcome = Some(Outcome::Finished);
    });
}

/// The event of a spoiled answer.
const fn event_of(spoil: Spoil) -> &'static str {
    match spoil {
        Spoil::State => "state",
        Spoil::Issuer => "issuer",
        Spoil::NoIssuer => "issuer-missing",
    }
}

/// The parameter that is spoiled.
const fn parameter(spoil: Spoil) -> &'static str {
    match spoil {
        Spoil::State => "state",
        Spoil::Issuer | Spoil::NoIssuer => "iss",
    }
}

fn scored(event: &Event, verdict: Verdict, stage: &mut Stage, from: Duration) -> Case {
    let Verdict { result, seen, reason, shown_by, began } = verdict;
    Case {
        id: event.id.into(),
        title: event.title.into(),
        clause: event.clause.into(),
        checks: vec![Check {
            given: event.given.into(),
            result,
            expected: event.expected.into(),
            seen,
            reason,
        }],
        exchanges: stage.evidence(began.unwrap_or(from), shown_by),
    }
}

fn not_at_work() -> Verdict {
    Verdict::not_run("the client was not at work: it read no data within 60 seconds")
}

fn find(actions: &[Action], is: impl Fn(&ActionKind) -> bool) -> Option<Action> {
    actions.iter().find(|action| is(&action.kind)).cloned()
}

async fn foreign_answer(stage: &mut Stage, spoil: Spoil) -> Verdict {
    // A client that accepted the previous answer is connected now, and must ask again.
    if stage.spoiled(spoil).is_none() {
        stage.end_grants().await;
    }
    let from = stage.now();
    if stage.spoiled(spoil).is_none() {
        let asked = stage
            .until(from, from + PATIENCE, |actions| {
                find(actions, |what| *what == ActionKind::Authorize)
            })
            .await;
        if asked.is_none() {
            return Verdict::not_run("the client did not ask for consent within 60 seconds");
        }
    }
    let Some(grant) = stage.spoiled(spoil) else {
        return Verdict::not_run("the answer could not be spoiled");
    };
    let answered = stage.now();
    // A client that asks again has discarded that answer. Every request so far got a spoiled answer,
    // the last one this.
    let questions = SPOILS.iter().take_while(|earlier| **earlier != spoil).count() + 1;
    let decided = |actions: &[Action]| {
        let presents = |action: &Action| matches!(&action.kind, ActionKind::Exchange { grant: Some(of), .. } if *of == grant);
        let asked = actions.iter().filter(|action| action.kind == ActionKind::Authorize).count();
        if actions.iter().any(presents) { Some(true) } else { (asked > questions).then_some(false) }
    };
    let presented = stage.until(Duration::ZERO, answered + PATIENCE, decided).await;
    let question = stage
        .since(Duration::ZERO)
        .into_iter()
        .filter(|action| action.kind == ActionKind::Authorize)
        .nth(questions - 1);
    let verdict = judge::spoiled_answer(presented, parameter(spoil));
    match question {
        Some(question) => verdict.since(question.came),
        None => verdict,
    }
}

async fn expiry(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let from = stage.now();
    let slow = stage.set_fault(Kind::Delay, Effect::Delay(s(2)), Some("/token"), 1);
    let is_refresh = |what: &ActionKind| matches!(what, ActionKind::Refresh { .. });
    let refresh = stage.until(from, from + NEXT_REFRESH, |actions| find(actions, is_refresh)).await;
    if let Some(first) = refresh {
        stage.watch(from, first.came + PARALLEL_WINDOW).await;
    }
    stage.clear_fault(&slow);
    let used = stage
        .until(from, stage.now() + s(15), |actions| {
            judge::reads_with_new_token(actions).then_some(())
        })
        .await
        .is_some();
    judge::expiry(&stage.since(from), used)
}

async fn lost_answer(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let from = stage.now();
    let fault = stage.set_fault(Kind::LoseAnswer, Effect::LoseAnswer, None, 1);
    let is_lost = |what: &ActionKind| matches!(what, ActionKind::Refresh { lost: true, .. });
    let lost = stage.until(from, from + NEXT_REFRESH, |actions| find(actions, is_lost)).await;
    stage.clear_fault(&fault);
    if let Some(lost) = lost {
        let ActionKind::Refresh { slip: torn, .. } = lost.kind else {
            return not_at_work();
        };
        let recovers = |what: &ActionKind| match what {
            ActionKind::Refresh { slip, status: 200, lost: false, .. } => *slip == torn,
            ActionKind::Authorize => true,
            _ => false,
        };
        stage.until(lost.came, lost.answered + s(30), |actions| find(actions, recovers)).await;
        // A second question, or a late repeat, is one too many.
        stage.watch(from, stage.now() + s(2)).await;
    }
    judge::lost_answer(&stage.since(from))
}

async fn unauthorized(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let from = stage.now();
    let fault = stage.set_fault(
        Kind::FdxError,
        Effect::Fdx(FdxError::CustomerNotAuthorized),
        Some("/accounts"),
        1_000_000,
    );
    let is_refused = |what: &ActionKind| matches!(what, ActionKind::Data { status: 401, .. });
    let first = stage.until(from, from + PATIENCE, |actions| find(actions, is_refused)).await;
    let verdict = match first {
        None => not_at_work(),
        Some(first) => {
            judge::unauthorized(&stage.watch(first.came, first.came + STORM_WINDOW).await)
        }
    };
    stage.clear_fault(&fault);
    verdict
}

async fn retry_after_at_token(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let fault = stage.set_fault(
        Kind::Unavailable,
        Effect::Unavailable(RETRY_AFTER),
        Some("/token"),
        1_000_000,
    );
    // Refreshes are made one at a time, so none is in flight.
    comes_back(stage, fault, NEXT_REFRESH, Duration::ZERO, |what| match what {
        ActionKind::Refresh { status, .. } => Some(*status),
        _ => None,
    })
    .await
}

async fn retry_after_at_data(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let fault = stage.set_fault(
        Kind::TooManyRequests,
        Effect::TooManyRequests(RETRY_AFTER),
        Some("/accounts"),
        1_000_000,
    );
    comes_back(stage, fault, PATIENCE, judge::IN_FLIGHT, |what| match what {
        ActionKind::Data { status, .. } => Some(*status),
        _ => None,
    })
    .await
}

/// Waits for a request that is told to come back later, then for the next one of its kind that was
/// not `in_flight`. `status_of` is the status of a request of that kind. The fault lasts as long as
/// its `Retry-After` says.
async fn comes_back(
    stage: &mut Stage,
    fault: String,
    patience: Duration,
    in_flight: Duration,
    status_of: impl Fn(&ActionKind) -> Option<u16>,
) -> Verdict {
    let from = stage.now();
    let is_told = |what: &ActionKind| matches!(status_of(what), Some(503 | 429));
    let told = stage.until(from, from + patience, |actions| find(actions, is_told)).await;
    let verdict = match &told {
        None => Verdict::not_run("the client sent no such request while it was waited for"),
        Some(told) => {
            let comes = |actions: &[Action]| {
                let mut later =
                    actions.iter().filter(|action| action.came >= told.answered + in_flight);
                later.find(|action| status_of(&action.kind).is_some()).map(|action| action.came)
            };
            let early = stage.until(told.came, told.answered + judge::SOONEST_BACK, comes).await;
            stage.clear_fault(&fault);
            let next = match early {
                Some(early) => Some(early),
                None => stage.until(told.came, told.answered + s(25), comes).await,
            };
            judge::retry_after(told.answered, next)
        }
    };
    stage.clear_fault(&fault);
    verdict
}

async fn new_keys(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    stage.keys_at_rest(KEYS_AT_REST).await;
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    if !stage.happens(Kind::RotateKeys, Effect::RotateKeys).await {
        return Verdict::not_run("the keys could not be rotated");
    }
    // Earlier tokens are signed with the old keys.
    let from = stage.now();
    let is_refreshed =
        |what: &ActionKind| matches!(what, ActionKind::Refresh { issued: Some(_), .. });
    if let Some(refresh) =
        stage.until(from, from + NEXT_REFRESH, |actions| find(actions, is_refreshed)).await
    {
        let is_right = |actions: &[Action]| {
            (judge::new_keys(actions).result == counterfoil_report::CheckResult::Passed)
                .then_some(())
        };
        stage.until(from, refresh.answered + s(15), is_right).await;
    }
    judge::new_keys(&stage.since(from))
}

async fn revocation(stage: &mut Stage) -> Verdict {
    if !stage.at_work(PATIENCE).await {
        return not_at_work();
    }
    let from = stage.now();
    stage.end_grants().await;
    let is_refused = |what: &ActionKind| {
        matches!(
            what,
            ActionKind::Data { status: 401, .. } | ActionKind::Refresh { status: 400, .. }
        )
    };
    let Some(first) = stage.until(from, from + PATIENCE, |actions| find(actions, is_refused)).await
    else {
        return not_at_work();
    };
    stage
        .until(first.came, first.came + s(30), |actions| {
            find(actions, |what| *what == ActionKind::Authorize)
        })
        .await;
    // A second question is one too many.
    judge::revocation(&stage.watch(first.came, stage.now() + s(3)).await)
}
