//! Judges what a client did: pure functions, one for each event.

use std::time::Duration;

use counterfoil_core::grant::GrantId;
use counterfoil_report::CheckResult;

use super::actions::{Action, ActionKind, Fingerprint, IssuedTokens};
use crate::requests::HUNG_UP;

/// How an event came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub result: CheckResult,
    /// What was observed.
    pub seen: String,
    /// Why that is wrong, or why the event could not be played.
    pub reason: String,
    /// When the request that proves it came, if it is not one of the event's.
    pub shown_by: Option<Duration>,
    /// When the matter began, if that was before the event.
    pub began: Option<Duration>,
}

impl Verdict {
    pub(super) fn passed(seen: impl Into<String>) -> Self {
        Self {
            result: CheckResult::Passed,
            seen: seen.into(),
            reason: String::new(),
            shown_by: None,
            began: None,
        }
    }

    pub(super) fn failed(seen: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            result: CheckResult::Failed,
            seen: seen.into(),
            reason: reason.into(),
            shown_by: None,
            began: None,
        }
    }

    /// Adds the request that proves it.
    pub(super) fn shown_by(self, came: Duration) -> Self {
        Self { shown_by: Some(came), ..self }
    }

    /// Adds all requests from then on.
    pub(super) fn since(self, began: Duration) -> Self {
        Self { began: Some(began), ..self }
    }

    pub(super) fn not_run(reason: impl Into<String>) -> Self {
        Self {
            result: CheckResult::NotRun,
            seen: String::new(),
            reason: reason.into(),
            shown_by: None,
            began: None,
        }
    }
}

/// The most requests for data in [`STORM_WINDOW`] after a 401, and the most with revoked tokens.
const MOST_AFTER_401: usize = 3;
/// The most refreshes in that time: one because of the 401, and one that was due anyway.
const MOST_REFRESHES_AFTER_401: usize = 2;
/// How long a client must hold back after a 401.
pub(super) const STORM_WINDOW: Duration = Duration::from_secs(10);
/// Refreshes within this time belong to the same expiry.
pub(super) const PARALLEL_WINDOW: Duration = Duration::from_secs(5);
/// `Retry-After` as the events send it, in seconds.
pub(super) const RETRY_AFTER: i64 = 5;
/// How soon a client that was sent [`RETRY_AFTER`] may return, with some tolerance for timers and
/// connections.
pub(super) const SOONEST_BACK: Duration =
    Duration::from_millis(RETRY_AFTER.unsigned_abs() * 1000 - 200);
/// Requests this soon after an answer may have been in flight before it arrived.
pub(super) const IN_FLIGHT: Duration = Duration::from_millis(250);

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn times(count: usize) -> String {
    match count {
        0 => "never".into(),
        1 => "once".into(),
        count => format!("{count} times"),
    }
}

fn refreshes(actions: &[Action]) -> impl Iterator<Item = &Action> {
    actions.iter().filter(|action| matches!(action.kind, ActionKind::Refresh { .. }))
}

/// `presented`: true if the code of the spoiled answer came to `/token`, false if the client asked
/// for consent again, `None` if neither happened.
pub(super) fn spoiled_answer(presented: Option<bool>, which: &str) -> Verdict {
    match presented {
        Some(true) => Verdict::failed(
            "the code of that answer came to /token",
            format!(
                "the {which} was not checked: a code from an attacker's session would be taken for the customer's"
            ),
        ),
        Some(false) => {
            Verdict::passed("the code of that answer never came to /token; the client asked again")
        }
        None => Verdict::failed(
            "the code never came to /token, and the client did not ask again",
            "the client is stuck: nobody can connect any more",
        ),
    }
}

/// What the client did from its first refresh on.
pub(super) fn expiry(actions: &[Action], used_new_token: bool) -> Verdict {
    let Some(first) = refreshes(actions).next() else {
        return Verdict::failed(
            "no refresh",
            "the ID token expired, and the client did not refresh it",
        );
    };
    // A refresh that the client gave up on is followed by another, which is not concurrent with it.
    let within = refreshes(actions).filter(|action| {
        action.came - first.came < PARALLEL_WINDOW
            && is_of_one_grant(action, first)
            && !was_given_up(action)
    });
    let within: Vec<&Action> = within.collect();
    // A repeat with the same key is still the same refresh: its answer had not come.
    let is_new = |(at, action): &(usize, &&Action)| {
        !within[..*at].iter().any(|earlier| is_repeat(action, earlier))
    };
    let together = within.iter().enumerate().filter(is_new).count();
    let seen = format!(
        "{} within {} s",
        counted(together, "refresh", "refreshes"),
        PARALLEL_WINDOW.as_secs()
    );
    if together > 1 {
        return Verdict::failed(
            seen,
            "workers refreshed side by side: all but one are refused, and a strict server ends the grant",
        );
    }
    if used_new_token {
        Verdict::passed(format!("{seen}, then data was read with the new token"))
    } else {
        Verdict::failed(seen, "the new token was not used to read data")
    }
}

/// What a refresh gave the client.
fn issued(action: &Action) -> Option<&IssuedTokens> {
    match &action.kind {
        ActionKind::Refresh { issued, .. } => issued.as_ref(),
        _ => None,
    }
}

/// Whether data was read with a token that one of these refreshes gave.
pub(super) fn reads_with_new_token(actions: &[Action]) -> bool {
    let is_new =
        |token: Fingerprint| actions.iter().filter_map(issued).any(|issued| issued.holds(token));
    actions.iter().any(
        |action| matches!(action.kind, ActionKind::Data { token, status: 200 } if is_new(token)),
    )
}

fn was_given_up(action: &Action) -> bool {
    matches!(action.kind, ActionKind::Refresh { status: HUNG_UP, .. })
}

fn is_of_one_grant(one: &Action, other: &Action) -> bool {
    match (&one.kind, &other.kind) {
        (
            ActionKind::Refresh { slip: Some((one, _)), .. },
            ActionKind::Refresh { slip: Some((other, _)), .. },
        ) => one == other,
        _ => true,
    }
}

/// Whether a refresh repeats an earlier one, with the same `Idempotency-Key`.
fn is_repeat(action: &Action, earlier: &Action) -> bool {
    match (&action.kind, &earlier.kind) {
        (
            ActionKind::Refresh { slip, retry_key: Some(key), .. },
            ActionKind::Refresh { slip: before, retry_key: Some(key_before), .. },
        ) => (slip, key) == (before, key_before),
        _ => false,
    }
}

/// Judges what the client did from the refresh whose answer was lost.
pub(super) fn lost_answer(actions: &[Action]) -> Verdict {
    let lost = refreshes(actions).find_map(|action| match &action.kind {
        ActionKind::Refresh { slip, retry_key, lost: true, .. } => {
            Some((action, *slip, retry_key.clone()))
        }
        _ => None,
    });
    let Some((first, torn, key)) = lost else {
        return Verdict::not_run("the client did not refresh, so no answer could be lost");
    };
    let later = |action: &&Action| action.came > first.came;
    let again = |action: &Action| match &action.kind {
        ActionKind::Refresh { slip, retry_key, status, .. } if *slip == torn => {
            Some((*status, retry_key.clone()))
        }
        _ => None,
    };
    let asked =
        actions.iter().filter(later).filter(|action| action.kind == ActionKind::Authorize).count();
    let repeats: Vec<_> = actions.iter().filter(later).filter_map(again).collect();
    let refused = repeats.iter().filter(|(status, _)| *status == 400).count();
    let seen = format!(
        "{}, {refused} refused; asked for consent {}",
        counted(repeats.len(), "repeat of the request", "repeats of the request"),
        times(asked)
    );
    if repeats.iter().any(|(status, _)| *status == 200) && refused == 0 {
        let with_key = if key.is_some() && repeats.iter().any(|(_, retry_key)| *retry_key == key) {
            " with its Idempotency-Key"
        } else {
            ""
        };
        return Verdict::passed(format!("the request was repeated{with_key}, and answered"));
    }
    match (refused, asked) {
        (0 | 1, 1) => Verdict::passed(format!("{seen}, once it was plain that the token was gone")),
        (0 | 1, 0) => Verdict::failed(
            seen,
            "the client neither repeated the request with its key nor asked for consent: it is stuck",
        ),
        (0 | 1, _) => Verdict::failed(seen, "the customer was asked more than once"),
        _ => Verdict::failed(
            seen,
            "a token that was refused as claimed was presented again: it can't get better",
        ),
    }
}

/// These actions without those that were in flight when the first was answered: workers read in
/// parallel.
fn not_in_flight(actions: &[Action]) -> impl Iterator<Item = &Action> {
    let first = actions.first().map(|first| first.answered).unwrap_or_default();
    actions
        .iter()
        .enumerate()
        .filter(move |(at, action)| *at == 0 || action.came >= first)
        .map(|(_, action)| action)
}

/// What the client did from the first 401 on, for [`STORM_WINDOW`].
pub(super) fn unauthorized(actions: &[Action]) -> Verdict {
    let requests = not_in_flight(actions)
        .filter(|action| matches!(action.kind, ActionKind::Data { status: 401, .. }))
        .count();
    let refreshes = refreshes(actions).count();
    let (requests_seen, refreshes_seen) =
        (counted(requests, "request", "requests"), counted(refreshes, "refresh", "refreshes"));
    let seen = format!("{requests_seen} and {refreshes_seen} in {} s", STORM_WINDOW.as_secs());
    if requests > MOST_AFTER_401 {
        Verdict::failed(
            seen,
            format!(
                "after a 401 that a refresh does not mend, more than {MOST_AFTER_401} requests are a storm"
            ),
        )
    } else if refreshes > MOST_REFRESHES_AFTER_401 {
        Verdict::failed(
            seen,
            "a token that is refused as soon as it is new is not mended by the next refresh",
        )
    } else {
        Verdict::passed(seen)
    }
}

/// Judges the next request of the kind, if one came in time, after the answer with `Retry-After` at
/// `told`.
pub(super) fn retry_after(told: Duration, next: Option<Duration>) -> Verdict {
    match next {
        None => Verdict::failed(
            "it did not come back",
            "a client that is asked to come back later comes back",
        ),
        Some(next) if next >= told + SOONEST_BACK => {
            Verdict::passed(format!("it came back after {}", seconds(next - told)))
        }
        Some(next) => Verdict::failed(
            format!("it came back after {}", seconds(next.saturating_sub(told))),
            format!("the server asked for {RETRY_AFTER} s in Retry-After"),
        ),
    }
}

/// Whether a request that came at `came` was sent before the answer at `told` could be known.
fn was_in_flight(came: Duration, told: Duration) -> bool {
    came < told + IN_FLIGHT
}

/// What the client did from the rotation on: a refresh, the key set, and data with the new token.
pub(super) fn new_keys(actions: &[Action]) -> Verdict {
    if !actions.iter().any(|action| issued(action).is_some()) {
        return Verdict::not_run("the client did not refresh, so it saw no token of a new key");
    }
    let fetched = actions.iter().any(|action| action.kind == ActionKind::Keys);
    let used = reads_with_new_token(actions);
    match (fetched, used) {
        (true, true) => Verdict::passed("the key set was fetched again, and the new token used"),
        (false, true) => Verdict::failed(
            "the new token was used, the key set was not fetched",
            "a token of a key that the client had never seen was taken without being verified",
        ),
        (true, false) => Verdict::failed(
            "the key set was fetched, the new token was not used",
            "the client did not go on after new keys",
        ),
        (false, false) => Verdict::failed(
            "neither was the key set fetched nor the new token used",
            "the client knows its old keys alone and is stuck",
        ),
    }
}

/// What the client did from the first refusal after a revocation on.
pub(super) fn revocation(actions: &[Action]) -> Verdict {
    let asked = actions.iter().position(|action| action.kind == ActionKind::Authorize);
    let before = &actions[..asked.unwrap_or(actions.len())];
    let dead = not_in_flight(before)
        .filter(|action| {
            matches!(action.kind, ActionKind::Data { .. } | ActionKind::Refresh { .. })
        })
        .count();
    let questions = actions.iter().filter(|action| action.kind == ActionKind::Authorize).count();
    let seen = format!(
        "{} with tokens that were revoked, then asked for consent {}",
        counted(dead, "request", "requests"),
        times(questions)
    );
    match questions {
        _ if dead > MOST_AFTER_401 => {
            Verdict::failed(seen, "the client went on after the customer had said no")
        }
        0 => Verdict::failed(seen, "the client stopped, and did not ask for consent again"),
        1 => Verdict::passed(seen),
        _ => Verdict::failed(seen, "the customer was asked more than once"),
    }
}

/// Everything that the client did: whether a refresh token was presented after a later one had
/// reached it.
pub(super) fn newest_token(actions: &[Action]) -> Verdict {
    // Each answered refresh makes the next number known, from the moment of the answer.
    let issued: Vec<(Duration, GrantId, u64)> = refreshes(actions)
        .filter_map(|action| match &action.kind {
            ActionKind::Refresh { slip: Some((grant, number)), issued: Some(_), .. } => {
                Some((action.answered, *grant, number + 1))
            }
            _ => None,
        })
        .collect();
    let mut presented = 0;
    for action in refreshes(actions) {
        let ActionKind::Refresh { slip: Some((grant, number)), status, .. } = &action.kind else {
            continue;
        };
        presented += 1;
        // A refresh that succeeds is a repeat with its key: the client crashed before it could store the
        // answer.
        if *status == 200 {
            continue;
        }
        let newest = issued
            .iter()
            .filter(|(answered, of, _)| of == grant && !was_in_flight(action.came, *answered))
            .map(|(.., next)| *next)
            .max();
        if let Some(newest) = newest.filter(|newest| number < newest) {
            return Verdict::failed(
                format!("refresh token {number} of a grant, {} into the run", seconds(action.came)),
                format!("refresh token {newest} of that grant had reached the client before"),
            )
            .shown_by(action.came);
        }
    }
    match presented {
        0 => Verdict::not_run("the client never refreshed"),
        count => Verdict::passed(format!(
            "{}, each with the newest token",
            counted(count, "refresh", "refreshes")
        )),
    }
}

/// Judges how many requests there were, and the first leaked secret: when it came, what it was and
/// where.
pub(super) fn secrets((requests, leak): (usize, Option<(Duration, String)>)) -> Verdict {
    match leak {
        Some((came, seen)) => Verdict::failed(
            seen,
            "URLs end up in logs and histories, and other paths may be served by others",
        )
        .shown_by(came),
        None if requests == 0 => Verdict::not_run("there were no requests"),
        None => Verdict::passed(format!(
            "{}, none with a secret where it does not belong",
            counted(requests, "request", "requests")
        )),
    }
}

#[cfg(test)]
mod tests;
