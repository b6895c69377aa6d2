//! Wrong clocks: this machine's, moved by days and by seconds, and the database's; on both engines, one node and two.

use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_core::clock::{Clock, DAY, LASTING, Machine, ManualClock, Millis};
use counterfoil_core::grant::GrantId;
use counterfoil_server::admin::{Command, execute};
use counterfoil_store::{StoreAddress, StoreKind};
use counterfoil_testing::{fresh_database, psql};
use reqwest::Method;
use serde_json::{Value, json};

use crate::setting::{RECIPIENT, Sandbox, Setting, Tokens, claims, send};
use crate::visitor::{Visitor, forms, heading, redirected};

const DAYS: Millis = DAY * 1000;

/// A node whose machine has manual clocks.
struct Node {
    node: Sandbox,
    hand: Arc<ManualClock>,
}

/// Live servers on one store, and its clock where it is a database.
struct System {
    nodes: Vec<Node>,
    database: Option<String>,
}

/// Looked up before PostgreSQL's own: a clock that stands still until it is moved.
const BY_HAND: &str = "CREATE TABLE by_hand (seconds double precision); INSERT INTO by_hand VALUES (0); \
    CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT to_timestamp(seconds) FROM public.by_hand'; \
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";

impl System {
    /// Starts a node for each of `off`, its clock so many milliseconds ahead.
    async fn start(database: Option<String>, off: &[Millis]) -> Self {
        let mut system = Self { nodes: Vec::new(), database };
        let now = Clock::live().wall().unix() * 1000;
        system.shift_database(now);
        for off in off {
            let hand = ManualClock::at(now + off);
            let dir = tempfile::tempdir().unwrap();
            let first = system.nodes.first().map(|Node { node, .. }| node);
            if let Some(first) = first {
                use std::os::unix::fs::DirBuilderExt;
                std::fs::DirBuilder::new().mode(0o700).create(dir.path().join("keys")).unwrap();
                std::fs::copy(
                    first.dir.path().join("keys/store.key"),
                    dir.path().join("keys/store.key"),
                )
                .unwrap();
            }
            let setting = Setting {
                kind: StoreKind::Live,
                store: system.database.as_ref().map(|url| StoreAddress::parse(url).unwrap()),
                issuer: first.map(|first| first.issuer.clone()),
                machine: Machine::Manual(hand.clone()),
                ..Setting::default()
            };
            let node = Sandbox::in_directory(dir, setting).await;
            system.nodes.push(Node { node, hand });
        }
        system
    }

    async fn on_sqlite() -> Self {
        Self::start(None, &[0]).await
    }

    async fn on_postgres(off: &[Millis]) -> Self {
        let url = fresh_database();
        psql(&url, BY_HAND);
        Self::start(Some(url), off).await
    }

    fn first(&self) -> &Node {
        &self.nodes[0]
    }

    /// Lets time pass everywhere.
    fn pass(&self, time: Millis) {
        self.shift_database(time);
        self.nodes.iter().for_each(|node| node.hand.pass(time));
    }

    fn shift_database(&self, time: Millis) {
        if let Some(url) = &self.database {
            psql(url, &format!("UPDATE by_hand SET seconds = seconds + {time} / 1000.0"));
        }
    }
}

impl Node {
    async fn ready(&self) -> (u16, Value) {
        let answer = self.node.get("/health/ready").await;
        (answer.status, answer.json())
    }

    /// Asks until the server has looked at its clocks and says this; half a minute without that is
    /// a failure.
    async fn until_ready_says(&self, status: u16, off: Option<i64>) {
        let began = Instant::now();
        loop {
            let (found, answer) = self.ready().await;
            if found == status && answer["clock_off_seconds"].as_i64() == off {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "still {found} {answer}, not {status} {off:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sets the wall clock, and waits until the server has seen it.
    async fn set_wall_by(&self, step: Millis) {
        self.hand.set_wall_by(step);
        self.until_ready_says(200, Some(step / 1000)).await;
    }

    /// First tokens of a new grant.
    async fn tokens(&self) -> Tokens {
        let mut visitor = Visitor::new(&self.node);
        let consent = visitor.consent(&[]).await;
        let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
        self.node.exchange(RECIPIENT, &code).await.tokens()
    }

    async fn admin(&self, command: Command) -> Value {
        execute(&self.node.app, command).await.unwrap()
    }
}

fn issued_at(tokens: &Tokens) -> i64 {
    claims(&tokens.id_token)["iat"].as_i64().unwrap()
}

async fn a_jump_that_does_not_last(system: System) {
    let right = Clock::live().now().unix();
    let node = system.first();
    let mut tokens = node.tokens().await;
    for step in [800 * DAYS, -3650 * DAYS, 3_600_000] {
        node.set_wall_by(step).await;
        tokens = node.node.refreshed(RECIPIENT, &tokens).await;
        assert!((issued_at(&tokens) - right).abs() < 60, "issued by a clock that is wrong");
        assert_eq!(node.node.accounts(&tokens.id_token).await.status, 200);
        // A requested sweep says why it does nothing.
        let error = execute(&node.node.app, Command::GrantSweep { all: true }).await.unwrap_err();
        assert!(error.contains("clocks disagree"), "{error}");
        node.hand.set_wall_by(-step);
        node.until_ready_says(200, None).await;
    }
    tokens = node.node.refreshed(RECIPIENT, &tokens).await;
    assert!((issued_at(&tokens) - right).abs() < 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_that_does_not_last_changes_nothing_on_sqlite() {
    a_jump_that_does_not_last(System::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_that_does_not_last_changes_nothing_on_postgres() {
    a_jump_that_does_not_last(System::on_postgres(&[0]).await).await;
}

async fn a_large_step_that_lasts(system: System) {
    let node = system.first();
    let Node { node: server, hand } = node;
    let (tokens, to_revoke) = (node.tokens().await, node.tokens().await);
    for step in [800 * DAYS, -3650 * DAYS] {
        node.set_wall_by(step).await;
        system.pass(LASTING);
        node.until_ready_says(503, Some(step / 1000)).await;
        // Never what a client can't undo.
        let refused = server.refresh(RECIPIENT, &tokens.refresh_token).await;
        refused.is(503, json!({ "error": "temporarily_unavailable" }));
        assert_eq!(refused.header("retry-after"), "1");
        // A page of a client sees that too.
        let page = |method| {
            server
                .http
                .request(method, server.url("/token"))
                .header("origin", "http://localhost:3000")
        };
        let preflight = page(Method::OPTIONS).header("access-control-request-method", "POST");
        for (answer, status) in
            [(send(page(Method::POST)).await, 503), (send(preflight).await, 200)]
        {
            let seen = (answer.status, answer.header("access-control-allow-origin"));
            assert_eq!(seen, (status, "http://localhost:3000"), "{answer:?}");
        }
        server
            .accounts(&tokens.id_token)
            .await
            .is(503, json!({ "code": 501, "message": "Subsystem unavailable" }));
        assert_eq!(server.bearer("/userinfo", &tokens.access_token).await.status, 503);
        assert_eq!(server.get("/authorize").await.status, 503);
        for path in
            ["/health/live", "/jwks", "/.well-known/openid-configuration", "/assets/style.css"]
        {
            assert_eq!(server.get(path).await.status, 200, "{path}");
        }
        let metrics = server.get("/metrics").await.text;
        assert!(
            metrics.contains("counterfoil_clock_unsure 1")
                && metrics.contains("counterfoil_clock_off_seconds"),
            "{metrics}"
        );
        // What is to be ended can be at any time.
        assert_eq!(server.revoke(RECIPIENT, &to_revoke.refresh_token).await.status, 200);
        let status = node.admin(Command::ClockStatus).await;
        // Of nodes on a database the command can't say, wherever it is run.
        assert_eq!(
            status["answering"],
            if system.database.is_some() { Value::Null } else { json!(false) },
            "{status}"
        );

        hand.set_wall_by(-step);
        node.until_ready_says(200, None).await;
        assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
    }
    server.assert_dead_bearers(&to_revoke).await;
    server.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_step_that_lasts_stops_the_server_until_the_clock_is_right_on_sqlite() {
    a_large_step_that_lasts(System::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_step_that_lasts_stops_the_server_until_the_clock_is_right_on_postgres() {
    a_large_step_that_lasts(System::on_postgres(&[0]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_step_that_lasts_is_taken_over_and_the_store_is_told() {
    let system = System::on_sqlite().await;
    let node = system.first();
    let tokens = node.tokens().await;
    let before = issued_at(&tokens);
    for step in [1_800_000, -1_800_000] {
        node.set_wall_by(step).await;
        let newest = node.admin(Command::ClockStatus).await["store_last_used"].clone();
        system.pass(LASTING);
        node.until_ready_says(200, None).await;
        let began = Instant::now();
        while node.admin(Command::ClockStatus).await["store_last_used"] == newest {
            assert!(began.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let tokens = node.node.refreshed(RECIPIENT, &tokens).await;
    let took = issued_at(&tokens) - before;
    assert!((2 * LASTING / 1000..2 * LASTING / 1000 + 60).contains(&took), "{took}");
    assert!(node.node.get("/metrics").await.text.contains("counterfoil_clock_steps_total 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_may_say_that_a_large_step_is_right() {
    let system = System::on_sqlite().await;
    let node = system.first();
    let tokens = node.tokens().await;
    node.set_wall_by(3 * DAYS).await;
    system.pass(LASTING);
    node.until_ready_says(503, Some(3 * DAY)).await;
    let status = node.admin(Command::ClockAccept).await;
    assert_eq!(
        (&status["answering"], &status["off"], &status["store_last_used"]),
        (&json!(true), &json!(null), &status["believed"])
    );
    node.until_ready_says(200, None).await;
    let refreshed = node.node.refreshed(RECIPIENT, &tokens).await;
    assert!(issued_at(&refreshed) - issued_at(&tokens) >= 3 * DAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_the_one_whose_clock_is_wrong_stops_and_harms_nobody() {
    let system = System::on_postgres(&[0, 0]).await;
    let [right, wrong] = &system.nodes[..] else { panic!("there are two") };
    let tokens = right.tokens().await;
    for step in [800 * DAYS, -3650 * DAYS, 600_000] {
        wrong.set_wall_by(step).await;
        system.pass(LASTING);
        wrong.until_ready_says(503, Some(step / 1000)).await;
        assert_eq!(wrong.node.refresh(RECIPIENT, &tokens.refresh_token).await.status, 503);
        right.until_ready_says(200, None).await;
        assert_eq!(right.node.accounts(&tokens.id_token).await.status, 200);
        wrong.hand.set_wall_by(-step);
        wrong.until_ready_says(200, None).await;
    }
    let tokens = right.node.refreshed(RECIPIENT, &tokens).await;
    wrong.node.refreshed(RECIPIENT, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_some_seconds_apart_take_each_others_repeats() {
    for apart in [2000, 30_000] {
        let system = System::on_postgres(&[apart / 2, -apart / 2]).await;
        let [ahead, behind] = &system.nodes[..] else { panic!("there are two") };
        let tokens = ahead.tokens().await;
        let (token, key) = (&tokens.refresh_token, "a-key-of-16-characters-or-more");
        let first = ahead.node.refresh_with_key(RECIPIENT, token, key).await;
        let again = behind.node.refresh_with_key(RECIPIENT, token, key).await;
        assert_eq!(again.header("idempotency-replayed"), "true", "{} {}", again.status, again.text);
        assert_eq!(again.member("refresh_token"), first.member("refresh_token"));
        // A callback that the browser doubles, so that the code comes to the other node too.
        let mut visitor = Visitor::new(&ahead.node);
        let consent = visitor.consent(&[]).await;
        let code = redirected(&visitor.allow(&consent, &["c1-card"]).await)["code"].clone();
        let tokens = ahead.node.exchange(RECIPIENT, &code).await.tokens();
        assert_eq!(behind.node.exchange(RECIPIENT, &code).await.status, 400);
        assert_eq!(behind.node.accounts(&tokens.id_token).await.status, 200, "the grant lives");
        // A sign-in that was asked for at the one and done at the other is not too old.
        for (asked_at, done_at) in [(ahead, behind), (behind, ahead)] {
            let mut visitor = Visitor::new(&asked_at.node);
            let page = visitor.authorize(&[("prompt", "login")]).await;
            visitor.sandbox = &done_at.node;
            let signed_in = visitor.sign_in(&page, "customer_1").await;
            assert!(heading(&signed_in).starts_with("Give "), "{}", signed_in.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_database_agrees_with_is_taken_over() {
    let system = System::on_postgres(&[0]).await;
    let node = system.first();
    let tokens = node.tokens().await;
    node.set_wall_by(2 * DAYS).await;
    system.pass(LASTING);
    node.until_ready_says(503, Some(2 * DAY)).await;
    system.shift_database(2 * DAYS);
    node.until_ready_says(200, None).await;
    let refreshed = node.node.refreshed(RECIPIENT, &tokens).await;
    assert!(issued_at(&refreshed) - issued_at(&tokens) >= 2 * DAY);
    // But they may have been set together, so nothing follows for a day that can't be undone.
    let error = execute(&node.node.app, Command::GrantSweep { all: false }).await.unwrap_err();
    assert!(error.contains("or did within a day"), "{error}");
    system.pass(DAYS);
    node.admin(Command::GrantSweep { all: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_before_is_no_new_sign_in_however_far_apart_nodes_may_be() {
    let system = System::on_postgres(&[0]).await;
    let node = &system.first().node;
    let mut visitor = Visitor::new(node);
    visitor.consent(&[]).await;
    system.pass(2000);
    system.first().until_ready_says(200, None).await;
    let page = visitor.authorize(&[("prompt", "login")]).await;
    assert_eq!(heading(&page), "Sign in to Sandbank");
    let (_, fields) = forms(&page).pop().unwrap();
    let page = visitor.get(&format!("/consent?ticket={}", fields["ticket"])).await;
    assert_eq!(heading(&page), "Sign in to Sandbank");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_from_the_future_or_of_a_grant_that_has_expired_is_refused() {
    let system = System::on_sqlite().await;
    let node = system.first();
    let Node { node: server, hand } = node;
    server.set_client(RECIPIENT.0, &[("duration_days", "1")]).await;
    node.set_wall_by(3_500_000).await;
    system.pass(LASTING);
    node.until_ready_says(200, None).await;
    let ahead = node.tokens().await;
    server.assert_good(&ahead).await;
    node.set_wall_by(-3_500_000).await;
    system.pass(LASTING);
    node.until_ready_says(200, None).await;
    server.assert_dead_bearers(&ahead).await;
    // What the client does then: the grant itself is as good as it was.
    let refreshed = server.refreshed(RECIPIENT, &ahead).await;
    server.assert_good(&refreshed).await;
    hand.pass(DAYS);
    server.assert_dead_bearers(&refreshed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_clock_is_wrong_stops_the_nodes_unless_the_operator_accepts_that() {
    let system = System::on_postgres(&[0, 0]).await;
    let tokens = system.first().tokens().await;
    system.shift_database(-DAYS);
    for node in &system.nodes {
        node.until_ready_says(200, Some(-DAY)).await;
    }
    system.pass(LASTING);
    for node in &system.nodes {
        node.until_ready_says(503, Some(-DAY)).await;
    }
    system.first().admin(Command::ClockAccept).await;
    for node in &system.nodes {
        node.until_ready_says(200, None).await;
    }
    // And once it is set right, nothing has to be taken back.
    system.shift_database(DAYS);
    let tokens = system.first().node.refreshed(RECIPIENT, &tokens).await;
    for node in &system.nodes {
        assert_eq!(
            (node.ready().await, node.node.accounts(&tokens.id_token).await.status),
            ((200, json!({ "ready": true })), 200)
        );
    }
}

/// The last line of defence: both clocks agree on a day years ahead.
async fn more_than_can_have_expired(system: System) {
    let node = system.first();
    let mut tokens = node.tokens().await;
    for _ in 0..10 {
        tokens = node.tokens().await;
    }
    system.pass(900 * DAYS);
    node.until_ready_says(200, None).await;
    node.node.app.store.note_time(node.node.app.clock.trusted()).await.unwrap();
    let swept = node.admin(Command::GrantSweep { all: false }).await;
    assert_eq!(
        swept,
        json!({ "ended": 0, "expired": 11, "living": 11, "removed": 0, "stopped": true })
    );
    assert!(node.node.get("/metrics").await.text.contains("counterfoil_sweep_stopped 1"));
    assert_eq!(
        node.admin(Command::GrantShow { grant: GrantId::parse(&tokens.grant()).unwrap() }).await["living"],
        false
    );
    let swept = node.admin(Command::GrantSweep { all: true }).await;
    assert_eq!((&swept["removed"], &swept["stopped"]), (&json!(11), &json!(false)));
    assert!(node.node.get("/metrics").await.text.contains("counterfoil_sweep_stopped 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_would_remove_too_much_removes_nothing_on_sqlite() {
    more_than_can_have_expired(System::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_would_remove_too_much_removes_nothing_on_postgres() {
    more_than_can_have_expired(System::on_postgres(&[0]).await).await;
}
