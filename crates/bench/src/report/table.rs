//! The table.

use comfy_table::{CellAlignment, Table, presets};

use super::Report;
use crate::figures::Spread;

const HEADER: [&str; 13] = [
    "",
    "grants",
    "requests/s",
    "least to greatest",
    "of floor",
    "p50 ms",
    "p90",
    "p99",
    "p99.9",
    "max",
    "errors",
    "CPU us",
    "MiB, peak",
];
/// Of a figure that is not known.
const NONE: &str = "-";

impl Report {
    /// The figures as a table, with what a reader must know below it.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(HEADER);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for standing in &self.contenders {
            let rate = standing.requests_per_second;
            let mebibytes = |bytes: f64| format!("{:.0}", bytes / f64::from(1 << 20));
            let memory = standing.rss_bytes.zip(standing.peak_rss_bytes);
            table.add_row([
                standing.name.clone(),
                standing.grants.map_or_else(|| NONE.to_owned(), |grants| grouped(grants as f64)),
                median(rate, grouped),
                rate.map_or_else(
                    || NONE.to_owned(),
                    |rate| format!("{} to {}", grouped(rate.least), grouped(rate.greatest)),
                ),
                median(standing.of_floor, |ratio| format!("{:.0}%", ratio * 100.0)),
                median(standing.p50_ms, millis),
                median(standing.p90_ms, millis),
                median(standing.p99_ms, millis),
                median(standing.p999_ms, millis),
                median(standing.max_ms, millis),
                standing.errors.to_string(),
                median(standing.cpu_us_per_request, |micros| format!("{micros:.1}")),
                memory.map_or_else(
                    || NONE.to_owned(),
                    |(rss, peak)| format!("{}, {}", mebibytes(rss.median), mebibytes(peak as f64)),
                ),
            ]);
        }
        let mut lines = vec![table.to_string(), String::new(), self.setting()];
        lines.extend(
            self.contenders
                .iter()
                .map(|standing| format!("{}: {}", standing.label(), standing.note)),
        );
        lines.extend(self.remarks());
        lines.join("\n")
    }

    /// How it was measured, in a line or two.
    fn setting(&self) -> String {
        let Self { mode, connections, seconds, warm_up, rounds, machine, .. } = self;
        let alg = self.alg.as_ref().map_or_else(String::new, |alg| format!(", {alg}"));
        let cores = |cores: &Option<String>| cores.clone().unwrap_or_else(|| "any".into());
        let file_system =
            machine.file_system.as_ref().map_or_else(String::new, |kind| format!(", {kind}"));
        let servers = if self.alg.is_some() {
            format!("servers on cores {}, ", cores(&self.server_cores))
        } else {
            String::new()
        };
        let plural = if *rounds == 1 { "" } else { "s" };
        format!(
            "{mode}{alg}: medians of {rounds} round{plural} of {seconds} s after {warm_up} s of warm-up; {connections} connections, each with one request \
             under way all the time.\nWhere: {servers}load on cores {}; {} cores of {}, {}{file_system}; counterfoil {}.",
            cores(&self.load_cores),
            machine.cores,
            machine.processor,
            machine.kernel,
            self.version,
        )
    }
}

fn median(spread: Option<Spread>, write: impl Fn(f64) -> String) -> String {
    spread.map_or_else(|| NONE.to_owned(), |spread| write(spread.median))
}

fn millis(millis: f64) -> String {
    format!("{millis:.2}")
}

/// A whole number with its thousands apart.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn thousands() {
        let grouped: Vec<_> = [0.4, 999.0, 1000.0, 12_345.6, 1_000_000.0].map(grouped).into();
        assert_eq!(grouped, ["0", "999", "1,000", "12,346", "1,000,000"]);
    }

    #[test]
    fn a_line_each() {
        let table = sample::report().table();
        let line = |name: &str| {
            let line = table
                .lines()
                .find(|line| line.trim_start().starts_with(name))
                .unwrap_or_else(|| panic!("no {name} in {table}"));
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("counterfoil"),
            "counterfoil 1,000,000 15,000 10,000 to 18,000 90% 1.00 2.00 3.50 4.25 10.12 0 66.7 32, 33"
        );
        assert_eq!(
            line("<peer> & more"),
            "<peer> & more - 2,000 2,000 to 2,000 10% 1.00 2.00 3.50 4.25 10.12 2 500.0 32, 33"
        );
        for words in [
            "refresh, ES256: medians of 3 rounds of 10 s",
            "servers on cores 0, load on cores 1",
            "floor, 1,000,000 grants: the note of floor",
            "2 errors",
        ] {
            assert!(table.contains(words), "no {words} in {table}");
        }
    }
}
