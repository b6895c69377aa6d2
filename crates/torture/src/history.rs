//! The requests about one grant and their replies: the evidence that the checker judges.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_core::grant::GrantId;

/// A token of a grant, told without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// The authorization code: slip 0.
    Code,
    /// The refresh token that is the slip of this number.
    Refresh(u64),
    /// The ID token that came with the slip of this number.
    Id(u64),
    /// The access token that came with the slip of this number.
    Access(u64),
}

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// `POST /token` with a slip and, where a key is named, its `Idempotency-Key`. Two requests
    /// without a key are never the same.
    Redeem { slip: u64, key: Option<u64> },
    /// `GET /accounts`.
    Accounts(Token),
    /// `POST /introspect`.
    Introspect(Token),
    /// `POST /revoke`.
    Revoke(Token),
}

/// The refresh token of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Successor {
    /// The whole token, for comparison alone: it is never shown.
    pub(crate) text: Arc<str>,
    /// The grant that it names.
    pub(crate) grant: GrantId,
    /// Its number.
    pub(crate) number: u64,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// 200 with tokens; `replayed` is `Idempotency-Replayed: true`.
    Tokens { successor: Successor, replayed: bool },
    /// Accounts, an active token, or the acknowledgement of an ending.
    Yes,
    /// The refusal that the documentation names, with the sandbox's reason for it.
    No(String),
    /// No answer or a 503: it is unknown whether it was done.
    Lost(String),
    /// The same, and so often that the client gave up.
    Never(String),
    /// Anything else.
    Wrong(String),
}

/// A request with its answer. Times are from the beginning of the run.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The moment before the request was sent.
    pub(crate) sent: Duration,
    /// The moment after the answer was read to its end.
    pub(crate) answered: Duration,
    /// The number of the node that was asked, from 1.
    pub(crate) node: usize,
    pub(crate) operation: Operation,
    pub(crate) answer: Reply,
}

impl Exchange {
    /// The slip and the key, if this asked to redeem one.
    pub(crate) const fn redeems(&self) -> Option<(u64, Option<u64>)> {
        match self.operation {
            Operation::Redeem { slip, key } => Some((slip, key)),
            _ => None,
        }
    }

    /// Whether the fate of the request is unknown.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.answer, Reply::Lost(_) | Reply::Never(_))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("the code"),
            Self::Refresh(slip) => write!(f, "refresh token {slip}"),
            Self::Id(slip) => write!(f, "ID token {slip}"),
            Self::Access(slip) => write!(f, "access token {slip}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redeem { slip: 0, .. } => f.write_str("exchange of the code"),
            Self::Redeem { slip, key: Some(key) } => {
                write!(f, "refresh with slip {slip}, {}", Key(*key))
            }
            Self::Redeem { slip, key: None } => write!(f, "refresh with slip {slip}, no key"),
            Self::Accounts(token) => write!(f, "accounts with {token}"),
            Self::Introspect(token) => write!(f, "introspection of {token}"),
            Self::Revoke(token) => write!(f, "revocation with {token}"),
        }
    }
}

/// A retry key by the little of it that tells it from others.
pub(crate) struct Key(pub(crate) u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {:04x}", self.0 & 0xffff)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { successor, replayed } => {
                write!(f, "slip {}{}", successor.number, if *replayed { ", replayed" } else { "" })
            }
            Self::Yes => f.write_str("yes"),
            Self::No(reason) => write!(f, "refused: {reason}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Never(why) => write!(f, "lost, and given up: {why}"),
            Self::Wrong(what) => write!(f, "unexpected: {what}"),
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, answered, node, operation, answer } = self;
        write!(f, "{}..{} node {node}: {operation} -> {answer}", Moment(*sent), Moment(*answered))
    }
}

/// A moment of the run, in seconds from its beginning.
pub(crate) struct Moment(pub(crate) Duration);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.0.as_secs_f64())
    }
}
