//! What happens to an authentic slip: the verdict, one pure function over the counterfoil's row.
//!
//! The store reaches it on the writer's own row inside the writing transaction, never on a reader's
//! snapshot. By then everything that can be refused without a write has been: client, redirect URI,
//! PKCE verifier and scope are right.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claim::{Claim, KEYED_RETRY_WINDOW, KEYLESS_RETRY_WINDOW};
use crate::clock::{DAY, Seconds, Timestamp, duration_in_words};
use crate::grant::Seal;
use crate::slip::Slip;
use crate::slip_keys::SlipKeyId;

/// Seconds within which a replay is taken for a race of the bearer with itself and ends nothing.
pub const RACE_WINDOW: Seconds = 10;
/// Age in seconds from which a replayed code ends nothing.
pub const CODE_REPLAY_ENDS_GRANT_FOR: Seconds = DAY;

/// The small mutable part of a grant: one row that knows the number of the next slip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counterfoil {
    /// The grant's seal; a slip with another one is forged.
    pub seal: Seal,
    /// The number of the slip that can be redeemed now.
    pub next_slip: u64,
    /// When that slip expires.
    pub expires_at: Timestamp,
    /// The request that redeemed the slip before it.
    pub claim: Option<Claim>,
    /// When that was, and so when the next slip was issued. Before the first redemption, the time
    /// of consent.
    pub redeemed_at: Timestamp,
    /// The key that the next slip is made with.
    pub slip_key: SlipKeyId,
    /// The store's epoch when this row was last written. Declaring a loss of data raises it.
    pub epoch: u32,
    /// Whether the grant was ended.
    pub ended: bool,
}

/// What a client wants done when one of its claimed refresh tokens is replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReplay {
    /// Refuse it.
    Refuse,
    /// Refuse it and end the grant (RFC 9700 section 4.14.2).
    Revoke,
}

/// What a client that can't send an `Idempotency-Key` wants done when it repeats a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLostAnswer {
    /// Refuse it as a claimed token.
    #[default]
    Strict,
    /// Answer with the same successor for [`KEYLESS_RETRY_WINDOW`] seconds.
    Repeat,
}

/// An authentic slip as its own client presents it.
#[derive(Clone, Copy, Debug)]
pub struct Presentation {
    /// The slip.
    pub slip: Slip,
    /// The claim of this request.
    pub claim: Claim,
    /// The moment that the request came in.
    pub now: Timestamp,
    /// The client's setting.
    pub on_replay: OnReplay,
    /// The client's setting.
    pub on_lost_answer: OnLostAnswer,
}

/// What happens to a presented slip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the next one: the counterfoil advances by one.
    Redeem,
    /// It is newer than the counterfoil knows, and a loss of data was declared: accepted once, and
    /// the counterfoil catches up with it.
    RedeemAfterLoss,
    /// It is a retry, in time: the same successor again, and nothing is written.
    Repeat,
    /// SlipRefusal.
    Refuse(SlipRefusal),
}

/// Why a slip is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlipRefusal {
    /// The grant was ended.
    Ended,
    /// It has another seal than the grant, so it was made with a stolen slip key. An alarm.
    Forged,
    /// It is the next one, but too old.
    Expired,
    /// It was redeemed before.
    Claimed {
        /// Whether the replay ends the grant.
        ends_grant: bool,
    },
    /// It is newer than the counterfoil knows, and no loss was declared. An alarm: that can't be.
    Ahead,
}

impl SlipRefusal {
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

/// The verdict on `presented`, given the grant's counterfoil and the store's epoch.
///
/// `skew` is how many seconds the node that redeemed the last slip may be behind this one:
/// [`SKEW`](crate::clock::SKEW) where nodes share the store, 0 where one process owns it. Windows
/// that a redemption opened stay open that much longer; lifetimes don't.
pub fn judge(row: &Counterfoil, presented: &Presentation, epoch: u32, skew: Seconds) -> Verdict {
    let Presentation { slip, now, .. } = presented;
    let (n, m) = (slip.number, row.next_slip);
    if slip.seal != row.seal {
        Verdict::Refuse(SlipRefusal::Forged)
    } else if row.ended {
        Verdict::Refuse(SlipRefusal::Ended)
    } else if n > m {
        if row.epoch < epoch {
            Verdict::RedeemAfterLoss
        } else {
            Verdict::Refuse(SlipRefusal::Ahead)
        }
    } else if n == m {
        if *now < row.expires_at { Verdict::Redeem } else { Verdict::Refuse(SlipRefusal::Expired) }
    } else if is_repeat(row, presented, skew) {
        Verdict::Repeat
    } else {
        let ends_grant = if n == 0 {
            code_replay_ends_grant(row, presented, skew)
        } else {
            token_replay_ends_grant(row, presented, skew)
        };
        Verdict::Refuse(SlipRefusal::Claimed { ends_grant })
    }
}

/// Whether this is a retry, in time, of the request that redeemed the last slip (`Idempotency-Key`,
/// `on_lost_answer`).
fn is_repeat(row: &Counterfoil, presented: &Presentation, skew: Seconds) -> bool {
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

/// RFC 6749 section 4.1.2: a code used twice revokes what it gave, unless it is old or the callback
/// was just called twice.
fn code_replay_ends_grant(row: &Counterfoil, presented: &Presentation, skew: Seconds) -> bool {
    let doubled_callback =
        row.next_slip == 1 && presented.now.is_within(RACE_WINDOW + skew, row.redeemed_at);
    presented.now.is_within(CODE_REPLAY_ENDS_GRANT_FOR, presented.slip.issued_at)
        && !doubled_callback
}

/// RFC 9700 section 4.14.2, for clients that want it. Not where the bearer races with itself, nor
/// for a slow request from before the last redemption: the bearer may have retried it elsewhere in
/// the meantime and moved on.
fn token_replay_ends_grant(row: &Counterfoil, presented: &Presentation, skew: Seconds) -> bool {
    let own_race = presented.slip.number + 1 == row.next_slip
        && presented.now.is_within(RACE_WINDOW + skew, row.redeemed_at);
    presented.on_replay == OnReplay::Revoke && !own_race && presented.now >= row.redeemed_at
}

/// The private reason for a refusal in plain words, for logs and the sandbox.
pub struct SlipRefusalReason<'a> {
    /// What it explains.
    pub refused: SlipRefusal,
    /// The row that decided it.
    pub row: &'a Counterfoil,
    /// What was presented.
    pub presented: &'a Presentation,
}

impl fmt::Display for SlipRefusalReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, m) = (self.presented.slip.number, self.row.next_slip);
        // Another node's clock may be a little ahead.
        let ago = |then: Timestamp| duration_in_words(self.presented.now.since(then).max(0));
        match self.refused {
            SlipRefusal::Ended => write!(f, "slip {n}: the grant was ended"),
            SlipRefusal::Forged => write!(
                f,
                "slip {n}: the seal is not the grant's, so it was made with a stolen slip key"
            ),
            SlipRefusal::Expired => write!(f, "slip {n} expired {} ago", ago(self.row.expires_at)),
            SlipRefusal::Claimed { ends_grant } => {
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
            SlipRefusal::Ahead => write!(
                f,
                "slip {n} is ahead of its counterfoil, which stands at {m}: data was lost, or a key was stolen"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
