//! The report as lines on a terminal.

use crate::{Case, Check, CheckResult, Plan, Report, Tally};

/// How wide lines get.
const WIDTH: usize = 100;

/// The ANSI escapes of styles.
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// One finished case: its name, and a line a check. Below what failed is what should have been
/// seen, below what was not run is why. `colour` wants ANSI escapes.
pub fn case(case: &Case, colour: bool) -> String {
    let mut text = Text { lines: String::new(), colour };
    text.entry(
        "",
        &text.style(BOLD, &clean(&case.id)),
        clean(&case.id).chars().count(),
        &case.title,
    );
    for check in &case.checks {
        text.check(check);
    }
    text.lines
}

/// The whole run: a table a plan, how many checks came out how, and which were not run. `colour`
/// wants ANSI escapes.
pub fn summary(report: &Report, colour: bool) -> String {
    let mut text = Text { lines: String::new(), colour };
    for plan in &report.plans {
        text.plan(plan);
        text.lines.push('\n');
    }
    text.tally(report.tally());
    text.not_run(report);
    text.lines
}

struct Text {
    lines: String,
    colour: bool,
}

impl Text {
    fn plan(&mut self, plan: &Plan) {
        self.entry(
            "",
            &self.style(BOLD, &clean(&plan.plan)),
            clean(&plan.plan).chars().count(),
            &plan.title,
        );
        let width =
            plan.cases.iter().map(|case| clean(&case.id).chars().count()).max().unwrap_or(0);
        for case in &plan.cases {
            let (id, result) = (format!("{:<width$}", clean(&case.id)), self.result(case.result()));
            self.entry("  ", &format!("{result}  {id}"), RESULT + 2 + width, &case.title);
        }
    }

    fn check(&mut self, check: &Check) {
        self.entry("  ", &self.result(check.result), RESULT, &check.given);
        let details: &[(&str, &str)] = match check.result {
            CheckResult::Passed => &[],
            CheckResult::Failed => {
                &[("expected", &check.expected), ("seen", &check.seen), ("reason", &check.reason)]
            }
            CheckResult::NotRun => &[("reason", &check.reason)],
        };
        for (name, detail) in details.iter().filter(|(_, detail)| !detail.trim().is_empty()) {
            self.entry("             ", &self.style(DIM, &format!("{name:<8}")), 8, detail);
        }
    }

    fn tally(&mut self, Tally { passed, failed, not_run }: Tally) {
        let counts = [
            (passed, CheckResult::Passed),
            (failed, CheckResult::Failed),
            (not_run, CheckResult::NotRun),
        ]
        .map(|(count, outcome)| {
            let counted = format!("{count} {}", outcome.words());
            // What there is none of is nothing to look at.
            if count == 0 { counted } else { self.style(style(outcome), &counted) }
        });
        self.lines.push_str(&counts.join(", "));
        self.lines.push('\n');
    }

    fn not_run(&mut self, report: &Report) {
        let cases =
            report.plans.iter().flat_map(|plan| plan.cases.iter().map(move |case| (plan, case)));
        let not_run: Vec<_> = cases
            .flat_map(|(plan, case)| case.checks.iter().map(move |check| (plan, case, check)))
            .filter(|(_, _, check)| check.result == CheckResult::NotRun)
            .collect();
        if not_run.is_empty() {
            return;
        }
        self.lines.push_str("\nNot run:\n");
        for (plan, case, check) in not_run {
            self.wrapped("  ", "    ", &format!("{}/{}: {}", plan.plan, case.id, check.given));
            self.wrapped("      ", "      ", &check.reason);
        }
    }

    /// A text after its heading; further lines are indented below it.
    fn entry(&mut self, indent: &str, heading: &str, heading_width: usize, text: &str) {
        let below = " ".repeat(indent.len() + heading_width + 2);
        self.wrapped(&format!("{indent}{heading}  "), &below, text);
    }

    /// A text after `first`, which is as wide as `below` however many escapes are in it, and what
    /// does not fit below it.
    fn wrapped(&mut self, first: &str, below: &str, text: &str) {
        // Even after a very long heading there is room for words, if not on a line of that width.
        let lines = wrap(&clean(text), WIDTH.saturating_sub(below.len()).max(WIDTH / 3));
        for (number, line) in lines.iter().enumerate() {
            self.lines.push_str(if number == 0 { first } else { below });
            self.lines.push_str(line);
            self.lines.push('\n');
        }
    }

    fn result(&self, outcome: CheckResult) -> String {
        self.style(style(outcome), &format!("{} {:<7}", outcome.mark(), outcome.words()))
    }

    fn style(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How wide a result is: a mark, a space and the longest words.
const RESULT: usize = 9;

fn style(outcome: CheckResult) -> &'static str {
    match outcome {
        CheckResult::Passed => GREEN,
        CheckResult::Failed => RED,
        CheckResult::NotRun => YELLOW,
    }
}

/// Without control characters: what a server answered must not steer the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_whitespace() { ' ' } else { character })
        .filter(|character| !character.is_control())
        .collect()
}

/// The lines of a text, at least one. Words longer than a line, as JSON has them, are broken.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if room < width && length < room {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
            room -= 1;
        } else if room < width {
            lines.push(String::new());
            room = width;
        }
        for character in word.chars() {
            if room == 0 {
                lines.push(String::new());
                room = width;
            }
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
            room -= 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{check, report};

    #[test]
    fn a_case_is_a_line_a_check() {
        let report = report();
        assert_eq!(
            case(&report.plans[0].cases[0], false),
            "refresh  Refresh an ID token\n  ✓ passed   a refresh token of this client\n"
        );
        assert_eq!(
            case(&report.plans[0].cases[1], false),
            "refresh-used  Refresh with a used refresh token\n\
             \x20 ✗ failed   a used refresh token\n\
             \x20            expected  400 {\"error\":\"invalid_grant\"}\n\
             \x20            seen      200\n\
             \x20            reason    A token was issued twice.\n\
             \x20 ✓ passed   no refresh token\n"
        );
        assert_eq!(
            case(&report.plans[1].cases[0], false),
            "metadata  Publish metadata\n  – not run  the well-known URL\n             reason    The server publishes no metadata.\n"
        );
    }

    #[test]
    fn the_summary_has_a_table_a_plan_the_tally_and_what_was_not_run() {
        assert_eq!(
            summary(&report(), false),
            "token-management  Token management\n\
             \x20 ✓ passed   refresh       Refresh an ID token\n\
             \x20 ✗ failed   refresh-used  Refresh with a used refresh token\n\
             \x20 ✓ passed   revoke        Revoke an ID token\n\
             \n\
             discovery  Discovery\n\
             \x20 – not run  metadata  Publish metadata\n\
             \n\
             3 passed, 1 failed, 1 not run\n\
             \n\
             Not run:\n\
             \x20 discovery/metadata: the well-known URL\n\
             \x20     The server publishes no metadata.\n"
        );
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let report = report();
        for (coloured, plain) in [
            (summary(&report, true), summary(&report, false)),
            (case(&report.plans[0].cases[1], true), case(&report.plans[0].cases[1], false)),
        ] {
            assert!(coloured.contains("\x1b[31m✗ failed \x1b[0m"), "{coloured:?}");
            let uncoloured = [BOLD, DIM, RED, GREEN, YELLOW, "0"]
                .iter()
                .fold(coloured, |text, style| text.replace(&format!("\x1b[{style}m"), ""));
            assert_eq!(uncoloured, plain);
        }
    }

    #[test]
    fn long_texts_are_wrapped_below_their_beginning() {
        let mut long =
            check(&"a refresh token that was claimed before ".repeat(6), CheckResult::Failed);
        long.seen = "x".repeat(300);
        let mut wide = report().plans[0].cases[0].clone();
        wide.checks = vec![long];
        let text = case(&wide, false);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("             "), "{text}");
        assert_eq!(text.matches('x').count(), 300 + 1, "{text}");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut hostile = report().plans[0].cases[0].clone();
        hostile.id = "a\x1b[2Jb".into();
        hostile.checks[0] = check("\x1b[31mgiven\r\nmore\x07\u{9b}", CheckResult::Failed);
        let text = case(&hostile, false);
        assert!(
            text.chars().all(|character| character == '\n' || !character.is_control()),
            "{text:?}"
        );
        assert!(text.contains("given more"), "{text}");
    }
}
