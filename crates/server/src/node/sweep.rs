//! Sweeping: short-lived rows are removed soon after they expire, grants long after their end.
//!
//! (S) Removal can't be undone, and whether something has expired depends on a clock. So nothing is
//! swept while clocks disagree, nor for a day after they disagreed by much; the store checks what
//! it removes against a second clock; a run removes a bounded share of the grants; and if
//! implausibly many grants expired without being ended, none is removed.

use counterfoil_core::grant::GrantId;
use counterfoil_store::{StoreError, SweepTime};
use serde::Serialize;

use crate::node::app::App;
use crate::node::metrics::{OLD_GRANTS, SHORT_LIVED};

/// At most one in this many living grants may have expired long ago: more suggests a wrong clock,
/// unless an operator confirms it.
const ONE_IN: u64 = 33;
/// Always allowed regardless of the share, so that small stores are swept; but never more than half
/// of the grants.
const FEW: u64 = 10;
/// The most grants that a run removes: one in this many, but no fewer than [`RUN_AT_LEAST`].
const RUN_ONE_IN: u64 = 100;
const RUN_AT_LEAST: u64 = 1000;
/// Grants removed per write.
const AT_ONCE: usize = 100;

/// The result of a sweep of old grants.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OldGrantsSweep {
    /// Grants ended long ago.
    pub(crate) ended: u64,
    /// Grants that nobody ended and that expired long ago.
    pub(crate) expired: u64,
    /// Grants that nobody ended, including expired ones; counted only if some are due.
    pub(crate) living: u64,
    /// How many were removed.
    pub(crate) removed: u64,
    /// Whether too many had expired, so that none was removed.
    pub(crate) stopped: bool,
}

/// The times to sweep by.
fn time(app: &App) -> SweepTime {
    SweepTime { now: app.clock.now(), ahead: app.clock.offset() }
}

/// Removes expired short-lived rows.
pub(crate) async fn short_lived(app: &App) {
    if !app.clock.is_settled() {
        return;
    }
    let time = time(app);
    let mut all = [0; SHORT_LIVED.len()];
    loop {
        match app.store.sweep(time).await {
            Ok(swept) => {
                for (sum, (_, count)) in all.iter_mut().zip(SHORT_LIVED) {
                    *sum += count(&swept);
                }
                if !swept.more {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "old rows are not swept now");
                break;
            }
        }
    }
    for ((what, _), count) in SHORT_LIVED.iter().zip(all).filter(|(_, count)| *count > 0) {
        app.metrics.count_swept(what, count);
        tracing::info!(what, count, "what is over was swept");
    }
}

/// Removes the oldest grants that ended long ago, within the limits. If the operator wants `all`
/// removed, clocks only have to agree. `None` if the time is in doubt.
///
/// # Errors
/// [`StoreError`]; some may have been removed.
pub(crate) async fn old_grants(app: &App, all: bool) -> Result<Option<OldGrantsSweep>, StoreError> {
    let may_remove = if all { app.clock.off().is_none() } else { app.clock.is_settled() };
    if !may_remove {
        return Ok(None);
    }
    let time = time(app);
    let mut found = OldGrantsSweep::default();
    let mut after = None;
    loop {
        let page = app.store.old_grants(after, time).await?;
        found.ended += count(&page.ended);
        found.expired += count(&page.expired);
        after = page.next;
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    if found.ended + found.expired == 0 {
        app.metrics.sweep_is_stopped(false);
        return Ok(Some(found));
    }
    found.living = app.store.count_grants().await?;
    found.stopped =
        !all && found.expired > (found.living / ONE_IN).max(FEW.min((found.living / 2).max(1)));
    app.metrics.sweep_is_stopped(found.stopped);
    if found.stopped {
        let (expired, living) = (found.expired, found.living);
        tracing::error!(
            expired,
            living,
            "ALARM: more grants are due to be removed than can have expired by right, and none is removed. If the clock is right and that is meant, \
             `counterfoil grant sweep --all` removes them"
        );
        return Ok(Some(found));
    }
    let most = if all { u64::MAX } else { (found.living / RUN_ONE_IN).max(RUN_AT_LEAST) };
    found.removed = remove(app, time, most).await?;
    app.metrics.count_swept(OLD_GRANTS, found.removed);
    tracing::info!(
        removed = found.removed,
        ended = found.ended,
        expired = found.expired,
        "grants that ended long ago were removed"
    );
    Ok(Some(found))
}

/// Removes up to `most` of those due; returns how many.
async fn remove(app: &App, time: SweepTime, most: u64) -> Result<u64, StoreError> {
    let (mut removed, mut after) = (0, None);
    loop {
        let page = app.store.old_grants(after, time).await?;
        let due: Vec<GrantId> = page.ended.into_iter().chain(page.expired).collect();
        for some in due.chunks(AT_ONCE) {
            if removed >= most {
                return Ok(removed);
            }
            removed += app.store.remove_grants(some.to_vec(), time).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(removed);
        }
    }
}

fn count(grants: &[GrantId]) -> u64 {
    u64::try_from(grants.len()).unwrap_or(u64::MAX)
}
