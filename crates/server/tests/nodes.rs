//! Two servers on one PostgreSQL: what one changes, the other goes by.

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_core::clock::{Clock, DAY, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_server::admin::Command;
use counterfoil_server::keys::{KeyInfo, Keys, ROTATED_AFTER};
use counterfoil_store::{Endings, OpenOptions, Store, StoreAddress, StoreKind};
use counterfoil_testing::{Postgres, fresh_database};
use serde_json::json;

use crate::setting::{Answer, RECIPIENT, Sandbox, Setting, refresh_refused};
use crate::visitor::{Visitor, heading, redirected};

const ISSUER: &str = "https://a.example";

/// Two nodes of one system. The second starts with what the first has made.
async fn nodes(kind: StoreKind, database: &str) -> (Sandbox, Sandbox) {
    let store = || Some(StoreAddress::parse(database).unwrap());
    let first = Sandbox::with(Setting { kind, store: store(), ..Setting::default() }).await;
    let dir = tempfile::tempdir().unwrap();
    if kind == StoreKind::Live {
        given_the_key(&first.dir.path().join("keys"), &dir.path().join("keys"));
    }
    let setting =
        Setting { kind, store: store(), issuer: Some(first.issuer.clone()), ..Setting::default() };
    let second = Sandbox::in_directory(dir, setting).await;
    (first, second)
}

/// What an operator does for every further node.
fn given_the_key(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    std::fs::copy(from.join("store.key"), to.join("store.key")).unwrap();
}

async fn store(database: &str, kind: StoreKind) -> Store {
    let (address, holder) = (StoreAddress::parse(database).unwrap(), "the test".into());
    Store::open(OpenOptions { address, kind, issuer: ISSUER.into(), endings_log: None, holder })
        .await
        .unwrap()
}

fn kids(keys: &Keys, now: Timestamp) -> Vec<String> {
    keys.ring().list(now, DAY).into_iter().map(|KeyInfo { kid, .. }| kid).collect()
}

/// A code of a customer who allows one account at this node.
async fn code(node: &Sandbox) -> String {
    let mut visitor = Visitor::new(node);
    let consent = visitor.consent(&[]).await;
    redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone()
}

/// Asks until the answer is as it should be; half a minute without that is a failure.
async fn until(what: &str, asked: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !asked().await {
        assert!(began.elapsed() < Duration::from_secs(30), "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_first_starts_at_once_one_makes_the_keys() {
    let (database, now) = (fresh_database(), Clock::live().now());
    let (a, b) = (store(&database, StoreKind::Live).await, store(&database, StoreKind::Live).await);
    let dir = tempfile::tempdir().unwrap();
    let [shared, other] = ["shared", "other"].map(|name| dir.path().join(name));
    let (one, two) = tokio::join!(
        Keys::in_store(&a, Some(&shared), ISSUER, now),
        Keys::in_store(&b, Some(&shared), ISSUER, now)
    );
    assert_eq!(kids(&one.unwrap(), now), kids(&two.unwrap(), now));

    // A node that was not given the key is told so, and makes none of its own.
    let error = Keys::in_store(&b, Some(&other), ISSUER, now).await.unwrap_err().to_string();
    assert!(
        error.contains("store.key: it is missing")
            && error.contains("copy it here from another node"),
        "{error}"
    );
    assert!(!other.join("store.key").exists());
    let error = Keys::in_store(&b, None, ISSUER, now).await.unwrap_err().to_string();
    assert!(error.contains("not readable"), "{error}");
    // Nothing of the keys can be read in the store.
    let stored = a.keys().await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&stored.document).contains("pepper"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_due_at_every_node_is_made_once() {
    let (database, now) = (fresh_database(), Clock::live().now());
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let store = store(&database, StoreKind::Sandbox).await;
        let keys = Keys::in_store(&store, None, ISSUER, now).await.unwrap();
        nodes.push((store, keys));
    }
    let due = now.plus(ROTATED_AFTER);
    let [(a, one), (b, two), (c, three)] = &nodes[..] else { panic!("three were made") };
    let kept = tokio::join!(
        one.keep_up(a, due, DAY, false),
        two.keep_up(b, due, DAY, false),
        three.keep_up(c, due, DAY, false)
    );
    let kept = [kept.0.unwrap(), kept.1.unwrap(), kept.2.unwrap()];
    assert_eq!(kept.iter().filter(|changed| **changed).count(), 1, "{kept:?}");
    for (store, keys) in &nodes {
        keys.reload(store).await.unwrap();
        assert_eq!((kids(keys, due), keys.ring().list(due, DAY).len()), (kids(one, due), 10));
    }
    // Rotations that somebody asks for at once are all made, one after the other.
    let rotated = tokio::join!(one.rotate(a, due, due), two.rotate(b, due, due));
    rotated.0.and(rotated.1).unwrap();
    three.reload(c).await.unwrap();
    assert_eq!(three.ring().list(due, DAY).len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_and_faults_are_everybodys_from_the_next_request_on() {
    let (a, b) = nodes(StoreKind::Sandbox, &fresh_database()).await;
    a.advance("3d").await;
    assert_eq!(b.get("/sandbox/clock").await.json()["offset_seconds"], 3 * DAY);
    b.advance("1d").await;
    assert_eq!(a.get("/sandbox/clock").await.json()["offset_seconds"], 4 * DAY);

    // However many requests come at both nodes at once, a fault strikes as many as it says.
    let set = a
        .post(
            "/sandbox/faults",
            &[("fault", "unavailable"), ("count", "7"), ("client_id", RECIPIENT.0)],
        )
        .await;
    assert_eq!(b.get("/sandbox/faults").await.json()["faults"][0]["id"], set.json()["id"]);
    let one = |node: &Sandbox| {
        let request = node
            .http
            .post(node.url("/token"))
            .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
            .form(&[("grant_type", "none")]);
        tokio::spawn(crate::setting::send(request))
    };
    let asked: Vec<_> = (0..20).flat_map(|_| [one(&a), one(&b)]).collect();
    let mut answers: Vec<Answer> = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(503), with(400)), (7, 33));
    assert_eq!(a.get("/sandbox/faults").await.json()["faults"].as_array().unwrap().len(), 0);

    // Ids are not used twice, and either node clears what the other set.
    let set = b.post("/sandbox/faults", &[("fault", "lose_answer")]).await;
    assert_eq!(set.member("id"), "2");
    assert_eq!(send_delete(&a, "/sandbox/faults?id=2").await.status, 200);
    assert_eq!(send_delete(&b, "/sandbox/faults?id=2").await.status, 404);
    assert_eq!(b.get("/sandbox/faults").await.json()["faults"].as_array().unwrap().len(), 0);
}

async fn send_delete(node: &Sandbox, path: &str) -> Answer {
    crate::setting::send(node.http.delete(node.url(path))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_issues_with_new_keys_is_taken_at_the_other() {
    let (a, b) = nodes(StoreKind::Live, &fresh_database()).await;
    let mut tokens = b.exchange(RECIPIENT, &code(&a).await).await.tokens();
    for round in 0..5 {
        let (from, to) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        // Signing keys too are used at once here, as after one was compromised.
        let now = from.app.clock.now();
        from.app.keys.rotate(&from.app.store, now, now).await.unwrap();
        let before = tokens.clone();
        let key = format!("retry-key-of-round-{round}");
        tokens = from.refresh_with_key(RECIPIENT, &tokens.refresh_token, &key).await.tokens();
        to.assert_good(&tokens).await;
        let again = to.refresh_with_key(RECIPIENT, &before.refresh_token, &key).await;
        assert_eq!(
            (again.header("idempotency-replayed"), again.tokens().refresh_token),
            ("true", tokens.refresh_token.clone())
        );
        // Both know the newest by now; this one is met for the first time by a refresh, and the
        // next by a revocation.
        from.app.keys.rotate(&from.app.store, now, now).await.unwrap();
        tokens = from.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
        tokens = to.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
    }
    let now = b.app.clock.now();
    b.app.keys.rotate(&b.app.store, now, now).await.unwrap();
    tokens = b.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
    assert_eq!(a.revoke(RECIPIENT, &tokens.refresh_token).await.status, 200);
    a.refresh(RECIPIENT, &tokens.refresh_token).await.is(400, refresh_refused());
    b.assert_dead(&tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_holds_everywhere_when_the_command_is_done() {
    let (a, b) = nodes(StoreKind::Live, &fresh_database()).await;
    let tokens = a.exchange(RECIPIENT, &code(&a).await).await.tokens();
    b.assert_good(&tokens).await;
    let keys = a.admin(Command::KeysList).await;
    let rsa = keys.as_array().unwrap().iter().find(|key| key["alg"] == "RS256").unwrap()["kid"]
        .as_str()
        .unwrap();
    a.admin(Command::KeysRotate { compromised: Some(rsa.to_owned()) }).await;
    for node in [&a, &b] {
        assert_eq!(node.accounts(&tokens.id_token).await.status, 401);
        assert_eq!(node.accounts(&tokens.access_token).await.status, 200);
        assert!(!node.get("/jwks").await.text.contains(rsa));
    }
    b.set_client(RECIPIENT.0, &[("dialect", "rfc")]).await;
    assert_eq!(a.refresh(RECIPIENT, "nonsense").await.member("error"), "invalid_grant");
    b.admin(Command::ClientRemove { id: RECIPIENT.0.into() }).await;
    for node in [&a, &b] {
        assert_eq!(node.accounts(&tokens.access_token).await.status, 401);
        assert_eq!(node.refresh(RECIPIENT, &tokens.refresh_token).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_loss_of_endings_is_everybodys() {
    let (a, b) = nodes(StoreKind::Sandbox, &fresh_database()).await;
    let tokens = a.tokens(RECIPIENT).await;
    b.assert_good(&tokens).await;
    // What was issued in the second of the loss itself is not older than it.
    a.advance("1s").await;
    a.app.store.declare_loss(&Endings::default(), true, a.app.clock.now()).await.unwrap();
    b.assert_dead_bearers(&tokens).await;
    a.advance("1s").await;
    let next = b.refreshed(RECIPIENT, &tokens).await;
    a.assert_good(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_not_see_changes_answers_nothing_that_depends_on_them() {
    let postgres = Postgres::start(&[]);
    let (a, _b) = nodes(StoreKind::Live, &postgres.fresh_database()).await;
    assert_eq!(a.get("/jwks").await.status, 200);
    tokio::task::block_in_place(|| postgres.kill());
    until("refused", async || a.get("/jwks").await.status == 503).await;
    let refused = a.get("/accounts").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(a.get("/health/ready").await.status, 503);
    for path in ["/health/live", "/metrics", "/assets/style.css"] {
        assert_eq!(a.get(path).await.status, 200, "{path}");
    }
    assert_eq!(a.get("/nowhere").await.status, 404);
    tokio::task::block_in_place(|| postgres.start_again());
    until("ready again", async || a.get("/health/ready").await.status == 200).await;
    assert_eq!(a.get("/jwks").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_without_asking_dies_with_its_consent_on_every_node() {
    let (a, b) = nodes(StoreKind::Sandbox, &fresh_database()).await;
    let mut visitor = Visitor::new(&a);
    let consent = visitor.consent(&[]).await;
    let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
    let given = a.exchange(RECIPIENT, &code).await.tokens();
    let mut quiet = async || {
        redirected(&visitor.authorize(&[("prompt", "none"), ("scope", "openid profile")]).await)
                ["code"]
                .clone()
    };
    let (code, on_its_way) = (quiet().await, quiet().await);
    // Either node knows all there is to know of it.
    let tokens = b.exchange(RECIPIENT, &code).await.tokens();
    for node in [&a, &b] {
        node.assert_good(&tokens).await;
    }
    assert_eq!(a.revoke(RECIPIENT, &given.refresh_token).await.status, 200);
    for node in [&b, &a] {
        node.assert_dead_bearers(&tokens).await;
        for token in [&tokens.id_token, &tokens.access_token] {
            assert_eq!(node.introspect(RECIPIENT, token).await.json()["active"], false);
        }
        assert_eq!(node.exchange(RECIPIENT, &on_its_way).await.status, 400);
    }
}

/// What nodes keep of accounts, who is locked out, and passwords.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_about_a_customer_holds_everywhere() {
    let (a, b) = nodes(StoreKind::Live, &fresh_database()).await;
    let id = CustomerId { provider: "sandbank".into(), customer: "customer_1".into() };
    let tokens = a.exchange(RECIPIENT, &code(&a).await).await.tokens();
    let answered = async |node: &Sandbox| {
        node.accounts(&tokens.id_token).await.json()["accounts"].as_array().unwrap().len()
    };
    assert_eq!((answered(&a).await, answered(&b).await), (1, 1));
    let other = json!({ "accounts": [{ "depositAccount": { "accountId": "another" } }] });
    let set = a.admin(Command::CustomerSetAccounts { id: id.clone(), accounts: other }).await;
    assert_eq!((&set["accounts"], &set["added"]), (&json!(1), &json!(1)));
    assert_eq!((answered(&a).await, answered(&b).await), (0, 0));

    let mut visitor = Visitor::new(&b);
    let page = visitor.authorize(&[("prompt", "login")]).await;
    for _ in 0..5 {
        visitor.sign_in_with(&page, "customer_1", "wrong").await;
    }
    assert!(visitor.sign_in(&page, "customer_1").await.text.contains("closed until"));
    a.admin(Command::CustomerUnlock { id }).await;
    assert_eq!(
        heading(&visitor.sign_in(&page, "customer_1").await),
        "Give Pocket Ledger access to your accounts?"
    );
}
