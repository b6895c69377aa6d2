//! What `redeem` takes and gives, and what it comes to where the gate did not pass: the same in
//! both engines.

use std::sync::Arc;

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::Terms;
use counterfoil_core::slip::Slip;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::{
    Counterfoil, Presentation, SlipRefusal, SlipRefusalReason, Verdict, judge,
};

use crate::audit::Event;

/// A slip to redeem. Everything that can be refused without the write has been.
#[derive(Debug)]
pub struct Redeem {
    /// What was presented.
    pub presented: Presentation,
    /// When the next slip expires.
    pub successor_expires_at: Timestamp,
    /// The key that the next slip will be made with.
    pub slip_key: SlipKeyId,
    /// The terms of its grant, by which the eras of client and customer are checked, and the
    /// consent that it hangs on.
    pub terms: Arc<Terms>,
}

/// What became of a slip.
#[derive(Debug)]
pub enum Redeemed {
    /// It was torn off.
    Torn(Torn),
    /// It was refused; nothing was claimed.
    Refused {
        /// Why; `None` where its grant is not known.
        refused: Option<SlipRefusal>,
        /// Why in plain words, for logs and the sandbox.
        reason: String,
    },
}

/// Proof that a slip was redeemed, here and once; only the store makes it. Tokens are handed out
/// against it.
#[derive(Debug)]
pub struct Torn {
    pub(crate) successor: Slip,
    pub(crate) how: Tearing,
}

/// How a slip came to be torn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tearing {
    /// It was the next one.
    InTurn,
    /// It had been torn before by the same request (`Idempotency-Key`, `on_lost_answer`).
    Repeated,
    /// It was newer than the counterfoil knew, after a declared loss of data.
    AfterLoss,
}

impl Torn {
    /// The next slip of the grant.
    pub fn successor(&self) -> &Slip {
        &self.successor
    }

    /// How it came to be torn.
    pub fn how(&self) -> Tearing {
        self.how
    }
}

impl Redeemed {
    /// The grant of the slip is not there.
    pub(crate) fn not_known() -> Self {
        Self::Refused { refused: None, reason: "the grant is not known".into() }
    }

    /// The grant of the slip is of an earlier era.
    pub(crate) fn removed() -> Self {
        Self::Refused {
            refused: None,
            reason: "the client or customer was removed since the grant was given".into(),
        }
    }

    /// The grant of the slip hangs on a consent that is ended or not there.
    pub(crate) fn without_parent() -> Self {
        Self::Refused {
            refused: Some(SlipRefusal::Ended),
            reason: "the consent that the grant hangs on was ended".into(),
        }
    }
}

/// What is to be done about a slip.
pub(crate) enum Settled {
    /// Its row is to be moved on; then it is torn.
    Pass(Tearing),
    /// It is torn already, by this very request.
    Done(Torn),
    /// It is torn already, by the same request before this one, which is recorded.
    Repeated(Torn, String),
    /// It is refused.
    Refused(SlipRefusal, String, Aftermath),
}

/// What else happens when a slip is refused.
#[derive(Clone, Copy)]
pub(crate) struct Aftermath {
    pub(crate) recorded_as: Option<Event>,
    pub(crate) ends_grant: Option<EndedBy>,
}

impl Redeem {
    pub(crate) fn torn(&self, how: Tearing) -> Torn {
        let Presentation { slip, now, .. } = self.presented;
        Torn {
            successor: Slip {
                key: self.slip_key,
                number: slip.number.saturating_add(1),
                issued_at: now,
                ..slip
            },
            how,
        }
    }

    /// Decides on the writer's own row. `again` says that an earlier attempt of this very call may
    /// have taken effect; for `skew` see [`judge`].
    pub(crate) fn settle(
        &self,
        row: &Counterfoil,
        epoch: u32,
        again: bool,
        skew: Seconds,
    ) -> Settled {
        let Presentation { slip, .. } = self.presented;
        if again && self.is_own_success(row) {
            // By the row, not by this try: a key may have been rotated in between.
            let successor = Slip {
                key: row.slip_key,
                number: row.next_slip,
                issued_at: row.redeemed_at,
                ..slip
            };
            return Settled::Done(Torn { successor, how: Tearing::InTurn });
        }
        match judge(row, &self.presented, epoch, skew) {
            Verdict::Redeem => Settled::Pass(Tearing::InTurn),
            Verdict::RedeemAfterLoss => Settled::Pass(Tearing::AfterLoss),
            Verdict::Repeat => {
                let successor = Slip {
                    key: row.slip_key,
                    number: row.next_slip,
                    issued_at: row.redeemed_at,
                    ..slip
                };
                let detail =
                    format!("slip {} was repeated; its successor was given again", slip.number);
                Settled::Repeated(Torn { successor, how: Tearing::Repeated }, detail)
            }
            Verdict::Refuse(refused) => {
                let reason =
                    SlipRefusalReason { refused, row, presented: &self.presented }.to_string();
                Settled::Refused(refused, reason, Aftermath::of(refused, slip.number))
            }
        }
    }

    /// What is recorded of a slip that was accepted after a loss of data.
    pub(crate) fn after_loss(&self, row: &Counterfoil) -> String {
        format!(
            "slip {} was accepted after a loss of data; the counterfoil stood at {}",
            self.presented.slip.number, row.next_slip
        )
    }

    /// After a commit of unknown outcome: whether the row shows that it was this very request that
    /// redeemed the slip.
    fn is_own_success(&self, row: &Counterfoil) -> bool {
        let Presentation { slip, claim, now, .. } = self.presented;
        row.next_slip.checked_sub(1) == Some(slip.number)
            && row.claim == Some(claim)
            && row.redeemed_at == now
            && row.seal == slip.seal
            && !row.ended
    }
}

impl Aftermath {
    fn of(refused: SlipRefusal, number: u64) -> Self {
        let (recorded_as, ends_grant) = match (refused, number) {
            (SlipRefusal::Ended | SlipRefusal::Expired, _) => (None, None),
            (SlipRefusal::Claimed { ends_grant }, 0) => {
                (Some(Event::CodeReplayed), ends_grant.then_some(EndedBy::CodeReplay))
            }
            (SlipRefusal::Claimed { ends_grant }, _) => (
                Some(Event::RefreshTokenReplayed),
                ends_grant.then_some(EndedBy::RefreshTokenReplay),
            ),
            (SlipRefusal::Forged, _) => (Some(Event::SlipForged), None),
            (SlipRefusal::Ahead, _) => (Some(Event::SlipAhead), None),
        };
        Self { recorded_as, ends_grant }
    }
}
