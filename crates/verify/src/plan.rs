//! How a plan is declared: cases that cite the clause they prove, and the answers that each
//! expects.

use std::pin::Pin;

use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::expectation::Dialect;
use crate::target::Endpoint;

/// A plan: cases on one topic.
pub struct Plan {
    /// Its name, as `--plan` takes it.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Whose words it expects where they differ.
    pub dialect: Dialect,
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
    pub grant: GrantFate,
    /// What is observed, in order; at least one.
    pub checks: &'static [Check],
    /// Carries it out.
    pub run: for<'c, 's> fn(&'c mut CaseRun<'s>) -> Running<'c>,
}

/// The future of a running case.
pub type Running<'c> = Pin<Box<dyn Future<Output = Result<(), Abort>> + Send + 'c>>;

/// What a case leaves of the grant that it works with. Where consents are scarce one grant serves
/// many cases, and those that may end it come last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GrantFate {
    /// It lives on.
    Lives,
    /// A server may rightly end it.
    MayEnd,
    /// It is ended.
    Ends,
}

impl Case {
    /// The case in a report, before it is run.
    pub(crate) fn report(&self) -> counterfoil_report::Case {
        counterfoil_report::Case {
            id: self.id.into(),
            title: self.title.into(),
            clause: self.clause.into(),
            checks: Vec::new(),
            exchanges: Vec::new(),
        }
    }
}
