//! The page of the sandbox's controls, for developers.

use askama::Template;
use counterfoil_core::form::Form;
use counterfoil_core::slip;
use counterfoil_server::pages::{Locale, page};

/// What the sandbox can do and what happened in it. Every form posts `action`, and what the action
/// needs.
#[derive(Template)]
#[template(path = "dashboard.html")]
pub struct Dashboard<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The sandbox's issuer.
    pub issuer: &'a str,
    /// What was just done or refused.
    pub notice: Option<Notice<'a>>,
    /// What was typed into a form that was refused.
    pub typed: Option<&'a Form<'a>>,
    /// The time in the sandbox, RFC 3339.
    pub now: &'a str,
    /// How far the clock is moved, where it is.
    pub moved: Option<&'a str>,
    /// The faults that wait.
    pub faults: Vec<WaitingFault<'a>>,
    /// The names of the kinds of faults; each has messages `fault-<name>-title` and
    /// `fault-<name>-text`.
    pub kinds: Vec<&'a str>,
    /// The paths that faults strike.
    pub paths: Vec<&'a str>,
    /// Every client, by id and name.
    pub clients: Vec<(&'a str, &'a str)>,
    /// The grants, the newest first.
    pub grants: Vec<GrantShown<'a>>,
    /// The requests, the newest first.
    pub requests: Vec<RequestShown<'a>>,
    /// The client that is graded, if one is.
    pub graded: Option<Graded<'a>>,
}

/// What was just done or refused.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The section that it belongs to: `clock`, `faults`, `grants` or `grading`.
    pub section: &'a str,
    /// What to say.
    pub text: &'a str,
    /// Whether it was refused.
    pub bad: bool,
}

/// A fault that waits for requests.
#[derive(Clone, Copy, Debug)]
pub struct WaitingFault<'a> {
    /// Its id.
    pub id: &'a str,
    /// The name of its kind.
    pub kind: &'a str,
    /// The client that it is for, where it is for one alone.
    pub client: Option<&'a str>,
    /// The customer that it is for, where it is for one alone.
    pub customer: Option<&'a str>,
    /// The path that it strikes at, where it is one alone.
    pub path: Option<&'a str>,
    /// How long, how much, which code.
    pub value: Option<&'a str>,
    /// How often it will strike.
    pub remaining: u32,
}

/// A grant as the page shows it.
#[derive(Clone, Copy, Debug)]
pub struct GrantShown<'a> {
    /// Its id.
    pub id: &'a str,
    /// The client that it was given to.
    pub client: &'a str,
    /// Who gave it.
    pub customer: &'a str,
    /// When, RFC 3339.
    pub since: &'a str,
    /// The id of the consent that it hangs on, where the customer was not asked.
    pub parent: Option<&'a str>,
    /// The number of the slip that can be redeemed next; 0 is the code.
    pub next_slip: u64,
    /// Whether that slip has expired.
    pub slip_expired: bool,
    /// The id of the message that says whether it is living or how it ended.
    pub state: &'a str,
    /// Whether it is living.
    pub living: bool,
}

/// A request as the page shows it.
#[derive(Clone, Debug)]
pub struct RequestShown<'a> {
    /// When it came, RFC 3339.
    pub at: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: String,
    /// The client that sent it, where that is known.
    pub client: Option<&'a str>,
    /// The status of its answer.
    pub status: u16,
    /// Why it was refused, in words.
    pub reason: Option<String>,
    /// Whether the answer was lost on its way, on purpose.
    pub lost: bool,
    /// The request as it came, masked.
    pub request: String,
    /// The answer as it went, masked.
    pub answer: String,
}

/// The grading under way.
#[derive(Clone, Copy, Debug)]
pub struct Graded<'a> {
    /// The client's name.
    pub client: &'a str,
    /// The event that is played now, and what the client is expected to do.
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

    /// What a field held when its form was refused. A code or token is not shown again.
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
