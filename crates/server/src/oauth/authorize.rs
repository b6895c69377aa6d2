//! `GET, POST /authorize`, also `/auth` (RFC 6749 section 4.1.1, OpenID Connect Core section
//! 3.1.2): a client sends a browser here to ask a customer for a grant.

mod hint;
mod request;

pub use request::{RequestError, read as read_request};

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::clock::{HOUR, Seconds, Timestamp};
use counterfoil_core::form::{Form, FormError};
use counterfoil_core::grant::Terms;
use counterfoil_core::scope::Scopes;
use counterfoil_store::{Grant, Session, StoreError};
use serde::{Deserialize, Serialize};

use crate::authorization::answer::{LONGEST_LOCATION, redirect_code, redirect_error};
use crate::authorization::request::AuthorizationRequest;
use crate::authorization::way_back::linking_back;
use crate::customer::consent_page;
use crate::customer::continuation::{self, Continuation};
use crate::customer::session;
use crate::customer::sign_in_page::{self, Attempt};
use crate::customer::ticket::Purpose;
use crate::grants::living::LivingGrants;
use crate::grants::make::{Approval, approve};
use crate::http::body::page_form;
use crate::http::cookies::Browser;
use crate::http::operation::{self, Operation};
use crate::http::refused::Refused;
use crate::http::respond::see_other;
use crate::node::app::App;
use hint::HintError;

/// How many consents are read at once: the newest nearly always covers the request.
const CONSENTS_AT_ONCE: u32 = 20;

/// A valid authorization request, to be put to the customer.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The request.
    pub request: AuthorizationRequest,
    /// Whether no page may be shown (`prompt=none`).
    pub prompt_none: bool,
}

impl Continuation for PendingRequest {
    const PATH: &str = "/authorize";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        Some(&self.request)
    }
}

/// `GET /authorize`.
///
/// # Errors
/// A page, if there is no known place to send the browser back to.
pub async fn get(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let pending = read(&app, &uri, &headers, now).await?;
    answer(&app, &pending, &headers, now).await
}

/// Reads a request from a query string.
///
/// # Errors
/// The answer, if nothing may be put to the customer.
pub async fn read(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<PendingRequest, Refused> {
    let form = read_form(uri.query().unwrap_or_default().as_bytes())?;
    match form.get(continuation::PARAMETER) {
        // Every request of a client has at least a `client_id`.
        Some(_) if form.get("client_id").is_none() => {
            continuation::read(app, &form, &Browser::of(app, headers), now).await
        }
        _ => check(app, &form, now).await,
    }
}

/// Answers a request with a page or a redirect back to the client.
///
/// # Errors
/// A page.
pub async fn answer(
    app: &App,
    pending: &PendingRequest,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let PendingRequest { request, prompt_none } = pending;
    match ask(app, request, *prompt_none, &Browser::of(app, headers), headers, now).await {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(linking_back(refused, app, request).await),
    }
}

/// `POST /authorize`: the same as GET after one redirect. A form posted by another site carries
/// none of our cookies (`SameSite=Lax`); the redirect after it does.
///
/// # Errors
/// As [`get`].
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = page_form(&headers, body).await?;
    let form = read_form(&bytes)?;
    let by_get = format!("/authorize?{}", form.encoded());
    // Without a client there is nothing to ask, and a program that follows the redirect with POST
    // would loop forever.
    if by_get.len() <= LONGEST_LOCATION && form.get("client_id").is_some() {
        return Ok(see_other(&by_get));
    }
    let pending = check(app, &form, now).await?;
    if app.limits.continuations.take(now) {
        return continuation::send_on(app, None, &pending, now).await;
    }
    Err(Refused::unavailable_page("more requests were posted in this second than are stored"))
}

fn read_form<'a>(parameters: &'a [u8]) -> Result<Form<'a>, Refused> {
    // A repeated parameter is answered by redirect, like every error once the client is known.
    let form = match Form::parse_oauth(parameters) {
        Err(FormError::Repeated) => Form::parse(parameters),
        read => read,
    };
    form.map_err(|error| Refused::page(StatusCode::BAD_REQUEST, "malformed", error))
}

/// Reads a request that may be put to the customer.
///
/// # Errors
/// A page, or the redirect that tells the client.
async fn check(app: &App, form: &Form<'_>, now: Timestamp) -> Result<PendingRequest, Refused> {
    let (mut request, prompt_none) = match request::read(app, form, now) {
        Ok(checked) => checked,
        Err(RequestError::Page(message, reason)) => {
            return Err(Refused::page(StatusCode::BAD_REQUEST, message, reason));
        }
        Err(RequestError::Redirect(to, error)) => {
            return Err(Refused::by(redirect_error(app, &to, error)?));
        }
    };
    if let Some(hint) = form.get("id_token_hint") {
        match hint::heed(app, &mut request, hint).await {
            Ok(()) => {}
            Err(HintError::Refused(error)) => {
                return Err(Refused::by(redirect_error(app, &request, error)?));
            }
            Err(HintError::Unavailable(error)) => {
                let refused = Refused::unavailable_page(error);
                return Err(linking_back(refused, app, &request).await);
            }
        }
    }
    Ok(PendingRequest { request, prompt_none })
}

async fn ask(
    app: &App,
    request: &AuthorizationRequest,
    prompt_none: bool,
    browser: &Browser,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let current = session::current(app, headers, now).await.map_err(Refused::unavailable_page)?;
    // A request that requires a sign-in from this second on is not met by an earlier one in the
    // same second.
    let asks_afresh = request.not_before == Some(now);
    let session =
        current.clone().filter(|session| !asks_afresh && request.is_met_by(app, session, now));
    if prompt_none {
        return without_asking(app, request, session, now).await;
    }
    let response = match session {
        Some(session) => consent_page::page(app, request, &session, browser, now).await?,
        None => {
            // The client already knows this browser's signed-in customer, who must sign in again.
            let known = current.filter(|session| {
                request.subject.is_some() && request.is_about(app, &session.customer)
            });
            let attempt = Attempt::first(
                request
                    .login_hint
                    .as_deref()
                    .or(known.as_ref().map(|session| session.customer.customer.as_str())),
            );
            sign_in_page::page(
                app,
                &Purpose::Authorize(Box::new(request.clone())),
                browser,
                now,
                &attempt,
            )
        }
    };
    Ok(browser.remember(app, response))
}

/// `prompt=none`: succeeds only if the customer is signed in and has consented to at least as much
/// for this client before.
async fn without_asking(
    app: &App,
    request: &AuthorizationRequest,
    session: Option<Session>,
    now: Timestamp,
) -> Result<Response, Refused> {
    let refuse = |error| redirect_error(app, request, error);
    let Some(session) = session else {
        return refuse(AuthorizationError::NotSignedIn);
    };
    // RFC 8252 section 8.6: an app on a loopback port or private scheme can't be identified as the
    // one that was allowed.
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "unknown-client",
            "the client was removed meanwhile",
        ));
    };
    if !request.redirect_uri.starts_with("https://") && client.settings.is_public() {
        return refuse(AuthorizationError::ClientNotAssured);
    }
    let unavailable = Refused::unavailable_page;
    let Some(earlier) = covering_consent(app, request, &session, now).await.map_err(unavailable)?
    else {
        return refuse(AuthorizationError::NoConsent);
    };
    let approval = Approval {
        client,
        customer_era: session.customer_era,
        customer: session.customer,
        name: session.name,
        accounts: earlier.accounts,
        authenticated_at: session.authenticated_at,
        scopes: request.scopes.without(Scopes::OFFLINE_ACCESS),
        clusters: earlier.clusters,
        lookback_days: earlier.lookback_days,
        ends_no_later_than: Some(earlier.expires_at),
        // Not a consent of its own: it ends with the customer's consent, however that ends.
        parent: Some(earlier.grant),
    };
    match approve(app, request, approval, now).await.map_err(Refused::unavailable_page)? {
        Some(code) => redirect_code(app, request, &code),
        None => refuse(AuthorizationError::ConsentEnded),
    }
}

/// The terms of the customer's newest living consent for this client that covers scope and
/// connector.
async fn covering_consent(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    now: Timestamp,
) -> Result<Option<Terms>, StoreError> {
    // An unredeemed code is no evidence that the client ever had the customer's data.
    let asked = request.scopes.without(Scopes::OFFLINE_ACCESS);
    let covers =
        |grant: &Grant| grant.counterfoil.next_slip > 0 && grant.terms.scopes.contains(asked);
    let mut consents =
        LivingGrants::of(app, &session.customer, Some(&request.client), CONSENTS_AT_ONCE, now);
    while let Some(some) = consents.next().await? {
        if let Some(found) = some.into_iter().find(covers) {
            return Ok(Some(found.terms));
        }
    }
    Ok(None)
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let answered = |operation: Operation| {
        operation
            .page(
                200,
                "The sign-in or consent page, or with `form_post` the page that posts the answer to the client.",
            )
            .empty(
                303,
                "To the redirect URI with `code`, or `error`, and `state` and `iss`; by POST, on to the same by GET.",
            )
            .refusal(
                400,
                "Client, redirect URI or connector unknown, or the `state` too long to be given back: never a redirect.",
            )
    };
    vec![
        answered(operation::get("Ask a customer for a grant").query(request::fields())),
        answered(operation::post("Ask a customer for a grant, by form").form(request::fields())),
    ]
}
