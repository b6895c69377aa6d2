//! Certifies an OAuth server over HTTP: runs plans of cases against it, ours or somebody else's,
//! and reports with every request and answer how each check came out.
//!
//! It stands alone: it knows nothing of the server but what comes over the wire. A newcomer starts
//! at `plans/token_management.rs`, which reads like the table that it proves; `case.rs` is what
//! plans are written with.

mod aged;
mod case;
mod clock;
mod http;
mod id_token;
mod judge;
mod listener;
mod plan;
mod plans;
mod session;
mod supply;
mod target;

pub use aged::Aged;
pub use plans::names;
pub use session::{Event, Progress};
pub use target::Endpoint;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;

use counterfoil_report::{Outcome, Report};

use case::{CaseRun, Stopped};
use plan::{Case, Plan};
use session::Session;

/// What to certify, as whom and how.
#[derive(Clone)]
pub struct Options {
    /// The server's issuer.
    pub issuer: String,
    /// The plans to run, by name; the first one, where none is named.
    pub plans: Vec<String>,
    /// The client; against a sandbox it has a default.
    pub client_id: Option<String>,
    /// The client's secret; a public client has none.
    pub client_secret: Option<String>,
    /// Whether the secret goes into the body (`client_secret_post`) or not; as discovery says,
    /// where it is not said.
    pub secret_in_body: Option<bool>,
    /// The redirect URI; a loopback one is listened on.
    pub redirect_uri: Option<String>,
    /// Endpoints that discovery does not tell, or not rightly.
    pub endpoints: BTreeMap<Endpoint, String>,
    /// The scope to ask for.
    pub scope: String,
    /// Further parameters of the authorization request.
    pub authorize_parameters: Vec<(String, String)>,
    /// A code that was obtained elsewhere, instead of asking for consents.
    pub code: Option<String>,
    /// Its PKCE verifier, if it has one.
    pub code_verifier: Option<String>,
    /// A refresh token that was obtained elsewhere, instead of asking for consents.
    pub refresh_token: Option<String>,
    /// Tokens that an earlier run kept, for what needs an expired ID token where no clock can be
    /// moved.
    pub aged_token: Option<Aged>,
    /// Where to keep tokens of a grant that still lives when the run ends.
    pub keep_token: Option<PathBuf>,
}

impl Options {
    /// The defaults, for a server.
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            plans: Vec::new(),
            client_id: None,
            client_secret: None,
            secret_in_body: None,
            redirect_uri: None,
            endpoints: BTreeMap::new(),
            scope: "openid offline_access".to_owned(),
            authorize_parameters: Vec::new(),
            code: None,
            code_verifier: None,
            refresh_token: None,
            aged_token: None,
            keep_token: None,
        }
    }
}

/// Why a run could not begin, or not end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something is missing or wrong in what was asked.
    #[error("{0}")]
    Usage(String),
    /// The server does not answer.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why there is no answer.
        why: String,
    },
    /// The server says that it is another one.
    #[error("the server at {asked} says that its issuer is `{says}`: ask for that one")]
    Issuer {
        /// The issuer asked for.
        asked: String,
        /// The issuer of its discovery document.
        says: String,
    },
    /// It was told to stop.
    #[error("interrupted; what was moved is put back")]
    Interrupted,
    /// The sandbox's clock stands where the run moved it to.
    #[error(
        "the sandbox's clock was moved and could not be put back ({why}). Its offset was {offset} seconds: \
         `counterfoil sandbox-ctl {issuer} clock reset`, then `clock advance {offset}s`"
    )]
    Clock {
        /// The sandbox.
        issuer: String,
        /// The offset that the clock had before, in seconds.
        offset: i64,
        /// What was answered instead.
        why: String,
        /// How the checks came out, where the run came to its end.
        report: Option<Box<Report>>,
    },
}

/// Runs plans against a server until they are through or `stop` is.
///
/// # Errors
/// Where it could not run; how the checks came out is in the report.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()>,
    progress: Progress,
) -> Result<Report, VerifyError> {
    let plans = plans::chosen(&options.plans)?;
    let started_at =
        clock::local().round(jiff::Unit::Second).unwrap_or_else(|_| clock::local()).to_string();
    let mut stop = pin!(stop);
    let mut session = tokio::select! {
        session = Session::open(options, &plans, progress) => session?,
        () = &mut stop => return Err(VerifyError::Interrupted),
    };
    let mut done: BTreeMap<(usize, usize), counterfoil_report::Case> = BTreeMap::new();
    for (place, plan, case) in in_order(&plans, &session) {
        (session.progress)(Event::Begins { plan: plan.name, case: case.id });
        let mut run = CaseRun::begin(&mut session, plan.name, case);
        let result = tokio::select! {
            result = (case.run)(&mut run) => Some(result),
            () = &mut stop => None,
        };
        let interrupted = result.is_none();
        let ended = run.end(result.unwrap_or_else(|| Err(Stopped::not_run("interrupted")))).await;
        if interrupted {
            return Err(moved(&mut session).await.unwrap_or(VerifyError::Interrupted));
        }
        (session.progress)(Event::Ended(ended.clone()));
        done.insert(place, ended);
    }
    let moved = moved(&mut session).await;
    keep(&mut session).await;
    let holds_to_dialect =
        |place: &(usize, usize)| matches!(plans[place.0].name, "token-management" | "oauth");
    if session.target.sandbox.is_none()
        && done
            .iter()
            .any(|(place, case)| holds_to_dialect(place) && case.result() == Outcome::Failed)
    {
        let hint = "token-management and oauth want errors spelled as the network spells them; --plan oauth-rfc holds a server to the RFCs alone";
        (session.progress)(Event::Note(hint.to_owned()));
    }
    let mut done = done.into_iter().peekable();
    let mut cases_of = |plan: usize| {
        std::iter::from_fn(|| done.next_if(|((of, _), _)| *of == plan))
            .map(|(_, case)| case)
            .collect()
    };
    let report = Report {
        title: "counterfoil verify".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        issuer: session.target.issuer.clone(),
        client_id: session.recipient.id.clone(),
        started_at,
        plans: plans
            .iter()
            .enumerate()
            .map(|(index, plan)| counterfoil_report::Plan {
                plan: plan.name.into(),
                title: plan.title.into(),
                cases: cases_of(index),
            })
            .collect(),
    };
    match moved {
        Some(VerifyError::Clock { issuer, offset, why, .. }) => {
            Err(VerifyError::Clock { issuer, offset, why, report: Some(Box::new(report)) })
        }
        _ => Ok(report),
    }
}

/// Tries once more to put the clock back, where a case could not; gives the error where it stays
/// moved.
async fn moved(session: &mut Session) -> Option<VerifyError> {
    session.http.begin("clock");
    let why = session.put_clock_back().await.err()?;
    Some(VerifyError::Clock {
        issuer: session.target.issuer.clone(),
        offset: session.clock.found()?,
        why,
        report: None,
    })
}

/// The cases in the order in which they run: as declared or, where grants are shared, those last
/// that may end them.
fn in_order(
    plans: &[&'static Plan],
    session: &Session,
) -> Vec<((usize, usize), &'static Plan, &'static Case)> {
    let mut cases = Vec::new();
    for (of, plan) in plans.iter().enumerate() {
        cases.extend(plan.cases.iter().enumerate().map(|(index, case)| ((of, index), *plan, case)));
    }
    if !session.supply.is_plentiful() {
        cases.sort_by_key(|(_, _, case)| case.grant);
    }
    cases
}

/// Keeps tokens for a run of another day, where that is wanted.
async fn keep(session: &mut Session) {
    let Some(path) = session.options.keep_token.clone() else {
        return;
    };
    session.http.begin("keep-token");
    session.supply.ask_no_more();
    let kept = match session.tokens().await {
        Ok(tokens) => {
            let aged = Aged { id_token: tokens.id_token, refresh_token: tokens.refresh_token };
            aged.write(&path).map_err(|error| error.to_string())
        }
        Err(Stopped::Failed(why) | Stopped::NotRun(why)) => {
            Err(format!("no grant lives any more: {why}"))
        }
    };
    (session.progress)(Event::Note(match kept {
        Ok(()) => format!(
            "{} holds tokens for a run with --aged-token in more than 24 hours",
            path.display()
        ),
        Err(why) => {
            format!("no tokens were kept in {}: {}", path.display(), session.http.masked(&why))
        }
    }));
}
