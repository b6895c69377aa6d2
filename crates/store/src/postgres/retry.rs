//! Writes that are not redeemed in a batch: each is one transaction, tried again where another was in
//! the way or its outcome is not known.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::Connection;
use super::pool::lend;
use super::trouble::Trouble;
use super::write::Write;
use super::{Inner, Postgres, endings_log};
use crate::error::StoreError;
use crate::journal::{Journal, Numbered};
use crate::pending::Pending;

/// The most writes that wait; further ones are refused, since they could not be served in time.
pub(super) const MOST_WAITING: usize = 4096;
/// How long a write is tried before its caller is told that its outcome is not known.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one try may take. A server that hangs must not use up the time that its successor
/// needs.
const ONE_TRY: Duration = Duration::from_secs(6);

/// What a verb does within a transaction. It may be run again, so it changes nothing outside of it.
pub(super) type Verb<A, T> =
    for<'a> fn(&'a mut Write<'_>, &'a A) -> BoxFuture<'a, Result<T, Trouble>>;

impl Postgres {
    /// Runs `verb` with `arguments`; it is under way when this returns.
    pub(super) fn write<A, T>(&self, arguments: A, verb: Verb<A, T>) -> Pending<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let inner = self.inner.clone();
        self.begin(async move { inner.write(&arguments, verb, false).await })
    }

    /// Begins a write, unless too many wait already.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Pending<T> {
        let inner = self.inner.clone();
        if !inner.let_in() {
            return Pending::refused(StoreError::Overloaded);
        }
        let (reply, pending) = Pending::open();
        tokio::spawn(async move {
            let answer = work.await;
            inner.waiting.fetch_sub(1, Ordering::Relaxed);
            // The caller may have gone away; the write stands all the same.
            let _ = reply.send(answer);
        });
        pending
    }
}

impl Inner {
    /// Counts a further write that waits; false where there are too many.
    pub(super) fn let_in(&self) -> bool {
        let room = self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING;
        if !room {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// Runs `verb` until its outcome is known. `again` says that it may have taken effect already.
    pub(super) async fn write<A: Sync, T>(
        self: &Arc<Self>,
        arguments: &A,
        verb: Verb<A, T>,
        mut again: bool,
    ) -> Result<T, StoreError> {
        let give_up = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(2);
        loop {
            let one_try = (Instant::now() + ONE_TRY).min(give_up);
            let trouble =
                match timeout_at(one_try, lend(&self.pool)).await.unwrap_or(Err(Trouble::Late)) {
                    Err(trouble) => trouble,
                    Ok(mut connection) => {
                        let tried =
                            timeout_at(one_try, self.once(&mut connection, arguments, verb, again))
                                .await;
                        match tried.unwrap_or(Err(Trouble::Late)) {
                            Ok((answer, lines)) => {
                                // Endings are acknowledged only once they are in the journal.
                                if !lines.is_empty() {
                                    self.flush_journal(lines).await?;
                                }
                                return Ok(answer);
                            }
                            Err(trouble) => {
                                if trouble.is_loss() {
                                    // It must not be lent again.
                                    drop(Object::take(connection));
                                    again = true;
                                    self.counts
                                        .unknown_outcomes
                                        .add(usize::from(trouble.leaves_in_doubt()));
                                }
                                trouble
                            }
                        }
                    }
                };
            if !(trouble.is_loss() || trouble.is_conflict()) || Instant::now() + pause >= give_up {
                return Err(trouble.into());
            }
            if trouble.is_conflict() {
                self.counts.retries.add(1);
            } else {
                tracing::debug!(%trouble, "a write is tried again");
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    async fn once<A: Sync, T>(
        &self,
        connection: &mut Connection,
        arguments: &A,
        verb: Verb<A, T>,
        again: bool,
    ) -> Result<(T, Vec<Numbered>), Trouble> {
        let mut write = Write::begin(connection, again).await?;
        let answer = verb(&mut write, arguments).await?;
        let lines =
            endings_log::number(&mut write, self.node(), self.written.load(Ordering::Relaxed))
                .await?;
        self.connector.remembered.add(&lines);
        match write.commit().await {
            Ok(()) => {
                self.counts.commits.add(1);
                self.connector.remembered.committed(&lines);
                Ok((answer, lines))
            }
            Err(trouble) => {
                if !trouble.is_loss() {
                    self.connector.remembered.take_back(&lines);
                }
                Err(trouble)
            }
        }
    }

    /// Writes endings to the journal, with those that could not be written before.
    pub(super) async fn flush_journal(
        self: &Arc<Self>,
        lines: Vec<Numbered>,
    ) -> Result<(), StoreError> {
        self.with_journal(|journal| {
            journal.add(lines);
            journal.flush()
        })
        .await
    }

    /// Does something with the journal, which may wait for the disk.
    pub(super) async fn with_journal<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Journal) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut journal =
                inner.journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let done = work(&mut journal);
            inner.written.store(journal.written(), Ordering::Relaxed);
            done
        });
        done.await.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|error| {
            tracing::error!(%error, "the endings log can't be written; endings are not acknowledged until it can");
            StoreError::NotWritten(format!("the endings log: {error}"))
        })
    }
}
