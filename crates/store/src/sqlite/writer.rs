//! The one thread that writes. It takes whatever is queued into one transaction (group commit) and answers after the fsync.

use super::connect;
use super::grants::recent_endings;
use crate::error::StoreError;
use crate::journal::{Journal, Line};
use rusqlite::Connection;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The most writes in one transaction.
const BATCH: usize = 256;
/// The most writes that wait; further ones are refused, since they could not be served in time.
const QUEUE: usize = 4096;

/// The answer to a queued write. It is under way whether or not it is awaited.
#[derive(Debug)]
pub struct Pending<T>(Result<oneshot::Receiver<Result<T, StoreError>>, Option<StoreError>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(receiver) => Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or(Err(StoreError::Closed))),
            Err(refused) => Poll::Ready(Err(refused.take().unwrap_or(StoreError::Closed))),
        }
    }
}

/// What a write works with.
pub(crate) struct Batch<'a> {
    pub(crate) db: &'a Connection,
    /// Whether this is the second attempt, after a commit that may or may not have happened.
    pub(crate) again: bool,
    lines: Vec<Line>,
    once_committed: Vec<Box<dyn FnOnce()>>,
    acknowledges_ending: bool,
}

impl Batch<'_> {
    /// Does something in memory that must follow the commit and come before the answer, whether or not the caller still waits.
    pub(crate) fn once_committed(&mut self, then: impl FnOnce() + 'static) {
        self.once_committed.push(Box::new(then));
    }

    /// Records an ending in the journal, before the write is answered.
    pub(crate) fn journal(&mut self, line: Line) {
        self.lines.push(line);
        self.acknowledges_ending = true;
    }

    /// Makes the answer wait until every ending so far is in the journal; without that the write is answered as failed.
    pub(crate) fn acknowledges_ending(&mut self) {
        self.acknowledges_ending = true;
    }
}

/// A queued write.
trait Job: Send {
    /// Does the work inside the batch's transaction, all of it or, by an error, nothing: then the whole batch is rolled back and each of its
    /// jobs runs again alone. Runs again also after a commit whose outcome is unknown, so it must come to the same
    /// answer where its first run took effect.
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;
    /// Answers the caller: with the result of the last run, or with why it did not happen.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Verb<T, W> {
    work: W,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send> Job for Verb<T, W> {
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        self.result = None;
        self.result = Some((self.work)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let answer = match failed {
            Some(error) => Err(error),
            None => self.result.ok_or(StoreError::Closed),
        };
        // The caller may have gone away; the write stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// The queue's end that the verbs use. Dropping it ends the thread, after what is queued.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    /// Makes every commit take effect and be reported as failed.
    #[cfg(test)]
    pub(super) in_doubt: Arc<std::sync::atomic::AtomicBool>,
}

impl Writer {
    pub(crate) fn start(path: PathBuf, db: Connection, journal: Journal, committed: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        #[cfg(test)]
        let in_doubt = Arc::<std::sync::atomic::AtomicBool>::default();
        let work = Work {
            #[cfg(test)]
            in_doubt: in_doubt.clone(),
            path,
            db: Some(db),
            journal,
            jobs,
            waiting: waiting.clone(),
            committed: Box::new(committed),
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || work.run())?;
        Ok(Self {
            queue: Some(queue),
            waiting,
            thread: Some(thread),
            #[cfg(test)]
            in_doubt,
        })
    }

    /// Queues `work`, at once.
    pub(crate) fn queue<T, W>(&self, work: W) -> Pending<T>
    where
        T: Send + 'static,
        W: FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let Some(queue) = &self.queue else { return Pending(Err(Some(StoreError::Closed))) };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let refused = match queue.try_send(Box::new(Verb { work, result: None, reply })) {
            Ok(()) => return Pending(Ok(answer)),
            Err(TrySendError::Full(_)) => StoreError::Overloaded,
            Err(TrySendError::Disconnected(_)) => StoreError::Closed,
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Pending(Err(Some(refused)))
    }

    /// How many writes wait or are under way.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    path: PathBuf,
    /// None while the file could not be reopened.
    db: Option<Connection>,
    journal: Journal,
    jobs: Receiver<Box<dyn Job>>,
    waiting: Arc<AtomicUsize>,
    committed: Box<dyn Fn() + Send>,
    #[cfg(test)]
    in_doubt: Arc<std::sync::atomic::AtomicBool>,
}

/// What one transaction did beside the rows.
struct Committed {
    acknowledges_ending: Vec<bool>,
}

impl Work {
    fn run(mut self) {
        let mut jobs = Vec::with_capacity(BATCH);
        while let Ok(first) = self.jobs.recv() {
            jobs.push(first);
            while jobs.len() < BATCH {
                match self.jobs.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(_) => break,
                }
            }
            let count = jobs.len();
            match self.commit(&mut jobs, false) {
                Ok(done) => self.answer(jobs.drain(..).zip(done.acknowledges_ending)),
                Err(error) => self.after_failure(&mut jobs, &error),
            }
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            (self.committed)();
        }
    }

    /// One transaction around all of `jobs`.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>], again: bool) -> rusqlite::Result<Committed> {
        let db = match &self.db {
            Some(db) => db,
            None => self.db.insert(connect(&self.path)?),
        };
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut batch = Batch { db, again, lines: Vec::new(), once_committed: Vec::new(), acknowledges_ending: false };
        let mut acknowledges_ending = Vec::with_capacity(jobs.len());
        for job in jobs.iter_mut() {
            batch.acknowledges_ending = false;
            job.run(&mut batch)?;
            acknowledges_ending.push(batch.acknowledges_ending);
        }
        let Batch { lines, once_committed, .. } = batch;
        db.prepare_cached("COMMIT")?.execute([])?;
        #[cfg(test)]
        if !again && self.in_doubt.load(Ordering::Relaxed) {
            return Err(rusqlite::Error::StatementChangedRows(0));
        }
        once_committed.into_iter().for_each(|then| then());
        self.journal.add(lines);
        Ok(Committed { acknowledges_ending })
    }

    /// Answers jobs that are committed. Endings are acknowledged only once they are in the journal too.
    fn answer(&mut self, jobs: impl Iterator<Item = (Box<dyn Job>, bool)>) {
        let jobs: Vec<_> = jobs.collect();
        let journal = if jobs.iter().any(|(_, ends)| *ends) { self.journal.flush() } else { Ok(()) };
        if let Err(error) = &journal {
            tracing::error!(%error, "the endings log can't be written; endings are not acknowledged until it can");
        }
        for (job, ends) in jobs {
            match &journal {
                Err(error) if ends => job.answer(Some(StoreError::NotWritten(format!("the endings log: {error}")))),
                _ => job.answer(None),
            }
        }
    }

    /// Endings that took effect in a commit of unknown outcome are in the store and may not be in the journal.
    fn catch_up(&mut self) {
        let found = connect(&self.path).and_then(|db| recent_endings(&db));
        if let Err(error) = found.map(|endings| self.journal.catch_up(endings)) {
            tracing::warn!(%error, "the endings log could not be held against the store; the next start will");
        }
    }

    /// A transaction failed, and whether it took effect is not known. The file is opened anew, and each job runs again alone: it
    /// reads its row and finds out. Nobody is answered before that.
    fn after_failure(&mut self, jobs: &mut Vec<Box<dyn Job>>, error: &rusqlite::Error) {
        tracing::error!(%error, jobs = jobs.len(), "a write failed; the store is reopened and each write of the batch tried alone");
        self.db = None;
        self.catch_up();
        for job in jobs.drain(..) {
            let mut alone = [job];
            let outcome = self.commit(&mut alone, true);
            let [job] = alone;
            match outcome {
                Ok(done) => self.answer(std::iter::once(job).zip(done.acknowledges_ending)),
                Err(error) => {
                    self.db = None;
                    job.answer(Some(StoreError::NotWritten(error.to_string())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
