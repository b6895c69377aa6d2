//! What the statements of the token path and of a sign-in cost.

use rusqlite::StatementStatus;

use rusqlite::Connection;

use super::file::{create_or_recognise, create_private};
use super::schema::migrate;
use super::{customers, grants, redeem};

/// An empty store, and its directory.
fn empty() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    create_private(&path).unwrap();
    let mut db = create_or_recognise(&path).unwrap();
    migrate(&mut db, &path, 0).unwrap();
    (dir, db)
}

/// Redeeming and checking touch one row each, found by primary key alone, however many grants
/// there are.
#[test]
fn the_token_path_goes_by_primary_key_alone() {
    let (_dir, db) = empty();
    for (statement, table) in [
        (redeem::GATE, "counterfoil"),
        (grants::READ_COUNTERFOIL, "counterfoil"),
        (&grants::READ_TERMS, "terms"),
    ] {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let parameters = explain.parameter_count();
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(std::iter::repeat_n(0, parameters)), |row| {
                row.get(3)
            })
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(plan, [format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)")]);
    }
}

/// Signing in looks at those of the name alone, however many customers there are.
#[test]
fn a_customer_is_found_by_indexes() {
    let (_dir, db) = empty();
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", customers::READ_NAMED)).unwrap();
    let plan: Vec<String> = explain
        .query_map(["", "", ""], |row| row.get(3))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for step in [
        "SEARCH customer USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH customer USING COVERING INDEX sqlite_autoindex_customer_1 (provider=? AND customer=?)",
        "SEARCH customer USING COVERING INDEX customer_by_login (provider=? AND login=?)",
    ] {
        assert!(plan.iter().any(|found| found == step), "{plan:?}");
    }
    assert!(!plan.iter().any(|found| found.contains("SCAN")), "{plan:?}");
}

/// SQLite prepares some statements again after their parameters were cleared, as the cache of
/// statements does after each use. That takes longer than running them.
#[test]
fn what_the_token_path_runs_stays_prepared() {
    let (_dir, db) = empty();
    for statement in
        [redeem::GATE, grants::READ_COUNTERFOIL, &grants::READ_TERMS, customers::READ_ACCOUNTS]
    {
        for number in 0..3 {
            let mut prepared = db.prepare_cached(statement).unwrap();
            let parameters = std::iter::repeat_n(number, prepared.parameter_count());
            prepared.query(rusqlite::params_from_iter(parameters)).unwrap().next().unwrap();
        }
        assert_eq!(
            db.prepare_cached(statement).unwrap().get_status(StatementStatus::RePrepare),
            0,
            "{statement}"
        );
    }
}
