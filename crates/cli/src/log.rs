//! A server's log, on stderr. Lines go through a bounded queue to a writer thread, so that no request
//! waits for a stalled reader or a full disk; lines that don't fit are dropped and counted.

mod filter;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::fs::File;
#[cfg(feature = "sandbox")]
use std::io::IsTerminal;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use counterfoil_server::LogCounts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Failure;

/// Lines that may wait to be written: a second of requests under full load, 4 MiB of them.
const LONGEST_QUEUE: usize = 16_384;
/// How long a process that ends waits for queued lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it checks.
const MOMENT: Duration = Duration::from_millis(5);
/// The target of messages right before the process ends: written at once, bypassing the queue, or
/// dropped if that would block.
const FATAL: &str = "fatal";

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For a developer's terminal.
    #[cfg(feature = "sandbox")]
    Text,
}

/// What the log shows: a level, or a list such as `warn,request=info`, whose misspelt words would
/// otherwise silence it.
pub(crate) fn check(filter: &str) -> Result<EnvFilter, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "`log` must be error, warn, info, debug, trace or off, or a list such as warn,request=info, not `{filter}`"
        ))
    };
    if !filter.split(',').all(|part| part.contains('=') || part.parse::<LevelFilter>().is_ok()) {
        return Err(wrong());
    }
    // The driver logs every notice at info; what matters reaches us as errors.
    EnvFilter::try_new(format!("{filter},tokio_postgres=warn")).map_err(|_| wrong())
}

/// The log of this process, once it is a server.
static LOG: OnceLock<Log> = OnceLock::new();

/// Starts the log, on stderr.
pub(crate) fn start(format: Format, filter: &str) -> Result<(), Failure> {
    let filter = check(filter)?;
    // Not through std's handle, whose lock would be held for as long as a reader stalls.
    let stderr =
        || io::stderr().as_fd().try_clone_to_owned().map(File::from).map_err(Failure::failed);
    let (writer, at_once) = (stderr()?, stderr()?);
    let log = match LOG.get() {
        Some(log) => log,
        None => {
            let log = Log::to(writer, at_once).map_err(Failure::failed)?;
            LOG.get_or_init(|| log)
        }
    };
    // By default the layer prints its own errors to stderr, and panics if that fails.
    let lines = tracing_subscriber::fmt::layer().with_writer(log).log_internal_errors(false);
    let subscriber = tracing_subscriber::registry().with(filter::layer(filter));
    match format {
        Format::Json => {
            subscriber.with(lines.json().flatten_event(true).with_ansi(false)).try_init()
        }
        #[cfg(feature = "sandbox")]
        Format::Text => subscriber
            .with(lines.with_target(false).with_ansi(io::stderr().is_terminal()))
            .try_init(),
    }
    .map_err(Failure::failed)
}

/// Has the log show something else from now on.
///
/// # Errors
/// As [`check`].
pub(crate) fn show(filter: &str) -> Result<(), Failure> {
    check(filter).map(filter::show)
}

/// How many lines were dropped or could not be written.
pub(crate) fn counts() -> LogCounts {
    LOG.get().map(Log::counts).unwrap_or_default()
}

/// Queues a message for people among the log's lines, so that it can't block a server either. False
/// if there is no log, because this is no server.
pub(crate) fn tell(message: &str) -> bool {
    let log = LOG.get();
    if let Some(log) = log {
        log.queue(format!("{message}\n").as_bytes());
    }
    log.is_some()
}

/// Waits a while for queued lines to be written. Called before the process ends.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Reports panics in the log, or on stderr if there is none. The hook itself must not panic: that
/// would abort the process.
pub(crate) fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        if LOG.get().is_some() {
            tracing::error!(%panic, backtrace = backtrace.map(tracing::field::display), "this is a bug");
        } else {
            tell_panic(&mut io::stderr(), panic, backtrace.as_ref());
        }
    }));
}

/// Ignores errors: failing to report a panic must not panic again.
fn tell_panic(to: &mut impl Write, panic: &dyn Display, backtrace: Option<&Backtrace>) {
    let backtrace = backtrace.map(|backtrace| format!("\n{backtrace}")).unwrap_or_default();
    let _ = writeln!(to, "counterfoil: this is a bug: {panic}{backtrace}");
}

/// A log with a writer thread.
struct Log {
    queue: SyncSender<Vec<u8>>,
    lines: Arc<Lines>,
    /// Where the thread writes to, for messages that bypass the queue.
    at_once: File,
}

/// Counts of lines.
#[derive(Default)]
struct Lines {
    /// Offered to the queue, dropped ones included.
    given: AtomicU64,
    dropped: AtomicU64,
    /// Taken from the queue, whether or not they could be written.
    done: AtomicU64,
    write_errors: AtomicU64,
}

impl Log {
    /// # Errors
    /// The thread can't be started.
    fn to(writer: impl Write + Send + 'static, at_once: File) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let mut writer = LineWriter { to: writer, lines: lines.clone(), torn: false };
        let (queue, queued) = sync_channel::<Vec<u8>>(LONGEST_QUEUE);
        thread::Builder::new()
            .name("log".into())
            .spawn(move || queued.iter().for_each(|line| writer.write(&line)))?;
        Ok(Self { queue, lines, at_once })
    }

    fn counts(&self) -> LogCounts {
        LogCounts {
            dropped: self.lines.dropped.load(Ordering::SeqCst),
            write_errors: self.lines.write_errors.load(Ordering::SeqCst),
        }
    }

    /// Queues a line, or drops it if the queue is full.
    fn queue(&self, line: &[u8]) {
        self.lines.given.fetch_add(1, Ordering::SeqCst);
        if self.queue.try_send(line.to_vec()).is_err() {
            self.lines.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Writes a line directly, unless that would block.
    fn write_at_once(&self, line: &[u8]) {
        let mut stderr = [PollFd::new(&self.at_once, PollFlags::OUT)];
        if poll(&mut stderr, Some(&Timespec::default())).is_ok_and(|ready| ready > 0) {
            let _ = (&self.at_once).write(line);
        }
    }

    /// Waits until the queue is empty, for at most [`LAST_WORDS`].
    fn flush(&self) {
        let began = Instant::now();
        while self.waiting() > 0 && began.elapsed() < LAST_WORDS {
            sleep(MOMENT);
        }
    }

    /// How many lines wait to be written.
    fn waiting(&self) -> u64 {
        // Read before `given`, or lines that arrive in between would hide others.
        let gone =
            self.lines.dropped.load(Ordering::SeqCst) + self.lines.done.load(Ordering::SeqCst);
        self.lines.given.load(Ordering::SeqCst).saturating_sub(gone)
    }
}

impl<'a> MakeWriter<'a> for &'static Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { log: self, is_fatal: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        Line { log: self, is_fatal: about.target() == FATAL }
    }
}

/// The writer of one line.
struct Line {
    log: &'static Log,
    is_fatal: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_fatal {
            self.log.write_at_once(line);
        } else {
            self.log.queue(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes whole lines, and counts those that it can't write. It never fails, since nobody could be
/// told.
struct LineWriter<W> {
    to: W,
    lines: Arc<Lines>,
    /// Whether the last write ended within a line.
    torn: bool,
}

impl<W: Write> LineWriter<W> {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process made the pipe non-blocking; this thread may wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(MOMENT),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) {
        let ended = if self.torn { self.put(b"\n") } else { Ok(()) };
        if ended.and_then(|()| self.put(line)).is_err() {
            self.lines.write_errors.fetch_add(1, Ordering::SeqCst);
        }
        self.lines.done.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
