//! What is swept, and what is not although a clock says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_core::client::ClientSettings;
use counterfoil_core::clock::{Clock, DAY, MINUTE, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::slip::Slip;
use counterfoil_store::{NewGrant, OpenOptions, Redeem, Session, Store, StoreKind, SweepTime};

use crate::contract::bench::{Bench, Engine};
use crate::setting::{KEY, NOW, begin_for, customer, grant, new_grant, presented, redeem, torn};

/// `days` after [`NOW`], by the clock of a sandbox that was moved so far.
pub fn moved(days: Seconds) -> SweepTime {
    SweepTime { now: NOW.plus(days * DAY), ahead: days * DAY }
}

pub async fn sweep(store: &Store, time: SweepTime) {
    while store.sweep(time).await.unwrap().more {}
}

/// All that is due for removal, the ended ones first.
async fn due(store: &Store, time: SweepTime) -> (Vec<GrantId>, Vec<GrantId>) {
    let (mut ended, mut expired, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.old_grants(after, time).await.unwrap();
        ended.extend(page.ended);
        expired.extend(page.expired);
        after = page.next;
        if after.is_none() {
            return (ended, expired);
        }
    }
}

pub async fn old_consents_that_were_never_completed_are_swept(bench: Bench) {
    let store = bench.open().await;
    store.note_time(NOW).await.unwrap();
    let (unredeemed, _) = grant(&store, 1).await;
    let (kept, _) = grant(&store, 2).await;
    torn(redeem(&store, presented(kept, NOW, 1)).await);
    sweep(&store, moved(1)).await;
    assert!(store.terms(unredeemed.grant).await.unwrap().is_some());
    sweep(&store, moved(3)).await;
    assert!(store.grant(unredeemed.grant).await.unwrap().is_none());
    sweep(&store, moved(2000)).await;
    assert!(store.counterfoil(kept.grant).await.unwrap().is_some());
    // A mark that a wrong clock left ahead hides nothing.
    let (later, _) = grant(&store, 3).await;
    sweep(&store, moved(3)).await;
    assert!(store.grant(later.grant).await.unwrap().is_none());
}

pub async fn grants_are_removed_long_after_their_end_and_never_for_their_age(bench: Bench) {
    let store = bench.open().await;
    store.note_time(NOW).await.unwrap();
    let (ended, _) = grant(&store, 1).await;
    store.end_grant(ended.grant, EndedBy::Customer, NOW.plus(DAY)).await.unwrap();
    let (expired, _) = grant(&store, 2).await;
    // Nothing but its end says how long a grant may live.
    let long = new_grant(3);
    let long = NewGrant { terms: Terms { expires_at: NOW.plus(3000 * DAY), ..long.terms }, ..long };
    store.create_grant(long.clone()).await.unwrap();
    let code =
        Slip { key: KEY, grant: long.terms.grant, number: 0, issued_at: NOW, seal: long.seal };
    let redeem = Redeem {
        presented: presented(code, NOW, 1),
        successor_expires_at: NOW.plus(2900 * DAY),
        slip_key: KEY,
        terms: Arc::new(long.terms.clone()),
    };
    torn(store.redeem(redeem).await.unwrap());

    assert_eq!(
        due(&store, moved(400)).await,
        (vec![], vec![]),
        "none is old enough to be looked at"
    );
    assert_eq!(due(&store, moved(402)).await, (vec![ended.grant], vec![]));
    assert_eq!(due(&store, moved(764)).await, (vec![ended.grant], vec![]));
    assert_eq!(due(&store, moved(766)).await, (vec![ended.grant], vec![expired.grant]));
    // Whatever a clock says: what nobody has ended may need it.
    assert_eq!(store.slip_keys_in_use().await.unwrap(), BTreeSet::from([KEY]));
    assert_eq!(store.count_grants().await.unwrap(), 2);

    let all = || vec![ended.grant, expired.grant, long.terms.grant];
    assert_eq!(store.remove_grants(all(), moved(402)).await.unwrap(), 1);
    assert!(
        store.grant(ended.grant).await.unwrap().is_none()
            && store.grant(expired.grant).await.unwrap().is_some()
    );
    assert_eq!(store.remove_grants(all(), moved(766)).await.unwrap(), 1);
    assert!(store.grant(expired.grant).await.unwrap().is_none());
    assert!(store.grant(long.terms.grant).await.unwrap().is_some());
    store.end_grant(long.terms.grant, EndedBy::Customer, NOW.plus(766 * DAY)).await.unwrap();
    assert_eq!(store.slip_keys_in_use().await.unwrap(), BTreeSet::new());
}

/// (S) One reading of one clock removes nothing.
pub async fn what_is_old_by_one_clock_alone_is_not_swept(bench: Bench) {
    let store = bench.open().await;
    let now = Clock::live().now();
    store.note_time(now).await.unwrap();
    let session = Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: now,
        expires_at: now.plus(30 * MINUTE),
        customer_era: 0,
    };
    store.create_session([1; 32], session, None, NOW).await.unwrap();
    let new = new_grant(1);
    let terms = Terms {
        grant: GrantId::new(now, [0; 4]),
        created_at: now,
        expires_at: now.plus(365 * DAY),
        ..new.terms
    };
    store
        .create_grant(NewGrant { terms: terms.clone(), code_expires_at: now.plus(300), ..new })
        .await
        .unwrap();
    store.begin_sign_in([1; 32], now).await.unwrap();

    let jumped = SweepTime { now: now.plus(2000 * DAY), ahead: 0 };
    sweep(&store, jumped).await;
    assert_eq!(due(&store, jumped).await, (vec![], vec![]));
    assert_eq!(store.remove_grants(vec![terms.grant], jumped).await.unwrap(), 0);
    assert!(store.grant(terms.grant).await.unwrap().is_some());
    assert!(store.session(&[1; 32], now).await.unwrap().is_some());
    for _ in 0..4 {
        store.begin_sign_in([1; 32], now).await.unwrap();
    }
    assert!(
        store.sign_in_closed_until(&[1; 32], now).await.unwrap().is_some(),
        "the first failure still counts"
    );
}

/// On SQLite, a store that was never told the time sweeps nothing; on PostgreSQL the database has a
/// clock.
pub async fn what_time_it_is_is_known_of_what_was_noted(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(store.known_time().await.unwrap().newest, None);
    store.add_client("app".into(), ClientSettings::new("App"), None, NOW.plus(-DAY)).await.unwrap();
    assert_eq!(
        store.known_time().await.unwrap().newest,
        Some(NOW.plus(-DAY)),
        "of the newest client"
    );
    let (code, _) = grant(&store, 1).await;
    assert_eq!(store.known_time().await.unwrap().newest, Some(NOW), "of the newest grant");
    store.note_time(NOW.plus(DAY)).await.unwrap();
    store.note_time(NOW.plus(60)).await.unwrap();
    let known = store.known_time().await.unwrap();
    assert_eq!(known.newest, Some(NOW.plus(60)), "what was noted last, also after a step back");
    assert_eq!(known.database.is_some(), store.is_shared());
    if let Some(database) = known.database {
        let wall = Clock::live().wall().unix() * 1000;
        assert!(database.agrees_with(wall));
        store.accept_clock(wall + 7 * DAY * 1000).await.unwrap();
        let accepted = store.changes().await.unwrap().database.unwrap();
        assert!(
            accepted.agrees_with(wall + 7 * DAY * 1000)
                && accepted.agrees_with(wall)
                && !accepted.agrees_with(wall + DAY * 1000)
        );
        store.note_time(Clock::live().now().plus(7 * DAY)).await.unwrap();
        assert_ne!(
            store.changes().await.unwrap().database.unwrap().accepted,
            0,
            "they do not agree yet"
        );
        store.note_time(Clock::live().now()).await.unwrap();
        assert_eq!(
            store.changes().await.unwrap().database.unwrap().accepted,
            0,
            "they agree again, and it must not stand for another time"
        );
    }
    assert!(store.grant(code.grant).await.unwrap().is_some());

    // A sandbox's grants are dated by a clock that was moved.
    let sandbox = Bench::new(if store.is_shared() { Engine::Postgres } else { Engine::Sqlite });
    let sandbox =
        Store::open(OpenOptions { kind: StoreKind::Sandbox, ..sandbox.options() }).await.unwrap();
    grant(&sandbox, 1).await;
    assert_eq!(sandbox.known_time().await.unwrap().newest, None);
}

pub async fn what_a_wrong_clock_has_dated_ahead_is_repaired(bench: Bench) {
    let store = bench.open().await;
    let wrong = NOW.plus(20 * DAY);
    let (code, terms) = grant(&store, 1).await;
    let first = torn(begin_for(&store, presented(code, NOW, 1), terms.clone()).await.unwrap());
    let second = torn(begin_for(&store, presented(first, wrong, 2), terms.clone()).await.unwrap());
    let ahead = new_grant(2);
    let given_ahead = Terms {
        grant: GrantId::new(wrong, [0; 4]),
        created_at: wrong,
        authenticated_at: wrong,
        expires_at: wrong.plus(90 * DAY),
        ..ahead.terms
    };
    store
        .create_grant(NewGrant {
            terms: given_ahead.clone(),
            code_expires_at: wrong.plus(300),
            ..ahead
        })
        .await
        .unwrap();
    let (ended, _) = grant(&store, 3).await;
    store.end_grant(ended.grant, EndedBy::Customer, wrong).await.unwrap();
    let session = Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: wrong,
        expires_at: wrong.plus(1800),
        customer_era: 0,
    };
    store.create_session([1; 32], session, None, NOW).await.unwrap();
    store.note_time(wrong).await.unwrap();
    store.terms(given_ahead.grant).await.unwrap();

    let repaired = store.repair_times(NOW).await.unwrap();
    assert_eq!((repaired.grants, repaired.sessions), (4, 1), "{repaired:?}");
    assert_eq!(store.known_time().await.unwrap().newest, Some(NOW));
    let row = store.counterfoil(code.grant).await.unwrap().unwrap();
    assert_eq!((row.redeemed_at, row.expires_at), (NOW, NOW.plus(30 * DAY)));
    assert!(store.session(&[1; 32], NOW).await.unwrap().is_none());
    let terms_now = store.terms(given_ahead.grant).await.unwrap().unwrap();
    assert_eq!(
        (terms_now.created_at, terms_now.expires_at, terms_now.authenticated_at),
        (NOW, NOW.plus(90 * DAY), NOW)
    );
    assert_eq!(store.grant(ended.grant).await.unwrap().unwrap().ended.unwrap().at, NOW);
    // The refresh token that was issued then is good.
    torn(begin_for(&store, presented(second, NOW.plus(60), 3), terms).await.unwrap());
    assert_eq!(
        store.repair_times(NOW.plus(60)).await.unwrap(),
        counterfoil_store::Repaired::default(),
        "there is nothing left"
    );
}

/// What another node wrote with a clock that is a little ahead or behind is taken for what it is.
pub async fn nodes_may_be_thirty_seconds_apart(bench: Bench) {
    let store = bench.open().await;
    let at = |seconds: Seconds| Timestamp::from_unix(NOW.unix() + seconds);
    for (n, behind) in [2, 30].into_iter().enumerate() {
        let (code, _) = grant(&store, u32::try_from(n).unwrap() + 1).await;
        let first = torn(redeem(&store, presented(code, at(0), 1)).await);
        // The node that tears it is ahead of the one that the repeat comes to.
        torn(redeem(&store, crate::setting::keyed(first, at(60))).await);
        let repeated = redeem(&store, crate::setting::keyed(first, at(60 - behind))).await;
        assert_eq!(torn(repeated).number, 2);
    }
    let (code, _) = grant(&store, 9).await;
    torn(redeem(&store, presented(code, at(30), 1)).await);
    crate::setting::refused(redeem(&store, presented(code, at(0), 2)).await);
    assert!(
        !store.counterfoil(code.grant).await.unwrap().unwrap().ended,
        "a doubled callback at a node that is behind ends nothing"
    );
    crate::setting::refused(redeem(&store, presented(code, at(39 + store.skew()), 3)).await);
    assert!(!store.counterfoil(code.grant).await.unwrap().unwrap().ended);
    crate::setting::refused(redeem(&store, presented(code, at(40 + store.skew()), 4)).await);
    assert!(store.counterfoil(code.grant).await.unwrap().unwrap().ended);
}
