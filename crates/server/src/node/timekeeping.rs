//! Keeping time: the clocks are compared twice a second, and the store is told the time once a
//! minute.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::node::app::App;
use crate::node::clocks::compare;

/// How often clocks are compared, where polls of a shared store do not do so.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often the store is told the time, in ticks.
const NOTED_EVERY: u32 = 120;

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
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_off = false;
    for tick in 0_u32.. {
        ticks.tick().await;
        if !app.store.is_shared() {
            compare(&app.clock, &app.metrics, None);
        }
        let off = app.clock.off().is_some();
        // Not while the clock may turn out to have been ahead: the store would know a moment that
        // is to come. At once after a step that was taken over: until then it knows another time.
        if (tick % NOTED_EVERY == 0 || (was_off && !off)) && !app.clock.is_on_probation() {
            note(&app).await;
        }
        was_off = off;
    }
}
