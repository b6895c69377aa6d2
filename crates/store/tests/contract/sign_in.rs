//! Sessions, and the counting of failed sign-ins.

use std::sync::Arc;

use counterfoil_core::clock::{MINUTE, Seconds, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_store::{AddCustomer, Continuation, Customer, NewCustomer, Session, SignIn, Store};

use crate::contract::bench::Bench;
use crate::setting::{NOW, customer, race};

const QUARTER: Seconds = 15 * MINUTE;

/// A try that is let through; gives its number, and until when it closes sign-in unless it
/// succeeds.
async fn let_through(store: &Store, customer: [u8; 32], at: Timestamp) -> (i64, Option<Timestamp>) {
    match store.begin_sign_in(customer, at).await.unwrap() {
        SignIn::Try { number, closes_until } => (number, closes_until),
        SignIn::Closed { until } => panic!("closed until {until}"),
    }
}

pub async fn five_failures_close_the_door_for_fifteen_minutes_from_the_first(bench: Bench) {
    let store = bench.open().await;
    let (ada, opens) = ([1; 32], NOW.plus(QUARTER));
    for minute in 0..5 {
        let at = NOW.plus(minute * MINUTE);
        assert_eq!(store.sign_in_closed_until(&ada, at).await.unwrap(), None);
        assert_eq!(let_through(&store, ada, at).await.1, (minute == 4).then_some(opens));
    }
    assert_eq!(
        store.begin_sign_in(ada, opens.plus(-1)).await.unwrap(),
        SignIn::Closed { until: opens }
    );
    assert_eq!(store.sign_in_closed_until(&ada, opens.plus(-1)).await.unwrap(), Some(opens));
    let_through(&store, [2; 32], NOW.plus(5 * MINUTE)).await;
    assert_eq!(store.sign_in_closed_until(&ada, opens).await.unwrap(), None);
    let (number, closes_until) = let_through(&store, ada, opens).await;
    assert_eq!(closes_until, Some(opens.plus(MINUTE)), "when the second failure is old");
    assert_eq!(
        store.begin_sign_in(ada, opens).await.unwrap(),
        SignIn::Closed { until: opens.plus(MINUTE) }
    );
    store.sign_in_succeeded(number).await.unwrap();
    let_through(&store, ada, opens).await;
}

/// A clock that is moved back opens no door, and the moment that is named is when it does open.
pub async fn the_moment_that_is_named_is_when_it_opens_also_after_a_step_back(bench: Bench) {
    let store = bench.open().await;
    for _ in 0..5 {
        let_through(&store, [1; 32], NOW).await;
    }
    let back = NOW.plus(-10 * MINUTE);
    assert_eq!(
        store.begin_sign_in([1; 32], back).await.unwrap(),
        SignIn::Closed { until: NOW.plus(QUARTER) }
    );
    let_through(&store, [1; 32], NOW.plus(QUARTER)).await;
}

pub async fn what_is_forgotten_opens_the_door_of_one_customer(bench: Bench) {
    let store = bench.open().await;
    add(&store).await;
    for customer in [[1; 32], [2; 32]] {
        for _ in 0..5 {
            let_through(&store, customer, NOW).await;
        }
    }
    assert_eq!(store.forget_failures([1; 32]).await.unwrap(), 5);
    assert_eq!(store.forget_failures([1; 32]).await.unwrap(), 0);
    let closed = SignIn::Closed { until: NOW.plus(QUARTER) };
    for _ in 0..5 {
        let_through(&store, [1; 32], NOW).await;
    }
    assert_eq!(store.begin_sign_in([1; 32], NOW).await.unwrap(), closed, "they count from new");
    assert_eq!(store.begin_sign_in([2; 32], NOW).await.unwrap(), closed);
    assert!(store.set_password(customer(), Secret::new("y"), [2; 32]).await.unwrap());
    let_through(&store, [2; 32], NOW).await;
    assert_eq!(store.begin_sign_in([1; 32], NOW).await.unwrap(), closed);
}

/// Of many tries at once no more are let through than may fail.
pub async fn no_more_passwords_are_looked_at_at_once_than_may_fail(bench: Bench) {
    let store = Arc::new(bench.open().await);
    for customer in 3..8 {
        let tries = (0..30).map(|_| {
            let store = store.clone();
            async move { store.begin_sign_in([customer; 32], NOW).await.unwrap() }
        });
        let answers = race(tries.collect()).await;
        let let_through =
            answers.iter().filter(|answer| matches!(answer, SignIn::Try { .. })).count();
        assert_eq!(let_through, 5);
    }
}

async fn add(store: &Store) {
    let ada = Customer {
        id: customer(),
        name: "Ada".into(),
        password: Some(Secret::new("x")),
        created_at: NOW,
    };
    assert_eq!(
        store
            .add_customer(NewCustomer { customer: ada, accounts: vec![] }, LetterCase::Matters)
            .await
            .unwrap(),
        AddCustomer::Added
    );
}

pub async fn sessions_end_by_age_by_sign_out_and_with_their_customer(bench: Bench) {
    let store = bench.open().await;
    let session = || Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: NOW,
        expires_at: NOW.plus(30 * MINUTE),
        customer_era: 0,
    };
    for id in 1..=3 {
        store.create_session([id; 32], session(), None, NOW).await.unwrap();
    }
    assert_eq!(store.session(&[1; 32], NOW).await.unwrap().unwrap().name, "Ada");
    assert!(store.session(&[9; 32], NOW).await.unwrap().is_none());
    assert!(store.session(&[1; 32], NOW.plus(30 * MINUTE)).await.unwrap().is_none());
    store.end_session([1; 32]).await.unwrap();
    assert!(store.session(&[1; 32], NOW).await.unwrap().is_none());
    add(&store).await;
    store.set_password(customer(), Secret::new("y"), [0; 32]).await.unwrap();
    assert!(store.session(&[2; 32], NOW).await.unwrap().is_none());
    store.create_session([4; 32], session(), None, NOW).await.unwrap();
    store.remove_customer(customer(), NOW).await.unwrap();
    assert!(store.session(&[4; 32], NOW).await.unwrap().is_none());
    // One of the old era that a late writer leaves behind opens nothing.
    store.create_session([5; 32], session(), None, NOW).await.unwrap();
    assert!(store.session(&[5; 32], NOW).await.unwrap().is_none());
}

/// Another tab may be on its way with the cookie of before.
pub async fn a_session_of_the_same_customer_makes_room_for_the_next(bench: Bench) {
    let store = bench.open().await;
    let of = |id: &str| Session {
        customer: CustomerId { customer: id.into(), ..customer() },
        name: id.into(),
        authenticated_at: NOW,
        expires_at: NOW.plus(30 * MINUTE),
        customer_era: 0,
    };
    store.create_session([1; 32], of("ada"), None, NOW).await.unwrap();
    store.create_session([2; 32], of("ada"), Some([1; 32]), NOW.plus(MINUTE)).await.unwrap();
    assert!(store.session(&[1; 32], NOW.plus(MINUTE - 1)).await.unwrap().is_some());
    assert!(store.session(&[1; 32], NOW.plus(MINUTE)).await.unwrap().is_none());
    // It gets no longer by that.
    store.create_session([3; 32], of("ada"), Some([1; 32]), NOW.plus(10 * MINUTE)).await.unwrap();
    assert!(store.session(&[1; 32], NOW.plus(MINUTE)).await.unwrap().is_none());
    store.create_session([4; 32], of("eve"), Some([2; 32]), NOW.plus(MINUTE)).await.unwrap();
    assert!(store.session(&[2; 32], NOW).await.unwrap().is_none());
    assert!(store.session(&[4; 32], NOW).await.unwrap().is_some());
}

pub async fn continuations_expire(bench: Bench) {
    let store = bench.open().await;
    let continuation = |browser| Continuation {
        browser,
        kind: "consent".into(),
        document: "{\"a\":\"é\"}".into(),
        expires_at: NOW.plus(MINUTE),
    };
    store.keep_continuation([1; 32], continuation(Some([7; 32]))).await.unwrap();
    store.keep_continuation([2; 32], continuation(None)).await.unwrap();
    assert_eq!(store.continuation(&[1; 32], NOW).await.unwrap(), Some(continuation(Some([7; 32]))));
    assert_eq!(
        store.continuation(&[2; 32], NOW.plus(MINUTE - 1)).await.unwrap(),
        Some(continuation(None))
    );
    assert_eq!(store.continuation(&[2; 32], NOW.plus(MINUTE)).await.unwrap(), None);
    assert_eq!(store.continuation(&[3; 32], NOW).await.unwrap(), None);
}
