//! The endings that this node has acknowledged of late, or is about to. A standby that was promoted
//! may have missed some; they are applied again on every new connection before it is used, so that
//! what was revoked stays revoked.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::endings_log::{self, Node};
use super::loss::apply;
use super::trouble::Trouble;
use super::write::Write;
use crate::counts::Count;
use crate::journal::Numbered;

/// For how long an ending is remembered.
const FOR: Duration = Duration::from_secs(15 * 60);

/// Those of some grants that there are, and whether they were ended.
const STANDING: &str = "SELECT grant_id, ended FROM counterfoil WHERE grant_id = ANY($1)";

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
    ending: Numbered,
    /// Whether its commit was answered. Until then a crash may undo it, which nobody need be called
    /// for.
    committed: bool,
}

impl Remembered {
    /// Remembers endings whose commit is about to be sent. Were it done later, a connection to a
    /// standby that has just been promoted could be made in between.
    pub(super) fn add(&self, lines: &[Numbered]) {
        if lines.is_empty() {
            return;
        }
        let (now, mut kept) = (Instant::now(), self.kept());
        while kept.front().is_some_and(|ending| now.duration_since(ending.since) > FOR) {
            kept.pop_front();
        }
        kept.extend(lines.iter().map(|line| Kept {
            since: now,
            ending: line.clone(),
            committed: false,
        }));
    }

    /// The commit of these was answered: from now on they may be acknowledged, and the database has
    /// lost something where it does not know them.
    pub(super) fn committed(&self, lines: &[Numbered]) {
        // They were added a moment ago, and so are near the end.
        let mut kept = self.kept();
        let added =
            kept.iter_mut().rev().filter(|kept| !kept.committed && lines.contains(&kept.ending));
        added.take(lines.len()).for_each(|kept| kept.committed = true);
    }

    /// Forgets endings whose transaction did not take effect.
    pub(super) fn take_back(&self, lines: &[Numbered]) {
        let mut kept = self.kept();
        for line in lines {
            // One for one: another call may have remembered the same.
            if let Some(at) = kept.iter().rposition(|kept| !kept.committed && kept.ending == *line)
            {
                kept.remove(at);
            }
        }
    }

    /// Applies on a new connection what the database does not know. Counts those among them that it
    /// had committed: it has lost something. Where these are all lines of the node that it has
    /// lost, it knows them again.
    pub(super) async fn apply_again(
        &self,
        connection: &mut Connection,
        node: Option<&Node>,
        forgotten: &Count,
    ) -> Result<(), Trouble> {
        let endings: Vec<Kept> = self.kept().iter().cloned().collect();
        if endings.is_empty() {
            return Ok(());
        }
        let grants: Vec<i64> = endings
            .iter()
            .filter_map(|kept| kept.ending.says.grant().map(|grant| grant.number()))
            .collect();
        let mut ended = HashMap::new();
        for row in connection.rows(STANDING, &[&grants]).await? {
            ended.insert(row.try_get::<_, i64>(0)?, row.try_get::<_, bool>(1)?);
        }
        let mut all_known = true;
        let mut alarmed = false;
        for Kept { ending, committed, .. } in &endings {
            let line = &ending.says;
            match line.grant().map(|grant| ended.get(&grant.number())) {
                Some(Some(true)) => continue,
                // It may be there in a moment: somebody is putting the database back.
                Some(None) => {
                    all_known &= !committed;
                    continue;
                }
                Some(Some(false)) | None => {}
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
        let lines: BTreeSet<i64> = endings
            .iter()
            .filter(|kept| kept.committed)
            .filter_map(|kept| kept.ending.line)
            .collect();
        if let (Some(node), Some(newest)) = (node, lines.last()) {
            let mut write = Write::begin(connection, false).await?;
            let stands = endings_log::last(&mut write, &node.id).await?;
            if all_known && (stands + 1..=*newest).all(|line| lines.contains(&line)) {
                endings_log::reaches(&mut write, &node.id, *newest).await?;
            }
            write.commit().await?;
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
