//! Sign-in is closed for a customer after five failures in fifteen minutes: what they are told, and
//! what opens it.

use std::sync::Arc;

use counterfoil_core::clock::{MINUTE, Machine, ManualClock, Seconds, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::{Command, execute};
use counterfoil_store::{StoreAddress, StoreKind};
use serde_json::{Value, json};

use crate::setting::{Answer, Sandbox, Setting};
use crate::visitor::{Visitor, assert_page, forms, heading, redirected};

const SIGN_IN: &str = "Sign in to Sandbank";
const CONSENT: &str = "Give Pocket Ledger access to your accounts?";
/// Half past twelve, and a bit.
const START: Timestamp = Timestamp::from_unix(1_795_437_017);

/// A live server, with a manual clock.
async fn live() -> (Sandbox, Arc<ManualClock>) {
    let hand = ManualClock::at(START.unix() * 1000);
    let dir = tempfile::tempdir().unwrap();
    // A database has a clock of its own.
    let store = Some(StoreAddress::Sqlite(dir.path().join("store.db")));
    let setting = Setting {
        kind: StoreKind::Live,
        store,
        machine: Machine::Manual(hand.clone()),
        ..Setting::default()
    };
    (Sandbox::in_directory(dir, setting).await, hand)
}

fn pass(hand: &ManualClock, time: Seconds) {
    hand.pass(time * 1000);
}

fn customer(id: &str) -> CustomerId {
    CustomerId { provider: "sandbank".into(), customer: id.into() }
}

/// A page as it is for everybody: without its ticket, and without the name that was typed.
fn in_common(page: &Answer, username: &str) -> String {
    let ticket = forms(page).pop().unwrap().1["ticket"].clone();
    page.text.replace(&ticket, "").replace(username, "")
}

async fn fail_five_times(visitor: &mut Visitor<'_>, username: &str) -> String {
    let page = visitor.authorize(&[]).await;
    let mut told = Vec::new();
    for _ in 0..5 {
        let answer = visitor.sign_in_with(&page, username, "wrong").await;
        assert_page(&answer, 403, SIGN_IN);
        assert!(
            answer.text.contains("The user name or the password is wrong")
                && !answer.text.contains("closed"),
            "{}",
            answer.text
        );
        told.push(in_common(&answer, username));
    }
    assert!(told.iter().all(|page| *page == told[0]));
    told.remove(0)
}

#[tokio::test]
async fn while_it_is_closed_right_wrong_and_unknown_are_told_until_when() {
    let (server, hand) = live().await;
    let mut visitor = Visitor::new(&server);
    let known = fail_five_times(&mut visitor, "customer_1").await;
    let unknown = fail_five_times(&mut visitor, "nobody").await;
    assert_eq!(known, unknown);
    let page = visitor.authorize(&[]).await;
    let mut told = Vec::new();
    for (username, password) in [
        ("customer_1", "customer_1"),
        ("customer_1", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "nobody"),
    ] {
        let answer = visitor.sign_in_with(&page, username, password).await;
        assert_page(&answer, 403, SIGN_IN);
        assert!(answer.text.contains("Sign-in is closed until 12:46 UTC"), "{}", answer.text);
        told.push(in_common(&answer, username));
    }
    assert!(told.iter().all(|page| *page == told[0]), "{told:?}");
    assert_eq!(
        redirected(&visitor.submit(&page, &[("decision", "deny")]).await)["error"],
        "access_denied",
        "the app is within reach"
    );
    // Others are let in.
    assert_page(&visitor.sign_in(&page, "customer_2").await, 200, CONSENT);

    pass(&hand, 15 * MINUTE - 1);
    let mut visitor = Visitor::new(&server);
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in(&page, "customer_1").await, 403, SIGN_IN);
    pass(&hand, 1);
    assert_page(&visitor.sign_in(&page, "customer_1").await, 200, CONSENT);
}

#[tokio::test]
async fn an_operator_opens_it_at_once() {
    let (server, _hand) = live().await;
    let mut visitor = Visitor::new(&server);
    let unlock = || server.admin(Command::CustomerUnlock { id: customer("customer_1") });
    let unlocked = |until: Value| json!({ "provider": "sandbank", "customer": "customer_1", "was_closed_until": until });
    assert_eq!(unlock().await, unlocked(Value::Null));
    fail_five_times(&mut visitor, "customer_1").await;
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in(&page, "customer_1").await, 403, SIGN_IN);
    assert_eq!(unlock().await, unlocked(START.plus(15 * MINUTE).to_string().into()));
    assert_page(&visitor.sign_in(&page, "customer_1").await, 200, CONSENT);

    let mut visitor = Visitor::new(&server);
    fail_five_times(&mut visitor, "customer_1").await;
    server
        .admin(Command::CustomerSetPassword {
            id: customer("customer_1"),
            password: "another password".into(),
        })
        .await;
    let page = visitor.authorize(&[]).await;
    assert_page(&visitor.sign_in_with(&page, "customer_1", "another password").await, 200, CONSENT);
    let refused =
        execute(&server.app, Command::CustomerUnlock { id: customer("nobody") }).await.unwrap_err();
    assert!(refused.contains("nobody"), "{refused}");
}

/// Who tries out a sandbox is nobody to be kept off.
#[tokio::test]
async fn a_sandbox_never_closes() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    for _ in 0..3 {
        fail_five_times(&mut visitor, "customer_1").await;
    }
    let page = visitor.authorize(&[]).await;
    assert_eq!(heading(&visitor.sign_in(&page, "customer_1").await), CONSENT);
}

#[tokio::test]
async fn what_succeeds_is_no_failure() {
    let (server, _hand) = live().await;
    for _ in 0..6 {
        Visitor::new(&server).consent(&[]).await;
    }
}
