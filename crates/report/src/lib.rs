//! What a certification run found, of a server (`counterfoil verify`) or of a client
//! (`counterfoil sandbox --grade`): plans of cases of checks, and every request and answer as
//! evidence. Secrets are masked where evidence is made, so nothing here holds one.

mod evidence;
mod html;
mod junit;
mod legible;
#[cfg(test)]
mod sample;
pub mod text;

pub use evidence::{Exchange, Mask};
pub use html::html;
pub use junit::junit;

use serde::Serialize;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What ran: `counterfoil verify` or `counterfoil sandbox --grade`.
    pub title: String,
    /// The version of the program that ran it.
    pub version: String,
    /// The server.
    pub issuer: String,
    /// The client that the requests were made with or, where a client is graded, that made them.
    pub client_id: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// What was run, in order.
    pub plans: Vec<Plan>,
}

/// A plan: cases on one topic.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Its name, as `--plan` takes it.
    pub plan: String,
    /// What it is about.
    pub title: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// A case: what one clause asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// Its id, unique in its plan.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// The clause that it proves.
    pub clause: String,
    /// What was observed, in order; at least one.
    pub checks: Vec<Check>,
    /// Every request and answer that it took, in order.
    pub exchanges: Vec<Exchange>,
}

/// A check: one observable answer or behaviour.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The situation that it is about.
    pub given: String,
    /// How it came out.
    pub result: CheckResult,
    /// What should be seen.
    pub expected: String,
    /// What was seen; empty where it was not run.
    pub seen: String,
    /// Why it failed or was not run; empty where it passed.
    pub reason: String,
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// It could not be done here; never counted as passed.
    NotRun,
}

/// How many checks came out how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Not done.
    pub not_run: usize,
}

impl Tally {
    fn of<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Self {
        let cases = plans.into_iter().flat_map(|plan| &plan.cases);
        let mut tally = Self::default();
        for check in cases.flat_map(|case| &case.checks) {
            match check.result {
                CheckResult::Passed => tally.passed += 1,
                CheckResult::Failed => tally.failed += 1,
                CheckResult::NotRun => tally.not_run += 1,
            }
        }
        tally
    }

    /// All checks.
    fn all(self) -> usize {
        self.passed + self.failed + self.not_run
    }
}

impl Plan {
    /// How many checks came out how.
    fn tally(&self) -> Tally {
        Tally::of([self])
    }
}

impl Report {
    /// How many checks came out how.
    pub fn tally(&self) -> Tally {
        Tally::of(&self.plans)
    }

    /// The report as JSON: its members and the tally.
    ///
    /// # Errors
    /// Where it can't be serialised, which none of its values makes happen.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut json = serde_json::to_value(self)?;
        let Tally { passed, failed, not_run } = self.tally();
        for (name, count) in [("passed", passed), ("failed", failed), ("not_run", not_run)] {
            json[name] = count.into();
        }
        Ok(json)
    }
}

impl Case {
    /// The worst of its checks.
    pub fn result(&self) -> CheckResult {
        let any = |outcome| self.checks.iter().any(|check| check.result == outcome);
        if any(CheckResult::Failed) {
            CheckResult::Failed
        } else if any(CheckResult::NotRun) {
            CheckResult::NotRun
        } else {
            CheckResult::Passed
        }
    }
}

impl CheckResult {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not run",
        }
    }

    /// As a mark in front of the words.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed => "✗",
            Self::NotRun => "–",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_has_everything_and_the_tally() {
        let json = sample::report().to_json().unwrap();
        assert_eq!(
            (&json["passed"], &json["failed"], &json["not_run"]),
            (&json!(3), &json!(1), &json!(1))
        );
        assert_eq!(json["issuer"], "https://auth.bank.example");
        assert_eq!(json["started_at"], "2026-03-01T10:00:00Z");
        let plan = &json["plans"][0];
        assert_eq!(plan["plan"], "token-management");
        let case = &plan["cases"][1];
        assert_eq!(
            (&case["id"], &case["title"]),
            (&json!("refresh-used"), &json!("Refresh with a used refresh token"))
        );
        assert_eq!(case["clause"], "RFC 6749, section 6");
        assert_eq!(
            case["checks"][0],
            json!({
                "given": "a used refresh token",
                "result": "failed",
                "expected": "400 {\"error\":\"invalid_grant\"}",
                "seen": "200",
                "reason": "A token was issued twice.",
            })
        );
        assert_eq!(case["checks"][1]["result"], "passed");
        assert_eq!(json["plans"][1]["cases"][0]["checks"][0]["result"], "not_run");
        assert_eq!(case["exchanges"][0]["status"], 200);
    }

    #[test]
    fn a_case_is_as_good_as_the_worst_of_its_checks() {
        let results: Vec<_> =
            sample::report().plans.iter().flat_map(|plan| &plan.cases).map(Case::result).collect();
        assert_eq!(
            results,
            [CheckResult::Passed, CheckResult::Failed, CheckResult::Passed, CheckResult::NotRun]
        );
    }
}
