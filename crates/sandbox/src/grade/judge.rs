//! Of what a client was seen to do, whether it is right: pure functions, one an event.

use std::time::Duration;

use counterfoil_core::grant::GrantId;
use counterfoil_report::CheckResult;

use super::acts::{Act, Fingerprint, Given, What};
use crate::requests::HUNG_UP;

/// How an event came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub result: CheckResult,
    /// What was seen, in words.
    pub seen: String,
    /// Why that is wrong, or why it could not be played.
    pub reason: String,
    /// When the request came that shows it, where it is not among those of the event.
    pub shown_by: Option<Duration>,
    /// When what it is about began, where that was before the event did.
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

    /// With the request that shows it.
    pub(super) fn shown_by(self, came: Duration) -> Self {
        Self { shown_by: Some(came), ..self }
    }

    /// With all that came from then on.
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

/// The most requests for data in [`STORM_WINDOW`] after a 401, and the most with tokens that were
/// revoked.
const MOST_AFTER_401: usize = 3;
/// The most refreshes in that time: the one that the 401 asks for, and one that fell due.
const MOST_REFRESHES_AFTER_401: usize = 2;
/// How long a client that was told 401 must hold back.
pub(super) const STORM_WINDOW: Duration = Duration::from_secs(10);
/// Refreshes that come within this time of each other are one expiry's.
pub(super) const PARALLEL_WINDOW: Duration = Duration::from_secs(5);
/// `Retry-After` as the events send it, in seconds.
pub(super) const RETRY_AFTER: i64 = 5;
/// When a client that was told [`RETRY_AFTER`] may be back: timers and connections may be early by
/// a little.
pub(super) const SOONEST_BACK: Duration =
    Duration::from_millis(RETRY_AFTER.unsigned_abs() * 1000 - 200);
/// What was on its way already when the answer went out.
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

fn refreshes(acts: &[Act]) -> impl Iterator<Item = &Act> {
    acts.iter().filter(|act| matches!(act.what, What::Refresh { .. }))
}

/// `presented`: whether the code of the spoiled answer came to `/token`, or the client asked for
/// consent again; `None` where neither.
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
pub(super) fn expiry(acts: &[Act], used_new_token: bool) -> Verdict {
    let Some(first) = refreshes(acts).next() else {
        return Verdict::failed(
            "no refresh",
            "the ID token expired, and the client did not refresh it",
        );
    };
    // One that the client gave up is followed by another, which is not beside it.
    let within = refreshes(acts).filter(|act| {
        act.came - first.came < PARALLEL_WINDOW && is_of_one_grant(act, first) && !was_given_up(act)
    });
    let within: Vec<&Act> = within.collect();
    // One that is repeated with its key is the same refresh still: its answer had not come.
    let is_new =
        |(at, act): &(usize, &&Act)| !within[..*at].iter().any(|earlier| is_repeat(act, earlier));
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
fn given(act: &Act) -> Option<&Given> {
    match &act.what {
        What::Refresh { gives, .. } => gives.as_ref(),
        _ => None,
    }
}

/// Whether data was read with a token that one of these refreshes gave.
pub(super) fn reads_with_new_token(acts: &[Act]) -> bool {
    let is_new = |token: Fingerprint| acts.iter().filter_map(given).any(|gives| gives.holds(token));
    acts.iter().any(|act| matches!(act.what, What::Data { token, status: 200 } if is_new(token)))
}

fn was_given_up(act: &Act) -> bool {
    matches!(act.what, What::Refresh { status: HUNG_UP, .. })
}

fn is_of_one_grant(one: &Act, other: &Act) -> bool {
    match (&one.what, &other.what) {
        (
            What::Refresh { slip: Some((one, _)), .. },
            What::Refresh { slip: Some((other, _)), .. },
        ) => one == other,
        _ => true,
    }
}

/// Whether a refresh is an earlier one again, with the same `Idempotency-Key`.
fn is_repeat(act: &Act, earlier: &Act) -> bool {
    match (&act.what, &earlier.what) {
        (
            What::Refresh { slip, retry_key: Some(key), .. },
            What::Refresh { slip: before, retry_key: Some(key_before), .. },
        ) => (slip, key) == (before, key_before),
        _ => false,
    }
}

/// What the client did from the refresh on whose answer was lost.
pub(super) fn lost_answer(acts: &[Act]) -> Verdict {
    let lost = refreshes(acts).find_map(|act| match &act.what {
        What::Refresh { slip, retry_key, lost: true, .. } => Some((act, *slip, retry_key.clone())),
        _ => None,
    });
    let Some((first, torn, key)) = lost else {
        return Verdict::not_run("the client did not refresh, so no answer could be lost");
    };
    let later = |act: &&Act| act.came > first.came;
    let again = |act: &Act| match &act.what {
        What::Refresh { slip, retry_key, status, .. } if *slip == torn => {
            Some((*status, retry_key.clone()))
        }
        _ => None,
    };
    let asked = acts.iter().filter(later).filter(|act| act.what == What::Authorize).count();
    let repeats: Vec<_> = acts.iter().filter(later).filter_map(again).collect();
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

/// The first of these, and of the others those that were not on their way when it was answered:
/// workers read side by side.
fn not_in_flight(acts: &[Act]) -> impl Iterator<Item = &Act> {
    let first = acts.first().map(|first| first.answered).unwrap_or_default();
    acts.iter()
        .enumerate()
        .filter(move |(at, act)| *at == 0 || act.came >= first)
        .map(|(_, act)| act)
}

/// What the client did from the first 401 on, for [`STORM_WINDOW`].
pub(super) fn unauthorized(acts: &[Act]) -> Verdict {
    let requests = not_in_flight(acts)
        .filter(|act| matches!(act.what, What::Data { status: 401, .. }))
        .count();
    let refreshes = refreshes(acts).count();
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

/// The answer with `Retry-After` at `told`, and the next request of the kind, if one came in time.
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

/// Whether a request that came at `came` was on its way before the answer at `told` could be known.
fn was_in_flight(came: Duration, told: Duration) -> bool {
    came < told + IN_FLIGHT
}

/// What the client did from the rotation on: a refresh, the key set, and data with the new token.
pub(super) fn new_keys(acts: &[Act]) -> Verdict {
    if !acts.iter().any(|act| given(act).is_some()) {
        return Verdict::not_run("the client did not refresh, so it saw no token of a new key");
    }
    let fetched = acts.iter().any(|act| act.what == What::Keys);
    let used = reads_with_new_token(acts);
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
pub(super) fn revocation(acts: &[Act]) -> Verdict {
    let asked = acts.iter().position(|act| act.what == What::Authorize);
    let before = &acts[..asked.unwrap_or(acts.len())];
    let dead = not_in_flight(before)
        .filter(|act| matches!(act.what, What::Data { .. } | What::Refresh { .. }))
        .count();
    let questions = acts.iter().filter(|act| act.what == What::Authorize).count();
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
pub(super) fn newest_token(acts: &[Act]) -> Verdict {
    // Each refresh that was answered gives the number that follows, from the moment of the answer
    // on.
    let given: Vec<(Duration, GrantId, u64)> = refreshes(acts)
        .filter_map(|act| match &act.what {
            What::Refresh { slip: Some((grant, number)), gives: Some(_), .. } => {
                Some((act.answered, *grant, number + 1))
            }
            _ => None,
        })
        .collect();
    let mut presented = 0;
    for act in refreshes(acts) {
        let What::Refresh { slip: Some((grant, number)), status, .. } = &act.what else {
            continue;
        };
        presented += 1;
        // What the server answers with tokens is a repeat with its key: a client that crashed
        // before it could keep the answer.
        if *status == 200 {
            continue;
        }
        let newest = given
            .iter()
            .filter(|(answered, of, _)| of == grant && !was_in_flight(act.came, *answered))
            .map(|(.., next)| *next)
            .max();
        if let Some(newest) = newest.filter(|newest| number < newest) {
            return Verdict::failed(
                format!("refresh token {number} of a grant, {} into the run", seconds(act.came)),
                format!("refresh token {newest} of that grant had reached the client before"),
            )
            .shown_by(act.came);
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

/// How many requests there were, and the first secret in them where none belongs: when it came, and
/// what and where it was.
pub(super) fn secrets((requests, exposed): (usize, Option<(Duration, String)>)) -> Verdict {
    match exposed {
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
