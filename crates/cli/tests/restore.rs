//! Backups, restoring them and declaring that data was lost, over the real binary: what becomes of
//! the tokens that clients hold.

use std::os::unix::fs::PermissionsExt;

use counterfoil_core::clock::Clock;
use serde_json::{Value, json};

use crate::setting::{Done, Live, Server, Tokens, finish, run, wait_until};

const PASSWORD: &str = "alice-password";
const ALICE: (&str, &str) = ("alice", PASSWORD);

/// A server with a client and a customer.
struct Bank {
    live: Live,
    secret: String,
}

impl Bank {
    fn new() -> Self {
        let live = Live::new();
        live.add_customer(ALICE.0, PASSWORD);
        let secret = live.add_client("shop");
        Self { live, secret }
    }

    fn shop(&self) -> (&str, &str) {
        ("shop", &self.secret)
    }

    fn file(&self, name: &str) -> String {
        self.live.path(name).to_str().unwrap().to_owned()
    }

    fn backup(&self) -> Done {
        self.live.admin(&format!("backup --to {} --json", self.file("backup.db")))
    }

    fn restore(&self, more: &str) -> Done {
        self.live.admin(format!("restore --from {} {more}", self.file("backup.db")).trim_end())
    }

    /// Puts the backup in the place of the store as `cp` would.
    fn copy_by_hand(&self) {
        std::fs::copy(self.live.path("backup.db"), self.live.path("counterfoil.db")).unwrap();
    }

    async fn refreshed(&self, server: &Server, tokens: &Tokens) -> Tokens {
        server.refresh(self.shop(), &tokens.refresh_token).await.tokens()
    }

    async fn refuses(&self, server: &Server, refresh_token: &str) {
        let answer = server.refresh(self.shop(), refresh_token).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
}

/// Waits until tokens that were issued by now are older than what happens next.
fn until_the_next_second() {
    let now = || Clock::live().now();
    let issued = now();
    wait_until("the next second", || (now() > issued).then_some(()));
}

#[tokio::test]
async fn clients_go_on_and_what_was_revoked_stays_revoked() {
    let bank = Bank::new();
    let server = bank.live.serve();
    let kept = server.consent(bank.shop(), ALICE).await;
    let revoked = server.consent(bank.shop(), ALICE).await;
    let at_backup = bank.refreshed(&server, &kept).await;

    let made = bank.backup();
    assert!(
        made.stderr.contains("keys are not in it") && made.stderr.contains(&bank.file("keys")),
        "{}",
        made.stderr
    );
    let made = made.json();
    assert_eq!(made["to"], bank.file("backup.db"));
    let meta = std::fs::metadata(bank.live.path("backup.db")).unwrap();
    assert_eq!((&made["bytes"], meta.permissions().mode() & 0o777), (&json!(meta.len()), 0o600));
    assert!(made["seconds"].is_number() && made["longest_stall_ms"].is_number(), "{made}");

    let later = bank.refreshed(&server, &at_backup).await;
    let last = bank.refreshed(&server, &later).await;
    let lost = server.consent(bank.shop(), ALICE).await;
    assert_eq!(server.revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
    server.stop();

    let restored = bank.restore("--json").json();
    let told = |name: &str| restored[name].clone();
    assert_eq!(
        (told("epoch"), told("endings_applied"), told("endings_unknown")),
        (json!(1), json!(1), json!(0))
    );
    assert_eq!((told("bearers_from"), told("torn")), (Value::Null, json!([])));
    let old = restored["old_store"].as_str().unwrap();
    assert!(
        old.starts_with(&bank.file("counterfoil.db.before-restore-20"))
            && std::fs::exists(old).unwrap(),
        "{old}"
    );

    let server = bank.live.serve();
    assert_eq!(server.accounts(&revoked.id_token).await.status, 401);
    bank.refuses(&server, &revoked.refresh_token).await;
    assert_eq!(server.accounts(&last.id_token).await.status, 200);
    let next = bank.refreshed(&server, &last).await;
    for old in [&at_backup, &later, &last] {
        bank.refuses(&server, &old.refresh_token).await;
    }
    assert_eq!(server.accounts(&next.id_token).await.status, 200);
    bank.refreshed(&server, &next).await;
    // A consent that came after the backup is gone.
    bank.refuses(&server, &lost.refresh_token).await;
    assert_eq!(server.accounts(&lost.id_token).await.status, 401);
}

#[tokio::test]
async fn where_endings_are_lost_clients_must_refresh() {
    let bank = Bank::new();
    let server = bank.live.serve();
    let kept = server.consent(bank.shop(), ALICE).await;
    let revoked = server.consent(bank.shop(), ALICE).await;
    bank.backup().json();
    assert_eq!(server.revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
    server.stop();
    std::fs::remove_file(bank.live.path("endings.log")).unwrap();
    let before = std::fs::read(bank.live.path("counterfoil.db")).unwrap();
    bank.restore("").refused(1, &["there is no endings log", "--endings", "--accept-lost-endings"]);
    // As a new server makes it.
    std::fs::write(bank.live.path("endings.log"), "").unwrap();
    bank.restore("").refused(1, &["endings.log holds no ending", "If nothing was ever revoked"]);
    assert_eq!(std::fs::read(bank.live.path("counterfoil.db")).unwrap(), before);

    until_the_next_second();
    bank.restore("--accept-lost-endings").says(&[
        "0 were applied",
        "issued before 20",
        "are refused; clients refresh",
    ]);
    let server = bank.live.serve();
    for tokens in [&kept, &revoked] {
        assert_eq!(server.accounts(&tokens.id_token).await.status, 401);
        assert_eq!(server.bearer("/userinfo", &tokens.access_token).await.status, 401);
    }
    let next = bank.refreshed(&server, &kept).await;
    assert_eq!(server.accounts(&next.id_token).await.status, 200);
    server.stop();

    // The log that was begun then tells it to whoever restores the same backup again.
    let again = bank.restore("--json").json();
    assert!(again["bearers_from"].is_string(), "{again}");
    let server = bank.live.serve();
    assert_eq!(server.accounts(&kept.id_token).await.status, 401);
}

/// Endings logs of other nodes, and of a store without any ending so far.
#[tokio::test]
async fn endings_come_from_every_log_that_is_named() {
    let bank = Bank::new();
    let server = bank.live.serve();
    let revoked = server.consent(bank.shop(), ALICE).await;
    bank.backup().json();
    assert_eq!(server.revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
    server.stop();
    let log = bank.live.path("endings.log");
    let line = std::fs::read_to_string(&log).unwrap();
    let other = bank.live.path("node-2.log");
    std::fs::write(&other, format!("{line}{{\"at\":1")).unwrap();
    std::fs::write(&log, "").unwrap();

    std::fs::write(bank.live.path("damaged.log"), format!("{{\"at\":1\n{line}")).unwrap();
    bank.restore(&format!("--endings {}", bank.file("damaged.log")))
        .refused(1, &["line 1 of the endings log", "damaged.log"]);
    bank.restore("--endings /nowhere/endings.log").refused(1, &["/nowhere/endings.log"]);
    bank.restore(&format!("--endings {}", log.display())).says(&["0 were applied"]);
    let restored = bank.restore(&format!("--endings {}", other.display()));
    restored.says(&["1 were applied"]);
    assert!(
        restored.stderr.contains("node-2.log") && restored.stderr.contains("cut short"),
        "{}",
        restored.stderr
    );
    // The store's own log knows it from now on.
    let ending = line.lines().nth(1).unwrap().split(",\"node\"").next().unwrap();
    assert!(std::fs::read_to_string(&log).unwrap().contains(ending), "{line}");
    let server = bank.live.serve();
    assert_eq!(server.accounts(&revoked.id_token).await.status, 401);
}

#[tokio::test]
async fn a_loss_is_declared_while_the_server_runs_and_while_none_does() {
    for runs in [true, false] {
        let bank = Bank::new();
        let server = bank.live.serve();
        let tokens = server.consent(bank.shop(), ALICE).await;
        let revoked = server.consent(bank.shop(), ALICE).await;
        bank.backup().json();
        let later = bank.refreshed(&server, &tokens).await;
        let last = bank.refreshed(&server, &later).await;
        assert_eq!(server.revoke(bank.shop(), &revoked.refresh_token).await.status, 200);
        bank.live.admin("client remove shop").says(&["removed"]);
        server.stop();
        bank.copy_by_hand();

        let declare = |more: &str| bank.live.admin(format!("declare-loss {more}").trim_end());
        finish(&mut bank.live.command(), "")
            .refused(1, &["earlier state", "counterfoil declare-loss"]);
        let declared = declare("--json").json();
        // The revocation, the removal, and what was worked off of it.
        assert!(
            declared["epoch"] == 1 && declared["endings_applied"].as_u64().unwrap() >= 2,
            "{declared}"
        );
        let server = runs.then(|| bank.live.serve());
        declare("").says(&["epoch is 2", "0 were applied"]);
        let server = server.unwrap_or_else(|| bank.live.serve());
        // The client is gone at once, also from the memory of a server that runs.
        assert_eq!(server.refresh(bank.shop(), &last.refresh_token).await.status, 401);
        assert_eq!(server.accounts(&last.id_token).await.status, 401);
        server.stop();

        // Without its removal, it goes on.
        bank.copy_by_hand();
        let log = std::fs::read_to_string(bank.live.path("endings.log")).unwrap();
        let of_removal =
            |line: &&str| line.contains("client\":\"shop") || line.contains("client_removed");
        let without: String =
            log.lines().filter(|line| !of_removal(line)).map(|line| format!("{line}\n")).collect();
        std::fs::write(bank.live.path("endings.log"), without).unwrap();
        until_the_next_second();
        declare("--accept-lost-endings").says(&["epoch is 1", "issued before 20"]);
        let server = bank.live.serve();
        assert_eq!(server.accounts(&last.id_token).await.status, 401);
        let next = bank.refreshed(&server, &last).await;
        assert_eq!(server.accounts(&next.id_token).await.status, 200);
        bank.refuses(&server, &later.refresh_token).await;
        bank.refuses(&server, &revoked.refresh_token).await;
    }
}

#[tokio::test]
async fn what_can_not_be_done_is_said_and_changes_nothing() {
    let bank = Bank::new();
    // Without a server, and without a store.
    bank.backup().json();
    bank.backup().refused(1, &["backup.db is there already"]);
    bank.live
        .admin("backup --to /nowhere/backup.db")
        .refused(1, &["/nowhere/backup.db", "No such file"]);
    run(&["backup"]).refused(2, &["--to <FILE>"]);
    run(&["restore"]).refused(2, &["--from <FILE>"]);
    run(&["declare-loss"]).refused(2, &["--config <FILE>"]);

    let endings = format!("--endings {}", bank.file("endings.log"));
    let server = bank.live.serve();
    bank.restore(&endings).refused(
        1,
        &["in use by counterfoil serve, process", &server.id().to_string(), "Stop it first"],
    );
    server.stop();

    let keys = bank.live.path("keys/keys.json");
    std::fs::rename(&keys, bank.live.path("keys/away.json")).unwrap();
    bank.restore(&endings).refused(1, &["there are no keys in", &bank.file("keys")]);
    bank.live
        .admin(&format!("backup --to {}", bank.file("other.db")))
        .refused(1, &["there are no keys in", &bank.file("keys")]);
    assert!(!keys.exists() && !bank.live.path("other.db").exists());
    std::fs::rename(bank.live.path("keys/away.json"), &keys).unwrap();

    let empty = Live::new();
    empty
        .admin(&format!("backup --to {}", bank.file("other.db")))
        .refused(1, &["there is no store at"]);
    assert!(!empty.path("counterfoil.db").exists() && !empty.path("keys").exists());

    let text = std::fs::read_to_string(bank.live.config()).unwrap();
    let store = format!("sqlite:{}", bank.file("counterfoil.db"));
    std::fs::write(bank.live.config(), text.replace(&store, "postgres://db.example/counterfoil"))
        .unwrap();
    bank.backup().refused(1, &["PostgreSQL", "pg_basebackup", "declare-loss"]);
    bank.restore(&endings).refused(1, &["PostgreSQL", "declare-loss"]);
    std::fs::write(
        bank.live.config(),
        text.replace("http://127.0.0.1:8080", "https://other.example"),
    )
    .unwrap();
    bank.restore(&endings).refused(1, &["backup.db belongs to the issuer http://127.0.0.1:8080"]);
}

/// A restore that was cut short between the moving away of the old store and the coming of the new.
#[tokio::test]
async fn a_server_completes_a_restore_that_was_cut_short() {
    let bank = Bank::new();
    let server = bank.live.serve();
    let tokens = server.consent(bank.shop(), ALICE).await;
    bank.backup().json();
    let last = bank.refreshed(&server, &tokens).await;
    server.stop();
    bank.restore(&format!("--endings {}", bank.file("endings.log"))).says(&["restored"]);
    std::fs::rename(
        bank.live.path("counterfoil.db"),
        bank.live.path("counterfoil.db.restored-20260101T000000Z"),
    )
    .unwrap();

    let server = bank.live.serve();
    assert!(server.log().contains("completed"), "{}", server.log());
    let next = bank.refreshed(&server, &last).await;
    let next = bank.refreshed(&server, &next).await;
    assert_eq!(server.accounts(&next.id_token).await.status, 200);
}

/// A grant can be ended while a backup is made, and clients refresh.
#[tokio::test]
async fn a_backup_is_made_while_the_server_serves() {
    let bank = Bank::new();
    let server = bank.live.serve();
    let mut tokens = server.consent(bank.shop(), ALICE).await;
    let (live, file) = (&bank.live, bank.file("backup.db"));
    std::thread::scope(|scope| {
        let backup = scope.spawn(move || live.admin(&format!("backup --to {file}")));
        live.admin("grant list").says(&["alice"]);
        backup.join().unwrap().says(&["backed up to", "no write waited for more than"]);
    });
    for _ in 0..3 {
        tokens = bank.refreshed(&server, &tokens).await;
    }
    assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
}
