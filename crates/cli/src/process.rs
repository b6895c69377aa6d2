//! The process: runtime, signals, and the limit of open files.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, getrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::Failure;

/// Runs `work` to completion on a new runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    done
}

/// The signals that a server handles.
pub(crate) struct Signals {
    /// How many times it was told to stop.
    told: watch::Receiver<u32>,
    /// SIGXFSZ: without a handler, a file-size limit would kill the process; with one, the write
    /// fails and is answered with 503.
    _file_size: Signal,
}

/// SIGXFSZ on Linux.
const FILE_SIZE_EXCEEDED: i32 = 25;

impl Signals {
    pub(crate) fn watch() -> Result<Self, Failure> {
        let watch = |kind| signal(kind).map_err(Failure::failed);
        let (mut terminate, mut interrupt) =
            (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
        let (tell, told) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                TOLD_TO_STOP.store(true, Ordering::SeqCst);
                tell.send_modify(|times| *times += 1);
            }
        });
        Ok(Self { told, _file_size: watch(SignalKind::from_raw(FILE_SIZE_EXCEEDED))? })
    }

    /// Waits until the process is told to stop.
    pub(crate) fn stop(&self) -> impl Future<Output = ()> + use<> {
        self.told_times(1)
    }

    /// Waits until it is told to stop a second time, which means at once.
    pub(crate) fn stop_at_once(&self) -> impl Future<Output = ()> + use<> {
        self.told_times(2)
    }

    /// Changes whenever the process is told to stop once more.
    #[cfg(feature = "torture")]
    pub(crate) fn count(&self) -> watch::Receiver<u32> {
        self.told.clone()
    }

    fn told_times(&self, times: u32) -> impl Future<Output = ()> + use<> {
        let mut told = self.told.clone();
        async move { drop(told.wait_for(|told| *told >= times).await) }
    }
}

/// Does `work` at each SIGHUP, the signal to reload, which would otherwise end the process.
pub(crate) fn at_hangups(work: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let mut hangups = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            work();
        }
    });
    Ok(())
}

static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

/// Whether a signal to stop has come.
pub(crate) fn was_told_to_stop() -> bool {
    TOLD_TO_STOP.load(Ordering::SeqCst)
}

/// Files reserved for admin commands, backups, and the store's temporary files.
const KEPT_BACK: usize = 16;
/// An upper bound of open files, for systems without /proc.
const OPEN_AT_MOST: usize = 48;

/// The default limit of connections: each takes 15 kB when idle, and up to 140 kB while a head or a
/// body comes in.
const CONNECTIONS_BY_DEFAULT: usize = 10_000;

/// The limit of connections of the listener for `/metrics`.
pub(crate) const METRICS_CONNECTIONS: usize = 16;

/// How many connections there may be at once: `wanted`, or as many as the limit of open files leaves
/// after the files open now, a reserve, and `later` ones that the store will open.
///
/// # Errors
/// The limit leaves too few.
pub(crate) fn connections(wanted: Option<usize>, later: usize) -> Result<usize, Failure> {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let files = files.unwrap_or(usize::MAX).min(1 << 20);
    let open = std::fs::read_dir("/proc/self/fd").map_or(OPEN_AT_MOST, Iterator::count);
    let left = files.saturating_sub(open + later + KEPT_BACK);
    let most = left - METRICS_CONNECTIONS.min(left / 5);
    let limit = wanted.unwrap_or(most.min(CONNECTIONS_BY_DEFAULT));
    if limit > most || most < 4 {
        let needed = files + limit.max(4) - most;
        return Err(Failure::failed(format!(
            "the process may have {files} files open, which leaves {most} for connections: raise that limit (`ulimit -n {needed}`, LimitNOFILE= of \
             systemd){}",
            if wanted.is_some() { ", or lower `connections.limit`" } else { "" }
        )));
    }
    Ok(limit)
}
