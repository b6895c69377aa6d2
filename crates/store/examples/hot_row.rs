//! Which shape should the counterfoil's table have? Measures the redeeming update, as the writer
//! does it, over key kinds and page sizes.
//!
//! `cargo run --release -p counterfoil-store --example hot_row [grants] [seconds]`
//!
//! Each variant gets a fresh file with `grants` counterfoils of their final columns, then redeems
//! random ones in batches of 64 (one transaction, `synchronous=FULL`) while another connection
//! checkpoints. It prints redemptions a second, CPU time a redemption, percentiles of the commit,
//! and bytes a row.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

const COLUMNS: &str = "seal BLOB NOT NULL, next_slip INTEGER NOT NULL, expires_at INTEGER NOT NULL, claim BLOB, \
    redeemed_at INTEGER NOT NULL, slip_key INTEGER NOT NULL, epoch INTEGER NOT NULL, ended INTEGER NOT NULL";

#[derive(Clone, Copy)]
enum Key {
    /// A 16-byte random key, clustered.
    Random16WithoutRowid,
    /// A 16-byte random key beside a hidden rowid.
    Random16Rowid,
    /// A 63-bit integer that is the row's own place, ordered by time.
    Integer,
}

struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn key16(n: u64) -> [u8; 16] {
    let mut random = Random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    random.next();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&random.next().to_be_bytes());
    key[8..].copy_from_slice(&random.next().to_be_bytes());
    key
}

fn integer(n: u64) -> i64 {
    ((n + 1_000_000) << 22 | (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42)) as i64
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis(
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10,
    )
}

fn main() {
    let mut args = std::env::args().skip(1).filter_map(|a| a.parse::<u64>().ok());
    let grants = args.next().unwrap_or(1_000_000);
    let seconds = args.next().unwrap_or(5);
    println!(
        "{:<28} {:>5} {:>10} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "key", "page", "redeemed/s", "cpu us", "p50 ms", "p99 ms", "p99.9", "B/row"
    );
    for (name, key) in [
        ("16 bytes WITHOUT ROWID", Key::Random16WithoutRowid),
        ("16 bytes, rowid + index", Key::Random16Rowid),
        ("INTEGER PRIMARY KEY", Key::Integer),
    ] {
        for page in [1024, 2048, 4096] {
            measure(name, key, page, grants, Duration::from_secs(seconds));
        }
    }
}

fn measure(name: &str, key: Key, page: u32, grants: u64, time: Duration) {
    let dir = std::env::temp_dir().join(format!("hot-row-{}-{page}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("rows.db");
    let mut db = Connection::open(&file).unwrap();
    db.execute_batch(&format!("PRAGMA page_size={page}; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;"))
        .unwrap();
    let (ty, tail) = match key {
        Key::Random16WithoutRowid => ("BLOB NOT NULL PRIMARY KEY", "WITHOUT ROWID"),
        Key::Random16Rowid => ("BLOB NOT NULL PRIMARY KEY", ""),
        Key::Integer => ("INTEGER PRIMARY KEY", ""),
    };
    db.execute_batch(&format!("CREATE TABLE counterfoil (grant_id {ty}, {COLUMNS}) {tail}"))
        .unwrap();
    let tx = db.transaction().unwrap();
    {
        let mut insert = tx
            .prepare(
                "INSERT INTO counterfoil VALUES (?1, ?2, 1, 1800000000, ?3, 1790000000, 1, 0, 0)",
            )
            .unwrap();
        for n in 0..grants {
            let seal = key16(n + grants);
            let claim = [0_u8; 17];
            match key {
                Key::Integer => insert.execute(params![integer(n), seal, claim]).unwrap(),
                _ => insert.execute(params![key16(n), seal, claim]).unwrap(),
            };
        }
    }
    tx.commit().unwrap();
    db.execute_batch(
        "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;",
    )
    .unwrap();
    let bytes = std::fs::metadata(&file).unwrap().len() as f64 / grants as f64;

    let stop = Arc::new(AtomicBool::new(false));
    let checkpointer = {
        let (stop, file) = (stop.clone(), file.clone());
        std::thread::spawn(move || {
            let db = Connection::open(file).unwrap();
            db.execute_batch("PRAGMA synchronous=FULL").unwrap();
            while !stop.load(Ordering::Relaxed) {
                let wal: i64 =
                    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| r.get(1)).unwrap();
                if wal * i64::from(page) > 64 << 20 {
                    let _ = db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut random = Random(42);
    let mut commits = Vec::new();
    let mut done = 0;
    let (start, cpu_before) = (Instant::now(), cpu());
    while start.elapsed() < time {
        let began = Instant::now();
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        {
            let mut update = tx
                .prepare_cached(
                    "UPDATE counterfoil SET next_slip = next_slip + 1, expires_at = ?3, claim = ?4, redeemed_at = ?5, slip_key = 1, epoch = 0 \
                     WHERE grant_id = ?1 AND seal = ?2 AND ended = 0 AND expires_at > ?5",
                )
                .unwrap();
            for _ in 0..64 {
                let n = random.next() % grants;
                let mut claim = [0_u8; 17];
                claim[1..9].copy_from_slice(&random.next().to_be_bytes());
                let seal = key16(n + grants);
                done += match key {
                    Key::Integer => update
                        .execute(params![integer(n), seal, 1_800_000_000, claim, 1_790_000_000])
                        .unwrap(),
                    _ => update
                        .execute(params![key16(n), seal, 1_800_000_000, claim, 1_790_000_000])
                        .unwrap(),
                };
            }
        }
        tx.commit().unwrap();
        commits.push(began.elapsed());
    }
    let (took, cpu) = (start.elapsed(), cpu() - cpu_before);
    stop.store(true, Ordering::Relaxed);
    checkpointer.join().unwrap();
    commits.sort();
    let at =
        |share: f64| commits[((commits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name:<28} {page:>5} {:>10.0} {:>8.1} {:>8.2} {:>8.2} {:>8.2} {bytes:>7.1}",
        f64::from(done as u32) / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / done as f64,
        at(0.5),
        at(0.99),
        at(0.999),
    );
    drop(db);
    std::fs::remove_dir_all(dir).unwrap();
}
