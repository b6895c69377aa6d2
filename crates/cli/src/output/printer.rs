//! A thread that prints results, so that what goes on meanwhile waits for no reader.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::say_now;
use crate::process::{Signals, was_told_to_stop};

/// How long a line is waited for when it is said: else a terminal would show it where a spinner is.
const INSTANT: Duration = Duration::from_millis(100);
/// How often it is looked, at the end, whether all is printed.
const MOMENT: Duration = Duration::from_millis(5);
/// How long a reader that stalls has got once this process was told to stop.
const GRACE: Duration = Duration::from_secs(1);

static PRINTER: OnceLock<Printer> = OnceLock::new();

/// Starts the thread.
pub(super) fn start() -> io::Result<()> {
    let (lines, to_print) = channel();
    if PRINTER.set(Printer { lines, waiting: Mutex::default(), printed: Condvar::new() }).is_ok() {
        std::thread::Builder::new().name("print".into()).spawn(move || print(&to_print))?;
    }
    Ok(())
}

/// The thread, where it was started.
pub(super) fn started() -> Option<&'static Printer> {
    PRINTER.get()
}

pub(super) struct Printer {
    lines: Sender<String>,
    /// Lines that are not printed yet.
    waiting: Mutex<usize>,
    printed: Condvar,
}

impl Printer {
    fn waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line, now or once the reader goes on.
    pub(super) fn say(&self, text: &str) {
        let mut waiting = self.waiting();
        *waiting += 1;
        // The thread ends with the process.
        let _ = self.lines.send(text.to_owned());
        // A reader that stalls is not waited for each time.
        if *waiting == 1 {
            drop(self.printed.wait_timeout_while(waiting, INSTANT, |waiting| *waiting > 0));
        }
    }

    /// Whether all was printed before this process was to stop.
    pub(super) async fn finish(&self, signals: Signals) -> bool {
        let printed = async {
            while *self.waiting() > 0 {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let stopped = async {
            if was_told_to_stop() { tokio::time::sleep(GRACE).await } else { signals.stop().await }
        };
        tokio::select! {
            () = printed => true,
            () = stopped => false,
        }
    }
}

fn print(lines: &Receiver<String>) {
    for line in lines {
        say_now(&line);
        if let Some(printer) = PRINTER.get() {
            *printer.waiting() -= 1;
            printer.printed.notify_all();
        }
    }
}
