//! The clocks: what they show, an operator's decision about them, and repairs after a wrong one.

use counterfoil_core::clock::{HOUR, Timestamp};
use serde_json::{Value, json};

use super::failed;
use crate::node::app::App;
use crate::node::{sweep, timekeeping};

/// What each clock shows.
pub(super) async fn status(app: &App) -> Result<Value, String> {
    let known = app.store.known_time().await.map_err(failed)?;
    let seconds = |millis: i64| Timestamp::from_unix(millis.div_euclid(1000)).to_string();
    let accepted =
        known.database.map(|database| database.accepted / 1000).filter(|accepted| *accepted != 0);
    Ok(json!({
        "machine": app.clock.wall().to_string(),
        "believed": app.clock.trusted().to_string(),
        "database": known.database.map(|database| seconds(database.wall)),
        "database_behind_accepted_seconds": accepted,
        "store_last_used": known.newest.map(|newest| newest.to_string()),
        "off": app.clock.off().map(|off| off.to_string()),
        // With a database, each node reports its own state: `/health/ready`.
        "answering": (!app.store.is_shared()).then(|| !app.clock.is_unsure()),
    }))
}

/// Trusts this machine's clock from now on, whatever the others show.
pub(super) async fn accept(app: &App) -> Result<Value, String> {
    let before = app.clock.off();
    app.clock.accept();
    let wall = app.clock.wall();
    app.store.accept_clock(wall.unix() * 1000).await.map_err(failed)?;
    tracing::warn!(%wall, off_seconds = before.map(|off| off.seconds()), "the operator accepted this machine's clock");
    status(app).await
}

/// Redates rows and keys that are dated in the future. (S) With a clock that is behind, that would
/// be all of them, so the operator must state today's date.
pub(super) async fn repair(app: &App, today: &str) -> Result<Value, String> {
    let wall = app.clock.wall();
    let named = Timestamp::parse_rfc3339(&format!("{today}T12:00:00Z"))
        .map_err(|_| format!("`{today}` is not a day like 2026-11-30"))?;
    // The date may be that of any time zone.
    if wall.since(named).abs() > 26 * HOUR {
        return Err(format!(
            "this machine's clock shows {wall}, and today is {today}: set the clock right first. Nothing was changed"
        ));
    }
    if let Some(off) = app.clock.off() {
        return Err(format!("{off}: set it right first, or run `counterfoil clock accept`"));
    }
    let now = app.clock.now();
    let repaired = app.store.repair_times(now).await.map_err(failed)?;
    let keys = app.keys.repair_dates(&app.store, now).await.map_err(failed)?;
    app.reload_bearers_from().await.map_err(failed)?;
    timekeeping::note(app).await;
    tracing::warn!(?repaired, keys, "what was dated ahead of the present was repaired");
    let mut shown = json!(repaired);
    shown["keys"] = keys.into();
    Ok(shown)
}

/// Sweeps old grants now.
pub(super) async fn sweep(app: &App, all: bool) -> Result<Value, String> {
    let swept = sweep::old_grants(app, all).await.map_err(failed)?;
    swept
        .map(|swept| json!(swept))
        .ok_or_else(|| {
        "clocks disagree, or did within a day, or the store was at rest for long: nothing is swept until that is over; `counterfoil clock status` says more".into()
    })
}
