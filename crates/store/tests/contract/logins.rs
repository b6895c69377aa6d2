//! By which names customers are found, and the accounts that they are given later.

use std::sync::Arc;

use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_store::{Account, AddCustomer, Customer, NewCustomer, Session, Store};

use crate::contract::bench::Bench;
use crate::setting::{NOW, customer, new_grant, race};

/// Renée with é as one character, and as two.
const COMPOSED: &str = "Ren\u{e9}e";
const DECOMPOSED: &str = "Rene\u{301}e";

fn at_bank(id: &str) -> CustomerId {
    CustomerId { provider: "bank".into(), customer: id.into() }
}

fn account(id: &str) -> Account {
    Account { id: id.into(), entity: format!("{{\"id\":\"{id}\"}}") }
}

async fn add(store: &Store, id: CustomerId, case: LetterCase) -> AddCustomer {
    let customer = Customer {
        id,
        name: "Somebody".into(),
        password: Some(Secret::new("$argon2id$x")),
        created_at: NOW,
    };
    store.add_customer(NewCustomer { customer, accounts: vec![account("a1")] }, case).await.unwrap()
}

async fn named(store: &Store, id: &str) -> Vec<String> {
    store
        .customers_named(&at_bank(id))
        .await
        .unwrap()
        .into_iter()
        .map(|customer| customer.id.customer)
        .collect()
}

pub async fn a_name_is_found_however_it_is_written(bench: Bench) {
    let store = bench.open().await;
    for id in [COMPOSED, "bob", "Bob"] {
        assert_eq!(add(&store, at_bank(id), LetterCase::Matters).await, AddCustomer::Added);
    }
    add(
        &store,
        CustomerId { provider: "other".into(), customer: "bob".into() },
        LetterCase::Matters,
    )
    .await;
    for typed in [COMPOSED, DECOMPOSED, "  REN\u{c9}E "] {
        assert_eq!(named(&store, typed).await, [COMPOSED], "{typed:?}");
    }
    assert_eq!(named(&store, "BOB").await, ["Bob", "bob"]);
    assert!(named(&store, "bobby").await.is_empty());
}

pub async fn the_second_of_one_name_is_not_added(bench: Bench) {
    let store = Arc::new(bench.open().await);
    assert_eq!(add(&store, at_bank(COMPOSED), LetterCase::Matters).await, AddCustomer::Added);
    assert_eq!(add(&store, at_bank(COMPOSED), LetterCase::Matters).await, AddCustomer::Exists);
    assert_eq!(
        add(&store, at_bank(DECOMPOSED), LetterCase::Matters).await,
        AddCustomer::SameName(at_bank(COMPOSED))
    );
    assert_eq!(
        add(&store, at_bank("ren\u{e9}e"), LetterCase::Ignored).await,
        AddCustomer::SameName(at_bank(COMPOSED))
    );
    assert_eq!(add(&store, at_bank("ren\u{e9}e"), LetterCase::Matters).await, AddCustomer::Added);

    // At once, and each written in another way.
    let another = if store.is_shared() { Arc::new(bench.open().await) } else { store.clone() };
    for name in ["eve", "fay", "gil"] {
        let adding = (0..8).map(|n| {
            let store = if n % 2 == 0 { store.clone() } else { another.clone() };
            let id = at_bank(&format!("{}{name}", " ".repeat(n)));
            async move { add(&store, id, LetterCase::Matters).await }
        });
        let answers = race(adding.collect()).await;
        let added = answers.iter().filter(|answer| **answer == AddCustomer::Added).count();
        assert_eq!((added, named(&store, name).await.len()), (1, 1));
    }
}

pub async fn two_of_one_name_who_were_added_before_are_listed_and_each_is_found(bench: Bench) {
    let store = bench.open().await;
    for id in [COMPOSED, "bob", "zoe"] {
        add(&store, at_bank(id), LetterCase::Matters).await;
    }
    drop(store);
    // As a node of version 2 adds them.
    for id in [DECOMPOSED, "Bob"] {
        let columns = "(provider, customer, name, password, created_at) VALUES ('bank', ";
        bench.run(&format!("INSERT INTO customer {columns}'{id}', 'Somebody', 'x', 0)"));
    }
    let store = bench.open().await;
    assert_eq!(named(&store, COMPOSED).await, [COMPOSED]);
    assert_eq!(named(&store, DECOMPOSED).await.len(), 2, "by its id it is found at once");
    while store.fill_logins().await.unwrap() {}
    let common = store.customers_with_a_common_name().await.unwrap();
    assert_eq!(common, ["Bob", "bob", DECOMPOSED, COMPOSED].map(at_bank));
    assert_eq!(named(&store, COMPOSED).await, [DECOMPOSED, COMPOSED]);
}

pub async fn accounts_are_replaced_also_where_they_are_kept(bench: Bench) {
    let store = bench.open().await;
    add(&store, customer(), LetterCase::Matters).await;
    let terms = new_grant(1).terms;
    let kept = async |store: &Store| {
        let accounts = store.accounts_behind(&terms).await.unwrap();
        accounts.iter().map(|account| account.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&store).await, ["a1"]);
    let number = store.changes().await.unwrap().number;
    assert!(store.set_accounts(customer(), ["b2", "a1"].map(account).into()).await.unwrap());
    assert_eq!(kept(&store).await, ["b2", "a1"]);
    assert_eq!(
        store.changes().await.unwrap().number != number,
        store.is_shared(),
        "other processes are told"
    );
    assert!(store.set_accounts(customer(), vec![]).await.unwrap());
    assert!(kept(&store).await.is_empty());
    assert!(!store.set_accounts(at_bank("nobody"), vec![]).await.unwrap());

    let session = |expires_at| Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: NOW,
        expires_at,
        customer_era: 0,
    };
    for (id, minutes) in [(1, 1), (2, 30)] {
        store.create_session([id; 32], session(NOW.plus(minutes * 60)), None, NOW).await.unwrap();
    }
    assert_eq!(store.count_sessions(&customer(), NOW).await.unwrap(), 2);
    assert_eq!(store.count_sessions(&customer(), NOW.plus(60)).await.unwrap(), 1);
    assert_eq!(store.count_sessions(&at_bank("nobody"), NOW).await.unwrap(), 0);
}
