use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST};
use axum::routing::get;
use counterfoil_core::clock::Clock;
use counterfoil_core::dialect::Dialect;
use counterfoil_core::settings::{Lifetimes, Settings};
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use tempfile::TempDir;
use tower_http::cors::Any;

use super::*;
use crate::node::keys::Keys;

const ISSUER: &str = "https://auth.bank.example";

async fn app(dir: &TempDir) -> Arc<App> {
    let clock = Clock::live();
    let settings = Settings {
        issuer: ISSUER.into(),
        dialect: Dialect::Network,
        providers: Vec::new(),
        lifetimes: Lifetimes::default(),
    };
    let address = StoreAddress::Sqlite(dir.path().join("counterfoil.db"));
    let endings_log = Some(dir.path().join("endings.log"));
    let options = OpenOptions {
        address,
        kind: StoreKind::Live,
        issuer: ISSUER.into(),
        endings_log,
        holder: "a test".into(),
    };
    let store = Store::open(options).await.unwrap();
    let keys = Keys::open(&dir.path().join("keys"), ISSUER, clock.now()).unwrap();
    Arc::new(App::new(settings, store, keys, clock).await.unwrap())
}

async fn panicking() {
    panic!("as a bug would");
}

#[tokio::test]
async fn a_panic_is_answered_as_a_failure_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(&dir).await;
    for (crosses, cors) in
        [(false, Cors::Never), (true, Cors::ToPages(CorsLayer::new().allow_origin(Any)))]
    {
        let around = Arc::new(Around {
            route: "/accounts",
            metrics: app.metrics.route("/accounts"),
            shape: Some(Shape::Fdx),
            cors,
            depends_on: DependsOn::StateAndTime,
            largest_body: 0,
        });
        let router = Router::new().route("/accounts", get(around.handler(panicking)));
        let request = Request::get("/accounts")
            .header(HOST, "auth.bank.example")
            .header(ORIGIN, "https://app.example")
            .body(Body::empty())
            .unwrap();
        let response = router.with_state(app.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            (&response.headers()[CACHE_CONTROL], &response.headers()[PRAGMA]),
            (&NO_STORE, &NO_CACHE)
        );
        assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), crosses);
        assert!(response.headers().contains_key(INTERACTION_ID));
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"], 500);
    }
}
