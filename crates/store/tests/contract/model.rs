//! The gate in SQL and the verdict in Rust are one rule: whatever is presented, the store does what
//! the verdict on its row says.

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::clock::{DAY, Seconds};
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::{
    OnLostAnswer, OnReplay, Presentation, SlipRefusal, SlipRefusalReason, Verdict, judge,
};
use counterfoil_store::{Endings, Redeemed, Store, Tearing};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::contract::bench::Bench;
use crate::setting::{NOW, grant, redeem};

/// Histories that are tried.
const HISTORIES: u32 = 40;

/// A slip that is presented: its number, its retry key, seconds waited, whether a replay revokes,
/// whether a lost answer repeats, whether it is forged.
type Try = (u64, Option<u8>, Seconds, bool, bool, bool);

fn history() -> impl Strategy<Value = (Vec<Try>, Option<usize>)> {
    let waits = prop_oneof![Just(0), Just(9), Just(61), Just(301), Just(40 * DAY)];
    let tries = (
        0_u64..6,
        prop::option::of(0_u8..2),
        waits,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.05),
    );
    (prop::collection::vec(tries, 1..25), prop::option::of(0_usize..25))
}

pub async fn the_gate_agrees_with_the_verdict(bench: Bench) {
    let store = bench.open().await;
    let (mut runner, mut epoch) = (TestRunner::default(), 0);
    for grant in 0..HISTORIES {
        let (tries, loss_after) = history().new_tree(&mut runner).unwrap().current();
        epoch = play(&store, grant, epoch, &tries, loss_after).await;
    }
}

/// Plays a history on a grant of its own; gives the epoch after it. What was tried is in the
/// panic's message.
async fn play(
    store: &Store,
    n: u32,
    mut epoch: u32,
    tries: &[Try],
    loss_after: Option<usize>,
) -> u32 {
    let (code, _) = grant(store, n).await;
    let mac = MacKey::new(&[4; 32]);
    let mut now = NOW;
    let played = || format!("{tries:?}, a loss after {loss_after:?}");
    for (i, (number, retry_key, wait, revoke, repeat, forged)) in tries.iter().copied().enumerate()
    {
        now = now.plus(wait);
        if loss_after == Some(i) {
            store.declare_loss(&Endings::default(), false, now).await.unwrap();
            epoch += 1;
        }
        let text = number.to_string();
        let request = RequestIdentity { client: "app", slip: &text, scope: None };
        let slip = Slip {
            number,
            seal: if forged { Seal::from_bytes([1; 16]) } else { code.seal },
            ..code
        };
        let presented = Presentation {
            slip,
            now,
            claim: match retry_key {
                Some(key) => Claim::keyed(&mac, &format!("retry-key-{key}"), request),
                None => Claim::keyless(&mac, (i as u64).to_be_bytes(), request),
            },
            on_replay: if revoke { OnReplay::Revoke } else { OnReplay::Refuse },
            on_lost_answer: if repeat { OnLostAnswer::Repeat } else { OnLostAnswer::Strict },
        };
        let row = store.counterfoil(code.grant).await.unwrap().unwrap();
        let verdict = judge(&row, &presented, epoch, store.skew());
        let done = redeem(store, presented).await;
        let after = store.counterfoil(code.grant).await.unwrap().unwrap();
        match (verdict, done) {
            (Verdict::Redeem, Redeemed::Torn(torn)) => {
                assert_eq!(torn.how(), Tearing::InTurn, "{}", played());
                assert_eq!(
                    (after.next_slip, after.redeemed_at, after.claim),
                    (number + 1, now, Some(presented.claim))
                );
            }
            (Verdict::RedeemAfterLoss, Redeemed::Torn(torn)) => {
                assert_eq!((torn.how(), torn.successor().number), (Tearing::AfterLoss, number + 1));
                assert_eq!((after.next_slip, after.epoch), (number + 1, epoch));
            }
            (Verdict::Repeat, Redeemed::Torn(torn)) => {
                assert_eq!(torn.how(), Tearing::Repeated, "{}", played());
                assert_eq!(
                    (torn.successor().number, torn.successor().issued_at),
                    (row.next_slip, row.redeemed_at)
                );
                assert_eq!(after, row, "{}", played());
            }
            (Verdict::Refuse(refused), Redeemed::Refused { refused: told, reason }) => {
                assert_eq!(told, Some(refused), "{}", played());
                assert_eq!(
                    reason,
                    SlipRefusalReason { refused, row: &row, presented: &presented }.to_string()
                );
                assert_eq!(
                    after.ended,
                    row.ended || refused == SlipRefusal::Claimed { ends_grant: true }
                );
                assert_eq!(after.next_slip, row.next_slip);
            }
            (verdict, done) => panic!("{verdict:?} but {done:?} in {}", played()),
        }
    }
    epoch
}
