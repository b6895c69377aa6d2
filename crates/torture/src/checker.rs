//! Compares every reply about a grant with all earlier ones.
//!
//! The rules know nothing of servers and kills, only of what was acknowledged to a client and when.
//! Of two requests the first was done first only if its answer was there before the second was
//! sent; requests that overlap may have been done in either order, and a request whose answer was
//! lost may have been done at any time after it was sent, or never.

use std::fmt;
use std::time::Duration;

use crate::history::{Exchange, Key, Moment, Operation, Reply, Successor, Token};

/// What can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// One slip bought two successors.
    RedeemedTwice,
    /// A redemption that was acknowledged is gone: its successor is refused, or the slip is as good
    /// as before.
    RedemptionLost,
    /// A client that repeated its request as documented is refused for what it did itself.
    RetryRefused,
    /// A repeat gave another refresh token than the first answer.
    RepeatDiffers,
    /// A grant whose end was acknowledged is alive.
    EndingLost,
    /// A good token was refused.
    RefusedWithoutCause,
    /// A client that kept retrying was never answered.
    NoAnswer,
    /// A server that runs, on a database that does, answered nothing but 503 for a while.
    Unavailable,
    /// An answer that the documentation does not know.
    Unexpected,
    /// A server ended by itself, panicked, or did not start again.
    ServerFailed,
}

impl Fault {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RedeemedTwice => "redeemed twice",
            Self::RedemptionLost => "redemption lost",
            Self::RetryRefused => "retry refused",
            Self::RepeatDiffers => "repeat differs",
            Self::EndingLost => "ending lost",
            Self::RefusedWithoutCause => "refused without cause",
            Self::NoAnswer => "no answer",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected answer",
            Self::ServerFailed => "server failed",
        }
    }
}

/// A fault, and what shows it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    pub(crate) fault: Fault,
    pub(crate) what: String,
}

fn found(fault: Fault, what: impl fmt::Display) -> Option<Violation> {
    Some(Violation { fault, what: what.to_string() })
}

/// What is wrong with the exchanges from `new` on. `history` is all of one grant, in the order of the
/// answers; requests that were in flight together are judged together, once each of them was
/// answered.
pub(crate) fn judge(history: &[Exchange], new: usize) -> Vec<Violation> {
    (new..history.len()).filter_map(|at| judge_one(History(history), at)).collect()
}

fn judge_one(history: History<'_>, at: usize) -> Option<Violation> {
    let exchange = &history.0[at];
    match (&exchange.operation, &exchange.answer) {
        (_, Reply::Lost(_)) => None,
        (operation, Reply::Never(why)) => {
            found(Fault::NoAnswer, format_args!("{operation} was given up: {why}"))
        }
        (operation, Reply::Wrong(what)) => {
            found(Fault::Unexpected, format_args!("{operation} was answered with {what}"))
        }
        (Operation::Revoke(_), Reply::Yes) => None,
        (operation, Reply::Yes | Reply::Tokens { .. })
            if let Some(ended) = history.ended_before(exchange.sent) =>
        {
            found(
                Fault::EndingLost,
                format_args!(
                    "{operation} went well after the end of the grant was acknowledged at {}",
                    Moment(ended)
                ),
            )
        }
        (Operation::Redeem { slip, key }, Reply::Tokens { successor, .. }) => {
            judge_redemption(history, at, (*slip, *key), successor)
        }
        (Operation::Redeem { slip, key }, Reply::No(reason)) => {
            judge_refusal(history, exchange, (*slip, *key), reason)
        }
        (Operation::Introspect(Token::Refresh(slip)), Reply::Yes) => {
            let moved_on =
                history.redeemed_from(*slip).find(|other| other.answered < exchange.sent)?;
            let when = Moment(moved_on.answered);
            found(
                Fault::RedemptionLost,
                format_args!(
                    "slip {slip} is shown as active, but the grant had moved on past it at {when}"
                ),
            )
        }
        (Operation::Accounts(_) | Operation::Introspect(_), Reply::Yes) => None,
        (Operation::Introspect(Token::Refresh(slip)), Reply::No(reason)) => {
            let excused = history.ending_sent_before(exchange.answered)
                || history.may_have_moved_past(*slip, exchange.answered);
            let fault = (!excused).then_some(Fault::RedemptionLost)?;
            found(
                fault,
                format_args!(
                    "slip {slip} was handed out and never presented, but is not active: {reason}"
                ),
            )
        }
        (operation @ (Operation::Accounts(_) | Operation::Introspect(_)), Reply::No(reason)) => {
            let fault = (!history.ending_sent_before(exchange.answered))
                .then_some(Fault::RefusedWithoutCause)?;
            found(
                fault,
                format_args!(
                    "{operation} was refused though nobody had asked to end the grant: {reason}"
                ),
            )
        }
        (operation, answer) => {
            found(Fault::Unexpected, format_args!("{operation} was answered with {answer}"))
        }
    }
}

/// A redemption that was acknowledged: the only one of its slip, and of a slip that nothing newer
/// replaced.
fn judge_redemption(
    history: History<'_>,
    at: usize,
    (slip, key): (u64, Option<u64>),
    successor: &Successor,
) -> Option<Violation> {
    let exchange = &history.0[at];
    let grant = history.0.iter().find_map(|other| Some(successor_of(other)?.grant));
    if successor.number != slip + 1 || grant.is_some_and(|grant| grant != successor.grant) {
        let Successor { number, grant, .. } = successor;
        return found(
            Fault::Unexpected,
            format_args!("slip {slip} was answered with slip {number} of grant {grant}"),
        );
    }
    for other in history.0[..at]
        .iter()
        .filter(|other| other.redeems().is_some_and(|(other, _)| other == slip))
    {
        let Some(first) = successor_of(other) else {
            continue;
        };
        let when = Moment(other.answered);
        if !is_same_key(other, key) {
            let by = Bearer(key);
            return found(
                Fault::RedeemedTwice,
                format_args!(
                    "slip {slip} was redeemed by {by} and, answered at {when}, by another"
                ),
            );
        }
        if first.text != successor.text {
            return found(
                Fault::RepeatDiffers,
                format_args!(
                    "the repeat of the refresh with slip {slip} gave another token than the answer at {when}"
                ),
            );
        }
    }
    let moved_on = history.redeemed_from(slip + 1).find(|other| other.answered < exchange.sent)?;
    found(
        Fault::RedemptionLost,
        format_args!(
            "slip {slip} was honoured after its successor had been redeemed, as answered at {}",
            Moment(moved_on.answered)
        ),
    )
}

/// A slip that was refused: because of an ending, or because another request redeemed it, or
/// because its successor was presented.
fn judge_refusal(
    history: History<'_>,
    exchange: &Exchange,
    (slip, key): (u64, Option<u64>),
    reason: &str,
) -> Option<Violation> {
    if history.ending_sent_before(exchange.answered)
        || history.may_have_moved_past(slip + 1, exchange.answered)
    {
        return None;
    }
    let own = |other: &&Exchange| {
        other.redeems().is_some_and(|(other_slip, _)| other_slip == slip) && is_same_key(other, key)
    };
    if let Some(first) = history
        .0
        .iter()
        .filter(own)
        .find(|other| successor_of(other).is_some() && other.answered < exchange.sent)
    {
        let when = Moment(first.answered);
        return found(
            Fault::RetryRefused,
            format_args!(
                "the repeat of the refresh with slip {slip}, which was answered at {when}, was refused: {reason}"
            ),
        );
    }
    if history.redeemed_by_another(slip, key, exchange.answered) {
        return None;
    }
    if let Some(first) =
        history.0.iter().filter(own).find(|other| other.is_open() && other.sent < exchange.sent)
    {
        let when = Moment(first.sent);
        return found(
            Fault::RetryRefused,
            format_args!(
                "slip {slip}, presented first at {when} without an answer, was refused to its own retry: {reason}"
            ),
        );
    }
    match slip {
        0 => found(Fault::RefusedWithoutCause, format_args!("a fresh code was refused: {reason}")),
        _ => found(
            Fault::RedemptionLost,
            format_args!(
                "slip {slip} was handed out, nobody else redeemed it, and it was refused: {reason}"
            ),
        ),
    }
}

/// All that was answered about one grant.
#[derive(Clone, Copy)]
struct History<'a>(&'a [Exchange]);

impl<'a> History<'a> {
    /// When the grant's end was acknowledged, if it was before `moment`.
    fn ended_before(self, moment: Duration) -> Option<Duration> {
        let endings = self.0.iter().filter(|exchange| {
            matches!((&exchange.operation, &exchange.answer), (Operation::Revoke(_), Reply::Yes))
        });
        endings.map(|exchange| exchange.answered).find(|answered| *answered < moment)
    }

    /// Whether anybody had asked to end the grant before `moment`.
    fn ending_sent_before(self, moment: Duration) -> bool {
        self.0.iter().any(|exchange| {
            matches!(exchange.operation, Operation::Revoke(_)) && exchange.sent < moment
        })
    }

    /// The acknowledged redemptions of this slip and of later ones.
    fn redeemed_from(self, slip: u64) -> impl Iterator<Item = &'a Exchange> {
        self.0.iter().filter(move |exchange| {
            successor_of(exchange).is_some()
                && exchange.redeems().is_some_and(|(other, _)| other >= slip)
        })
    }

    /// Whether this slip or a later one may have been redeemed before `moment`.
    fn may_have_moved_past(self, slip: u64, moment: Duration) -> bool {
        let mut attempts = self.0.iter().filter(|exchange| {
            exchange.redeems().is_some_and(|(other, _)| other >= slip) && exchange.sent < moment
        });
        attempts.any(|exchange| self.may_have_redeemed(exchange))
    }

    /// Whether a request of another key, or of none, may have redeemed this slip before `moment`.
    fn redeemed_by_another(self, slip: u64, key: Option<u64>, moment: Duration) -> bool {
        let mut others = self.0.iter().filter(|exchange| {
            exchange.redeems().is_some_and(|(other, _)| other == slip) && exchange.sent < moment
        });
        others.any(|exchange| !is_same_key(exchange, key) && self.may_have_redeemed(exchange))
    }

    /// Whether an attempt was acknowledged, or was lost and never learnt that it had failed.
    fn may_have_redeemed(self, attempt: &Exchange) -> bool {
        let Some((slip, key)) = attempt.redeems() else {
            return false;
        };
        let was_refused = |exchange: &Exchange| {
            let same = exchange.redeems().is_some_and(|(other, _)| other == slip)
                && is_same_key(exchange, key);
            same && matches!(exchange.answer, Reply::No(_))
        };
        successor_of(attempt).is_some() || attempt.is_open() && !self.0.iter().any(was_refused)
    }
}

fn successor_of(exchange: &Exchange) -> Option<&Successor> {
    match &exchange.answer {
        Reply::Tokens { successor, .. } => Some(successor),
        _ => None,
    }
}

/// Whether the request carried this key. One without a key is the same as no other.
fn is_same_key(exchange: &Exchange, key: Option<u64>) -> bool {
    key.is_some() && exchange.redeems().is_some_and(|(_, other)| other == key)
}

/// Who presented a slip.
struct Bearer(Option<u64>);

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => Key(key).fmt(f),
            None => f.write_str("a request without a key"),
        }
    }
}

#[cfg(test)]
mod tests;
