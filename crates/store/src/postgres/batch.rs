//! What waits while a statement is under way goes in the next one: one connection of its own, one
//! statement at a time, many callers in each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until, timeout};

use super::Inner;
use super::connection::Connection;
use super::retry::MOST_WAITING;
use super::trouble::Trouble;
use crate::error::StoreError;

/// How long one statement may take.
const STATEMENT: Duration = Duration::from_secs(3);
/// How long a statement that many share waits for a lock: a commit of another node takes far less.
const SHORT_LOCKS: &str = "SET lock_timeout = '100ms'";
/// How long to wait before the next try where no connection could be made.
const PAUSE: Duration = Duration::from_millis(100);

/// How a batch of `J` is chosen and sent.
pub(super) trait Batched: Send + Sized + 'static {
    /// Takes the next batch out of what waits; never nothing where something waits.
    fn choose(inner: &Inner, waiting: &mut Vec<Self>) -> Vec<Self>;
    /// Sends a batch in one statement and answers it. Where the connection is lost meanwhile, gives
    /// back what is not answered.
    fn send<'a>(
        inner: &'a Arc<Inner>,
        connection: &'a mut Connection,
        batch: Vec<Self>,
    ) -> BoxFuture<'a, Result<(), Lost<Self>>>;
    /// What becomes of a batch whose outcome is not known, or of those that wait while no
    /// connection can be made. Gives what shall go on waiting.
    fn after_loss(inner: &Arc<Inner>, lost: Lost<Self>) -> Vec<Self>;
}

/// Jobs that a connection was lost with.
pub(super) struct Lost<J> {
    pub(super) jobs: Vec<J>,
    pub(super) trouble: Trouble,
    /// Whether they were sent, and so may have taken effect.
    pub(super) sent: bool,
}

/// Starts a connection's task, and gives the queue before it. The task ends when the queue is
/// dropped.
pub(super) fn start<J: Batched>(inner: Arc<Inner>) -> Sender<J> {
    let (queue, jobs) = mpsc::channel(MOST_WAITING);
    tokio::spawn(work(inner, jobs));
    queue
}

/// Puts a job into the queue, or gives it back with the reason.
pub(super) fn enqueue<J>(queue: &Sender<J>, job: J) -> Result<(), (J, StoreError)> {
    queue.try_send(job).map_err(|refused| match refused {
        TrySendError::Full(job) => (job, StoreError::Overloaded),
        TrySendError::Closed(job) => (job, StoreError::Closed),
    })
}

async fn work<J: Batched>(inner: Arc<Inner>, mut jobs: Receiver<J>) {
    let mut connection: Option<Connection> = None;
    let mut waiting = Vec::new();
    let mut not_before = Instant::now();
    loop {
        if waiting.is_empty() {
            match jobs.recv().await {
                Some(job) => waiting.push(job),
                None => return,
            }
        }
        while let Ok(job) = jobs.try_recv() {
            waiting.push(job);
        }
        let connected = match connection.take().filter(|connection| !connection.client.is_closed())
        {
            Some(connected) => connected,
            None => {
                sleep_until(not_before).await;
                match connect(&inner).await {
                    Ok(connected) => connected,
                    Err(trouble) => {
                        not_before = Instant::now() + PAUSE;
                        tracing::warn!(%trouble, "there is no connection to the database that can be used");
                        waiting =
                            J::after_loss(&inner, Lost { jobs: waiting, trouble, sent: false });
                        continue;
                    }
                }
            }
        };
        let connected = connection.insert(connected);
        let batch = J::choose(&inner, &mut waiting);
        if let Err(lost) = J::send(&inner, connected, batch).await {
            tracing::warn!(trouble = %lost.trouble, jobs = lost.jobs.len(), "{}", lost.trouble.headline());
            connection = None;
            waiting.extend(J::after_loss(&inner, lost));
        }
    }
}

/// A connection on which no statement waits long for a lock, or one grant's would hold up all that
/// share it.
async fn connect(inner: &Inner) -> Result<Connection, Trouble> {
    let connection = inner.connector.connect().await?;
    connection.client.batch_execute(SHORT_LOCKS).await?;
    Ok(connection)
}

/// Bounds a statement. One that takes longer has lost its connection, as far as its callers are
/// concerned.
pub(super) async fn in_time<T>(
    statement: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(STATEMENT, statement).await.unwrap_or(Err(Trouble::Late))
}
