//! Being told to stop: everything that was started must end, and what was made must go.

use tokio::signal::unix::{SignalKind, signal};

use crate::BenchError;

/// Waits until this process is told to stop, by Ctrl-C or SIGTERM. Gives the error to end with.
pub(crate) async fn stop_signal() -> BenchError {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return BenchError::System("signals can't be watched".into());
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    BenchError::System("stopped".into())
}
