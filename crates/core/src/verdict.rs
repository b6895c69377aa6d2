//! What becomes of an authentic slip: the verdict, as one pure function over the counterfoil's row.
//!
//! The store takes it on the writer's own row inside the writing transaction, never on a reader's
//! snapshot, and only after all that can be refused without the write has been refused: the right
//! client, redirect URI, PKCE verifier and scope are given.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claim::{Claim, KEYED_RETRY_WINDOW, KEYLESS_RETRY_WINDOW};
use crate::clock::{DAY, Seconds, Timestamp, duration_in_words};
use crate::grant::Seal;
use crate::slip::Slip;
use crate::slip_keys::SlipKeyId;

/// Seconds within which a claimed slip that comes again is taken for a race of its bearer with
/// itself and ends nothing.
pub const RACE_WINDOW: Seconds = 10;
/// Age in seconds from which a redeemed code that comes again ends nothing.
pub const CODE_REPLAY_ENDS_GRANT_FOR: Seconds = DAY;

/// The small mutable part of a grant: one row, which says the number of the next slip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counterfoil {
    /// The grant's seal; a slip without it is forged.
    pub seal: Seal,
    /// The number of the slip that can be redeemed now.
    pub next_slip: u64,
    /// When that slip expires.
    pub expires_at: Timestamp,
    /// Who redeemed the slip before it.
    pub claim: Option<Claim>,
    /// When that was, which is when the next slip was issued. The time of consent, where nothing
    /// was redeemed yet.
    pub redeemed_at: Timestamp,
    /// The key that the next slip is made with.
    pub slip_key: SlipKeyId,
    /// The store's epoch when this row was last written. A loss of data raises the store's.
    pub epoch: u32,
    /// Whether the grant was ended.
    pub ended: bool,
}

/// What a client wants done when a claimed refresh token of its own comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReplay {
    /// Refuse it and nothing else.
    Refuse,
    /// Refuse it and end the grant (RFC 9700 section 4.14.2).
    Revoke,
}

/// What a client that can't send an `Idempotency-Key` wants done with a refresh that it repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLostAnswer {
    /// Refuse it as a claimed token.
    #[default]
    Strict,
    /// Give the same successor again for [`KEYLESS_RETRY_WINDOW`] seconds.
    Repeat,
}

/// An authentic slip, presented by its own client.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    /// The slip.
    pub slip: Slip,
    /// The claim that this request makes.
    pub claim: Claim,
    /// The moment that the request came in.
    pub now: Timestamp,
    /// The client's wish.
    pub on_replay: OnReplay,
    /// The client's wish.
    pub on_lost_answer: OnLostAnswer,
}

/// What becomes of a presented slip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the next one: the counterfoil moves on by one.
    Redeem,
    /// It is newer than the counterfoil knows, after a declared loss: accepted once, the
    /// counterfoil moves behind it.
    RedeemAfterLoss,
    /// The same request again, in time: the same successor again, and nothing moves.
    Repeat,
    /// Refused.
    Refuse(Refused),
}

/// Why a slip is refused, and what else happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The grant was ended.
    Ended,
    /// The seal is not the grant's: made with a stolen slip key. An alarm.
    Forged,
    /// It is the next one, but its time is over.
    Expired,
    /// It was claimed before.
    Claimed {
        /// Whether its coming again ends the grant.
        ends_grant: bool,
    },
    /// It is newer than the counterfoil knows and no loss was declared: it can't be. An alarm.
    Ahead,
}

impl Refused {
    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Claimed { .. } => "claimed",
            Self::Ahead => "ahead",
        }
    }
}

/// The verdict on `presented` where the grant's counterfoil is `row` and the store's epoch is
/// `epoch`.
///
/// `skew` is how many seconds the clock of the node that redeemed the last slip may be behind this
/// one's: [`SKEW`](crate::clock::SKEW) where nodes share the store, 0 where one process has it.
/// Windows since a redemption are open for as much longer; no lifetime is.
pub fn judge(row: &Counterfoil, presented: &Presented, epoch: u32, skew: Seconds) -> Verdict {
    let Presented { slip, now, .. } = presented;
    let (n, m) = (slip.number, row.next_slip);
    if slip.seal != row.seal {
        Verdict::Refuse(Refused::Forged)
    } else if row.ended {
        Verdict::Refuse(Refused::Ended)
    } else if n > m {
        if row.epoch < epoch { Verdict::RedeemAfterLoss } else { Verdict::Refuse(Refused::Ahead) }
    } else if n == m {
        if *now < row.expires_at { Verdict::Redeem } else { Verdict::Refuse(Refused::Expired) }
    } else if is_repeat(row, presented, skew) {
        Verdict::Repeat
    } else {
        let ends_grant = if n == 0 {
            code_replay_ends_grant(row, presented, skew)
        } else {
            token_replay_ends_grant(row, presented, skew)
        };
        Verdict::Refuse(Refused::Claimed { ends_grant })
    }
}

/// Whether this is the request that redeemed the last slip, sent again in time (`Idempotency-Key`,
/// `on_lost_answer`).
fn is_repeat(row: &Counterfoil, presented: &Presented, skew: Seconds) -> bool {
    let Some(first) = row.claim else { return false };
    let allowed_for = match (presented.claim.is_keyed(), presented.on_lost_answer) {
        (true, _) => KEYED_RETRY_WINDOW,
        (false, OnLostAnswer::Repeat) => KEYLESS_RETRY_WINDOW,
        (false, OnLostAnswer::Strict) => return false,
    };
    presented.slip.number > 0
        && presented.slip.number + 1 == row.next_slip
        && presented.claim.repeats(&first)
        && presented.now.is_within(allowed_for + skew, row.redeemed_at)
        && presented.now < row.expires_at
}

/// RFC 6749 section 4.1.2: a code used twice revokes what it gave, unless it is long past or a
/// doubled callback.
fn code_replay_ends_grant(row: &Counterfoil, presented: &Presented, skew: Seconds) -> bool {
    let doubled_callback =
        row.next_slip == 1 && presented.now.is_within(RACE_WINDOW + skew, row.redeemed_at);
    presented.now.is_within(CODE_REPLAY_ENDS_GRANT_FOR, presented.slip.issued_at)
        && !doubled_callback
}

/// RFC 9700 section 4.14.2, for clients that want it, unless it is the bearer's race with itself,
/// or a request that came in before the last redemption and was slow: its bearer may have repeated
/// it elsewhere since, and gone on.
fn token_replay_ends_grant(row: &Counterfoil, presented: &Presented, skew: Seconds) -> bool {
    let own_race = presented.slip.number + 1 == row.next_slip
        && presented.now.is_within(RACE_WINDOW + skew, row.redeemed_at);
    presented.on_replay == OnReplay::Revoke && !own_race && presented.now >= row.redeemed_at
}

/// The private reason for a refusal, in plain words, for logs and the sandbox.
pub struct RefusedReason<'a> {
    /// The refusal.
    pub refused: Refused,
    /// The row that it was judged by.
    pub row: &'a Counterfoil,
    /// What was presented.
    pub presented: &'a Presented,
}

impl fmt::Display for RefusedReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, m) = (self.presented.slip.number, self.row.next_slip);
        // What another node wrote may be a little ahead of this one's clock.
        let ago = |then: Timestamp| duration_in_words(self.presented.now.since(then).max(0));
        match self.refused {
            Refused::Ended => write!(f, "slip {n}: the grant was ended"),
            Refused::Forged => write!(
                f,
                "slip {n}: the seal is not the grant's, so it was made with a stolen slip key"
            ),
            Refused::Expired => write!(f, "slip {n} expired {} ago", ago(self.row.expires_at)),
            Refused::Claimed { ends_grant } => {
                if n + 1 == m {
                    write!(
                        f,
                        "slip {n} was claimed {} ago; the counterfoil stands at {m}",
                        ago(self.row.redeemed_at)
                    )?;
                } else {
                    write!(
                        f,
                        "slip {n} was claimed before; the counterfoil stands at {m}, the last claim was {} ago",
                        ago(self.row.redeemed_at)
                    )?;
                }
                if ends_grant { f.write_str("; the replay ended the grant") } else { Ok(()) }
            }
            Refused::Ahead => write!(
                f,
                "slip {n} is ahead of its counterfoil, which stands at {m}: data was lost, or a key was stolen"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
