//! How long do refreshes wait for a backup? Measures them on a store of many grants, first alone
//! and then while it is copied.
//!
//! `cargo run --release -p counterfoil-store --example backup [grants] [clients] [directory]`
//!
//! `clients` refresh random grants without pause, each its own. It prints refreshes a second,
//! percentiles of a refresh, the largest write-ahead log, and what the backup itself took and says.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss
)]

mod setting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::clock::DAY;
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation};
use counterfoil_store::{OpenOptions, Redeem, Redeemed, Store, StoreAddress, StoreKind};

use setting::{KEY, NOW, new_grant, terms};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let grants: u32 = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let clients: u32 = arguments.next().map_or(64, |n| n.parse().unwrap());
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("backup-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("store.db");
    let options = OpenOptions {
        address: StoreAddress::Sqlite(path.clone()),
        kind: StoreKind::Live,
        issuer: "https://a.example".into(),
        endings_log: Some(directory.join("endings.log")),
        holder: "the example".into(),
    };
    let store = Arc::new(Store::open(options).await.unwrap());
    for from in (0..grants).step_by(1000) {
        let made: Vec<_> =
            (from..grants.min(from + 1000)).map(|n| store.create_grant(new_grant(n))).collect();
        for made in made {
            made.await.unwrap();
        }
    }
    println!("{grants} grants, {} MB", megabytes(&path));
    println!(
        "{:<8} {:>12} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "refreshes/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "WAL MB"
    );
    let load = Load::start(&store, grants, clients);
    tokio::time::sleep(Duration::from_secs(5)).await;
    load.report("alone", &path).await;

    let load = Load::start(&store, grants, clients);
    let backup = store.backup(&directory.join("backup.db")).await.unwrap();
    load.report("backup", &path).await;
    println!(
        "the backup: {} MB in {:.1} s, longest stall {:.1} ms",
        backup.bytes >> 20,
        backup.took.as_secs_f64(),
        backup.longest_stall.as_secs_f64() * 1e3
    );
    let idle = store.backup(&directory.join("idle.db")).await.unwrap();
    println!(
        "a backup without load: {:.1} s, longest stall {:.1} ms",
        idle.took.as_secs_f64(),
        idle.longest_stall.as_secs_f64() * 1e3
    );
    drop(store);
    std::fs::remove_dir_all(directory).unwrap();
}

fn megabytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len() >> 20)
}

struct Load {
    began: Instant,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<Duration>>>,
    largest_wal: Arc<AtomicU64>,
}

impl Load {
    fn start(store: &Arc<Store>, grants: u32, clients: u32) -> Self {
        let (stop, largest_wal) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let share = grants / clients;
        let client = |client: u32| {
            let (store, stop, largest_wal) = (store.clone(), stop.clone(), largest_wal.clone());
            tokio::spawn(async move {
                let (mut random, mut waits) = (0x9e37_79b9_u32 ^ client, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let terms = Arc::new(terms(client * share + (random >> 4) % share));
                    let number = store.counterfoil(terms.grant).await.unwrap().unwrap().next_slip;
                    let slip = Slip {
                        key: KEY,
                        grant: terms.grant,
                        number,
                        issued_at: NOW,
                        seal: Seal::from_bytes([7; 16]),
                    };
                    let claim = Claim::keyless(
                        &MacKey::new(&[4; 32]),
                        u64::from(random).to_be_bytes(),
                        RequestIdentity { client: "app", slip: "", scope: None },
                    );
                    let presented = Presentation {
                        slip,
                        claim,
                        now: NOW,
                        on_replay: OnReplay::Refuse,
                        on_lost_answer: OnLostAnswer::Strict,
                    };
                    let asked = Instant::now();
                    let redeem = Redeem {
                        presented,
                        successor_expires_at: NOW.plus(90 * DAY),
                        slip_key: KEY,
                        terms,
                    };
                    let Redeemed::Torn(_) = store.redeem(redeem).await.unwrap() else {
                        panic!("refused")
                    };
                    waits.push(asked.elapsed());
                    largest_wal.fetch_max(store.wal_bytes(), Ordering::Relaxed);
                }
                waits
            })
        };
        Self { began: Instant::now(), tasks: (0..clients).map(client).collect(), stop, largest_wal }
    }

    async fn report(self, name: &str, path: &Path) {
        let took = self.began.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = Vec::new();
        for task in self.tasks {
            waits.extend(task.await.unwrap());
        }
        waits.sort();
        let at =
            |of: usize, share: usize| waits[(waits.len() - 1) * share / of].as_secs_f64() * 1e3;
        let wal = megabytes(&path.with_extension("db-wal"))
            .max(self.largest_wal.load(Ordering::Relaxed) >> 20);
        println!(
            "{name:<8} {:>12.0} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {wal:>8}",
            waits.len() as f64 / took.as_secs_f64(),
            at(2, 1),
            at(100, 99),
            at(1000, 999),
            at(1, 1),
        );
    }
}
