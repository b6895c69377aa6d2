//! How long does a whole store take from SQLite to PostgreSQL, and back? Times both on a store of
//! many grants, each refreshed once.
//!
//! `cargo run --release -p counterfoil-store --example copy postgres://USER@HOST/EMPTY_DATABASE
//! [grants] [directory]`
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss
)]

mod setting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::clock::DAY;
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation};
use counterfoil_store::{OpenOptions, Redeem, Store, StoreAddress, StoreCopy, StoreKind};

use setting::{KEY, NOW, new_grant, terms};

const ISSUER: &str = "https://a.example";

fn redeem(n: u32) -> Redeem {
    let terms = Arc::new(terms(n));
    let slip = Slip {
        key: KEY,
        grant: terms.grant,
        number: 0,
        issued_at: NOW,
        seal: Seal::from_bytes([7; 16]),
    };
    let claim = Claim::keyless(
        &MacKey::new(&[4; 32]),
        u64::from(n).to_be_bytes(),
        RequestIdentity { client: "app", slip: "", scope: None },
    );
    let presented = Presentation {
        slip,
        claim,
        now: NOW,
        on_replay: OnReplay::Refuse,
        on_lost_answer: OnLostAnswer::Strict,
    };
    Redeem { presented, successor_expires_at: NOW.plus(90 * DAY), slip_key: KEY, terms }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let database = StoreAddress::parse(&arguments.next().unwrap()).unwrap();
    let grants: u32 = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("copy-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let file = |name: &str| StoreAddress::Sqlite(directory.join(name));
    let options = OpenOptions {
        address: file("store.db"),
        kind: StoreKind::Live,
        issuer: ISSUER.into(),
        endings_log: None,
        holder: "the example".into(),
    };
    let store = Store::open(options).await.unwrap();
    for from in (0..grants).step_by(1000) {
        let batch = from..grants.min(from + 1000);
        let made: Vec<_> = batch.clone().map(|n| store.create_grant(new_grant(n))).collect();
        for made in made {
            made.await.unwrap();
        }
        let redeemed: Vec<_> = batch.map(|n| store.redeem(redeem(n))).collect();
        for redeemed in redeemed {
            redeemed.await.unwrap();
        }
    }
    drop(store);
    let size = std::fs::metadata(directory.join("store.db")).unwrap().len();
    println!("{grants} grants, {} MB in SQLite", size >> 20);
    copy("to PostgreSQL", &file("store.db"), &database).await;
    copy("to SQLite", &database, &file("back.db")).await;
    std::fs::remove_dir_all(directory).unwrap();
}

async fn copy(name: &str, from: &StoreAddress, to: &StoreAddress) {
    let began = Instant::now();
    let (mut copied, mut comparing) = (Duration::ZERO, Duration::ZERO);
    let copy = StoreCopy::begin(from, to, ISSUER).await.unwrap();
    let mut tell = |progress: counterfoil_store::CopyProgress| match progress.comparing {
        false => copied = began.elapsed(),
        true if comparing.is_zero() => comparing = began.elapsed(),
        true => {}
    };
    let carry_keys = async |copy: &StoreCopy| match copy.is_into_database() {
        true => copy.put_keys(b"keys").await.map_err(|e| e.to_string()),
        false => Ok(()),
    };
    let counts = copy.run(&mut tell, carry_keys).await.unwrap();
    let (rows, all) = (counts.iter().map(|(_, rows)| rows).sum::<u64>(), began.elapsed());
    println!(
        "{name}: {rows} rows copied in {:.1} s, compared in {:.1} s; {:.1} s in all",
        copied.as_secs_f64(),
        (all - comparing).as_secs_f64(),
        all.as_secs_f64()
    );
}
