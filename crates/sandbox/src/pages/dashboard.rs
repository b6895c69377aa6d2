//! The page with the sandbox's controls, for developers.

use askama::Template;
use counterfoil_core::form::Form;
use counterfoil_core::slip;
use counterfoil_server::pages::{Locale, page};

/// The sandbox's controls, and what happened in it. Every form posts `action` and that action's
/// parameters.
#[derive(Template)]
#[template(path = "dashboard.html")]
pub struct Dashboard<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The sandbox's issuer.
    pub issuer: &'a str,
    /// The result of the last action.
    pub notice: Option<Notice<'a>>,
    /// The form that was refused, to fill in again.
    pub typed: Option<&'a Form<'a>>,
    /// The time in the sandbox, RFC 3339.
    pub now: &'a str,
    /// How far the clock has been moved, if at all.
    pub moved: Option<&'a str>,
    /// The faults that are set.
    pub faults: Vec<FaultRow<'a>>,
    /// The names of the kinds of faults; each has messages `fault-<name>-title` and
    /// `fault-<name>-text`.
    pub kinds: Vec<&'a str>,
    /// The paths that faults strike.
    pub paths: Vec<&'a str>,
    /// Every client, by id and name.
    pub clients: Vec<(&'a str, &'a str)>,
    /// The grants, the newest first.
    pub grants: Vec<GrantRow<'a>>,
    /// The requests, the newest first.
    pub requests: Vec<RequestRow<'a>>,
    /// The client that is graded, if one is.
    pub graded: Option<GradingStatus<'a>>,
}

/// The result of the last action.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The section it appears in: `clock`, `faults`, `grants` or `grading`.
    pub section: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Whether the action was refused.
    pub bad: bool,
}

/// A fault that is set.
#[derive(Clone, Copy, Debug)]
pub struct FaultRow<'a> {
    /// Its id.
    pub id: &'a str,
    /// The name of its kind.
    pub kind: &'a str,
    /// The only client it is for, if it is for one.
    pub client: Option<&'a str>,
    /// The only customer it is for, if it is for one.
    pub customer: Option<&'a str>,
    /// The only path it strikes, if it is for one.
    pub path: Option<&'a str>,
    /// The value, whose meaning depends on the kind: a duration, an error code, and so on.
    pub value: Option<&'a str>,
    /// How many more requests it strikes.
    pub remaining: u32,
}

/// A grant as the page shows it.
#[derive(Clone, Copy, Debug)]
pub struct GrantRow<'a> {
    /// Its id.
    pub id: &'a str,
    /// The client it was made for.
    pub client: &'a str,
    /// The customer who consented.
    pub customer: &'a str,
    /// When, RFC 3339.
    pub since: &'a str,
    /// The grant whose consent it depends on, if it was made without asking the customer.
    pub parent: Option<&'a str>,
    /// The number of the slip that is redeemed next; 0 is the code.
    pub next_slip: u64,
    /// Whether that slip has expired.
    pub slip_expired: bool,
    /// The message id of its state.
    pub state: &'a str,
    /// Whether it is living.
    pub living: bool,
}

/// A request as the page shows it.
#[derive(Clone, Debug)]
pub struct RequestRow<'a> {
    /// When it came, RFC 3339.
    pub at: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: String,
    /// The client that sent it, if known.
    pub client: Option<&'a str>,
    /// The status of its answer.
    pub status: u16,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Whether a fault dropped the answer.
    pub lost: bool,
    /// The whole request, with secrets masked.
    pub request: String,
    /// The whole answer, with secrets masked.
    pub answer: String,
}

/// The grading in progress.
#[derive(Clone, Copy, Debug)]
pub struct GradingStatus<'a> {
    /// The client's name.
    pub client: &'a str,
    /// The event being played, and what the client is expected to do.
    pub event: Option<(&'a str, &'a str)>,
}

impl Dashboard<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }

    fn refused(&self) -> bool {
        self.notice.is_some_and(|notice| notice.bad)
    }

    fn notice_in(&self, section: &str) -> Option<Notice<'_>> {
        self.notice.filter(|notice| notice.section == section)
    }

    /// The value of a field of the refused form. Codes and tokens are not shown again.
    fn typed(&self, field: &str) -> &str {
        let is_secret = |text: &&str| {
            [slip::Kind::Code, slip::Kind::RefreshToken]
                .iter()
                .any(|kind| text.starts_with(kind.prefix()))
        };
        self.typed
            .and_then(|form| form.get(field))
            .filter(|text| !is_secret(text))
            .unwrap_or_default()
    }

    fn fault_title(&self, kind: &str) -> String {
        self.locale.text(&format!("fault-{kind}-title"))
    }

    fn fault_text(&self, kind: &str) -> String {
        self.locale.text(&format!("fault-{kind}-text"))
    }
}
