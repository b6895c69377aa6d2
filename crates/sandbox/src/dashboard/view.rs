//! Gathers what the page shows; `pages/dashboard.rs` lays it out.

use std::fmt::Write;

use counterfoil_core::clock::{DAY, HOUR, MINUTE, Seconds, Timestamp};
use counterfoil_core::form::Form;
use counterfoil_report::{Exchange, Mask};
use counterfoil_server::App;
use counterfoil_store::{Grant, GrantFilter, StoreError};

use crate::Sandbox;
use crate::faults::{Kind, PATHS};
use crate::pages::{Dashboard, FaultRow, GradingStatus, GrantRow, Notice, RequestRow};
use crate::requests::{RequestRecord, evidence};

/// How many grants are shown.
const GRANTS: u32 = 20;
/// How many requests are shown.
const REQUESTS: usize = 50;

/// The page.
///
/// # Errors
/// The store can't answer.
pub(super) async fn html(
    app: &App,
    sandbox: &Sandbox,
    notice: Option<Notice<'_>>,
    typed: Option<&Form<'_>>,
) -> Result<String, StoreError> {
    let clients = app.clients();
    let now = app.clock.now();
    let moved = Some(app.clock.offset()).filter(|offset| *offset != 0).map(in_units);
    let waiting = sandbox.faults.waiting();
    let faults = waiting.iter().map(|fault| FaultRow {
        id: &fault.id,
        kind: fault.spec.fault.name(),
        client: fault.spec.client_id.as_deref(),
        customer: fault.spec.customer.as_deref(),
        path: fault.spec.path.as_deref(),
        value: fault.spec.value.as_deref(),
        remaining: fault.remaining,
    });
    let filter = GrantFilter { client: None, customer: None, before: None, limit: GRANTS };
    let grants = app.store.grants(&filter).await?;
    let grant_texts: Vec<_> = grants
        .iter()
        .map(|Grant { terms, .. }| {
            (
                terms.grant.to_string(),
                terms.created_at.to_string(),
                terms.parent.map(|parent| parent.to_string()),
            )
        })
        .collect();
    let states: Vec<_> = grants.iter().map(|grant| state(grant, now)).collect();
    let grants = grants.iter().zip(&grant_texts).zip(&states).map(
        |((grant, (id, since, parent)), state)| GrantRow {
            id,
            client: &grant.terms.client,
            customer: &grant.terms.customer.customer,
            since,
            parent: parent.as_deref(),
            next_slip: grant.counterfoil.next_slip,
            slip_expired: grant.counterfoil.expires_at <= now,
            state,
            living: grant.is_living(now),
        },
    );
    let last = sandbox.requests.last();
    let last = &last[last.len().saturating_sub(REQUESTS)..];
    let times: Vec<String> = last.iter().map(|request| request.at.to_string()).collect();
    // Two passes: a secret may appear before the request that reveals it to be one.
    let mut mask = Mask::default();
    for request in last {
        evidence(app, request, "", &mut mask);
    }
    let requests: Vec<_> = last
        .iter()
        .zip(&times)
        .map(|(request, at)| request_row(app, sandbox, request, at, &mut mask))
        .collect();
    let graded = clients.iter().find(|client| sandbox.grading.is_of(&client.id));
    let progress = graded.and_then(|_| sandbox.grading.progress(&app.settings.issuer));
    let event = progress
        .as_ref()
        .and_then(|progress| progress.under_way.as_ref())
        .map(|event| (event.title, event.expected));
    let page = Dashboard {
        locale: &sandbox.locale,
        issuer: &app.settings.issuer,
        notice,
        typed,
        now: &now.to_string(),
        moved: moved.as_deref(),
        faults: faults.collect(),
        kinds: Kind::ALL.iter().map(|kind| kind.name()).collect(),
        paths: PATHS.to_vec(),
        clients: clients
            .iter()
            .map(|client| (&*client.id, client.settings.name.as_str()))
            .collect(),
        grants: grants.collect(),
        requests: requests.into_iter().rev().collect(),
        graded: graded.map(|client| GradingStatus { client: &client.settings.name, event }),
    };
    Ok(page.render())
}

/// The message id of a grant's state.
fn state(grant: &Grant, now: Timestamp) -> String {
    match grant.ended {
        Some(ended) => format!("grant-ended-{}", ended.by.name()),
        None if grant.counterfoil.ended => "grant-ended".into(),
        None if !grant.current => "grant-removed".into(),
        None if !grant.parent_lives => "grant-parent-ended".into(),
        None if grant.is_living(now) => "grant-living".into(),
        None => "grant-expired".into(),
    }
}

fn request_row<'a>(
    app: &App,
    sandbox: &Sandbox,
    request: &'a RequestRecord,
    at: &'a str,
    mask: &mut Mask,
) -> RequestRow<'a> {
    let exchange = evidence(app, request, "", mask);
    RequestRow {
        at,
        method: request.method.as_str(),
        path: mask.text(request.path()),
        client: request.client.as_deref(),
        status: request.status.as_u16(),
        reason: request.reason.as_deref().map(|reason| mask.text(reason)),
        lost: request.lost,
        request: message(
            format!("{} {}", exchange.method, exchange.url),
            &exchange.request_headers,
            &exchange.request_body,
        ),
        answer: answer(sandbox, &exchange),
    }
}

fn answer(sandbox: &Sandbox, exchange: &Exchange) -> String {
    let Some(status) = exchange.status else {
        return exchange.answer_body.clone();
    };
    let is_page = exchange
        .answer_headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.starts_with("text/html"));
    // A page for customers is long and of no use here, and holds the values that bind its forms to a
    // browser.
    let body = if is_page {
        format!("({})", sandbox.locale.text("dashboard-answer-page"))
    } else {
        exchange.answer_body.clone()
    };
    message(status.to_string(), &exchange.answer_headers, &body)
}

/// A request or an answer, in the form it has on the wire.
fn message(mut text: String, headers: &[(String, String)], body: &str) -> String {
    for (name, value) in headers {
        // Writing to a string can't fail.
        let _ = write!(text, "\n{name}: {value}");
    }
    if !body.is_empty() {
        let _ = write!(text, "\n\n{body}");
    }
    text
}

/// A duration in the form that the clock's form accepts: `+1d 1h`.
fn in_units(seconds: Seconds) -> String {
    let mut text = String::from(if seconds < 0 { "-" } else { "+" });
    let mut left = seconds.abs();
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1, "s")] {
        if left >= unit {
            let _ = write!(text, "{}{}{name}", if text.len() > 1 { " " } else { "" }, left / unit);
            left %= unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::in_units;

    #[test]
    fn spans() {
        assert_eq!(in_units(90_000), "+1d 1h");
        assert_eq!(in_units(-301), "-5m 1s");
        assert_eq!(in_units(91 * 86_400), "+91d");
    }
}
