//! Endings logs and stores that went back in time, either of them.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use counterfoil_store::{Endings, OnDifference, OpenError, Remedy, Store};

use crate::contract::bench::Bench;
use crate::setting::{NOW, grant};

const LATER: Timestamp = NOW.plus(1000);

/// Ends a grant that is given for it.
async fn end_one(store: &Store, n: u32) -> GrantId {
    let (code, _) = grant(store, n).await;
    store.end_grant(code.grant, EndedBy::Customer, NOW).await.unwrap();
    code.grant
}

/// Closes a store as a server does that is told to stop.
async fn close(store: Store) {
    store.settle_endings().await.unwrap();
    drop(store);
}

async fn refusal(bench: &Bench) -> OpenError {
    let checked = Store::check_endings(&bench.options()).await.unwrap_err();
    let refused = refusal_at_open(bench).await;
    assert!(checked.remedy() == refused.remedy(), "{checked}; {refused}");
    refused
}

async fn refusal_at_open(bench: &Bench) -> OpenError {
    Store::open(bench.options()).await.err().unwrap_or_else(|| panic!("it was opened"))
}

/// Puts the rows of the store back as they were when a grant lived.
fn revive(bench: &Bench, grant: GrantId, line: i64) {
    let no = if bench.is_sqlite() { "0" } else { "false" };
    bench.run(&format!(
        "UPDATE counterfoil SET ended = {no} WHERE grant_id = {grant}; DELETE FROM ending WHERE grant_id = {grant}; \
         UPDATE endings_log SET line = {line}, written = {line}",
        grant = grant.number()
    ));
}

pub async fn a_store_that_is_older_than_its_journal_is_refused_until_a_loss_is_declared(
    bench: Bench,
) {
    let store = bench.open().await;
    end_one(&store, 1).await;
    let forgotten = end_one(&store, 2).await;
    close(store).await;
    revive(&bench, forgotten, 1);
    for _ in 0..2 {
        let error = refusal(&bench).await;
        assert_eq!(error.remedy(), Some(Remedy::DeclareLoss), "{error}");
    }
    // That endings are lost can't be accepted where they are there.
    let accepting = Store::open_and(OnDifference::AcceptLostEndings, bench.options()).await;
    assert_eq!(accepting.unwrap_err().remedy(), Some(Remedy::DeclareLoss));

    let store = Store::open_and(OnDifference::DeclareLoss, bench.options()).await.unwrap();
    let endings = Endings::read(&[bench.endings_log()]).unwrap();
    assert_eq!(store.declare_loss(&endings, false, LATER).await.unwrap().applied, 1);
    assert!(store.counterfoil(forgotten).await.unwrap().unwrap().ended);
    close(store).await;
    let store = bench.open().await;
    end_one(&store, 3).await;
    Store::check_endings(&bench.options()).await.unwrap();
    close(store).await;
    bench.open().await;
}

pub async fn a_journal_that_was_put_back_is_refused_until_that_is_accepted(bench: Bench) {
    let store = bench.open().await;
    end_one(&store, 1).await;
    let copy = bench.journal();
    let lost = end_one(&store, 2).await;
    close(store).await;
    std::fs::write(bench.endings_log(), &copy).unwrap();
    let error = refusal(&bench).await;
    assert_eq!(error.remedy(), Some(Remedy::AcceptLostEndings), "{error}");
    assert_eq!(bench.journal(), copy, "what is refused is not touched");

    let store = Store::open_and(OnDifference::AcceptLostEndings, bench.options()).await.unwrap();
    store.accept_lost_endings(LATER).await.unwrap();
    assert_eq!(store.bearers_from().await.unwrap(), Some(LATER));
    assert!(bench.journal().contains(&lost.to_string()), "{}", bench.journal());
    close(store).await;
    let store = bench.open().await;
    end_one(&store, 3).await;
    close(store).await;
    // What agrees needs nothing to be accepted.
    let store = Store::open_and(OnDifference::AcceptLostEndings, bench.options()).await.unwrap();
    store.accept_lost_endings(LATER.plus(9)).await.unwrap();
    assert_eq!(store.bearers_from().await.unwrap(), Some(LATER));
}

pub async fn a_journal_that_is_missing_is_missed_and_one_that_was_rolled_is_not(bench: Bench) {
    let log = bench.endings_log();
    let rolled = |n: u32| log.with_file_name(format!("endings.log.{n}"));
    // None was written yet.
    close(bench.open().await).await;
    std::fs::remove_file(&log).unwrap();
    let store = bench.open().await;
    end_one(&store, 1).await;

    // Moved away while it runs: the new one says where it begins, with the next ending, once a
    // minute, and at the end.
    std::fs::rename(&log, rolled(1)).unwrap();
    end_one(&store, 2).await;
    assert!(bench.journal().starts_with(r#"{"opened_after":1,"#), "{}", bench.journal());
    std::fs::rename(&log, rolled(2)).unwrap();
    store.note_time(NOW).await.unwrap();
    assert!(bench.journal().starts_with(r#"{"opened_after":2,"#), "{}", bench.journal());
    // Emptied in its place (copytruncate).
    std::fs::copy(&log, rolled(3)).unwrap();
    std::fs::write(&log, "").unwrap();
    close(store).await;
    assert!(bench.journal().starts_with(r#"{"opened_after":2,"#), "{}", bench.journal());

    // Moved away while nothing runs.
    std::fs::rename(&log, rolled(4)).unwrap();
    let store = bench.open().await;
    assert!(bench.journal().starts_with(r#"{"opened_after":2,"#), "{}", bench.journal());
    end_one(&store, 3).await;
    close(store).await;

    // Gone.
    for n in 1..=4 {
        std::fs::remove_file(rolled(n)).unwrap();
    }
    std::fs::remove_file(&log).unwrap();
    for empty in [false, true] {
        let error = refusal(&bench).await;
        assert!(matches!(error, OpenError::EndingsMissing { lines: 3, .. }), "{error}");
        assert!(empty || !log.exists(), "what is refused is not made");
        std::fs::write(&log, "").unwrap();
    }
    let store = Store::open_and(OnDifference::AcceptLostEndings, bench.options()).await.unwrap();
    store.accept_lost_endings(LATER).await.unwrap();
    assert_eq!(
        bench.endings().iter().filter(|line| line.contains("\"grant\"")).count(),
        3,
        "{}",
        bench.journal()
    );
    assert!(
        bench.endings().iter().any(|line| line.contains("\"bearers_from\"")),
        "{}",
        bench.journal()
    );
    close(store).await;
    bench.open().await;
}

pub async fn another_stores_journal_is_refused(bench: Bench) {
    let other = r#"{"bearers_from":0,"store":"00ff"}"#;
    std::fs::write(bench.endings_log(), format!("{other}\n")).unwrap();
    for how in [OnDifference::Refuse, OnDifference::AcceptLostEndings, OnDifference::DeclareLoss] {
        let error = Store::open_and(how, bench.options()).await.unwrap_err();
        assert!(
            matches!(&error, OpenError::OtherStoresEndings { id, .. } if id == "00ff"),
            "{error}"
        );
    }
    let endings = Endings::read(&[bench.endings_log()]).unwrap();
    std::fs::remove_file(bench.endings_log()).unwrap();
    let store = bench.open().await;
    assert!(
        store
            .declare_loss(&endings, false, LATER)
            .await
            .unwrap_err()
            .to_string()
            .contains("another store")
    );
}

pub async fn a_journal_of_a_version_that_numbered_nothing_goes_on(bench: Bench) {
    let store = bench.open().await;
    let (first, _) = grant(&store, 1).await;
    store.end_grant(first.grant, EndedBy::Client, NOW).await.unwrap();
    close(store).await;
    // As version 2 left it.
    let old = bench.endings()[0].split(",\"node\"").next().unwrap().to_owned() + "}\n";
    bench.run("DELETE FROM endings_log");
    std::fs::write(bench.endings_log(), &old).unwrap();
    let store = bench.open().await;
    assert!(bench.journal().starts_with(&old), "{}", bench.journal());
    assert_eq!(bench.endings().len(), 1);
    end_one(&store, 2).await;
    close(store).await;
    bench.open().await;
    // Once it is numbered, its numbers count.
    std::fs::write(bench.endings_log(), &old).unwrap();
    assert_eq!(refusal(&bench).await.remedy(), Some(Remedy::AcceptLostEndings));
}
