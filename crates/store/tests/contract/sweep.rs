//! What is swept.

use crate::bench::Bench;
use crate::setting::{NOW, grant, presented, redeem, torn};
use counterfoil_core::clock::DAY;

pub async fn old_consents_that_were_never_completed_are_swept(bench: Bench) {
    let store = bench.open().await;
    let (unredeemed, _) = grant(&store, 1).await;
    let (kept, _) = grant(&store, 2).await;
    torn(redeem(&store, presented(kept, NOW, 1)).await);
    while store.sweep(NOW.plus(DAY)).await.unwrap() {}
    assert!(store.terms(unredeemed.grant).await.unwrap().is_some());
    while store.sweep(NOW.plus(3 * DAY)).await.unwrap() {}
    assert!(store.grant(unredeemed.grant).await.unwrap().is_none());
    assert!(store.counterfoil(kept.grant).await.unwrap().is_some());
    while store.sweep(NOW.plus(800 * DAY)).await.unwrap() {}
    assert!(store.counterfoil(kept.grant).await.unwrap().is_none() && store.grant(kept.grant).await.unwrap().is_none());
}
