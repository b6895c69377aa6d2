//! A check: one observable answer.

use crate::expectation::{Dialect, Expectation, Spelling};

/// A check: one observable answer.
pub struct Check {
    /// The situation that it is about.
    pub given: &'static str,
    /// What should be seen.
    pub expected: Spelling,
}

impl Check {
    /// Expects `status` and exactly the JSON object `body`.
    pub const fn body(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Spelling::of(Expectation::Body(status, body)) }
    }

    /// Expects `status` and the JSON object `body`, with or without its `error_description`.
    pub const fn described(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Spelling::of(Expectation::Described(status, body)) }
    }

    /// Expects `status` and the FDX error `body`, with or without a `debugMessage`.
    pub const fn fdx(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Spelling::of(Expectation::Fdx(status, body)) }
    }

    /// Expects `status` and an empty body.
    pub const fn empty(given: &'static str, status: u16) -> Self {
        Self { given, expected: Spelling::of(Expectation::Empty(status)) }
    }

    /// Expects what `expected` says and the case looks at.
    pub const fn words(given: &'static str, expected: &'static str) -> Self {
        Self { given, expected: Spelling::of(Expectation::Words(expected)) }
    }

    /// Expects what a dialect spells in its own way.
    pub const fn spelled(given: &'static str, expected: Spelling) -> Self {
        Self { given, expected }
    }

    /// The check in the report of a plan in this dialect, before it is run.
    pub(crate) fn not_run(&self, dialect: Dialect) -> counterfoil_report::Check {
        counterfoil_report::Check {
            given: self.given.into(),
            result: counterfoil_report::CheckResult::NotRun,
            expected: self.expected.in_dialect(dialect).in_words(),
            seen: String::new(),
            reason: String::new(),
        }
    }
}
