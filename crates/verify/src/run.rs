//! A run, from the discovery of a server to the report.

use std::collections::BTreeMap;
use std::pin::pin;

use counterfoil_report::{CheckResult, Report};

use crate::abort::Abort;
use crate::case::CaseRun;
use crate::error::VerifyError;
use crate::event::{Event, Progress};
use crate::machine_time;
use crate::options::Options;
use crate::plan::{Case, GrantFate, Plan};
use crate::plans;
use crate::session::Session;
use crate::token_file::TokenFile;

/// Runs plans against a server until they are finished or `stop` resolves.
///
/// # Errors
/// Where it could not run; how the checks came out is in the report.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()>,
    progress: Progress,
) -> Result<Report, VerifyError> {
    let plans = plans::chosen(&options.plans)?;
    let started_at = machine_time::now()
        .round(jiff::Unit::Second)
        .unwrap_or_else(|_| machine_time::now())
        .to_string();
    let mut stop = pin!(stop);
    let needs =
        plans.iter().flat_map(|plan| plan.needs.iter().map(|endpoint| (plan.name, *endpoint)));
    let mut session = tokio::select! {
        session = Session::open(options, needs, progress) => session?,
        () = &mut stop => return Err(VerifyError::Interrupted),
    };
    let mut done: BTreeMap<(usize, usize), counterfoil_report::Case> = BTreeMap::new();
    for (place, plan, case) in in_order(&plans, &session) {
        (session.progress)(Event::Begins { plan: plan.name, case: case.id });
        let name = format!("{}/{}", plan.name, case.id);
        let mut run = CaseRun::begin(&mut session, &name, case.checks, plan.dialect);
        let result = tokio::select! {
            result = (case.run)(&mut run) => Some(result),
            () = &mut stop => None,
        };
        let interrupted = result.is_none();
        let result = result.unwrap_or_else(|| Err(Abort::not_run("interrupted")));
        let ended = run.end(result, case.report()).await;
        if case.grant != GrantFate::Lives {
            session.supply.doubt();
        }
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
            .any(|(place, case)| holds_to_dialect(place) && case.result() == CheckResult::Failed)
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

/// Keeps tokens for a run on another day, if asked to.
async fn keep(session: &mut Session) {
    let Some(path) = session.options.keep_token.clone() else {
        return;
    };
    session.http.begin("keep-token");
    session.supply.ask_no_more();
    let kept = match session.tokens().await {
        Ok(tokens) => {
            let aged = TokenFile { id_token: tokens.id_token, refresh_token: tokens.refresh_token };
            aged.write(&path).map_err(|error| error.to_string())
        }
        Err(Abort::Failed(why) | Abort::NotRun(why)) => {
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
