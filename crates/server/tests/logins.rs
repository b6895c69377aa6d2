//! The names and passwords of customers of our own directory, written in the ways that keyboards
//! have, and what else is asked of them.

use argon2::{Argon2, password_hash::PasswordHasher};
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_core::settings::Provider;
use counterfoil_server::admin::{Command, execute};
use counterfoil_store::{AddCustomer, Customer, NewCustomer, StoreKind};
use serde_json::{Value, json};

use crate::setting::{RECIPIENT, Sandbox, Setting, claims};
use crate::visitor::{Visitor, add_customer, assert_page, heading, redirected};

/// Renée with é as one character, and as two.
const COMPOSED: &str = "Ren\u{e9}e";
const DECOMPOSED: &str = "Rene\u{301}e";
const CONSENT: &str = "Give Pocket Ledger access to your accounts?";
const SIGN_IN: &str = "Sign in to Sandbank";

fn id(customer: &str) -> CustomerId {
    CustomerId { provider: "sandbank".into(), customer: customer.into() }
}

async fn server(kind: StoreKind, case: LetterCase) -> Sandbox {
    let provider = Provider { id: "sandbank".into(), name: "Sandbank".into(), case };
    Sandbox::with(Setting { kind, providers: vec![provider], ..Setting::default() }).await
}

fn to_add(customer: &str, name: &str, password: &str) -> Command {
    Command::CustomerAdd {
        id: id(customer),
        name: name.into(),
        password: password.into(),
        accounts: None,
    }
}

/// Puts a customer into the store as they are, as earlier versions did.
async fn put(server: &Sandbox, customer: &str, password: &str) {
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &[7; 16]).unwrap();
    let password = Some(Secret::new(hash.to_string()));
    let customer = Customer {
        id: id(customer),
        name: "Somebody".into(),
        password,
        created_at: server.app.clock.now(),
    };
    let added = server
        .app
        .store
        .add_customer(NewCustomer { customer, accounts: Vec::new() }, LetterCase::Matters)
        .await
        .unwrap();
    assert_eq!(added, AddCustomer::Added);
}

/// The heading of the page after a try to sign in.
async fn after_sign_in(server: &Sandbox, username: &str, password: &str) -> String {
    let mut visitor = Visitor::new(server);
    let page = visitor.authorize(&[]).await;
    heading(&visitor.sign_in_with(&page, username, password).await)
}

async fn refusal(server: &Sandbox, command: Command) -> String {
    execute(&server.app, command).await.unwrap_err()
}

#[tokio::test]
async fn a_name_is_the_same_however_it_is_written() {
    let server = server(StoreKind::Sandbox, LetterCase::Matters).await;
    let added = server.admin(to_add(&format!(" {DECOMPOSED} "), "Ren\u{e9}e", "password")).await;
    assert_eq!(added["customer"], COMPOSED, "new ones are kept in one form");
    // The consent page says that there is nothing to share: it has no accounts.
    let signed_in = "There is nothing to share";
    for username in [COMPOSED, DECOMPOSED, " Ren\u{e9}e\u{a0}"] {
        assert_eq!(after_sign_in(&server, username, "password").await, signed_in, "{username:?}");
    }
    for username in ["ren\u{e9}e", "Renee", "Ren\u{e9}e\u{7}", "", &"x".repeat(30_000)] {
        assert_eq!(after_sign_in(&server, username, "password").await, SIGN_IN, "{username:?}");
    }
    let refused = refusal(&server, to_add(DECOMPOSED, "Another", "password")).await;
    assert!(refused.contains("already"), "{refused}");
    // An operator too may write it in any way.
    assert_eq!(
        server.admin(Command::CustomerShow { id: id(DECOMPOSED) }).await["customer"],
        COMPOSED
    );
    server.admin(Command::CustomerRemove { id: id(DECOMPOSED) }).await;
    assert_eq!(after_sign_in(&server, COMPOSED, "password").await, SIGN_IN);
}

/// The subject is a MAC over the id as it is in the store, so it must not follow what was typed.
#[tokio::test]
async fn ids_and_subjects_stay_what_they_are_where_case_is_ignored() {
    let server = server(StoreKind::Sandbox, LetterCase::Ignored).await;
    add_customer(&server, "NEW", "New", &["n-1"]).await;
    put(&server, "Old", "password").await;
    let mut subjects = Vec::new();
    for (username, password) in [("CUSTOMER_1", "customer_1"), (" customer_1", "customer_1")] {
        let mut visitor = Visitor::new(&server);
        let page = visitor.authorize(&[]).await;
        let consent = visitor.sign_in_with(&page, username, password).await;
        assert_page(&consent, 200, CONSENT);
        let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
        subjects.push(
            claims(&server.exchange(RECIPIENT, &code).await.tokens().id_token)["sub"].clone(),
        );
    }
    subjects.push(claims(&server.tokens(RECIPIENT).await.id_token)["sub"].clone());
    assert!(subjects.iter().all(|subject| *subject == subjects[0]), "{subjects:?}");
    let list =
        server.admin(Command::CustomerList { provider: None, after: None, limit: 100 }).await;
    let ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|customer| customer["customer"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"Old") && ids.contains(&"new"), "{ids:?}");
    assert_eq!(after_sign_in(&server, "oLd", "password").await, "There is nothing to share");
    assert_eq!(after_sign_in(&server, "NEW", "NEW").await, CONSENT);
    let refused = refusal(&server, to_add("OLD", "Another", "password")).await;
    assert!(
        refused.contains("`Old` has the same name") && refused.contains("case of letters"),
        "{refused}"
    );
}

/// Two who were there before names were compared, or before the case of letters was ignored.
#[tokio::test]
async fn two_of_one_name_are_told_of_and_each_signs_in_by_writing_it_just_so() {
    let server = server(StoreKind::Sandbox, LetterCase::Ignored).await;
    put(&server, "Bob", "password of Bob").await;
    put(&server, "bob", "password of bob").await;
    let signed_in = "There is nothing to share";
    for (username, password, leads_to) in [
        ("Bob", "password of Bob", signed_in),
        ("bob", "password of bob", signed_in),
        ("bob", "password of Bob", SIGN_IN),
        ("BOB", "password of Bob", SIGN_IN),
        ("BOB", "password of bob", SIGN_IN),
    ] {
        assert_eq!(
            after_sign_in(&server, username, password).await,
            leads_to,
            "{username} {password}"
        );
    }
    let list =
        server.admin(Command::CustomerList { provider: None, after: None, limit: 100 }).await;
    let same_name = |id: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|customer| customer["customer"] == id)
            .unwrap()["same_name"]
            .clone()
    };
    assert_eq!(
        (same_name("Bob"), same_name("bob"), same_name("customer_1")),
        (json!(["bob"]), json!(["Bob"]), json!([]))
    );
    let refused = refusal(&server, Command::CustomerRemove { id: id("BOB") }).await;
    assert!(refused.contains("`Bob` or `bob`"), "{refused}");
    assert!(
        refusal(&server, to_add("BOB", "Another", "password")).await.contains("already"),
        "it would be kept as `bob`"
    );
    server.admin(Command::CustomerRemove { id: id("Bob") }).await;
    assert_eq!(after_sign_in(&server, "BOB", "password of bob").await, signed_in);
}

/// Each way of writing a name would be five guesses more.
#[tokio::test]
async fn failures_are_counted_on_the_name_however_it_is_written() {
    let server = server(StoreKind::Live, LetterCase::Matters).await;
    server.admin(to_add(COMPOSED, "Ren\u{e9}e", "password")).await;
    let mut visitor = Visitor::new(&server);
    let page = visitor.authorize(&[]).await;
    for username in [COMPOSED, DECOMPOSED, " Ren\u{e9}e", "Rene\u{301}e ", "REN\u{c9}E"] {
        assert!(
            !visitor.sign_in_with(&page, username, "wrong").await.text.contains("closed until")
        );
    }
    for username in [COMPOSED, DECOMPOSED, "ren\u{e9}e"] {
        assert!(
            visitor.sign_in_with(&page, username, "password").await.text.contains("closed until"),
            "{username:?}"
        );
    }
    let unlocked = server.admin(Command::CustomerUnlock { id: id(DECOMPOSED) }).await;
    assert!(unlocked["was_closed_until"].is_string(), "{unlocked}");
    assert_eq!(after_sign_in(&server, DECOMPOSED, "password").await, "There is nothing to share");
}

#[tokio::test]
async fn passwords_are_compared_in_one_form_and_old_hashes_go_on() {
    let server = server(StoreKind::Sandbox, LetterCase::Matters).await;
    let signed_in = "There is nothing to share";
    // Hashed as it came, by an earlier version.
    put(&server, "old", "caf\u{e9} cafe\u{301}").await;
    assert_eq!(after_sign_in(&server, "old", "caf\u{e9} cafe\u{301}").await, signed_in);
    assert_eq!(after_sign_in(&server, "old", "caf\u{e9} caf\u{e9}").await, SIGN_IN);
    server.admin(to_add("new", "New", "cafe\u{301} Noir")).await;
    server
        .admin(Command::CustomerSetPassword { id: id("old"), password: "caf\u{e9} Noir".into() })
        .await;
    for username in ["old", "new"] {
        for password in ["caf\u{e9} Noir", "cafe\u{301} Noir", "cafe\u{301}\u{a0}Noir"] {
            assert_eq!(
                after_sign_in(&server, username, password).await,
                signed_in,
                "{username} {password:?}"
            );
        }
        for password in ["caf\u{e9} noir", " caf\u{e9} Noir", "caf\u{e9} Noir ", "cafe Noir"] {
            assert_eq!(
                after_sign_in(&server, username, password).await,
                SIGN_IN,
                "{username} {password:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_password_and_a_name_may_be() {
    let server = server(StoreKind::Live, LetterCase::Matters).await;
    put(&server, "old", "short").await;
    assert_eq!(
        after_sign_in(&server, "old", "short").await,
        "There is nothing to share",
        "those that are set go on"
    );
    let long = "x".repeat(1025);
    for (password, words) in [
        ("", "at least 8 characters"),
        ("seven77", "at least 8 characters"),
        ("cafe\u{301}\u{301}77", "at least 8 characters"),
        (&*long, "at most 1024 bytes"),
        ("with a\ttab", "control characters"),
    ] {
        for command in [
            to_add("ada", "Ada", password),
            Command::CustomerSetPassword { id: id("old"), password: password.into() },
        ] {
            let refused = refusal(&server, command).await;
            assert!(
                refused.contains(words) && (password.len() < 2 || !refused.contains(password)),
                "{refused}"
            );
        }
    }
    let long = "x".repeat(201);
    for (customer, name) in [
        ("", "Ada"),
        (" ", "Ada"),
        ("a\nb", "Ada"),
        ("a\u{202e}b", "Ada"),
        (&*long, "Ada"),
        ("ada", ""),
        ("ada", "A\u{7}da"),
        ("ada", &*long),
    ] {
        let refused = refusal(&server, to_add(customer, name, "long enough")).await;
        assert!(refused.starts_with("the "), "{refused}");
    }
    server.admin(to_add("ada", "Ada", "\u{1f512}".repeat(8).as_str())).await;
    assert_eq!(
        server.admin(Command::CustomerShow { id: id("ada") }).await["accounts"],
        Value::Array(vec![])
    );
}
