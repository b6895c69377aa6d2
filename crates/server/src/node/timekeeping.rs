//! Timekeeping: clocks are compared twice a second, and the store records the time once a minute.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::node::app::App;
use crate::node::clocks::compare;

/// How often clocks are compared, unless polls of a shared store do so.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often the store records the time, in ticks.
const NOTED_EVERY: u32 = 120;

/// Records the time in the store if it is trusted. Nothing is swept unless it is old by that time
/// too, and a server whose clock is behind it refuses to start.
pub(crate) async fn note(app: &App) {
    if app.clock.off().is_none()
        && let Err(error) = app.store.note_time(app.clock.trusted()).await
    {
        tracing::warn!(%error, "the store could not be told the time; it will be later");
    }
}

/// Runs until dropped.
pub(crate) async fn keep_time(app: Arc<App>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_off = false;
    for tick in 0_u32.. {
        ticks.tick().await;
        if !app.store.is_shared() {
            compare(&app.clock, &app.metrics, None);
        }
        let off = app.clock.off().is_some();
        // Not while the clock may prove to be ahead, or the store would record a future time.
        // Immediately after a step was accepted, since the recorded time is outdated.
        if (tick % NOTED_EVERY == 0 || (was_off && !off)) && !app.clock.is_on_probation() {
            note(&app).await;
        }
        was_off = off;
    }
}
