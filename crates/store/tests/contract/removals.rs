//! Removing clients and customers.

use std::sync::Arc;

use counterfoil_core::client::{Client, ClientSettings, SecretDigest};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_store::{Account, AddClient, AddCustomer, AddSecret, Customer, NewCustomer};

use crate::contract::bench::Bench;
use crate::setting::{NOW, customer, grant, new_grant};

pub async fn removing_a_customer_ends_their_grants_with_one_write(bench: Bench) {
    let store = bench.open().await;
    let added = store
        .add_customer(
            NewCustomer {
                customer: Customer {
                    id: customer(),
                    name: "Ada".into(),
                    password: Some(Secret::new("$argon2id$x")),
                    created_at: NOW,
                },
                accounts: vec![Account { id: "a1".into(), entity: "{}".into() }],
            },
            LetterCase::Matters,
        )
        .await
        .unwrap();
    assert_eq!(added, AddCustomer::Added);
    let mut all = Vec::new();
    for n in 0..450 {
        all.push(grant(&store, n).await.1);
    }
    assert!(store.remove_customer(customer(), NOW).await.unwrap());
    assert!(!store.remove_customer(customer(), NOW).await.unwrap());
    for terms in &all {
        assert!(store.living(terms).await.unwrap().is_none());
    }
    assert!(store.accounts(&customer()).await.unwrap().is_empty());
    assert!(bench.journal().contains("\"customer\":\"ada\",\"era\":1"));

    // Another customer of the same name gets grants that live; the old ones stay dead, also after a
    // restart.
    let mut anew = new_grant(1000);
    anew.terms.customer_era = store.customer_era(&customer()).await.unwrap();
    store.create_grant(anew.clone()).await.unwrap();
    assert!(store.living(&Arc::new(anew.terms.clone())).await.unwrap().is_some());
    drop(store);
    let store = bench.open().await;
    assert!(store.living(&all[0]).await.unwrap().is_none());
    while store.work_off_removals(NOW).await.unwrap() {}
    assert_eq!(
        store.grant(all[3].grant).await.unwrap().unwrap().ended.unwrap().by,
        EndedBy::CustomerRemoved
    );
    assert!(store.living(&Arc::new(anew.terms.clone())).await.unwrap().is_some());
}

pub async fn clients_keep_their_settings_and_two_secrets_and_are_removed_for_good(bench: Bench) {
    let store = bench.open().await;
    let secret = |n: u8| SecretDigest([n; 32]);
    let add =
        |name: &str, digest| store.add_client("app".into(), ClientSettings::new(name), digest, NOW);
    assert_eq!(add("App", Some(secret(1))).await.unwrap(), AddClient::Added);
    assert_eq!(add("Another", Some(secret(9))).await.unwrap(), AddClient::Exists);
    store.add_client("zoo".into(), ClientSettings::new("Zoo"), None, NOW.plus(1)).await.unwrap();
    assert_eq!(
        store.add_client_secret("app".into(), secret(2), 1, NOW).await.unwrap(),
        AddSecret::Added
    );
    assert_eq!(
        store.add_client_secret("app".into(), secret(3), 1, NOW).await.unwrap(),
        AddSecret::Added
    );
    assert_eq!(
        store.add_client_secret("nobody".into(), secret(4), 1, NOW).await.unwrap(),
        AddSecret::NoClient
    );
    store.note_secret_uses(vec![(secret(3), NOW.plus(7)), (secret(2), NOW.plus(5))]).await.unwrap();
    store.note_secret_uses(vec![(secret(3), NOW.plus(6))]).await.unwrap();
    let clients = store.clients().await.unwrap();
    let seen: Vec<_> = clients
        .iter()
        .map(|client| (&*client.id, &*client.settings.name, client.secrets.len(), client.era))
        .collect();
    assert_eq!(seen, [("app", "App", 2, 0), ("zoo", "Zoo", 0, 0)]);
    let used =
        |n: usize| clients[0].secrets[n].last_used_at.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        (clients[0].secrets[0].digest.0[0], used(0), used(1)),
        (2, NOW.plus(5).unix(), NOW.plus(7).unix())
    );

    let one = store.client("app").await.unwrap().unwrap();
    let secrets =
        |client: &Client| client.secrets.iter().map(|secret| secret.digest).collect::<Vec<_>>();
    assert_eq!(
        (&*one.id, &one.settings, secrets(&one)),
        ("app", &clients[0].settings, secrets(&clients[0]))
    );
    assert!(store.client("nobody").await.unwrap().is_none());

    assert!(store.set_client("app".into(), ClientSettings::new("Renamed")).await.unwrap());
    assert!(!store.set_client("nobody".into(), ClientSettings::new("Nobody")).await.unwrap());
    assert_eq!(store.clients().await.unwrap()[0].settings.name, "Renamed");

    let (_, terms) = grant(&store, 1).await;
    assert!(store.remove_client("app".into(), NOW).await.unwrap());
    assert!(!store.remove_client("app".into(), NOW).await.unwrap());
    assert!(store.living(&terms).await.unwrap().is_none());
    assert!(!store.grant(terms.grant).await.unwrap().unwrap().current);
    assert_eq!(add("Back", None).await.unwrap(), AddClient::Added);
    let clients = store.clients().await.unwrap();
    assert_eq!((clients[0].era, clients[0].secrets.len()), (1, 0));
    assert_eq!(store.client("app").await.unwrap().unwrap().era, 1);
    assert!(bench.journal().contains("\"client\":\"app\",\"era\":1"));
    while store.work_off_removals(NOW).await.unwrap() {}
    assert_eq!(
        store.grant(terms.grant).await.unwrap().unwrap().ended.unwrap().by,
        EndedBy::ClientRemoved
    );
}

pub async fn customers_are_listed_with_their_accounts_and_signed_out_by_a_new_password(
    bench: Bench,
) {
    let store = bench.open().await;
    let new = |name: &str| NewCustomer {
        customer: Customer {
            id: counterfoil_core::grant::CustomerId {
                provider: "bank".into(),
                customer: name.into(),
            },
            name: name.to_uppercase(),
            password: Some(Secret::new("one")),
            created_at: NOW,
        },
        accounts: ["b", "a"]
            .map(|id| Account { id: id.into(), entity: format!("{{\"id\":\"{id}\"}}") })
            .to_vec(),
    };
    for name in ["cleo", "ada", "bob"] {
        assert_eq!(
            store.add_customer(new(name), LetterCase::Matters).await.unwrap(),
            AddCustomer::Added
        );
    }
    assert_eq!(
        store.add_customer(new("ada"), LetterCase::Matters).await.unwrap(),
        AddCustomer::Exists
    );
    let names = |customers: Vec<Customer>| {
        customers.into_iter().map(|customer| customer.id.customer).collect::<Vec<_>>()
    };
    assert_eq!(names(store.customers(None, None, 2).await.unwrap()), ["ada", "bob"]);
    assert_eq!(
        names(store.customers(Some("bank"), Some(&new("bob").customer.id), 9).await.unwrap()),
        ["cleo"]
    );
    assert!(store.customers(Some("other"), None, 9).await.unwrap().is_empty());
    let accounts: Vec<_> =
        store.accounts(&customer()).await.unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(accounts, ["b", "a"]);

    assert!(store.set_password(customer(), Secret::new("two"), [0; 32]).await.unwrap());
    assert_eq!(
        store.customer(&customer()).await.unwrap().unwrap().password.unwrap().expose(),
        "two"
    );
    assert!(
        !store.set_password(new("nobody").customer.id, Secret::new("two"), [0; 32]).await.unwrap()
    );
}
