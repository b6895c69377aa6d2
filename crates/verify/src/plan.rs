//! How a plan is declared: cases that cite the clause they prove, and the answers that each
//! expects.

use std::pin::Pin;

use crate::case::{CaseRun, Stopped};
use crate::judge;
use crate::target::Endpoint;

/// A plan: cases on one topic.
pub struct Plan {
    /// Its name, as `--plan` takes it.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The endpoints without which it can't begin.
    pub needs: &'static [Endpoint],
    /// Its cases, in the order of the report.
    pub cases: &'static [Case],
}

/// A case: what one clause asks for.
pub struct Case {
    /// Its id, unique in its plan.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The clause that it proves.
    pub clause: &'static str,
    /// What it leaves of the grant that it works with.
    pub grant: Grant,
    /// What is observed, in order; at least one.
    pub checks: &'static [Check],
    /// Carries it out.
    pub run: for<'c, 's> fn(&'c mut CaseRun<'s>) -> Running<'c>,
}

/// A case under way.
pub type Running<'c> = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send + 'c>>;

/// What a case leaves of the grant that it works with. Where consents are scarce one grant serves
/// many cases, and those that may end it come last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grant {
    /// It lives on.
    Lives,
    /// A server may end it, and be right.
    MayEnd,
    /// It is ended.
    Ends,
}

/// A check: one observable answer.
pub struct Check {
    /// The situation that it is about.
    pub given: &'static str,
    /// What should be seen.
    pub expected: Expected,
}

/// What a check expects.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// This status and, key for key, this JSON object: nothing missing, nothing added.
    Body(u16, &'static str),
    /// The same, where `error_description` may be left out.
    Described(u16, &'static str),
    /// One of these, a status and an `error`, described or not and whatever else there is: as the
    /// RFCs let a server answer.
    OneOf(&'static [(u16, &'static str)]),
    /// This status and this JSON object of the FDX API, with or without a `debugMessage`.
    Fdx(u16, &'static str),
    /// This status, whatever the body.
    Status(u16),
    /// This status and a body of no length.
    Empty(u16),
    /// What the case itself looks at.
    Words(&'static str),
}

impl Check {
    /// Expects `status` and exactly the JSON object `body`.
    pub const fn body(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Expected::Body(status, body) }
    }

    /// Expects `status` and the JSON object `body`, with or without its `error_description`.
    pub const fn described(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Expected::Described(status, body) }
    }

    /// Expects `status` and the FDX error `body`, with or without a `debugMessage`.
    pub const fn fdx(given: &'static str, status: u16, body: &'static str) -> Self {
        Self { given, expected: Expected::Fdx(status, body) }
    }

    /// Expects `status` and an empty body.
    pub const fn empty(given: &'static str, status: u16) -> Self {
        Self { given, expected: Expected::Empty(status) }
    }

    /// Expects what `expected` says and the case looks at.
    pub const fn words(given: &'static str, expected: &'static str) -> Self {
        Self { given, expected: Expected::Words(expected) }
    }

    /// The check in a report, before it is run.
    pub(crate) fn not_run(&self) -> counterfoil_report::Check {
        counterfoil_report::Check {
            given: self.given.into(),
            result: counterfoil_report::Outcome::NotRun,
            expected: judge::in_words(&self.expected),
            seen: String::new(),
            reason: String::new(),
        }
    }
}
