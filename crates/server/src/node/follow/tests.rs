use counterfoil_core::clock::{Machine, ManualClock};
use tokio::sync::Semaphore;

use super::*;

/// A clock that stands still.
fn still() -> Clock {
    Clock::of(Machine::Manual(ManualClock::at(0)), None)
}

/// Looks that wait until they are let go, and say how many there were.
struct Looks {
    begun: AtomicU64,
    let_go: Semaphore,
    outcome: fn(i64) -> Result<i64, Unavailable>,
}

impl Looks {
    fn new(outcome: fn(i64) -> Result<i64, Unavailable>) -> Arc<Self> {
        Arc::new(Self { begun: AtomicU64::new(0), let_go: Semaphore::new(0), outcome })
    }

    async fn one(&self) -> Result<i64, Unavailable> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.let_go.acquire().await.unwrap().forget();
        (self.outcome)(i64::try_from(number).unwrap())
    }

    async fn until_begun(&self, number: u64) {
        while self.begun.load(Ordering::SeqCst) < number {
            tokio::task::yield_now().await;
        }
    }
}

type Waiting = tokio::task::JoinHandle<Result<(), Unavailable>>;

/// A caller who wants a look, and has come when this returns.
async fn caller(follow: &Arc<Follow>, looks: &Arc<Looks>) -> Waiting {
    let (follow, looks) = (follow.clone(), looks.clone());
    let waiting =
        tokio::spawn(async move { follow.joined(&still(), async |_| looks.one().await).await });
    // On a runtime of one thread, it runs to where it waits.
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test]
async fn who_comes_during_a_look_shares_the_next_one() {
    let (follow, looks) = (Arc::new(Follow::default()), Looks::new(Ok));
    let first = caller(&follow, &looks).await;
    looks.until_begun(1).await;
    let mut late = Vec::new();
    for _ in 0..100 {
        late.push(caller(&follow, &looks).await);
    }
    looks.let_go.add_permits(1);
    first.await.unwrap().unwrap();
    // The first look began before they came, so it is not theirs.
    looks.until_begun(2).await;
    assert!(late.iter().all(|waiting| !waiting.is_finished()));
    looks.let_go.add_permits(1);
    for waiting in late {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(looks.begun.load(Ordering::SeqCst), 2);
    assert_eq!(follow.changes(), Some(2));
}

#[tokio::test]
async fn all_who_share_a_look_that_fails_are_told_and_the_next_ones_look_again() {
    let fails_twice = |number| {
        if number > 2 { Ok(number) } else { Err(Unavailable::NotInTime) }
    };
    let (follow, looks) = (Arc::new(Follow::default()), Looks::new(fails_twice));
    let first = caller(&follow, &looks).await;
    looks.until_begun(1).await;
    let late = [caller(&follow, &looks).await, caller(&follow, &looks).await];
    looks.let_go.add_permits(3);
    assert!(first.await.unwrap().is_err());
    for waiting in late {
        assert!(waiting.await.unwrap().is_err());
    }
    assert!(follow.is_behind(0));
    caller(&follow, &looks).await.await.unwrap().unwrap();
    assert!(!follow.is_behind(0));
}

#[tokio::test]
async fn a_look_that_is_dropped_half_way_is_nobodys() {
    let (follow, looks) = (Arc::new(Follow::default()), Looks::new(Ok));
    let dropped = caller(&follow, &looks).await;
    looks.until_begun(1).await;
    let late = caller(&follow, &looks).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    looks.until_begun(2).await;
    assert!(follow.is_behind(0) && !late.is_finished());
    looks.let_go.add_permits(1);
    late.await.unwrap().unwrap();
    assert_eq!(looks.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_was_seen_is_trusted_for_less_than_two_seconds() {
    let (follow, looks) = (Arc::new(Follow::default()), Looks::new(Ok));
    assert!(follow.is_behind(0));
    looks.let_go.add_permits(1);
    caller(&follow, &looks).await.await.unwrap().unwrap();
    assert!(!follow.is_behind(0));
    assert!(!follow.is_behind(TRUSTED_FOR));
    assert!(follow.is_behind(TRUSTED_FOR + 1));
}
