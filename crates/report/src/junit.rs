//! The report as JUnit XML, for a pipeline to read.

use askama::Template;

use crate::legible::legible;
use crate::{Case, Check, CheckResult, Report};

#[derive(Template)]
#[template(path = "junit.xml")]
struct Suites<'a> {
    report: &'a Report,
}

/// The report as JUnit XML: a suite a plan, a test case a check. Checks not run are skipped tests.
///
/// How long a check took is not known, so no time is given; when the run began is among each
/// suite's properties.
pub fn junit(report: &Report) -> String {
    // A template writes to a string and calls nothing that can fail, so the default is never seen.
    legible(&Suites { report }.render().unwrap_or_default())
}

/// The name of a check's test. Where a case has several with the same text they are numbered: a
/// test with the name of another is taken for its rerun.
fn name(case: &Case, number: usize) -> String {
    let given = &case.checks[number].given;
    match case.checks[..number].iter().filter(|check| check.given == *given).count() {
        0 => given.clone(),
        before => format!("{given} ({})", before + 1),
    }
}

/// What is known of a failure, a line each.
fn failure(check: &Check) -> String {
    [("expected", &check.expected), ("seen", &check.seen), ("reason", &check.reason)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}: {text}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// An attribute has no lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::*;
    use crate::sample::{check, report};

    fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> Vec<Node<'a, 'a>> {
        node.children().filter(|child| child.has_tag_name(name)).collect()
    }

    fn attributes<'a>(node: Node<'a, '_>, names: &[&str]) -> Vec<Option<&'a str>> {
        names.iter().map(|name| node.attribute(*name)).collect()
    }

    #[test]
    fn a_pipeline_reads_the_counts() {
        const COUNTS: [&str; 5] = ["name", "tests", "failures", "errors", "skipped"];
        let xml = junit(&report());
        let read = Document::parse(&xml).unwrap();
        let root = read.root_element();
        assert_eq!(attributes(root, &COUNTS), ["counterfoil verify", "5", "1", "0", "1"].map(Some));
        let suites = children(root, "testsuite");
        assert_eq!(
            attributes(suites[0], &COUNTS),
            ["token-management", "4", "1", "0", "0"].map(Some)
        );
        assert_eq!(attributes(suites[1], &COUNTS), ["discovery", "1", "0", "0", "1"].map(Some));
        assert!(!xml.contains("time=") && !xml.contains("timestamp="), "{xml}");
        assert!(xml.contains(r#"<property name="issuer" value="https://auth.bank.example"/>"#));
    }

    #[test]
    fn a_failure_tells_what_was_expected_and_a_skip_why() {
        let xml = junit(&report());
        let read = Document::parse(&xml).unwrap();
        let suites = children(read.root_element(), "testsuite");
        let failed = children(suites[0], "testcase")[1];
        assert_eq!(
            attributes(failed, &["classname", "name"]),
            ["token-management.refresh-used", "a used refresh token"].map(Some)
        );
        let failure = children(failed, "failure")[0];
        assert_eq!(
            failure.attribute("message"),
            Some(
                r#"expected: 400 {"error":"invalid_grant"} seen: 200 reason: A token was issued twice."#
            )
        );
        assert_eq!(
            failure.text(),
            Some(
                "expected: 400 {\"error\":\"invalid_grant\"}\nseen: 200\nreason: A token was issued twice."
            )
        );
        let skipped = children(children(suites[1], "testcase")[0], "skipped")[0];
        assert_eq!(skipped.attribute("message"), Some("The server publishes no metadata."));
        assert_eq!(xml.matches("<skipped").count() + xml.matches("<failure").count(), 2);
    }

    #[test]
    fn hostile_texts_stay_xml_and_names_unique() {
        let mut report = report();
        let mut hostile =
            check("]]><failure message=\"x\">&\u{1b}[31m\u{0}\u{ffff}", CheckResult::Failed);
        hostile.seen = "<script>\r\n\"'&".into();
        report.plans[0].cases[0].checks = vec![hostile.clone(), hostile];
        let xml = junit(&report);
        let read = Document::parse(&xml).unwrap();
        let tests = children(children(read.root_element(), "testsuite")[0], "testcase");
        let names: Vec<_> = tests.iter().filter_map(|test| test.attribute("name")).collect();
        let name = "]]><failure message=\"x\">&\u{fffd}[31m\u{fffd}\u{fffd}";
        assert_eq!(names[..2], [name.to_owned(), format!("{name} (2)")]);
    }
}
