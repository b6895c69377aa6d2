use counterfoil_core::clock::{Machine, ManualClock};
use tokio::sync::Semaphore;

use super::*;

/// A clock that stands still.
fn still() -> Clock {
    Clock::of(Machine::Manual(ManualClock::at(0)), None)
}

/// Polls that block until released, and are counted.
struct Polls {
    begun: AtomicU64,
    let_go: Semaphore,
    result: fn(i64) -> Result<i64, Unavailable>,
}

impl Polls {
    fn new(result: fn(i64) -> Result<i64, Unavailable>) -> Arc<Self> {
        Arc::new(Self { begun: AtomicU64::new(0), let_go: Semaphore::new(0), result })
    }

    async fn one(&self) -> Result<i64, Unavailable> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.let_go.acquire().await.unwrap().forget();
        (self.result)(i64::try_from(number).unwrap())
    }

    async fn until_begun(&self, number: u64) {
        while self.begun.load(Ordering::SeqCst) < number {
            tokio::task::yield_now().await;
        }
    }
}

type Waiting = tokio::task::JoinHandle<Result<(), Unavailable>>;

/// A caller who wants a poll; it is waiting when this returns.
async fn caller(poll: &Arc<Poll>, polls: &Arc<Polls>) -> Waiting {
    let (poll, polls) = (poll.clone(), polls.clone());
    let waiting =
        tokio::spawn(async move { poll.run(&still(), async |_| polls.one().await).await });
    // On a single-threaded runtime, it runs until it blocks.
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test]
async fn who_comes_during_a_poll_shares_the_next_one() {
    let (poll, polls) = (Arc::new(Poll::default()), Polls::new(Ok));
    let first = caller(&poll, &polls).await;
    polls.until_begun(1).await;
    let mut late = Vec::new();
    for _ in 0..100 {
        late.push(caller(&poll, &polls).await);
    }
    polls.let_go.add_permits(1);
    first.await.unwrap().unwrap();
    // The first poll started before they came, so it is not theirs.
    polls.until_begun(2).await;
    assert!(late.iter().all(|waiting| !waiting.is_finished()));
    polls.let_go.add_permits(1);
    for waiting in late {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(polls.begun.load(Ordering::SeqCst), 2);
    assert_eq!(poll.changes(), Some(2));
}

#[tokio::test]
async fn all_who_share_a_poll_that_fails_are_told_and_the_next_ones_poll_again() {
    let fails_twice = |number| {
        if number > 2 { Ok(number) } else { Err(Unavailable::TimedOut) }
    };
    let (poll, polls) = (Arc::new(Poll::default()), Polls::new(fails_twice));
    let first = caller(&poll, &polls).await;
    polls.until_begun(1).await;
    let late = [caller(&poll, &polls).await, caller(&poll, &polls).await];
    polls.let_go.add_permits(3);
    assert!(first.await.unwrap().is_err());
    for waiting in late {
        assert!(waiting.await.unwrap().is_err());
    }
    assert!(poll.is_stale(0));
    caller(&poll, &polls).await.await.unwrap().unwrap();
    assert!(!poll.is_stale(0));
}

#[tokio::test]
async fn a_poll_that_is_dropped_half_way_is_nobodys() {
    let (poll, polls) = (Arc::new(Poll::default()), Polls::new(Ok));
    let dropped = caller(&poll, &polls).await;
    polls.until_begun(1).await;
    let late = caller(&poll, &polls).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    polls.until_begun(2).await;
    assert!(poll.is_stale(0) && !late.is_finished());
    polls.let_go.add_permits(1);
    late.await.unwrap().unwrap();
    assert_eq!(polls.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_result_is_valid_for_less_than_two_seconds() {
    let (poll, polls) = (Arc::new(Poll::default()), Polls::new(Ok));
    assert!(poll.is_stale(0));
    polls.let_go.add_permits(1);
    caller(&poll, &polls).await.await.unwrap().unwrap();
    assert!(!poll.is_stale(0));
    assert!(!poll.is_stale(POLL_VALID_FOR));
    assert!(poll.is_stale(POLL_VALID_FOR + 1));
}
