//! What was measured, to be read: as JSON (it serialises itself), table and plot.

mod plot;
mod table;

use serde::Serialize;

use crate::entrants::Entrant;
use crate::figures::{Round, Spread};
use crate::machine::Machine;
use crate::parts::Parts;

/// A load share from which on the load generator may be what was measured.
const BUSY: f64 = 0.9;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of this program.
    pub version: &'static str,
    /// What all were asked for: `refresh`, `bearer` or `bearer, first sight`.
    pub mode: &'static str,
    /// How ID tokens were signed, where we started the servers.
    pub alg: Option<String>,
    /// Connections, each with one request under way.
    pub connections: usize,
    /// How long each was measured in each round.
    pub seconds: f64,
    /// How long each was loaded before that.
    pub warm_up: f64,
    /// How often each was measured.
    pub rounds: usize,
    /// The cores that servers were kept to.
    pub server_cores: Option<String>,
    /// The cores that the load generator was kept to.
    pub load_cores: Option<String>,
    /// What it was measured on.
    pub machine: Machine,
    /// What a refresh can't do without, each part alone, where one connection asked.
    pub parts: Option<Parts>,
    /// How each did.
    pub contenders: Vec<Standing>,
}

/// How one contender did: medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// What a reader must know to compare it.
    pub note: String,
    /// Grants in its store, where that is known.
    pub grants: Option<u64>,
    /// Good answers a second.
    pub requests_per_second: Option<Spread>,
    /// That divided by the floor's in the same round.
    pub of_floor: Option<Spread>,
    /// Half of the answers took less than this, in milliseconds.
    pub p50_ms: Option<Spread>,
    /// 90% took less.
    pub p90_ms: Option<Spread>,
    /// 99% took less.
    pub p99_ms: Option<Spread>,
    /// 99.9% took less.
    pub p999_ms: Option<Spread>,
    /// The longest of each round.
    pub max_ms: Option<Spread>,
    /// CPU time of the server a good answer, in microseconds.
    pub cpu_us_per_request: Option<Spread>,
    /// Resident memory after each round, in bytes.
    pub rss_bytes: Option<Spread>,
    /// The peak.
    pub peak_rss_bytes: Option<u64>,
    /// Requests without the answer that they should have, in all rounds.
    pub errors: u64,
    /// One of them.
    pub first_error: Option<String>,
    /// The rounds themselves.
    pub rounds: Vec<Round>,
}

impl Standing {
    /// How the one at a place among all entrants did.
    pub(crate) fn of(entrants: &[Entrant], at: usize) -> Self {
        let Entrant { contender, grants, floor, rounds } = &entrants[at];
        let spread = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(figure));
        let known =
            |figure: fn(&Round) -> Option<f64>| Spread::of(rounds.iter().filter_map(figure));
        let of_floor = floor.and_then(|floor| {
            let pairs = rounds.iter().zip(&entrants[floor].rounds);
            Spread::of(
                pairs
                    .map(|(own, floor)| own.requests_per_second / floor.requests_per_second)
                    .filter(|ratio| ratio.is_finite()),
            )
        });
        Self {
            name: contender.name.clone(),
            note: contender.note.clone(),
            grants: *grants,
            requests_per_second: spread(|round| round.requests_per_second),
            of_floor,
            p50_ms: spread(|round| round.p50_ms),
            p90_ms: spread(|round| round.p90_ms),
            p99_ms: spread(|round| round.p99_ms),
            p999_ms: spread(|round| round.p999_ms),
            max_ms: spread(|round| round.max_ms),
            cpu_us_per_request: known(|round| round.cpu_us_per_request),
            rss_bytes: known(|round| round.rss_bytes.map(|bytes| bytes as f64)),
            peak_rss_bytes: rounds.iter().filter_map(|round| round.peak_rss_bytes).max(),
            errors: rounds.iter().map(|round| round.errors).sum(),
            first_error: rounds.iter().find_map(|round| round.first_error.clone()),
            rounds: rounds.clone(),
        }
    }
}

impl Standing {
    /// What it is called, and the size of its store.
    fn label(&self) -> String {
        let grants = self.grants.map_or_else(String::new, |grants| {
            format!(", {} grants", table::grouped(grants as f64))
        });
        format!("{}{grants}", self.name)
    }
}

impl Report {
    /// What a reader must know about the figures, a sentence each.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.alg.is_some() && (self.server_cores.is_none() || self.load_cores.is_none()) {
            remarks.push(
                "Servers and load generator shared their cores: they measured each other."
                    .to_owned(),
            );
        }
        if let Some(kind) =
            self.machine.file_system.as_deref().filter(|kind| matches!(*kind, "tmpfs" | "ramfs"))
        {
            remarks.push(format!("The stores were on {kind}, where nothing is durable: --store names a directory on a disk."));
        }
        if let Some(parts) = &self.parts {
            let Parts { fdatasync_us, signature_us, exchange_us } = parts;
            remarks.push(format!(
                "Alone, an fdatasync takes {fdatasync_us:.0} us, a signature {signature_us:.0} us and a bare HTTP exchange {exchange_us:.0} us."
            ));
            for (standing, p50) in
                self.contenders.iter().filter_map(|standing| Some((standing, standing.p50_ms?)))
            {
                remarks.push(format!(
                    "{}: its p50 is {:.2} times their sum.",
                    standing.label(),
                    p50.median * 1000.0 / parts.sum_us()
                ));
            }
        }
        for standing in &self.contenders {
            if standing.rounds.iter().any(|round| round.load_share > BUSY) {
                remarks.push(format!(
                    "{}: the load generator had no time left and may be what was measured; compare CPU time.",
                    standing.label()
                ));
            }
            if let Some(error) = &standing.first_error {
                remarks.push(format!(
                    "{}: {} errors, such as {error}",
                    standing.label(),
                    standing.errors
                ));
            }
            let reopened: u64 = standing.rounds.iter().map(|round| round.reopened).sum();
            if reopened > 0 {
                remarks.push(format!(
                    "{}: it closed {reopened} connections, which were opened again.",
                    standing.label()
                ));
            }
        }
        remarks
    }
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use crate::{Contender, Workload};

    /// A round at a rate.
    pub(crate) fn round(requests_per_second: f64) -> Round {
        Round {
            requests: (requests_per_second * 10.0) as u64,
            seconds: 10.0,
            requests_per_second,
            p50_ms: 1.0,
            p90_ms: 2.0,
            p99_ms: 3.5,
            p999_ms: 4.25,
            max_ms: 10.125,
            errors: 0,
            first_error: None,
            reopened: 0,
            cpu_us_per_request: Some(1e6 / requests_per_second),
            rss_bytes: Some(32 << 20),
            peak_rss_bytes: Some(33 << 20),
            load_share: 0.5,
        }
    }

    /// Two servers on stores of ours and a peer, measured three times.
    pub(crate) fn report() -> Report {
        let entrant = |name: &str, floor, grants, rates: [f64; 3]| {
            let workload = Workload::Bearer { tokens: Vec::new() };
            let note = format!("the note of {name}");
            let contender = Contender {
                name: name.into(),
                note,
                urls: Vec::new(),
                workload,
                pids: Vec::new(),
                processes: Vec::new(),
                place: None,
            };
            Entrant { grants, floor, rounds: rates.map(round).into(), ..Entrant::new(contender) }
        };
        let mut entrants = [
            entrant("floor", None, Some(1_000_000), [20_000.0, 10_000.0, 30_000.0]),
            entrant("counterfoil", Some(0), Some(1_000_000), [18_000.0, 10_000.0, 15_000.0]),
            entrant("<peer> & more", Some(0), None, [2_000.0, 2_000.0, 2_000.0]),
        ];
        let errors = &mut entrants[2].rounds[1];
        (errors.errors, errors.first_error, errors.reopened, errors.load_share) =
            (2, Some("status 500: oh".into()), 3, 0.95);
        (errors.cpu_us_per_request, errors.rss_bytes) = (None, None);
        let machine = Machine {
            processor: "A CPU".into(),
            cores: 2,
            kernel: "Linux 6".into(),
            file_system: Some("tmpfs".into()),
        };
        Report {
            version: "0.1.0",
            mode: "refresh",
            alg: Some("ES256".into()),
            connections: 64,
            seconds: 10.0,
            warm_up: 2.0,
            rounds: 3,
            server_cores: Some("0".into()),
            load_cores: Some("1".into()),
            machine,
            parts: Some(Parts { fdatasync_us: 150.0, signature_us: 15.0, exchange_us: 35.0 }),
            contenders: (0..3).map(|at| Standing::of(&entrants, at)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_json() {
        let report = serde_json::to_value(sample::report()).unwrap();
        assert_eq!(report["mode"], "refresh");
        assert_eq!(
            report["machine"],
            json!({"processor": "A CPU", "cores": 2, "kernel": "Linux 6", "file_system": "tmpfs"})
        );
        let ours = &report["contenders"][1];
        assert_eq!(ours["name"], "counterfoil");
        assert_eq!(ours["grants"], 1_000_000);
        assert_eq!(
            ours["requests_per_second"],
            json!({"median": 15_000.0, "least": 10_000.0, "greatest": 18_000.0})
        );
        // The median of each round's ratio, and not the ratio of the medians.
        assert_eq!(ours["of_floor"], json!({"median": 0.9, "least": 0.5, "greatest": 1.0}));
        assert_eq!(ours["rounds"].as_array().unwrap().len(), 3);
        assert_eq!(ours["rounds"][0]["p999_ms"], 4.25);
        assert_eq!(report["contenders"][0]["of_floor"], json!(null));
        let peer = &report["contenders"][2];
        assert_eq!(
            (&peer["errors"], &peer["first_error"], &peer["grants"]),
            (&json!(2), &json!("status 500: oh"), &json!(null))
        );
    }

    #[test]
    fn remarks() {
        let mut report = sample::report();
        report.load_cores = None;
        let remarks = report.remarks();
        let begin = [
            "Servers and load generator shared their cores",
            "The stores were on tmpfs",
            "Alone, an fdatasync takes 150 us, a signature 15 us and a bare HTTP exchange 35 us.",
            "floor, 1,000,000 grants: its p50 is 5.00 times their sum.",
            "counterfoil, 1,000,000 grants: its p50 is 5.00",
            "<peer> & more: its p50",
            "<peer> & more: the load generator had no time left",
            "<peer> & more: 2 errors, such as status 500: oh",
            "<peer> & more: it closed 3 connections",
        ];
        assert_eq!(remarks.len(), begin.len(), "{remarks:?}");
        for (remark, begin) in remarks.iter().zip(begin) {
            assert!(remark.starts_with(begin), "{remark}");
        }
    }
}
