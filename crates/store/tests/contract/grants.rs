//! Grants: made, listed, ended.

use std::sync::Arc;

use counterfoil_core::clock::DAY;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{GrantId, Seal};
use counterfoil_store::{CreateGrant, Ending, GrantFilter};

use crate::contract::bench::Bench;
use crate::setting::{NOW, customer, grant, new_grant, presented, race, redeem, refused, torn};

pub async fn an_ended_grant_is_dead_at_once_and_for_good(bench: Bench) {
    let store = bench.open().await;
    let (code, terms) = grant(&store, 1).await;
    let slip = torn(redeem(&store, presented(code, NOW, 1)).await);
    assert!(store.living(&terms).await.unwrap().is_some());
    assert_eq!(store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap(), Ending::Ended);
    assert!(store.living(&terms).await.unwrap().is_none());
    assert_eq!(
        refused(redeem(&store, presented(slip, NOW, 2)).await),
        "slip 1: the grant was ended"
    );
    assert_eq!(
        store.end_grant(code.grant, EndedBy::Customer, NOW.plus(1)).await.unwrap(),
        Ending::AlreadyEnded
    );
    let unknown = GrantId::from_number(5).unwrap();
    assert_eq!(store.end_grant(unknown, EndedBy::Client, NOW).await.unwrap(), Ending::NotFound);

    let whole = store.grant(code.grant).await.unwrap().unwrap();
    assert_eq!(whole.ended.unwrap().by, EndedBy::Client);
    // Another answer may vouch for it with a line of its own.
    let line = format!(
        "{{\"at\":{},\"grant\":\"{}\",\"by\":\"client\",\"number\":1,\"store\":\"",
        NOW.unix(),
        code.grant
    );
    assert!(
        bench.endings().iter().all(|written| written.starts_with(&line))
            && !bench.endings().is_empty(),
        "{}",
        bench.journal()
    );

    drop(store);
    let store = bench.open().await;
    assert!(store.living(&terms).await.unwrap().is_none());
}

pub async fn an_ending_that_a_crash_kept_out_of_the_journal_is_added_at_the_next_start(
    bench: Bench,
) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    store.end_grant(code.grant, EndedBy::Client, NOW).await.unwrap();
    drop(store);
    let log = bench.endings_log();
    let opening = bench.journal().lines().next().unwrap().to_owned() + "\n";
    for left in ["", "{\"at\":17"] {
        std::fs::write(&log, format!("{opening}{left}")).unwrap();
        // It was killed before it told the store up to where the journal is written.
        bench.run("UPDATE endings_log SET written = 0");
        drop(bench.open().await);
        let [ending] = &bench.endings()[..] else { panic!("{}", bench.journal()) };
        assert!(ending.contains(&code.grant.to_string()), "{ending}");
        let whole = bench.journal();
        drop(bench.open().await);
        assert_eq!(bench.journal(), whole);
    }
}

pub async fn a_doubled_consent_makes_one_grant(bench: Bench) {
    let store = bench.open().await;
    let new = new_grant(1);
    assert!(matches!(store.create_grant(new.clone()).await.unwrap(), CreateGrant::Created));
    let CreateGrant::Exists(existing) = store.create_grant(new.clone()).await.unwrap() else {
        panic!("made twice")
    };
    assert_eq!(existing.0, new.terms);
    assert_eq!(existing.1.next_slip, 0);
}

/// Also where they come to several nodes, and other grants are made meanwhile.
pub async fn of_consents_that_are_doubled_at_once_one_makes_the_grant(bench: Bench) {
    let store = Arc::new(bench.open().await);
    let nodes = match store.is_shared() {
        true => [store.clone(), Arc::new(bench.open().await)],
        false => [store.clone(), store.clone()],
    };
    for round in 0..10_u32 {
        // Three grants, and eight calls for each.
        let calls = (0..24_u32).map(|n| {
            let (node, mut new) = (nodes[n as usize % 2].clone(), new_grant(round * 3 + n / 8));
            // Each call has drawn a seal of its own.
            new.seal = Seal::from_bytes([n as u8; 16]);
            async move { (new.seal, new.terms.grant, node.create_grant(new).await.unwrap()) }
        });
        let answers = race(calls.collect()).await;
        for n in 0..3 {
            let grant = new_grant(round * 3 + n).terms.grant;
            let stands = store.counterfoil(grant).await.unwrap().unwrap();
            let mut made = 0;
            for (seal, _, answer) in answers.iter().filter(|(_, of, _)| *of == grant) {
                match answer {
                    CreateGrant::Created => {
                        made += 1;
                        assert_eq!(*seal, stands.seal, "the one that made it");
                    }
                    CreateGrant::Exists(existing) => {
                        assert_eq!((existing.0.grant, existing.1), (grant, stands));
                    }
                    CreateGrant::NoParent => panic!("it hangs on none"),
                }
            }
            assert_eq!(made, 1, "in round {round}");
        }
    }
}

/// Whatever was read before, on whichever connection.
pub async fn a_grant_is_found_as_soon_as_it_was_made(bench: Bench) {
    let store = bench.open().await;
    for n in 0..5 {
        let new = new_grant(n);
        assert!(store.terms(new.terms.grant).await.unwrap().is_none());
        store.create_grant(new.clone()).await.unwrap();
        assert_eq!(*store.terms(new.terms.grant).await.unwrap().unwrap(), new.terms);
    }
}

pub async fn grants_are_listed_by_page_and_filter(bench: Bench) {
    let store = bench.open().await;
    for n in 0..5 {
        grant(&store, n).await;
    }
    let page = store.grants(&GrantFilter { limit: 3, ..GrantFilter::default() }).await.unwrap();
    let rest = store
        .grants(&GrantFilter {
            limit: 3,
            before: Some(page[2].terms.grant),
            ..GrantFilter::default()
        })
        .await
        .unwrap();
    assert_eq!((page.len(), rest.len()), (3, 2));
    let of = |client: &str| GrantFilter {
        client: Some(client.into()),
        customer: Some(customer()),
        limit: 10,
        ..GrantFilter::default()
    };
    assert_eq!(store.grants(&of("app")).await.unwrap().len(), 5);
    assert_eq!(store.grants(&of("other")).await.unwrap().len(), 0);
    assert!(page[0].is_living(NOW) && !page[0].is_living(NOW.plus(366 * DAY)));
}
