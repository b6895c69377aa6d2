//! The one thread that writes. It takes whatever is queued into one transaction (group commit) and
//! answers after the fsync.

mod backup;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::backup::Copying;
use super::batch::{Batch, Ended, Job, Verb};
use super::checkpoint::Log;
use super::crowd::{Crowd, ENOUGH, Lookout};
use super::endings::recent_endings;
use super::endings_log;
use super::file::{connect, with_large_cache};
use crate::counts::Counts;
use crate::error::StoreError;
use crate::journal::{Journal, Numbered};
use crate::pending::Pending;

/// The most writes in one transaction.
const BATCH: usize = 256;
/// The most writes that wait; further ones are refused, since they could not be served in time.
const QUEUE: usize = 4096;

/// What the writer is asked for.
enum Task {
    Write(Box<dyn Job>),
    Copy(Box<Copying>),
}

/// The queue's end that the verbs use. Dropping it ends the thread, after what is queued.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Task>>,
    waiting: Arc<AtomicUsize>,
    crowd: Arc<Crowd>,
    _lookout: Lookout,
    thread: Option<JoinHandle<()>>,
    /// Makes every commit take effect and be reported as failed.
    #[cfg(test)]
    pub(super) in_doubt: Arc<std::sync::atomic::AtomicBool>,
}

impl Writer {
    pub(super) fn start(
        path: PathBuf,
        db: Connection,
        journal: Journal,
        counts: Arc<Counts>,
        log: Log,
    ) -> std::io::Result<Self> {
        let (queue, tasks) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let crowd = Arc::<Crowd>::default();
        #[cfg(test)]
        let in_doubt = Arc::<std::sync::atomic::AtomicBool>::default();
        let work = Work {
            #[cfg(test)]
            in_doubt: in_doubt.clone(),
            path,
            db: Some(db),
            journal,
            counts,
            tasks,
            waiting: waiting.clone(),
            log,
            crowd: crowd.clone(),
            crowded: false,
        };
        let thread =
            std::thread::Builder::new().name("store-writer".into()).spawn(move || work.run())?;
        let lookout = crowd.look_out(thread.thread().clone());
        Ok(Self {
            queue: Some(queue),
            waiting,
            crowd,
            _lookout: lookout,
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
        let (reply, pending) = Pending::open();
        let (Some(queue), Some(thread)) = (&self.queue, &self.thread) else {
            return Pending::refused(StoreError::Closed);
        };
        self.crowd.comes();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let refused =
            match queue.try_send(Task::Write(Box::new(Verb { work, result: None, reply }))) {
                Ok(()) => {
                    self.crowd.came(thread.thread());
                    return pending;
                }
                Err(TrySendError::Full(_)) => StoreError::Overloaded,
                Err(TrySendError::Disconnected(_)) => StoreError::Closed,
            };
        self.crowd.gone();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Pending::refused(refused)
    }

    /// Queues the copying of the store.
    pub(super) fn copy(&self, copying: Copying) {
        // Where the queue is full or closed, the copy is dropped, and its asker learns of that.
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Task::Copy(Box::new(copying)));
        }
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
    counts: Arc<Counts>,
    tasks: Receiver<Task>,
    waiting: Arc<AtomicUsize>,
    log: Log,
    crowd: Arc<Crowd>,
    /// Whether the last transaction was of more than one write.
    crowded: bool,
    #[cfg(test)]
    in_doubt: Arc<std::sync::atomic::AtomicBool>,
}

/// What one transaction did beside the rows.
struct Committed {
    acknowledges_ending: Vec<bool>,
    settles_endings: bool,
}

impl Work {
    fn run(mut self) {
        let mut jobs = Vec::with_capacity(BATCH);
        while let Ok(first) = self.tasks.recv() {
            let copy = self.gather(first, &mut jobs);
            if !jobs.is_empty() {
                self.write(&mut jobs);
            }
            if let Some(db) = &self.db {
                self.log.begin_anew_where_due(db);
            }
            if let Some(copy) = copy {
                self.copy(*copy);
            }
        }
        self.close();
    }

    /// The last that is done: a journal that is put back from a copy is told from one that a crash
    /// cut short.
    fn close(&mut self) {
        let told = self.connection().and_then(|db| match self.journal.node() {
            Some((node, _)) => endings_log::note_written(&db, node, self.journal.written()),
            None => Ok(()),
        });
        if let Err(error) = told {
            tracing::warn!(%error, "the store could not be told up to where the endings log is written");
        }
    }

    /// Takes what is queued, `first` and on, up to a whole batch, or up to a copy that is to be
    /// made after it. A write that comes alone waits for nobody.
    fn gather(&mut self, first: Task, jobs: &mut Vec<Box<dyn Job>>) -> Option<Box<Copying>> {
        let (mut next, mut waited, mut to_copy) = (Some(first), !self.crowded, None);
        while let Some(task) = next {
            match task {
                Task::Write(job) => {
                    self.crowd.gone();
                    jobs.push(job);
                }
                Task::Copy(copy) => {
                    to_copy = Some(copy);
                    break;
                }
            }
            next = if jobs.len() < BATCH { self.tasks.try_recv().ok() } else { None };
            if next.is_none() && jobs.len() < ENOUGH && !waited {
                waited = true;
                self.crowd.gather(ENOUGH - jobs.len());
                next = self.tasks.try_recv().ok();
            }
        }
        self.crowded = jobs.len() > 1;
        to_copy
    }

    /// Has the connection, opening the file anew where it could not be before.
    fn connection(&mut self) -> rusqlite::Result<Connection> {
        self.db.take().map_or_else(
            || {
                self.counts.connections.add(1);
                connect(&self.path).and_then(with_large_cache)
            },
            Ok,
        )
    }

    fn write(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let written = self.connection().and_then(|db| {
            let done = self.commit(&db, jobs, false)?;
            self.db = Some(db);
            Ok(done)
        });
        match written {
            Ok(done) => self.answer_all(jobs, done),
            Err(error) => self.after_failure(jobs, &error),
        }
    }

    /// One transaction around all of `jobs`.
    fn commit(
        &mut self,
        db: &Connection,
        jobs: &mut [Box<dyn Job>],
        again: bool,
    ) -> rusqlite::Result<Committed> {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut batch = Batch::new(db, again);
        let mut acknowledges_ending = Vec::with_capacity(jobs.len());
        for job in jobs.iter_mut() {
            (batch.acknowledges_ending, batch.says_again) = (false, false);
            job.run(&mut batch)?;
            acknowledges_ending.push(batch.acknowledges_ending);
        }
        let Batch { lines, once_committed, redeemed, agrees_with_journal, settles_endings, .. } =
            batch;
        let lines = self.numbered(db, lines, settles_endings)?;
        let agreed = match self.journal.node().filter(|_| agrees_with_journal) {
            Some((node, _)) => Some(endings_log::last(db, node)?),
            None => None,
        };
        db.prepare_cached("COMMIT")?.execute([])?;
        #[cfg(test)]
        if !again && self.in_doubt.load(Ordering::Relaxed) {
            return Err(rusqlite::Error::StatementChangedRows(0));
        }
        self.counts.commits.add(1);
        self.counts.redeem_batches.add(usize::from(redeemed > 0));
        self.counts.redeem_batched.add(redeemed);
        once_committed.into_iter().for_each(|then| then());
        self.journal.add(lines);
        if let Some(last) = agreed {
            self.journal.reaches(last);
        }
        Ok(Committed { acknowledges_ending, settles_endings })
    }

    /// Gives lines their numbers in the node's journal, in the transaction of what they say.
    fn numbered(
        &self,
        db: &Connection,
        lines: Vec<Ended>,
        settles_endings: bool,
    ) -> rusqlite::Result<Vec<Numbered>> {
        let Some((node, place)) = self.journal.node() else {
            return Ok(Vec::new());
        };
        let new = lines.iter().filter(|ended| !ended.again).count();
        if new == 0 {
            if settles_endings {
                endings_log::note_written(db, node, self.journal.written())?;
            }
            return Ok(lines.into_iter().map(|ended| Numbered::again(ended.line)).collect());
        }
        let new = i64::try_from(new).unwrap_or(i64::MAX);
        let mut line = endings_log::number(db, (node, place), new, self.journal.written())? - new;
        let numbered = lines.into_iter().map(|Ended { line: says, again }| {
            line += i64::from(!again);
            Numbered { says, line: (!again).then_some(line) }
        });
        Ok(numbered.collect())
    }

    fn answer_all(&mut self, jobs: &mut Vec<Box<dyn Job>>, done: Committed) {
        let count = jobs.len();
        if done.settles_endings
            && let Err(error) = self.journal.write()
        {
            tracing::warn!(%error, "the endings log can't be looked after");
        }
        self.answer(jobs.drain(..).zip(done.acknowledges_ending));
        self.finished(count);
    }

    fn finished(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// Answers jobs that are committed. Endings are acknowledged only once they are in the journal
    /// too.
    fn answer(&mut self, jobs: impl Iterator<Item = (Box<dyn Job>, bool)>) {
        let jobs: Vec<_> = jobs.collect();
        let journal =
            if jobs.iter().any(|(_, ends)| *ends) { self.journal.flush() } else { Ok(()) };
        if let Err(error) = &journal {
            tracing::error!(%error, "the endings log can't be written; endings are not acknowledged until it can");
        }
        for (job, ends) in jobs {
            match &journal {
                Err(error) if ends => {
                    job.answer(Some(StoreError::NotWritten(format!("the endings log: {error}"))))
                }
                _ => job.answer(None),
            }
        }
    }

    /// Endings that took effect in a commit of unknown outcome are in the store and may not be in
    /// the journal.
    fn catch_up(&mut self) {
        let node = self.journal.node().map(|(node, _)| node.to_owned()).unwrap_or_default();
        let found = connect(&self.path)
            .and_then(|db| Ok((recent_endings(&db)?, endings_log::last(&db, &node)?)));
        let caught_up = found.map_err(|e| e.to_string()).and_then(|(endings, last)| {
            self.journal.catch_up(endings).map_err(|e| e.to_string())?;
            self.journal.reaches(last);
            Ok(())
        });
        if let Err(error) = caught_up {
            tracing::warn!(
                error,
                "the endings log could not be held against the store; the next start will"
            );
        }
    }

    /// A transaction failed, and whether it took effect is not known. The file is opened anew, and
    /// each job runs again alone: it reads its row and finds out. Nobody is answered before that.
    fn after_failure(&mut self, jobs: &mut Vec<Box<dyn Job>>, error: &rusqlite::Error) {
        tracing::error!(%error, jobs = jobs.len(), "a write failed; the store is reopened and each write of the batch tried alone");
        self.catch_up();
        let count = jobs.len();
        self.counts.unknown_outcomes.add(count);
        for job in jobs.drain(..) {
            let mut alone = [job];
            let outcome = self.connection().and_then(|db| {
                let done = self.commit(&db, &mut alone, true)?;
                self.db = Some(db);
                Ok(done)
            });
            let [job] = alone;
            match outcome {
                Ok(done) => self.answer(std::iter::once(job).zip(done.acknowledges_ending)),
                Err(error) => job.answer(Some(StoreError::NotWritten(error.to_string()))),
            }
        }
        self.finished(count);
    }
}

#[cfg(test)]
mod tests;
