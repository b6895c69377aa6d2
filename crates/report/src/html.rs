//! The report as a page, to hand to a certification desk.

mod pretty;

use askama::Template;

use crate::legible::legible;
use crate::{Case, Check, CheckResult, Exchange, Plan, Report, Tally};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    tally: Tally,
}

/// The report as one HTML page that needs nothing else: no script, no other file, no network. It
/// reads on a screen of any width, light or dark, and on paper, where all the evidence is unfolded.
pub fn html(report: &Report) -> String {
    let page = Page { report, tally: report.tally() };
    // A template writes to a string and calls nothing that can fail, so the default is never seen.
    legible(&page.render().unwrap_or_default())
}

impl Page<'_> {
    /// What came of it, in a sentence. Only a run of everything is said to have passed.
    fn verdict(&self) -> String {
        let Tally { passed, failed, not_run } = self.tally;
        let all = passed + failed + not_run;
        let were = if not_run == 1 { "was" } else { "were" };
        match (passed, failed, not_run) {
            (0, 0, _) => "No check was run.".to_owned(),
            (1, 0, 0) => "The one check passed.".to_owned(),
            (_, 0, 0) => format!("All {all} checks passed."),
            (_, 0, _) => format!("No check failed, but {not_run} of {all} {were} not run."),
            (_, _, 0) => format!("{failed} of {} failed.", checks(all)),
            _ => format!("{failed} of {} failed, and {not_run} {were} not run.", checks(all)),
        }
    }

    /// The worst of everything.
    fn result(&self) -> CheckResult {
        match self.tally {
            Tally { failed: 1.., .. } => CheckResult::Failed,
            Tally { passed: 1.., not_run: 0, .. } => CheckResult::Passed,
            _ => CheckResult::NotRun,
        }
    }

    /// The checks that came out so, each with its plan and case.
    fn with(&self, result: &CheckResult) -> Vec<(&Plan, &Case, &Check)> {
        let cases = self
            .report
            .plans
            .iter()
            .flat_map(|plan| plan.cases.iter().map(move |case| (plan, case)));
        cases
            .flat_map(|(plan, case)| case.checks.iter().map(move |check| (plan, case, check)))
            .filter(|(_, _, check)| check.result == *result)
            .collect()
    }
}

fn checks(count: usize) -> String {
    counted(count, "check", "checks")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How many of a case's checks passed.
fn passed(case: &Case) -> String {
    let passed = case.checks.iter().filter(|check| check.result == CheckResult::Passed).count();
    format!("{passed} of {}", case.checks.len())
}

/// A case's anchor.
fn anchor(plan: &Plan, case: &Case) -> String {
    format!("{}-{}", plan.plan, case.id)
}

/// The class of a result in the style sheet.
fn class(result: &CheckResult) -> &'static str {
    match result {
        CheckResult::Passed => "passed",
        CheckResult::Failed => "failed",
        CheckResult::NotRun => "not-run",
    }
}

fn request_line(exchange: &Exchange) -> String {
    format!("{} {}", exchange.method, exchange.url)
}

fn status_line(exchange: &Exchange) -> String {
    exchange.status.map_or("No answer".to_owned(), |status| status.to_string())
}

/// A time of RFC 3339 as people read it; any other text as it is.
fn readable(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((date, time)) => format!("{date} {time} UTC"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{check, exchange, report};

    #[test]
    fn the_page_says_what_ran_and_what_came_of_it() {
        let page = html(&report());
        for text in [
            "<!doctype html>\n<html lang=\"en\">",
            "<meta name=\"viewport\"",
            "https://auth.bank.example",
            "recipient-1",
            "<time datetime=\"2026-03-01T10:00:00Z\">2026-03-01 10:00:00 UTC</time>",
            "counterfoil verify 0.1.0",
            "1 of 5 checks failed, and 1 was not run.",
            "href=\"#token-management-refresh-used\"",
            "id=\"token-management-refresh-used\"",
            "RFC 6749, section 6",
            "A token was issued twice.",
            "The server publishes no metadata.",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_result_is_told_in_words() {
        let page = html(&report());
        for (class, words) in [("passed", "passed"), ("failed", "failed"), ("not-run", "not run")] {
            let badge = format!("<span class=\"result {class}\"><span aria-hidden=\"true\">");
            assert!(page.contains(&badge), "{class}");
            assert!(
                page.split(&badge)
                    .skip(1)
                    .all(|after| after.split("</span>").nth(1) == Some(&format!(" {words}"))),
                "{words}"
            );
        }
    }

    #[test]
    fn the_evidence_of_failures_is_open() {
        let page = html(&report());
        assert_eq!(page.matches("<details").count(), 4);
        assert_eq!(page.matches("<details open>").count(), 1);
        let failed = page.split("id=\"token-management-refresh-used\"").nth(1).unwrap();
        assert!(failed.split("</article>").next().unwrap().contains("<details open>"));
    }

    #[test]
    fn every_text_is_escaped() {
        const HOSTILE: &str = "<script>alert('1')</script>&\"";
        let mut report = report();
        let mut hostile = check(HOSTILE, CheckResult::Failed);
        (hostile.expected, hostile.seen, hostile.reason) =
            (HOSTILE.into(), format!("{HOSTILE} seen"), HOSTILE.into());
        let mut seen = exchange(HOSTILE);
        (seen.url, seen.method, seen.note, seen.at, seen.request_body) =
            (HOSTILE.into(), HOSTILE.into(), HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        seen.answer_headers = vec![(HOSTILE.into(), HOSTILE.into())];
        let case = &mut report.plans[0].cases[0];
        (case.id, case.title, case.clause) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        (case.checks, case.exchanges) = (vec![hostile], vec![seen]);
        (report.plans[0].plan, report.plans[0].title) = (HOSTILE.into(), HOSTILE.into());
        (report.title, report.version, report.issuer, report.client_id, report.started_at) =
            (HOSTILE.into(), HOSTILE.into(), HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        let page = html(&report);
        assert!(!page.contains("<script") && !page.contains("alert('1')"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;&#34;"));
    }

    #[test]
    fn no_control_character_is_in_the_page() {
        let mut report = report();
        let case = &mut report.plans[0].cases[0];
        let mut seen = check("given", CheckResult::Failed);
        (seen.seen, seen.reason) = ("s\u{1b}[31men".into(), "why\u{9b}\u{7f}".into());
        case.checks = vec![seen];
        case.exchanges = vec![exchange("one\r\n\ttwo\0\u{8}")];
        let page = html(&report);
        assert!(
            page.chars()
                .all(|character| matches!(character, '\n' | '\t') || !character.is_control()),
            "{page:?}"
        );
        for text in ["s\u{fffd}[31men", "why\u{fffd}\u{fffd}", "one\n\ttwo\u{fffd}\u{fffd}"] {
            assert!(page.contains(text), "{text:?}");
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = html(&report());
        for loads in ["src=", "<link", "@import", "url(", "<script", "javascript:", "<iframe"] {
            assert!(!page.contains(loads), "{loads}");
        }
    }

    #[test]
    fn only_a_run_of_everything_has_passed() {
        let verdict = |passed, failed, not_run| {
            Page { report: &report(), tally: Tally { passed, failed, not_run } }.verdict()
        };
        assert_eq!(verdict(16, 0, 0), "All 16 checks passed.");
        assert_eq!(verdict(15, 0, 1), "No check failed, but 1 of 16 was not run.");
        assert_eq!(verdict(14, 0, 2), "No check failed, but 2 of 16 were not run.");
        assert_eq!(verdict(15, 1, 0), "1 of 16 checks failed.");
        assert_eq!(verdict(0, 1, 0), "1 of 1 check failed.");
        assert_eq!(verdict(0, 0, 3), "No check was run.");
        assert_eq!(verdict(1, 0, 0), "The one check passed.");
    }

    #[test]
    fn what_was_seen_is_left_out_where_it_is_what_was_expected() {
        let page = html(&report());
        assert_eq!(page.matches("<dt>Expected</dt>").count(), 5);
        assert_eq!(page.matches("<dt>Seen</dt>").count(), 1);
    }
}
