//! Sessions, and the counting of failed sign-ins.

use crate::bench::Bench;
use crate::setting::{NOW, customer};
use counterfoil_core::clock::MINUTE;
use counterfoil_store::{Session, SignIn};
use std::sync::Arc;

pub async fn five_failures_close_the_door_for_fifteen_minutes_from_the_first(bench: Bench) {
    let store = bench.open().await;
    let ada = [1; 32];
    for minute in 0..5 {
        assert!(matches!(store.begin_sign_in(ada, NOW.plus(minute * 60)).await.unwrap(), SignIn::Try(_)));
    }
    assert_eq!(store.begin_sign_in(ada, NOW.plus(14 * 60 + 59)).await.unwrap(), SignIn::Refused);
    assert!(matches!(store.begin_sign_in([2; 32], NOW.plus(300)).await.unwrap(), SignIn::Try(_)));
    let SignIn::Try(number) = store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap() else { panic!("still closed") };
    assert_eq!(store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap(), SignIn::Refused);
    store.sign_in_succeeded(number).await.unwrap();
    assert!(matches!(store.begin_sign_in(ada, NOW.plus(15 * 60)).await.unwrap(), SignIn::Try(_)));
}

/// Of many tries at once no more are let through than may fail.
pub async fn no_more_passwords_are_looked_at_at_once_than_may_fail(bench: Bench) {
    let store = Arc::new(bench.open().await);
    let tries: Vec<_> = (0..30)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.begin_sign_in([3; 32], NOW).await.unwrap() })
        })
        .collect();
    let mut let_through = 0;
    for attempt in tries {
        let_through += usize::from(matches!(attempt.await.unwrap(), SignIn::Try(_)));
    }
    assert_eq!(let_through, 5);
}

pub async fn sessions_end_by_age_by_sign_out_and_with_their_customer(bench: Bench) {
    let store = bench.open().await;
    let session =
        || Session { customer: customer(), name: "Ada".into(), authenticated_at: NOW, expires_at: NOW.plus(30 * MINUTE), customer_era: 0 };
    for id in 1..=3 {
        store.create_session([id; 32], session()).await.unwrap();
    }
    assert_eq!(store.session(&[1; 32], NOW).await.unwrap().unwrap().name, "Ada");
    assert!(store.session(&[9; 32], NOW).await.unwrap().is_none());
    assert!(store.session(&[1; 32], NOW.plus(30 * MINUTE)).await.unwrap().is_none());
    store.end_session([1; 32]).await.unwrap();
    assert!(store.session(&[1; 32], NOW).await.unwrap().is_none());
    let password = counterfoil_core::secret::Secret::new("x");
    let ada = counterfoil_store::Customer { id: customer(), name: "Ada".into(), password: Some(password.clone()), created_at: NOW };
    store.add_customer(counterfoil_store::NewCustomer { customer: ada, accounts: vec![] }).await.unwrap();
    store.set_password(customer(), password).await.unwrap();
    assert!(store.session(&[2; 32], NOW).await.unwrap().is_none());
    store.create_session([4; 32], session()).await.unwrap();
    store.remove_customer(customer(), NOW).await.unwrap();
    assert!(store.session(&[4; 32], NOW).await.unwrap().is_none());
    // One of the old era that a late writer leaves behind opens nothing.
    store.create_session([5; 32], session()).await.unwrap();
    assert!(store.session(&[5; 32], NOW).await.unwrap().is_none());
}
