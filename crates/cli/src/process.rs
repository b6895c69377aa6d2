//! The process itself: runtime and signals.

use crate::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs `work` to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    done
}

/// The signals that a server minds.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGXFSZ: without a handler, a file-size limit would kill the process; with one, the write fails and is answered with 503.
    _file_size: Signal,
}

/// SIGXFSZ on Linux.
const FILE_SIZE_EXCEEDED: i32 = 25;

impl Signals {
    pub(crate) fn watch() -> Result<Self, Failure> {
        let watch = |kind| signal(kind).map_err(Failure::failed);
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            _file_size: watch(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?,
        })
    }

    /// Waits until the process is told to stop.
    pub(crate) async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        TOLD_TO_STOP.store(true, Ordering::SeqCst);
    }
}

static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

/// Whether a signal came that somebody waited for.
pub(crate) fn was_told_to_stop() -> bool {
    TOLD_TO_STOP.load(Ordering::SeqCst)
}
