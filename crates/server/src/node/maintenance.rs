//! What a server does unprompted: replace keys, process removals, sweep expired state, record uses
//! of secrets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use counterfoil_core::clock::Timestamp;

use crate::node::app::App;
use crate::node::sweep;

/// How often removals are processed.
const OFTEN: Duration = Duration::from_secs(1);
/// The rest is done every so many rounds.
const SELDOM: u32 = 30;
/// Old grants are swept every so many rounds.
const HOURLY: u32 = 3600;

/// Runs until dropped.
pub async fn keep_going(app: Arc<App>) {
    let mut ticks = tokio::time::interval(OFTEN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u32.. {
        ticks.tick().await;
        work_off(&app, app.clock.now()).await;
        if round % SELDOM == SELDOM - 1 {
            note_secret_uses(&app).await;
            sweep::short_lived(&app).await;
            // The first time soon after the start: a server may be restarted every day.
            let hourly = round % HOURLY == SELDOM - 1;
            let beyond_doubt = hourly && look_through_old_grants(&app).await;
            keep_keys(&app, beyond_doubt).await;
        }
    }
}

/// Removes grants that ended long ago. True if, judging by them, the time is beyond doubt.
async fn look_through_old_grants(app: &App) -> bool {
    match sweep::old_grants(app, false).await {
        Ok(swept) => swept.is_some_and(|swept| !swept.stopped),
        Err(error) => {
            tracing::warn!(%error, "old grants are not looked through now");
            false
        }
    }
}

/// Replaces keys that are due; if they `may_be_forgotten`, forgets unneeded ones.
pub async fn keep_keys(app: &App, may_be_forgotten: bool) {
    if app.clock.off().is_some() {
        return;
    }
    match app
        .keys
        .keep_up(&app.store, app.clock.now(), app.settings.lifetimes.id_token, may_be_forgotten)
        .await
    {
        Ok(true) => tracing::info!("keys were rotated on schedule"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(%error, "keys could not be rotated; the old ones stay in use")
        }
    }
    let noted = app.keys.note_algorithms(
        &app.store,
        app.algorithms_in_use(),
        app.clock.now(),
        app.settings.lifetimes.id_token,
    );
    if let Err(error) = noted.await {
        tracing::warn!(%error, "which algorithms clients use could not be noted; it will be later");
    }
}

/// Stores when client secrets were last used. Also done on shutdown.
pub async fn note_secret_uses(app: &App) {
    let clients = app.clients();
    let secrets = clients.iter().flat_map(|client| &client.secrets);
    let used = secrets.map(|secret| {
        (secret.digest, Timestamp::from_unix(secret.last_used_at.load(Ordering::Relaxed)))
    });
    let uses: Vec<_> = used.filter(|(_, at)| at.unix() > 0).collect();
    if !uses.is_empty()
        && let Err(error) = app.store.note_secret_uses(uses).await
    {
        tracing::warn!(%error, "uses of client secrets could not be written down; they will be later");
    }
}

/// Tells the store how far the endings log is written; the next start compares them. Done last, by
/// the process that has the store open.
pub async fn settle_endings(app: &App) {
    if let Err(error) = app.store.settle_endings().await {
        tracing::warn!(%error, "the store could not be told up to where the endings log is written");
    }
}

async fn work_off(app: &App, now: Timestamp) {
    loop {
        match app.store.work_off_removals(now).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                return tracing::warn!(%error, "removals are not worked off now; their grants are refused all the same");
            }
        }
    }
}
