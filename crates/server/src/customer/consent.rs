//! `GET, POST /consent`: the customer's answer.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::client::LONGEST_ID;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_store::Session;

use crate::authorization::answer::redirect_code;
use crate::authorization::answerable::{deny, must_be_unanswered, still_may_ask};
use crate::authorization::request::AuthorizationRequest;
use crate::authorization::way_back::{already_answered, linking_back};
use crate::customer::consent_page::{
    ConsentContinuation, ConsentRetry, ConsentRetryReason, PageSnapshot, accounts_of, show,
};
use crate::customer::continuation::{self, send_on};
use crate::customer::session;
use crate::customer::sign_in_page::{self, Attempt, SignInRetry, SignInRetryReason};
use crate::customer::ticket::{self, Purpose, Ticket, TicketError};
use crate::grants::make::{Approval, approve};
use crate::http::body::{consent_form, page_fields};
use crate::http::cookies::Browser;
use crate::http::operation::{self, Operation, optional, required};
use crate::http::refused::Refused;
use crate::node::app::App;

/// `GET /consent`: where the browser goes after sign-in, and when the page is shown again.
///
/// # Errors
/// A page.
pub async fn get(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let query = page_fields(uri.query().unwrap_or_default().as_bytes())?;
    let browser = Browser::of(app, &headers);
    let ConsentContinuation { request, again } = match query.get("ticket") {
        // From a node of the previous version.
        Some(text) => match ticket::open(app, text, &browser, now) {
            Ok(Ticket { purpose: Purpose::Authorize(request), is_old: false, .. }) => {
                ConsentContinuation { request: *request, again: None }
            }
            Ok(Ticket { purpose: Purpose::Authorize(request), .. }) => {
                return Err(TicketError { request: Some(request) }.refused(app).await);
            }
            Ok(_) => return Err(TicketError { request: None }.refused(app).await),
            Err(error) => return Err(error.refused(app).await),
        },
        None => continuation::read(app, &query, &browser, now).await?,
    };
    let answer = async {
        match session_for(app, &request, &headers, now).await? {
            Some(session) => show(app, &request, again, &session, &browser, now).await,
            None => {
                let attempt = Attempt::first(request.login_hint.as_deref());
                Ok(sign_in_page::page(
                    app,
                    &Purpose::Authorize(Box::new(request.clone())),
                    &browser,
                    now,
                    &attempt,
                ))
            }
        }
    };
    let answer: Result<Response, Refused> = answer.await;
    match answer {
        Ok(response) => Ok(browser.remember(app, response)),
        Err(refused) => Err(linking_back(refused, app, &request).await),
    }
}

/// `POST /consent`: the customer's answer.
///
/// # Errors
/// A page.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = consent_form(app, &headers, body).await?;
    let form = page_fields(&bytes)?;
    let browser = Browser::of(app, &headers);
    let ticket = ticket::of_form(app, &form, &browser, now).await?;
    let Purpose::Authorize(request) = &ticket.purpose else {
        return Err(TicketError { request: None }.refused(app).await);
    };
    let answer = match form.get("decision") {
        Some("allow") => allow(app, request, &ticket, &form, &browser, &headers, now).await,
        // A refusal grants nothing, so it does not matter who is signed in now.
        Some("deny") => deny(app, request, AuthorizationError::DeniedByCustomer).await,
        _ => Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the decision is neither allow nor deny",
        )),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(linking_back(refused, app, request).await),
    }
}

async fn session_for(
    app: &App,
    request: &AuthorizationRequest,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Session>, Refused> {
    let session = session::current(app, headers, now).await.map_err(Refused::unavailable_page)?;
    Ok(session.filter(|session| request.is_met_by(app, session, now)))
}

/// Handles *Allow*: a code if the page is still accurate, else the page again.
async fn allow(
    app: &App,
    request: &AuthorizationRequest,
    ticket: &Ticket,
    form: &Form<'_>,
    browser: &Browser,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let client = still_may_ask(app, request)?;
    if ticket.is_old {
        must_be_unanswered(app, request).await?;
    }
    let begun = if ticket.is_old { request.clone().restarted(now) } else { request.clone() };
    let Some(session) = session_for(app, request, headers, now).await? else {
        let hint = request.login_hint.as_deref();
        let attempt = Attempt::again(
            hint,
            if ticket.is_old { SignInRetryReason::Old } else { SignInRetryReason::Ended },
        );
        let purpose = Purpose::Authorize(Box::new(begun));
        return match app.limits.continuations.take(now) {
            true => send_on(app, Some(browser), &SignInRetry { purpose, attempt }, now).await,
            false => Ok(sign_in_page::page(app, &purpose, browser, now, &attempt)),
        };
    };
    let offered = accounts_of(app, &session).await?;
    let ids: HashSet<&str> = offered.iter().map(|account| account.id.as_str()).collect();
    let chosen: HashSet<&str> = form.all("account").collect();
    let snapshot = ticket.snapshot.as_ref();
    // What the page would show now, with the time it was first shown.
    let current = PageSnapshot::of(
        app,
        request,
        &client,
        &session,
        &offered,
        snapshot.map_or(now, |snapshot| snapshot.at),
    );
    let show_again = async |why, changes| {
        // For another customer nothing is ticked, not even an account that both hold.
        let same_customer = snapshot.is_some_and(|snapshot| snapshot.customer == session.customer);
        let chosen = chosen
            .intersection(&ids)
            .filter(|_| same_customer)
            .map(|id| (*id).to_owned())
            .collect();
        let at = if ticket.is_old { now } else { current.at };
        let again =
            Some(ConsentRetry { why, at, customer: session.customer.clone(), changes, chosen });
        match app.limits.continuations.take(now) {
            true => {
                send_on(
                    app,
                    Some(browser),
                    &ConsentContinuation { request: begun.clone(), again },
                    now,
                )
                .await
            }
            false => show(app, &begun, again, &session, browser, now).await,
        }
    };
    let mut changes = match snapshot {
        None => vec![app.locale.text("changed-other")],
        Some(snapshot) => snapshot.changes(&current, &app.locale),
    };
    if ticket.is_old {
        changes.insert(0, app.locale.text("changed-old"));
    }
    if !changes.is_empty() {
        return show_again(ConsentRetryReason::Changed, changes).await;
    }
    if !chosen.is_subset(&ids) {
        return Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "malformed",
            "an account that is not the customer's was chosen",
        ));
    }
    if chosen.is_empty() {
        return show_again(ConsentRetryReason::NothingChosen, Vec::new()).await;
    }
    let approval = Approval {
        client,
        // In directory order, without duplicates.
        accounts: offered
            .iter()
            .map(|account| account.id.clone())
            .filter(|id| chosen.contains(id.as_str()))
            .collect(),
        customer_era: current.customer_era,
        customer: current.customer,
        name: current.customer_name,
        authenticated_at: session.authenticated_at,
        scopes: current.scopes,
        clusters: current.clusters,
        lookback_days: current.lookback_days,
        ends_no_later_than: Some(current.lasts.end(now, app.settings.lifetimes.code)),
        parent: None,
    };
    match approve(app, request, approval, now).await.map_err(Refused::unavailable_page)? {
        Some(code) => redirect_code(app, request, &code),
        None => Err(already_answered(
            "the request was answered before, otherwise, or its code was used or has expired",
        )),
    }
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    vec![
        operation::get("The consent page, after signing in or once more")
            .query([
                optional(continuation::PARAMETER, 64, "What the customer is in the middle of."),
                optional(continuation::CLIENT, LONGEST_ID, "The client."),
            ])
            .page(200, "The page.")
            .refusal(
                400,
                "No account was chosen; or what the page goes on with is not known, or is another browser's.",
            )
            .refusal(403, "Name or password is wrong, or too many tries failed.")
            .refusal(
                409,
                "Something is not as it was shown, and is shown again; or the customer has more accounts than one form can name.",
            ),
        operation::post("The customer's answer")
            .form([
                required("ticket", 32_768, "From the page."),
                required("decision", 16, "The answer.").one_of(&["allow", "deny"]),
                optional("account", 256, "An account to share; may be repeated."),
            ])
            .page(200, "With `form_post`: the page that posts the answer to the client.")
            .empty(
                303,
                "To the redirect URI with `code` or `error`; or on to the page once more, or to sign in.",
            )
            .refusal(
                400,
                "The form is not readable, or of another browser; or the request was answered before.",
            )
            .refusal(403, "The customer must sign in.")
            .refusal(409, "Something is not as it was shown, and is shown again."),
    ]
}
