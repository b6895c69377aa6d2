//! The process itself: runtime, log, signals.

use crate::Failure;
use std::io::IsTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For a developer's terminal.
    Text,
}

/// What the log shows: a level, or a list such as `warn,request=info`, whose misspelt words would otherwise silence it.
pub(crate) fn check_log(filter: &str) -> Result<EnvFilter, Failure> {
    let wrong = || {
        Failure::usage(format!("`log` must be error, warn, info, debug, trace or off, or a list such as warn,request=info, not `{filter}`"))
    };
    if !filter.split(',').all(|part| part.contains('=') || part.parse::<LevelFilter>().is_ok()) {
        return Err(wrong());
    }
    // The migration library tells every step at info, the driver every notice; what matters of them reaches us as errors.
    EnvFilter::try_new(format!("{filter},refinery_core=warn,tokio_postgres=warn")).map_err(|_| wrong())
}

/// Starts the log, on stderr.
pub(crate) fn start_log(format: LogFormat, filter: &str) -> Result<(), Failure> {
    let filter = check_log(filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => {
            log.json().flatten_event(true).init();
            std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "this is a bug")));
        }
        LogFormat::Text => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
    }
    Ok(())
}

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
    }
}
