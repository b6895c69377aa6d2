//! After a loss of data: the epoch is raised, and endings that were forgotten take effect again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use counterfoil_core::clock::Timestamp;
use rusqlite::Connection;

use super::Sqlite;
use super::batch::Batch;
use super::endings::{all_endings, bearers_from};
use super::endings_log;
use super::era::remove_again;
use super::grants::end;
use super::meta::{meta, set_meta};
use crate::error::StoreError;
use crate::journal::Line;
use crate::loss::LossDeclared;
use crate::pending::Pending;
use crate::record::Ending;
use crate::removed::Removed;

/// The epoch of the store, raised by a declared loss. Writes read it as they run.
#[derive(Clone, Debug)]
pub(crate) struct Epoch(Arc<AtomicU32>);

impl Epoch {
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        stored(db).map(|epoch| Self(Arc::new(AtomicU32::new(epoch))))
    }

    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn stored(db: &Connection) -> rusqlite::Result<u32> {
    Ok(meta(db, "epoch")?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

impl Sqlite {
    pub(crate) fn apply_endings(&self, lines: Vec<Line>) -> Pending<LossDeclared> {
        let eras = self.eras.clone();
        self.writer.queue(move |batch| {
            batch.says_again();
            let applied = apply(batch, &lines)?;
            // Also where nothing was raised: the first run may have been committed after all.
            eras.load_anew(batch)?;
            Ok(applied)
        })
    }

    pub(crate) fn raise_epoch(
        &self,
        lost_before: Option<Timestamp>,
        reach: BTreeMap<String, i64>,
    ) -> Pending<(u32, Option<Timestamp>)> {
        let epoch = self.epoch.clone();
        self.writer.queue(move |batch| {
            batch.says_again();
            let raised = raise(batch, lost_before, &reach)?;
            batch.agrees_with_journal();
            let epoch = epoch.clone();
            batch.once_committed(move || epoch.0.store(raised.0, Ordering::Relaxed));
            Ok(raised)
        })
    }

    pub(crate) fn accept_lost_endings(&self, now: Timestamp) -> Pending<()> {
        let differs = self.endings_differ;
        self.writer.queue(move |batch: &mut Batch<'_>| {
            if differs {
                batch.says_again();
                refuse_before(batch, now)?;
                for line in all_endings(batch.db)? {
                    batch.journal(line);
                }
                batch.agrees_with_journal();
            }
            Ok(())
        })
    }

    pub(crate) fn bearers_from(&self) -> Result<Option<Timestamp>, StoreError> {
        let reader = self.readers.reader();
        Ok(bearers_from(&reader)?)
    }
}

/// Has endings take effect that were forgotten.
pub(super) fn apply(batch: &mut Batch<'_>, lines: &[Line]) -> rusqlite::Result<LossDeclared> {
    let epoch = stored(batch.db)?;
    let mut counted = LossDeclared::default();
    for line in lines {
        let done = match line.clone() {
            Line::Grant { at, grant, by, .. } => end(batch, grant, by, at, epoch)?,
            Line::Client { at, client, era } => {
                took_effect(remove_again(batch, &Removed::Client(client), era, at)?)
            }
            Line::Customer { at, customer, era } => {
                took_effect(remove_again(batch, &Removed::Customer(customer), era, at)?)
            }
            Line::Lost { bearers_from } => took_effect(refuse_before(batch, bearers_from)?),
            Line::Opened { .. } => Ending::AlreadyEnded,
        };
        *match done {
            Ending::Ended => &mut counted.applied,
            Ending::AlreadyEnded => &mut counted.known,
            Ending::NotFound => &mut counted.unknown,
        } += 1;
    }
    Ok(counted)
}

fn took_effect(now: bool) -> Ending {
    if now { Ending::Ended } else { Ending::AlreadyEnded }
}

/// Has bearers refused that were issued before `from`; false where those before a later moment are
/// already.
pub(super) fn refuse_before(batch: &mut Batch<'_>, from: Timestamp) -> rusqlite::Result<bool> {
    if bearers_from(batch.db)?.is_some_and(|stands| stands >= from) {
        return Ok(false);
    }
    set_meta(batch.db, "bearers_from", &from.unix().to_string())?;
    batch.journal(Line::Lost { bearers_from: from });
    Ok(true)
}

/// Raises the epoch; gives it, and before when bearers are refused. All lines of the nodes'
/// journals up to where they `reach` were applied.
pub(super) fn raise(
    batch: &mut Batch<'_>,
    lost_before: Option<Timestamp>,
    reach: &BTreeMap<String, i64>,
) -> rusqlite::Result<(u32, Option<Timestamp>)> {
    // Customers who signed out, or whose password was changed, would be signed in again.
    batch.db.execute("DELETE FROM session", [])?;
    if let Some(from) = lost_before {
        refuse_before(batch, from)?;
    }
    for (node, line) in reach {
        endings_log::reaches(batch.db, node, *line)?;
    }
    let epoch = stored(batch.db)? + 1;
    set_meta(batch.db, "epoch", &epoch.to_string())?;
    // What was applied before must be in the journal by the answer to this.
    batch.acknowledges_ending();
    Ok((epoch, bearers_from(batch.db)?))
}
