//! The report as JUnit XML, for a pipeline to read.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use crate::{Case, Check, Outcome, Plan, Report};

/// The report as JUnit XML: a suite a plan, a test case a check. Checks not run are skipped tests.
///
/// How long a check took is not known, so no time is given; when the run began is among each
/// suite's properties.
pub fn junit(report: &Report) -> String {
    let mut junit = quick_junit::Report::new(report.title.as_str());
    junit.add_test_suites(report.plans.iter().map(|plan| suite(report, plan)));
    // It writes to memory, which can't fail; an empty file fails whatever reads it, which is right.
    junit.to_string().unwrap_or_default()
}

fn suite(report: &Report, plan: &Plan) -> TestSuite {
    let mut suite = TestSuite::new(plan.plan.as_str());
    suite.add_properties(
        [
            ("title", &plan.title),
            ("issuer", &report.issuer),
            ("client_id", &report.client_id),
            ("version", &report.version),
            ("started_at", &report.started_at),
        ]
        .map(|(name, value)| Property::new(name, value.as_str())),
    );
    for case in &plan.cases {
        suite.add_test_cases(case.checks.iter().enumerate().map(|(number, check)| {
            let mut test = TestCase::new(name(case, number), status(check));
            test.set_classname(format!("{}.{}", plan.plan, case.id));
            test
        }));
    }
    suite
}

/// What is given, and which time it is where a case has that more than once: a test with the name
/// of another is taken for its rerun.
fn name(case: &Case, number: usize) -> String {
    let given = &case.checks[number].given;
    match case.checks[..number].iter().filter(|check| check.given == *given).count() {
        0 => given.clone(),
        before => format!("{given} ({})", before + 1),
    }
}

fn status(check: &Check) -> TestCaseStatus {
    match check.result {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed => {
            let lines: Vec<String> =
                [("expected", &check.expected), ("seen", &check.seen), ("reason", &check.reason)]
                    .into_iter()
                    .filter(|(_, text)| !text.is_empty())
                    .map(|(name, text)| format!("{name}: {text}"))
                    .collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(one_line(&lines.join("; ")))
                .set_type("failed")
                .set_description(lines.join("\n"));
            status
        }
        Outcome::NotRun => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(one_line(&check.reason));
            status
        }
    }
}

/// An attribute has no lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{check, report};

    #[test]
    fn a_pipeline_reads_the_counts() {
        let read = quick_junit::Report::deserialize_from_str(&junit(&report())).unwrap();
        assert_eq!(read.name.as_deref(), Some("counterfoil verify"));
        assert_eq!((read.tests, read.failures, read.errors, read.skipped), (5, 1, 0, 1));
        let suites: Vec<_> = read
            .test_suites
            .iter()
            .map(|suite| (suite.name.as_str(), suite.tests, suite.failures, suite.skipped))
            .collect();
        assert_eq!(suites, [("token-management", 4, 1, 0), ("discovery", 1, 0, 1)]);
        assert!(
            read.timestamp.is_none()
                && read.time.is_none()
                && read.test_suites[0].timestamp.is_none()
        );
        assert!(
            read.test_suites[0]
                .properties
                .contains(&Property::new("issuer", "https://auth.bank.example"))
        );
    }

    #[test]
    fn a_failure_tells_what_was_expected_and_a_skip_why() {
        let read = quick_junit::Report::deserialize_from_str(&junit(&report())).unwrap();
        let failed = &read.test_suites[0].test_cases[1];
        assert_eq!(failed.classname.as_deref(), Some("token-management.refresh-used"));
        assert_eq!(failed.name.as_str(), "a used refresh token");
        let TestCaseStatus::NonSuccess {
            kind: NonSuccessKind::Failure, message, description, ..
        } = &failed.status
        else {
            panic!("{failed:?}");
        };
        assert_eq!(
            message.as_deref(),
            Some(
                "expected: 400 {\"error\":\"invalid_grant\"}; seen: 200; reason: A token was issued twice."
            )
        );
        assert_eq!(
            description.as_deref(),
            Some(
                "expected: 400 {\"error\":\"invalid_grant\"}\nseen: 200\nreason: A token was issued twice."
            )
        );
        let TestCaseStatus::Skipped { message, .. } = &read.test_suites[1].test_cases[0].status
        else {
            panic!("{read:?}")
        };
        assert_eq!(message.as_deref(), Some("The server publishes no metadata."));
    }

    #[test]
    fn hostile_texts_stay_xml_and_names_unique() {
        let mut report = report();
        let mut hostile = check("]]><failure message=\"x\">&\u{1b}[31m\u{0}", Outcome::Failed);
        hostile.seen = "<script>\r\n\"'&".into();
        report.plans[0].cases[0].checks = vec![hostile.clone(), hostile];
        let read = quick_junit::Report::deserialize_from_str(&junit(&report)).unwrap();
        let names: Vec<_> =
            read.test_suites[0].test_cases.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names[..2], ["]]><failure message=\"x\">&", "]]><failure message=\"x\">& (2)"]);
    }
}
