//! Grants that hang on a consent: what `prompt=none` makes.

use std::sync::Arc;

use counterfoil_core::client::ClientSettings;
use counterfoil_core::clock::DAY;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, CustomerId, Terms};
use counterfoil_core::login::LetterCase;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::OnReplay;
use counterfoil_store::{
    CreateGrant, Customer, Ending, Endings, GrantFilter, NewCustomer, NewGrant, Redeemed, Store,
};

use crate::contract::bench::Bench;
use crate::contract::sweep::{moved, sweep};
use crate::setting::{KEY, NOW, begin_for, customer, grant, new_grant, presented, refused, torn};

/// A grant to make that hangs on another.
fn hanging(n: u32, parent: &Terms) -> NewGrant {
    let new = new_grant(n);
    let terms = Terms {
        parent: Some(parent.grant),
        client_era: parent.client_era,
        customer_era: parent.customer_era,
        ..new.terms
    };
    NewGrant { terms, ..new }
}

async fn hang(store: &Store, n: u32, parent: &Terms) -> (Slip, Arc<Terms>) {
    let new = hanging(n, parent);
    assert!(matches!(store.create_grant(new.clone()).await.unwrap(), CreateGrant::Created));
    let code = Slip { key: KEY, grant: new.terms.grant, number: 0, issued_at: NOW, seal: new.seal };
    (code, Arc::new(new.terms))
}

async fn redeem(store: &Store, slip: Slip, terms: &Arc<Terms>) -> Redeemed {
    begin_for(store, presented(slip, NOW, u64::from(slip.number == 0)), terms.clone())
        .await
        .unwrap()
}

/// The grant answers to nothing any more, though it was not ended itself.
async fn is_dead(store: &Store, slip: Slip, terms: &Arc<Terms>, how: &str) {
    assert!(store.living(terms).await.unwrap().is_none(), "{how}");
    refused(redeem(store, slip, terms).await);
    let whole = store.grant(terms.grant).await.unwrap().unwrap();
    assert!(!whole.is_living(NOW) && whole.ended.is_none(), "{how}");
    assert_eq!(
        store.counterfoil(terms.grant).await.unwrap().unwrap().next_slip,
        slip.number,
        "{how}"
    );
}

pub async fn a_grant_that_hangs_on_a_consent_dies_with_it_however_that_ends(bench: Bench) {
    let store = bench.open().await;
    for (n, by) in EndedBy::ALL.into_iter().enumerate() {
        let n = u32::try_from(n).unwrap() * 10;
        let (_, parent) = grant(&store, n).await;
        let (code, child) = hang(&store, n + 1, &parent).await;
        let slip = torn(redeem(&store, code, &child).await);
        assert!(
            store.living(&child).await.unwrap().is_some()
                && store.grant(child.grant).await.unwrap().unwrap().is_living(NOW)
        );
        assert_eq!(store.end_grant(parent.grant, by, NOW).await.unwrap(), Ending::Ended);
        is_dead(&store, slip, &child, by.name()).await;
        // It is one ending.
        assert_eq!(bench.endings().len(), n as usize / 10 + 1);
        assert!(store.audit(child.grant).await.unwrap().is_empty());
    }

    // A code or refresh token of the parent that comes again.
    for (n, redeemed) in [(100, 1), (110, 2)] {
        let (code, parent) = grant(&store, n).await;
        let (hanging, child) = hang(&store, n + 1, &parent).await;
        let (mut slip, mut first) = (code, code);
        for _ in 0..redeemed {
            (first, slip) = (slip, torn(redeem(&store, slip, &parent).await));
        }
        torn(redeem(&store, slip, &parent).await);
        let again = presented(if redeemed == 1 { code } else { first }, NOW.plus(60), 77);
        refused(
            begin_for(
                &store,
                counterfoil_core::verdict::Presentation { on_replay: OnReplay::Revoke, ..again },
                parent.clone(),
            )
            .await
            .unwrap(),
        );
        is_dead(&store, hanging, &child, "replay").await;
    }

    // An ending that was forgotten, applied from the log.
    let (_, parent) = grant(&store, 120).await;
    let (code, child) = hang(&store, 121, &parent).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        &log,
        format!("{{\"at\":{},\"grant\":\"{}\",\"by\":\"client\"}}\n", NOW.unix(), parent.grant),
    )
    .unwrap();
    store
        .declare_loss(&Endings::read(&[log.path().to_owned()]).unwrap(), false, NOW)
        .await
        .unwrap();
    is_dead(&store, code, &child, "a loss").await;

    // The parent expires, and the child no later.
    let (_, parent) = grant(&store, 130).await;
    let (_, child) = hang(&store, 131, &parent).await;
    assert!(!store.grant(child.grant).await.unwrap().unwrap().is_living(parent.expires_at));

    // The removal of the customer, and of the client.
    let ada = Customer {
        id: customer(),
        name: "Ada".into(),
        password: Some(Secret::new("$argon2id$x")),
        created_at: NOW,
    };
    store
        .add_customer(NewCustomer { customer: ada, accounts: vec![] }, LetterCase::Matters)
        .await
        .unwrap();
    let (_, parent) = grant(&store, 140).await;
    let (code, child) = hang(&store, 141, &parent).await;
    store.remove_customer(customer(), NOW).await.unwrap();
    is_dead(&store, code, &child, "removal of the customer").await;
    while store.work_off_removals(NOW).await.unwrap() {}
    assert!(store.grant(parent.grant).await.unwrap().unwrap().ended.is_some());
    is_dead(&store, code, &child, "removal of the customer, worked off").await;

    store.add_client("app".into(), ClientSettings::new("App"), None, NOW).await.unwrap();
    let zoe = CustomerId { customer: "zoe".into(), ..customer() };
    let mut new = new_grant(150);
    new.terms.customer = zoe.clone();
    store.create_grant(new.clone()).await.unwrap();
    let mut child = hanging(151, &new.terms);
    child.terms.customer = zoe;
    assert!(matches!(store.create_grant(child.clone()).await.unwrap(), CreateGrant::Created));
    let code =
        Slip { key: KEY, grant: child.terms.grant, number: 0, issued_at: NOW, seal: child.seal };
    store.remove_client("app".into(), NOW).await.unwrap();
    while store.work_off_removals(NOW).await.unwrap() {}
    assert!(store.grant(new.terms.grant).await.unwrap().unwrap().ended.is_some());
    is_dead(&store, code, &Arc::new(child.terms), "removal of the client, worked off").await;
}

pub async fn it_dies_with_its_consent_at_every_node_and_after_a_restart(bench: Bench) {
    let store = bench.open().await;
    let (_, parent) = grant(&store, 1).await;
    let (code, child) = hang(&store, 2, &parent).await;
    let slip = torn(redeem(&store, code, &child).await);
    if store.is_shared() {
        let other = bench.open().await;
        assert!(other.living(&child).await.unwrap().is_some());
        store.end_grant(parent.grant, EndedBy::Customer, NOW).await.unwrap();
        is_dead(&other, slip, &child, "at the other node").await;
    } else {
        store.end_grant(parent.grant, EndedBy::Customer, NOW).await.unwrap();
    }
    drop(store);
    let store = bench.open().await;
    is_dead(&store, slip, &child, "after a restart").await;
    // What was redeemed together with others is judged by itself.
    let mut all = Vec::new();
    for n in 10..20 {
        let (_, parent) = grant(&store, n).await;
        let (code, child) = hang(&store, n + 10, &parent).await;
        if n % 2 == 0 {
            store.end_grant(parent.grant, EndedBy::Customer, NOW).await.unwrap();
        }
        all.push((n, code, child));
    }
    let pending: Vec<_> = all
        .iter()
        .map(|(n, code, child)| (*n, begin_for(&store, presented(*code, NOW, 1), child.clone())))
        .collect();
    for (n, pending) in pending {
        assert_eq!(matches!(pending.await.unwrap(), Redeemed::Torn(_)), n % 2 == 1);
    }
}

pub async fn a_grant_hangs_on_a_living_consent_of_the_same_customer_and_client_alone(bench: Bench) {
    let store = bench.open().await;
    let (_, parent) = grant(&store, 1).await;
    let (_, ended) = grant(&store, 2).await;
    store.end_grant(ended.grant, EndedBy::Customer, NOW).await.unwrap();
    let (_, child) = hang(&store, 3, &parent).await;
    let good = hanging(4, &parent);
    let not = |terms: Terms| NewGrant { terms, ..good.clone() };
    for (why, refused) in [
        ("ended", hanging(4, &ended)),
        ("not there", hanging(4, &new_grant(99).terms)),
        ("hangs itself", hanging(4, &child)),
        ("ends sooner", not(Terms { expires_at: parent.expires_at.plus(1), ..good.terms.clone() })),
        ("another client's", not(Terms { client: "other".into(), ..good.terms.clone() })),
        (
            "another customer's",
            not(Terms {
                customer: CustomerId { customer: "bob".into(), ..customer() },
                ..good.terms.clone()
            }),
        ),
        ("of an earlier era", not(Terms { client_era: 1, ..good.terms.clone() })),
    ] {
        let made = store.create_grant(refused).await.unwrap();
        assert!(matches!(made, CreateGrant::NoParent), "{why}: {made:?}");
        assert!(store.grant(good.terms.grant).await.unwrap().is_none(), "{why}");
    }
    assert!(matches!(store.create_grant(good.clone()).await.unwrap(), CreateGrant::Created));
    store.end_grant(parent.grant, EndedBy::Customer, NOW).await.unwrap();
    let CreateGrant::Exists(existing) = store.create_grant(good.clone()).await.unwrap() else {
        panic!("it was made before")
    };
    assert_eq!(existing.0, good.terms);
}

pub async fn it_is_in_no_list_of_the_customer_and_in_that_of_the_operator(bench: Bench) {
    let store = bench.open().await;
    let (_, parent) = grant(&store, 1).await;
    for n in 2..8 {
        hang(&store, n, &parent).await;
    }
    let (_, last) = grant(&store, 9).await;
    let list = async |customer: Option<CustomerId>| -> Vec<_> {
        let filter = GrantFilter {
            customer,
            client: Some("app".into()),
            limit: 100,
            ..GrantFilter::default()
        };
        store
            .grants(&filter)
            .await
            .unwrap()
            .into_iter()
            .map(|grant| (grant.terms.grant, grant.terms.parent))
            .collect()
    };
    assert_eq!(list(Some(customer())).await, [(last.grant, None), (parent.grant, None)]);
    let all = list(None).await;
    assert_eq!(
        (all.len(), all.iter().filter(|(_, above)| *above == Some(parent.grant)).count()),
        (8, 6)
    );
}

pub async fn what_expired_a_day_after_it_was_made_is_swept_and_its_consent_is_not(bench: Bench) {
    let store = bench.open().await;
    store.note_time(NOW).await.unwrap();
    let (code, parent) = grant(&store, 1).await;
    torn(redeem(&store, code, &parent).await);
    let of_a_day = hanging(2, &parent);
    let of_a_day =
        NewGrant { terms: Terms { expires_at: NOW.plus(DAY), ..of_a_day.terms }, ..of_a_day };
    store.create_grant(of_a_day.clone()).await.unwrap();
    let code = Slip {
        key: KEY,
        grant: of_a_day.terms.grant,
        number: 0,
        issued_at: NOW,
        seal: of_a_day.seal,
    };
    torn(redeem(&store, code, &Arc::new(of_a_day.terms.clone())).await);
    sweep(&store, moved(1)).await;
    assert!(store.grant(code.grant).await.unwrap().is_some());
    sweep(&store, moved(3)).await;
    assert!(
        store.grant(code.grant).await.unwrap().is_none()
            && store.grant(parent.grant).await.unwrap().is_some()
    );
}

pub async fn what_a_code_is_bound_to_is_known_to_its_exchange(bench: Bench) {
    let store = bench.open().await;
    let mut new = new_grant(1);
    new.code = CodeBinding {
        redirect_uri: "https://app.example/a?b=c".into(),
        challenge: Some(Challenge::from_bytes([9; 32])),
        nonce: Some("n-1".into()),
    };
    store.create_grant(new.clone()).await.unwrap();
    let (_, plain) = grant(&store, 2).await;
    assert_eq!(store.code(new.terms.grant).await.unwrap(), Some(new.code));
    assert_eq!(store.code(plain.grant).await.unwrap(), Some(new_grant(2).code));
    assert_eq!(store.code(new_grant(3).terms.grant).await.unwrap(), None);
    // Long after the code can be exchanged or replayed.
    store.note_time(NOW).await.unwrap();
    sweep(&store, moved(3)).await;
    assert_eq!(store.code(new.terms.grant).await.unwrap(), None);
}
