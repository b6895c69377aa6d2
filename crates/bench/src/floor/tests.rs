use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use counterfoil_core::grant::GrantId;
use counterfoil_core::jws::{Algorithm, Compact};
use counterfoil_core::scope::Scopes;
use counterfoil_core::token_answer::TokenAnswer;
use counterfoil_store::Store;
use counterfoil_testing::fresh_database;
use tokio::sync::oneshot;

use super::*;
use crate::grants::Grants;
use crate::place::Place;
use crate::plan::StorePlace;

/// A bare server within this process, on a store of ten grants.
struct Floor {
    address: SocketAddr,
    key: SigningKey,
    grants: Grants,
    place: Place,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Floor {
    fn start(mode: Mode, store: StorePlace) -> Self {
        let alg = Algorithm::Es256;
        let plan = Plan {
            name: "floor".into(),
            mode,
            alg,
            grants: 10,
            chains: 1,
            store,
            nodes: 1,
            cores: None,
        };
        let (place, grants) = full_store::make(&plan).unwrap();
        let pkcs8 = jws::generate(alg).unwrap();
        let key_file = place.directory().join("floor.key");
        std::fs::write(&key_file, &*pkcs8).unwrap();
        let options = Options { mode, alg, key: key_file, store: full_store::address(&place) };
        let (told, ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let stop = async { stopped.await.unwrap() };
            full_store::runtime()
                .unwrap()
                .block_on(serve(options, move |address| told.send(address).unwrap(), stop))
                .unwrap();
        });
        let key = SigningKey::from_pkcs8(alg, &pkcs8).unwrap();
        Self {
            address: ready.recv().unwrap(),
            key,
            grants,
            place,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Status and body of the answer.
    fn ask(&self, head: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: floor\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    fn refresh(&self, token: &str) -> (String, String) {
        self.ask(
            "POST /token HTTP/1.1",
            &format!("grant_type=refresh_token&refresh_token={token}&client_id=a"),
        )
    }

    fn accounts(&self, token: &str) -> (String, String) {
        self.ask(&format!("GET /accounts HTTP/1.1\r\nauthorization: Bearer {token}"), "")
    }

    fn next_slip(&self, grant: GrantId) -> u64 {
        full_store::runtime().unwrap().block_on(async {
            let store = Store::open(full_store::options(&self.place).unwrap()).await.unwrap();
            store.counterfoil(grant).await.unwrap().unwrap().next_slip
        })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn in_file() -> StorePlace {
    StorePlace::Sqlite(std::env::temp_dir())
}

fn a_chain_moves_its_row(floor: &Floor) {
    let first = tokens::refresh_tokens(floor.grants, 1, &tokens::nobodys_keys()).unwrap().remove(0);
    let mut token = first.clone();
    for _ in 0..5 {
        let (status, body) = floor.refresh(&token);
        assert_eq!(status, "200", "{body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let id_token = answer["id_token"].as_str().unwrap();
        let claims = floor.key.verify(&Compact::parse(id_token).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["grant_id"], floor.grants.id(0).to_string());
        token = answer["refresh_token"].as_str().unwrap().to_owned();
        assert_eq!(token.len(), first.len());
        let access_token = answer["access_token"].as_str().unwrap();
        let ours = TokenAnswer {
            access_token,
            id_token,
            refresh_token: Some(&token),
            expires_in: 86_400,
            scope: Scopes::ALL,
        };
        assert_eq!(body.as_bytes(), ours.to_json());
    }
    assert_eq!(floor.refresh(&first).0, "400");
    assert_eq!(floor.next_slip(floor.grants.id(0)), 6);
    assert_eq!(floor.next_slip(floor.grants.id(1)), 1);
    assert_eq!(floor.ask("GET /bare HTTP/1.1", ""), ("200".into(), "{}".into()));
}

#[test]
fn a_chain_of_refreshes_moves_its_row_in_a_file() {
    a_chain_moves_its_row(&Floor::start(Mode::Refresh, in_file()));
}

#[test]
fn a_chain_of_refreshes_moves_its_row_in_a_database() {
    a_chain_moves_its_row(&Floor::start(Mode::Refresh, StorePlace::Postgres(fresh_database())));
}

fn bearers_are_read(floor: &Floor) {
    let id = floor.grants.id(3);
    let (status, body) = floor.accounts(&format!("{id}rest"));
    assert_eq!(status, "200");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["accounts"].as_array().unwrap().len(), 3);
    let unknown = GrantId::from_number(id.number() + 1).unwrap();
    assert_eq!(floor.accounts(&format!("{unknown}rest")).0, "401");
}

#[test]
fn the_counterfoil_of_a_bearer_is_read_in_a_file() {
    bearers_are_read(&Floor::start(Mode::Bearer { first_sight: false }, in_file()));
}

#[test]
fn the_counterfoil_of_a_bearer_is_read_in_a_database() {
    bearers_are_read(&Floor::start(
        Mode::Bearer { first_sight: false },
        StorePlace::Postgres(fresh_database()),
    ));
}

#[test]
fn a_token_that_was_not_seen_is_verified() {
    let floor = Floor::start(Mode::Bearer { first_sight: true }, in_file());
    let other = SigningKey::from_pkcs8(Algorithm::Es256, &jws::generate(Algorithm::Es256).unwrap())
        .unwrap();
    let token = |key: &SigningKey| tokens::id_tokens(floor.grants, 1, key).unwrap().remove(0);
    assert_eq!(floor.accounts(&token(&floor.key)).0, "200");
    assert_eq!(floor.accounts(&token(&other)).0, "401");
}
