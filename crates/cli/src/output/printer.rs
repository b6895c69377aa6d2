//! A thread that prints results, so that nothing else waits for the reader.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::say_now;
use crate::process::{Signals, was_told_to_stop};

/// How long to wait for a line to be printed: otherwise it could appear on a spinner's line.
const INSTANT: Duration = Duration::from_millis(100);
/// How often to check, at the end, whether everything is printed.
const MOMENT: Duration = Duration::from_millis(5);
/// How long a stalled reader has once this process was told to stop.
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

/// The printer, if it was started.
pub(super) fn started() -> Option<&'static Printer> {
    PRINTER.get()
}

pub(super) struct Printer {
    lines: Sender<String>,
    /// How many lines are not printed yet.
    waiting: Mutex<usize>,
    printed: Condvar,
}

impl Printer {
    fn waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line, at once or when the reader catches up.
    pub(super) fn say(&self, text: &str) {
        let mut waiting = self.waiting();
        *waiting += 1;
        // The thread ends with the process.
        let _ = self.lines.send(text.to_owned());
        // Wait only if the queue was empty: not again for each line of a stalled reader.
        if *waiting == 1 {
            drop(self.printed.wait_timeout_while(waiting, INSTANT, |waiting| *waiting > 0));
        }
    }

    /// Waits until everything is printed; false if the process is told to stop first.
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
