//! The OpenAPI document says what the router does: no path or method more, none less.

use std::collections::BTreeSet;

use counterfoil_store::StoreKind;
use serde_json::Value;

use crate::setting::{Sandbox, Setting};

fn document() -> Value {
    counterfoil_server::openapi::document(counterfoil_sandbox::routes())
}

fn described(document: &Value) -> BTreeSet<(String, String)> {
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (path.clone(), method.to_uppercase())).collect::<Vec<_>>()
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let routed: BTreeSet<(String, String)> = counterfoil_sandbox::routes()
        .flat_map(|route| {
            route
                .methods
                .split(", ")
                .map(|method| (route.path.to_owned(), method.to_owned()))
                .collect::<Vec<_>>()
        })
        .filter(|(_, method)| method != "HEAD")
        .collect();
    assert_eq!(described(&document()), routed);
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, all: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref") {
                    let pointer = reference.as_str().unwrap().trim_start_matches('#');
                    assert!(all.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|member| walk(member, all));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, all)),
            _ => {}
        }
    }
    walk(&document(), &document());
}

#[test]
fn operation_ids_are_unique() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|methods| methods.as_object().unwrap().values());
    let ids: Vec<&str> =
        operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn what_is_served_names_the_server_and_a_live_one_says_nothing_of_the_sandbox() {
    let sandbox = Sandbox::start().await;
    let served = sandbox.get("/openapi.json").await.json();
    assert_eq!(served["servers"][0]["url"], sandbox.issuer);
    assert_eq!(described(&served), described(&document()));

    let live = Sandbox::with(Setting { kind: StoreKind::Live, ..Setting::default() }).await;
    let served = live.get("/openapi.json").await.json();
    assert!(
        described(&served).iter().all(|(path, _)| path != "/" && !path.starts_with("/sandbox"))
    );
    for path in ["/", "/sandbox", "/sandbox/clock", "/sandbox/callback"] {
        assert_eq!(live.get(path).await.status, 404, "{path}");
    }
    assert_eq!(live.post("/sandbox/codes", &[]).await.status, 404);
}
