//! Redeeming slips.

use std::sync::Arc;

use counterfoil_core::grant::{GrantId, Seal};
use counterfoil_core::slip::Slip;
use counterfoil_store::{Redeemed, Tearing};

use crate::contract::bench::Bench;
use crate::setting::{
    CODE_LIFETIME, NOW, grant, new_grant, presented, race, redeem, refused, torn,
};

pub async fn a_slip_is_torn_once_and_names_its_successor(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let first = torn(redeem(&store, presented(code, NOW, 1)).await);
    assert_eq!((first.number, first.issued_at, first.seal), (1, NOW, code.seal));
    let reason = refused(redeem(&store, presented(code, NOW.plus(5), 2)).await);
    assert_eq!(reason, "slip 0 was claimed 5 seconds ago; the counterfoil stands at 1");
    let second = torn(redeem(&store, presented(first, NOW.plus(6), 3)).await);
    assert_eq!(second.number, 2);
    assert_eq!(store.audit(code.grant).await.unwrap()[0].event, "code_replayed");
}

pub async fn replays_are_told_of_many_grants_at_once(bench: Bench) {
    let store = bench.open().await;
    let mut grants = Vec::new();
    for n in 0..4 {
        let (code, _) = grant(&store, n).await;
        let first = torn(redeem(&store, presented(code, NOW, 1)).await);
        // The code of the first, a refresh token of the second; one of the third that is ahead of
        // its counterfoil, which is another event.
        if n == 1 {
            torn(redeem(&store, presented(first, NOW, 2)).await);
        }
        let again = match n {
            0 => Some(code),
            1 => Some(first),
            2 => Some(Slip { number: 7, ..first }),
            _ => None,
        };
        if let Some(slip) = again {
            refused(redeem(&store, presented(slip, NOW.plus(1), 3)).await);
        }
        grants.push(code.grant);
    }
    let mut replayed = store.replayed(&grants).await.unwrap();
    replayed.sort();
    assert_eq!(replayed, grants[..2]);
    assert_eq!(store.replayed(&grants[1..2]).await.unwrap(), grants[1..2]);
    assert_eq!(store.replayed(&[]).await.unwrap(), []);
}

pub async fn of_a_hundred_concurrent_redemptions_one_wins(bench: Bench) {
    let store = bench.open().await;
    let store = Arc::new(store);
    let (code, _) = grant(&store, 1).await;
    let mut slip = code;
    for round in 0..3_u64 {
        let tries = (0..100).map(|n| {
            let store = store.clone();
            async move { redeem(&store, presented(slip, NOW, round * 100 + n)).await }
        });
        let winners: Vec<Slip> = race(tries.collect())
            .await
            .into_iter()
            .filter_map(|done| match done {
                Redeemed::Torn(torn) => Some(*torn.successor()),
                Redeemed::Refused { .. } => None,
            })
            .collect();
        assert_eq!(winners.len(), 1);
        slip = winners[0];
    }
    assert_eq!(slip.number, 3);
}

pub async fn an_expired_slip_and_an_unknown_grant_are_refused(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let late = NOW.plus(CODE_LIFETIME + 3);
    assert_eq!(
        refused(redeem(&store, presented(code, late, 1)).await),
        "slip 0 expired 3 seconds ago"
    );
    let stranger = Slip { grant: GrantId::from_number(5).unwrap(), ..code };
    assert_eq!(
        refused(redeem(&store, presented(stranger, NOW, 1)).await),
        "the grant is not known"
    );
    let forged = Slip { seal: Seal::from_bytes([0; 16]), ..code };
    assert!(refused(redeem(&store, presented(forged, NOW, 1)).await).contains("stolen slip key"));
    assert_eq!(torn(redeem(&store, presented(code, NOW, 1)).await).number, 1);
}

pub async fn a_slip_ahead_of_its_counterfoil_is_refused_and_recorded(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let ahead = Slip { number: 7, ..code };
    assert!(
        refused(redeem(&store, presented(ahead, NOW, 1)).await)
            .contains("ahead of its counterfoil, which stands at 0")
    );
    let largest = Slip { number: u64::MAX, ..code };
    refused(redeem(&store, presented(largest, NOW, 1)).await);
    let audit = store.audit(code.grant).await.unwrap();
    assert_eq!((audit[0].event.as_str(), audit[0].count), ("slip_ahead", 2));
}

/// Many grants at once, as a server at work has them: each slip of each is torn once, in its turn.
pub async fn slips_of_many_grants_are_torn_together(bench: Bench) {
    let store = Arc::new(bench.open().await);
    let chains: Vec<_> = (0..100)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let (mut slip, _) = grant(&store, n).await;
                for number in 0..5 {
                    assert_eq!(slip.number, number);
                    slip = torn(redeem(&store, presented(slip, NOW, number)).await);
                }
                assert_eq!(store.counterfoil(slip.grant).await.unwrap().unwrap().next_slip, 5);
            })
        })
        .collect();
    for chain in chains {
        chain.await.unwrap();
    }
}

/// Slips of one grant that wait together: the second can't be torn in the statement of the first.
pub async fn a_slip_and_its_successor_that_wait_together_are_torn_in_turn(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let (other, _) = grant(&store, 2).await;
    let slips: Vec<_> = (0..20).map(|number| Slip { number, ..code }).collect();
    let pending: Vec<_> = slips
        .iter()
        .chain([&other])
        .map(|slip| {
            (slip.number, crate::setting::begin(&store, presented(*slip, NOW, slip.number)))
        })
        .collect();
    for (number, pending) in pending {
        assert_eq!(torn(pending.await.unwrap()).number, number + 1);
    }
    let audit = store.audit(code.grant).await.unwrap();
    assert!(audit.is_empty(), "{audit:?}");
}

pub async fn a_slip_whose_client_was_removed_is_refused_and_not_claimed(bench: Bench) {
    let store = bench.open().await;
    store
        .add_client("app".into(), counterfoil_core::client::ClientSettings::new("App"), None, NOW)
        .await
        .unwrap();
    let (code, terms) = grant(&store, 1).await;
    assert!(store.remove_client("app".into(), NOW).await.unwrap());
    assert!(
        refused(redeem(&store, presented(code, NOW, 1)).await)
            .contains("removed since the grant was given")
    );
    assert!(store.living(&terms).await.unwrap().is_none());
    assert_eq!(store.counterfoil(code.grant).await.unwrap().unwrap().next_slip, 0);

    // A client of the same name that came later has grants that live.
    let mut anew = new_grant(2);
    anew.terms.client_era = 1;
    store.create_grant(anew.clone()).await.unwrap();
    let code = Slip { grant: anew.terms.grant, ..code };
    let presented = presented(code, NOW, 2);
    assert_eq!(
        torn(crate::setting::begin_for(&store, presented, Arc::new(anew.terms)).await.unwrap())
            .number,
        1
    );
}

pub async fn a_repeat_with_its_key_gets_the_same_successor(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let first = torn(redeem(&store, presented(code, NOW, 1)).await);
    let second = torn(redeem(&store, crate::setting::keyed(first, NOW.plus(1))).await);
    let Redeemed::Torn(again) = redeem(&store, crate::setting::keyed(first, NOW.plus(30))).await
    else {
        panic!("refused its own retry")
    };
    assert_eq!((again.how(), *again.successor()), (Tearing::Repeated, second));
    assert_eq!(store.audit(code.grant).await.unwrap()[0].event, "refresh_repeated");
    refused(redeem(&store, presented(first, NOW.plus(31), 9)).await);
}

pub async fn a_slip_that_was_let_expire_is_refused_and_no_other(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let (other, _) = grant(&store, 2).await;
    assert!(!store.expire_slip(code.grant, 1, NOW).await.unwrap());
    assert!(store.expire_slip(code.grant, 0, NOW).await.unwrap());
    assert!(!store.expire_slip(code.grant, 0, NOW).await.unwrap());
    assert!(refused(redeem(&store, presented(code, NOW, 1)).await).contains("expired"));
    assert_eq!(torn(redeem(&store, presented(other, NOW, 1)).await).number, 1);
}
