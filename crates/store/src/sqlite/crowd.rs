//! Waiting for a crowd: a transaction and its fsync cost as much for eight writes as for thirty, so
//! where writes come in crowds the writer lets those go first that are about to queue one.
//! docs/performance.md has what that is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};

/// Writes that are crowd enough: while they are written, the next ones come together.
pub(super) const ENOUGH: usize = 32;
/// The longest wait, should nobody end it.
const LONGEST: Duration = Duration::from_millis(1);

/// Where the writer waits, and is woken: by enough writes, or once no task that could queue one is
/// about to run.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Writes in the queue.
    queued: AtomicUsize,
    /// How many of them the writer waits for; 0 where it does not.
    wanted: AtomicUsize,
    looks: Notify,
}

/// The task that looks whether anybody is about to queue a write. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lookout(Option<AbortHandle>);

impl Crowd {
    /// To be called before a write is queued.
    pub(super) fn comes(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// To be called once it was.
    pub(super) fn came(&self, writer: &Thread) {
        match self.wanted.load(Ordering::SeqCst) {
            0 => {}
            wanted if self.queued.load(Ordering::SeqCst) >= wanted => writer.unpark(),
            _ => self.looks.notify_one(),
        }
    }

    /// To be called when it was taken from the queue, or never came into it.
    pub(super) fn gone(&self) {
        self.queued.fetch_sub(1, Ordering::SeqCst);
    }

    /// Lets the writer wait until `more` writes are queued or none is about to come.
    pub(super) fn gather(&self, more: usize) {
        self.wanted.store(more, Ordering::SeqCst);
        if self.queued.load(Ordering::SeqCst) < more {
            self.looks.notify_one();
            std::thread::park_timeout(LONGEST);
        }
        self.wanted.store(0, Ordering::SeqCst);
    }

    /// Starts the task that looks, where there is a runtime.
    pub(super) fn look_out(self: &Arc<Self>, writer: Thread) -> Lookout {
        let crowd = self.clone();
        let look = async move {
            loop {
                crowd.looks.notified().await;
                let mut before = None;
                while crowd.wanted.load(Ordering::SeqCst) > 0 {
                    // All tasks that are ready run first, and those whose requests have come in.
                    yield_now().await;
                    let queued = crowd.queued.load(Ordering::SeqCst);
                    if before == Some(queued) {
                        writer.unpark();
                        break;
                    }
                    before = Some(queued);
                }
            }
        };
        Lookout(Handle::try_current().ok().map(|runtime| runtime.spawn(look).abort_handle()))
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
