//! The endings that this node has acknowledged of late. A standby that was promoted may have missed some; they are applied again on every new
//! connection before it is used, so that what was revoked stays revoked.

use super::connection::Connection;
use super::loss::apply;
use super::trouble::Trouble;
use super::write::Write;
use crate::journal::Line;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long an ending is remembered.
const FOR: Duration = Duration::from_secs(15 * 60);

/// Those of some grants that are living.
const LIVING: &str = "SELECT grant_id FROM counterfoil WHERE grant_id = ANY($1) AND NOT ended";

/// The endings, the oldest first.
#[derive(Default)]
pub(super) struct Remembered(Mutex<VecDeque<(Instant, Line)>>);

impl Remembered {
    /// Remembers endings whose commit is about to be sent. Were it done later, a connection to a standby that has just been promoted could be made in between.
    pub(super) fn add(&self, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        let (now, mut kept) = (Instant::now(), self.kept());
        while kept.front().is_some_and(|(at, _)| now.duration_since(*at) > FOR) {
            kept.pop_front();
        }
        kept.extend(lines.iter().map(|line| (now, line.clone())));
    }

    /// Forgets endings whose transaction did not take effect.
    pub(super) fn take_back(&self, lines: &[Line]) {
        if !lines.is_empty() {
            self.kept().retain(|(_, line)| !lines.contains(line));
        }
    }

    /// Applies on a new connection what the database does not know, and gives how many endings that were.
    pub(super) async fn apply_again(&self, connection: &mut Connection) -> Result<usize, Trouble> {
        let lines: Vec<Line> = self.kept().iter().map(|(_, line)| line.clone()).collect();
        if lines.is_empty() {
            return Ok(0);
        }
        let grants: Vec<i64> = lines.iter().filter_map(|line| line.grant().map(|grant| grant.number())).collect();
        let mut living = HashSet::new();
        for row in connection.rows(LIVING, &[&grants]).await? {
            living.insert(row.try_get::<_, i64>(0)?);
        }
        let mut forgotten = 0;
        for line in lines.iter().filter(|line| line.grant().is_none_or(|grant| living.contains(&grant.number()))) {
            // Each in a transaction of its own: what one meets is no other's business.
            let mut write = Write::begin(connection, false).await?;
            if apply(&mut write, line).await?.took_effect() {
                forgotten += 1;
            }
            write.commit().await?;
        }
        Ok(forgotten)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Instant, Line)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
