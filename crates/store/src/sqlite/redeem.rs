//! Redeeming a slip: one conditional write on one row. The write is the gate; the verdict is asked only where it did not pass.

use super::Store;
use super::grants::{Event, audit, end};
use super::row;
use super::writer::{Batch, Pending};
use counterfoil_core::claim::Claim;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip::Slip;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::{Counterfoil, Presented, Refused, RefusedReason, Verdict, judge};
use rusqlite::{Connection, OptionalExtension, params};

/// A slip to redeem. Everything that can be refused without the write has been.
#[derive(Debug)]
pub struct Redeem {
    /// What was presented.
    pub presented: Presented,
    /// When the next slip expires.
    pub successor_expires_at: Timestamp,
    /// The key that the next slip will be made with.
    pub slip_key: SlipKeyId,
}

/// What became of a slip.
#[derive(Debug)]
pub enum Redeemed {
    /// It was torn off.
    Torn(Torn),
    /// It was refused; nothing was claimed.
    Refused {
        /// Why; `None` where its grant is not known.
        refused: Option<Refused>,
        /// Why in plain words, for logs and the sandbox.
        reason: String,
    },
}

/// Proof that a slip was redeemed, here and once; only the store makes it. Tokens are handed out against it.
#[derive(Debug)]
pub struct Torn {
    successor: Slip,
    how: Tearing,
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

/// The gate: passes for the next slip of a living grant, in time, and for no other. By primary key alone.
pub(crate) const GATE: &str = "UPDATE counterfoil SET next_slip = ?2 + 1, expires_at = ?4, claim = ?5, redeemed_at = ?6, slip_key = ?7, epoch = ?8 \
    WHERE grant_id = ?1 AND seal = ?3 AND next_slip = ?2 AND ended = 0 AND expires_at > ?6";

/// After a declared loss: passes once for a slip that is newer than the counterfoil knows.
const GATE_AFTER_LOSS: &str = "UPDATE counterfoil SET next_slip = ?2 + 1, expires_at = ?4, claim = ?5, redeemed_at = ?6, slip_key = ?7, epoch = ?8 \
    WHERE grant_id = ?1 AND seal = ?3 AND next_slip < ?2 AND ended = 0 AND epoch < ?8";

impl Store {
    /// Redeems a slip, if it is the next one of a living grant and in time; else refuses it, records what that means, and ends the
    /// grant where the verdict says so. The write is under way when this returns.
    ///
    /// Promise: of any number of concurrent calls for one slip exactly one tears it; a refused call changes no counterfoil but to end
    /// the grant; once answered `Torn`, that survives the loss of the process and of power.
    pub fn redeem(&self, redeem: Redeem) -> Pending<Redeemed> {
        let epoch = self.epoch;
        self.writer.queue(move |batch| tear(batch, &redeem, epoch))
    }
}

fn tear(batch: &mut Batch<'_>, redeem: &Redeem, epoch: u32) -> rusqlite::Result<Redeemed> {
    let Presented { slip, claim, now, .. } = redeem.presented;
    let torn = |how| {
        let successor = Slip { key: redeem.slip_key, number: slip.number + 1, issued_at: now, ..slip };
        Redeemed::Torn(Torn { successor, how })
    };
    if pass(batch.db, GATE, redeem, epoch)? {
        return Ok(torn(Tearing::InTurn));
    }
    let Some(row) = counterfoil(batch.db, slip.grant)? else {
        return Ok(Redeemed::Refused { refused: None, reason: "the grant is not known".into() });
    };
    if batch.again && is_own_success(&row, &slip, &claim, now) {
        return Ok(torn(Tearing::InTurn));
    }
    match judge(&row, &redeem.presented, epoch) {
        Verdict::Repeat => {
            audit(
                batch.db,
                slip.grant,
                Event::RefreshRepeated,
                now,
                &format!("slip {} was repeated; its successor was given again", slip.number),
            )?;
            let successor = Slip { key: row.slip_key, number: row.next_slip, issued_at: row.redeemed_at, ..slip };
            Ok(Redeemed::Torn(Torn { successor, how: Tearing::Repeated }))
        }
        Verdict::RedeemAfterLoss if pass(batch.db, GATE_AFTER_LOSS, redeem, epoch)? => {
            let detail = format!("slip {} was accepted after a loss of data; the counterfoil stood at {}", slip.number, row.next_slip);
            audit(batch.db, slip.grant, Event::AcceptedAfterLoss, now, &detail)?;
            Ok(torn(Tearing::AfterLoss))
        }
        Verdict::Refuse(refused) => {
            let reason = RefusedReason { refused, row: &row, presented: &redeem.presented }.to_string();
            record_refusal(batch, slip, refused, now, &reason, epoch)?;
            Ok(Redeemed::Refused { refused: Some(refused), reason })
        }
        // The gate and the verdict are one rule in two languages; a test holds them together.
        Verdict::Redeem | Verdict::RedeemAfterLoss => Err(rusqlite::Error::StatementChangedRows(0)),
    }
}

/// After a commit of unknown outcome: whether the row shows that it was this very request that redeemed the slip.
fn is_own_success(row: &Counterfoil, slip: &Slip, claim: &Claim, now: Timestamp) -> bool {
    row.next_slip == slip.number + 1 && row.claim == Some(*claim) && row.redeemed_at == now && row.seal == slip.seal && !row.ended
}

fn pass(db: &Connection, gate: &str, redeem: &Redeem, epoch: u32) -> rusqlite::Result<bool> {
    let Presented { slip, claim, now, .. } = &redeem.presented;
    // No counterfoil ever stands as high as the largest number that SQLite holds.
    let number = i64::try_from(slip.number).unwrap_or(i64::MAX - 1);
    let changed = db.prepare_cached(gate)?.execute(params![
        slip.grant.number(),
        number,
        slip.seal.expose(),
        redeem.successor_expires_at.unix(),
        claim.as_bytes(),
        now.unix(),
        redeem.slip_key.0,
        epoch,
    ])?;
    Ok(changed == 1)
}

fn record_refusal(batch: &mut Batch<'_>, slip: Slip, refused: Refused, now: Timestamp, reason: &str, epoch: u32) -> rusqlite::Result<()> {
    let (event, ended_by) = match (refused, slip.number) {
        (Refused::Ended | Refused::Expired, _) => return Ok(()),
        (Refused::Claimed { ends_grant }, 0) => (Event::CodeReplayed, ends_grant.then_some(EndedBy::CodeReplay)),
        (Refused::Claimed { ends_grant }, _) => (Event::RefreshTokenReplayed, ends_grant.then_some(EndedBy::RefreshTokenReplay)),
        (Refused::Forged, _) => (Event::SlipForged, None),
        (Refused::Ahead, _) => (Event::SlipAhead, None),
    };
    audit(batch.db, slip.grant, event, now, reason)?;
    ended_by.map_or(Ok(()), |by| end(batch, slip.grant, by, now, epoch).map(drop))
}

/// By primary key alone, as the gate.
pub(crate) const READ_COUNTERFOIL: &str = concat!("SELECT ", row::counterfoil_columns!(), " FROM counterfoil WHERE grant_id = ?1");

/// The counterfoil of a grant, by primary key alone.
pub(crate) fn counterfoil(db: &Connection, grant: GrantId) -> rusqlite::Result<Option<Counterfoil>> {
    db.prepare_cached(READ_COUNTERFOIL)?.query_row([grant.number()], |row| row::counterfoil(row, 0)).optional()
}
