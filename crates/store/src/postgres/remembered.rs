//! The endings that this node has acknowledged of late, or is about to. A standby that was promoted may have missed some; they are applied again
//! on every new connection before it is used, so that what was revoked stays revoked.

use super::connection::Connection;
use super::loss::apply;
use super::trouble::Trouble;
use super::write::Write;
use crate::counts::Count;
use crate::journal::Line;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long an ending is remembered.
const FOR: Duration = Duration::from_secs(15 * 60);

/// Those of some grants that are living.
const LIVING: &str = "SELECT grant_id FROM counterfoil WHERE grant_id = ANY($1) AND NOT ended";

/// Said once for every connection on which something was missing.
const ALARM: &str = "ALARM: the database had forgotten endings that were acknowledged; they are applied again. If a standby was promoted that had \
    missed writes, run `counterfoil declare-loss`";

/// The endings, the oldest first.
#[derive(Default)]
pub(super) struct Remembered(Mutex<VecDeque<Kept>>);

/// An ending that is remembered.
#[derive(Clone)]
struct Kept {
    since: Instant,
    line: Line,
    /// Whether its commit was answered. Until then a crash may undo it, which nobody need be called for.
    committed: bool,
}

impl Remembered {
    /// Remembers endings whose commit is about to be sent. Were it done later, a connection to a standby that has just been promoted could be made in between.
    pub(super) fn add(&self, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        let (now, mut kept) = (Instant::now(), self.kept());
        while kept.front().is_some_and(|ending| now.duration_since(ending.since) > FOR) {
            kept.pop_front();
        }
        kept.extend(lines.iter().map(|line| Kept { since: now, line: line.clone(), committed: false }));
    }

    /// The commit of these was answered: from now on they may be acknowledged, and the database has lost something where it does not know them.
    pub(super) fn committed(&self, lines: &[Line]) {
        // They were added a moment ago, and so are near the end.
        let mut kept = self.kept();
        let added = kept.iter_mut().rev().filter(|ending| !ending.committed && lines.contains(&ending.line));
        added.take(lines.len()).for_each(|ending| ending.committed = true);
    }

    /// Forgets endings whose transaction did not take effect.
    pub(super) fn take_back(&self, lines: &[Line]) {
        let mut kept = self.kept();
        for line in lines {
            // One for one: another call may have remembered the same.
            if let Some(at) = kept.iter().rposition(|ending| !ending.committed && ending.line == *line) {
                kept.remove(at);
            }
        }
    }

    /// Applies on a new connection what the database does not know. Counts those among them that it had committed: it has lost something.
    pub(super) async fn apply_again(&self, connection: &mut Connection, forgotten: &Count) -> Result<(), Trouble> {
        let endings: Vec<Kept> = self.kept().iter().cloned().collect();
        if endings.is_empty() {
            return Ok(());
        }
        let grants: Vec<i64> = endings.iter().filter_map(|ending| ending.line.grant().map(|grant| grant.number())).collect();
        let mut living = HashSet::new();
        for row in connection.rows(LIVING, &[&grants]).await? {
            living.insert(row.try_get::<_, i64>(0)?);
        }
        let mut alarmed = false;
        for Kept { line, committed, .. } in &endings {
            if line.grant().is_some_and(|grant| !living.contains(&grant.number())) {
                continue;
            }
            // Each in a transaction of its own: what one meets is no other's business.
            let mut write = Write::begin(connection, false).await?;
            let was_forgotten = apply(&mut write, line).await?.took_effect() && *committed;
            write.commit().await?;
            if was_forgotten {
                forgotten.add(1);
                if !std::mem::replace(&mut alarmed, true) {
                    tracing::error!("{ALARM}");
                }
            }
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
