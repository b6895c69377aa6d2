//! What PostgreSQL makes of the statements of the token path.

use counterfoil_testing::{fresh_database, psql};

use super::reads::{READ_COUNTERFOILS, READ_LIVING, READ_TERMS};
use super::redeem::GATE;
use crate::{OpenOptions, Store, StoreAddress, StoreKind};

/// Redeeming and checking find their rows by primary key alone, however many grants there are; also
/// by the plan that is made once and for any number of slips.
#[tokio::test]
async fn the_token_path_goes_by_primary_key_alone() {
    let url = fresh_database();
    let address = StoreAddress::parse(&url).unwrap();
    let issuer = "https://a.example".to_owned();
    let options = OpenOptions {
        address,
        kind: StoreKind::Live,
        issuer,
        endings_log: None,
        holder: "the test".into(),
    };
    drop(Store::open(options).await.unwrap());
    psql(
        &url,
        "INSERT INTO terms SELECT n, 'app', 'bank', 'ada', 'Ada', 0, 0, '[]', NULL, 0, 0, 0, '', NULL, NULL, 0, 0 FROM generate_series(1, 20000) n; \
         INSERT INTO counterfoil SELECT n, 0, 0, 0, 1, 0, false, decode('00', 'hex'), NULL FROM generate_series(1, 20000) n; \
         INSERT INTO era SELECT 'client' || n, '', '', 1 FROM generate_series(1, 20000) n; ANALYZE",
    );
    for (sql, nulls) in [(GATE, 13), (READ_LIVING, 7), (&READ_TERMS, 1), (READ_COUNTERFOILS, 1)] {
        let nulls = vec!["NULL"; nulls].join(", ");
        let plan = psql(
            &url,
            &format!(
                "SET plan_cache_mode = force_generic_plan; PREPARE asked AS {sql}; EXPLAIN (COSTS OFF) EXECUTE asked ({nulls})"
            ),
        );
        assert!(plan.contains("_pkey"), "{plan}");
        for table in ["terms", "counterfoil", "era"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
        }
    }
}
