//! Redeeming a slip: one conditional write on one row. The write is the gate; the verdict is asked
//! only where it did not pass.

use counterfoil_core::verdict::Presentation;
use rusqlite::{Connection, params};

use super::Sqlite;
use super::batch::Batch;
use super::era::Eras;
use super::grants::{audit, counterfoil, end, hangs_on_living};
use crate::audit::Event;
use crate::pending::Pending;
use crate::redeem::{Aftermath, Redeem, Redeemed, Settled, Tearing};

/// The gate: passes for the next slip of a living grant, in time, and for no other. By primary key
/// alone.
pub(crate) const GATE: &str = "UPDATE counterfoil SET next_slip = ?2 + 1, expires_at = ?4, claim = ?5, redeemed_at = ?6, slip_key = ?7, epoch = ?8 \
    WHERE grant_id = ?1 AND seal = ?3 AND next_slip = ?2 AND ended = 0 AND expires_at > ?6";

/// After a declared loss: passes once for a slip that is newer than the counterfoil knows.
const GATE_AFTER_LOSS: &str = "UPDATE counterfoil SET next_slip = ?2 + 1, expires_at = ?4, claim = ?5, redeemed_at = ?6, slip_key = ?7, epoch = ?8 \
    WHERE grant_id = ?1 AND seal = ?3 AND next_slip < ?2 AND ended = 0 AND epoch < ?8";

impl Sqlite {
    pub(crate) fn redeem(&self, redeem: Redeem) -> Pending<Redeemed> {
        let (epoch, eras) = (self.epoch.clone(), self.eras.clone());
        self.writer.queue(move |batch| tear(batch, &redeem, &eras, epoch.now()))
    }
}

fn tear(
    batch: &mut Batch<'_>,
    redeem: &Redeem,
    eras: &Eras,
    epoch: u32,
) -> rusqlite::Result<Redeemed> {
    let Presentation { slip, now, .. } = redeem.presented;
    batch.redeemed += 1;
    if !eras.are_current(&redeem.terms) {
        return Ok(Redeemed::removed());
    }
    if !hangs_on_living(batch.db, &redeem.terms)? {
        return Ok(Redeemed::without_parent());
    }
    if pass(batch.db, GATE, redeem, epoch)? {
        return Ok(Redeemed::Torn(redeem.torn(Tearing::InTurn)));
    }
    let Some(row) = counterfoil(batch.db, slip.grant)? else {
        return Ok(Redeemed::not_known());
    };
    match redeem.settle(&row, epoch, batch.again, 0) {
        Settled::Done(torn) => Ok(Redeemed::Torn(torn)),
        Settled::Repeated(torn, detail) => {
            audit(batch.db, slip.grant, Event::RefreshRepeated, now, &detail)?;
            Ok(Redeemed::Torn(torn))
        }
        Settled::Pass(Tearing::AfterLoss) if pass(batch.db, GATE_AFTER_LOSS, redeem, epoch)? => {
            audit(batch.db, slip.grant, Event::AcceptedAfterLoss, now, &redeem.after_loss(&row))?;
            Ok(Redeemed::Torn(redeem.torn(Tearing::AfterLoss)))
        }
        Settled::Refused(refused, reason, Aftermath { recorded_as, ends_grant }) => {
            if let Some(event) = recorded_as {
                audit(batch.db, slip.grant, event, now, &reason)?;
            }
            if let Some(by) = ends_grant {
                end(batch, slip.grant, by, now, epoch)?;
            }
            Ok(Redeemed::Refused { refused: Some(refused), reason })
        }
        // The gate and the verdict are one rule in two languages; a test holds them together.
        Settled::Pass(_) => Err(rusqlite::Error::StatementChangedRows(0)),
    }
}

fn pass(db: &Connection, gate: &str, redeem: &Redeem, epoch: u32) -> rusqlite::Result<bool> {
    let Presentation { slip, claim, now, .. } = &redeem.presented;
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
