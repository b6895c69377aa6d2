//! Keeping time: the clocks are compared twice a second, what that changes is logged and counted,
//! and the store is told the time once a minute.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_core::clock::{Change, Database, Deviation, LASTING, Millis};
use tokio::time::{MissedTickBehavior, interval};

use crate::node::app::App;

/// How often clocks are compared, where the looks for changes in a database do not do so.
const EVERY: Duration = Duration::from_millis(500);
/// How often the store is told the time, in looks.
const NOTED_EVERY: u32 = 120;

/// Compares the clocks, and the `database`'s as it was at an uptime of this machine's.
pub(crate) fn weigh(app: &App, database: Option<(Millis, Database)>) {
    let seconds = LASTING / 1000;
    match app.clock.poll(database) {
        None => {}
        Some(Change::Disagrees(off)) => {
            tracing::warn!(
                off_seconds = off.seconds(),
                "{off}; time goes on as before. In {seconds} seconds that is taken over, or requests are refused"
            );
        }
        Some(Change::Unsure(off)) => {
            tracing::error!(
                off_seconds = off.seconds(),
                "ALARM: {off} for {seconds} seconds now. It is not known what time it is: requests are refused with 503, {}",
                remedy(off)
            );
        }
        Some(Change::Adopted(off)) => {
            app.metrics.count_clock_step();
            tracing::warn!(
                off_seconds = off.seconds(),
                "{off} for {seconds} seconds now, and is believed from now on"
            );
        }
        Some(Change::Agrees) => tracing::info!("all clocks agree again"),
        Some(Change::Accepted(0)) => tracing::info!(
            "the database's clock is right again, and what was accepted of it is over"
        ),
        Some(Change::Accepted(behind)) => {
            tracing::warn!(
                behind_seconds = behind,
                "the operator accepted the nodes' clocks, which the database's is behind, or ahead of where this is negative"
            );
        }
    }
}

/// What ends that.
const fn remedy(off: Deviation) -> &'static str {
    match off {
        Deviation::Wall(_) => {
            "until the clock is set right, or `counterfoil clock accept` says that it is"
        }
        Deviation::Database(_) => {
            "until the two clocks are set right, or `counterfoil clock accept` has nodes go by their own"
        }
    }
}

/// Tells the store what time it is, if that is believed. Nothing is swept that is not old by this
/// as well, and a server that starts with a clock which is behind refuses to.
pub(crate) async fn note(app: &App) {
    if app.clock.off().is_none()
        && let Err(error) = app.store.note_time(app.clock.trusted()).await
    {
        tracing::warn!(%error, "the store could not be told the time; it will be later");
    }
}

/// Goes on until it is dropped.
pub(crate) async fn keep_time(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_off = false;
    for look in 0_u32.. {
        ticks.tick().await;
        if !app.store.is_shared() {
            weigh(&app, None);
        }
        let off = app.clock.off().is_some();
        // Not while the clock may turn out to have been ahead: the store would know a moment that
        // is to come. At once after a step that was taken over: until then it knows another time.
        if (look % NOTED_EVERY == 0 || (was_off && !off)) && !app.clock.is_on_probation() {
            note(&app).await;
        }
        was_off = off;
    }
}
