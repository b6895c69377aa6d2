//! What a write works with: the transaction that it shares with others, and what follows the commit.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::journal::Line;

/// What a write works with.
pub(crate) struct Batch<'a> {
    pub(crate) db: &'a Connection,
    /// Whether this is the second attempt, after a commit that may or may not have happened.
    pub(crate) again: bool,
    pub(super) lines: Vec<Ended>,
    pub(super) once_committed: Vec<Box<dyn FnOnce()>>,
    pub(super) acknowledges_ending: bool,
    pub(super) says_again: bool,
    pub(super) agrees_with_journal: bool,
    pub(super) settles_endings: bool,
    /// Slips that were to be redeemed.
    pub(crate) redeemed: usize,
}

/// A line for the journal.
pub(super) struct Ended {
    pub(super) line: Line,
    /// Whether the journal has said it before.
    pub(super) again: bool,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(db: &'a Connection, again: bool) -> Self {
        Self {
            db,
            again,
            lines: Vec::new(),
            once_committed: Vec::new(),
            acknowledges_ending: false,
            says_again: false,
            agrees_with_journal: false,
            settles_endings: false,
            redeemed: 0,
        }
    }

    /// What is to be written into the journal.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines.into_iter().map(|ended| ended.line).collect()
    }

    /// From here on this write says in the journal what was said before, maybe in another node's.
    pub(crate) fn says_again(&mut self) {
        self.says_again = true;
    }

    /// Once this is committed the journal has all that the store knows.
    pub(crate) fn agrees_with_journal(&mut self) {
        (self.agrees_with_journal, self.acknowledges_ending) = (true, true);
    }

    /// Tells the store up to where the journal is on disk, and has the journal look whether it was
    /// rolled.
    pub(crate) fn settles_endings(&mut self) {
        self.settles_endings = true;
    }

    /// Does something in memory that must follow the commit and come before the answer, whether or
    /// not the caller still waits.
    pub(crate) fn once_committed(&mut self, then: impl FnOnce() + 'static) {
        self.once_committed.push(Box::new(then));
    }

    /// Records an ending in the journal, before the write is answered.
    pub(crate) fn journal(&mut self, line: Line) {
        self.lines.push(Ended { line, again: self.says_again });
        self.acknowledges_ending = true;
    }

    /// Makes the answer wait until every ending so far is in the journal; without that the write is
    /// answered as failed.
    pub(crate) fn acknowledges_ending(&mut self) {
        self.acknowledges_ending = true;
    }
}

/// A queued write.
pub(super) trait Job: Send {
    /// Does the work inside the batch's transaction, all of it or, by an error, nothing: then the
    /// whole batch is rolled back and each of its jobs runs again alone. Runs again also after a
    /// commit whose outcome is unknown, so it must come to the same answer where its first run took
    /// effect.
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;
    /// Answers the caller: with the result of the last run, or with why it did not happen.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

/// A job that answers with `T`.
pub(super) struct Verb<T, W> {
    pub(super) work: W,
    pub(super) result: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
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
