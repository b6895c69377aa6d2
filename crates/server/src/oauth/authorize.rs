//! `GET, POST /authorize`, also `/auth` (RFC 6749 section 4.1.1, OpenID Connect Core section
//! 3.1.2): a client sends a browser here to ask a customer for a grant.

mod hint;
mod request;

pub use request::{Rejected, read};

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::dialect::ErrorCode;
use counterfoil_core::form::{Form, FormError};
use counterfoil_core::grant::Terms;
use counterfoil_core::scope::Scopes;
use counterfoil_store::{Grant, Session, StoreError};

use crate::authorization::answer::{LONGEST_LOCATION, redirect_code, redirect_error};
use crate::customer::consent::{self, Approval};
use crate::customer::continuation::{self, Posted};
use crate::customer::session;
use crate::customer::sign_in::{self, Attempt};
use crate::customer::ticket::{AuthorizationRequest, Purpose};
use crate::grants::living::LivingGrants;
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::request::page_form;
use crate::http::respond::see_other;
use crate::node::app::App;
use crate::sandbox::grade;

/// How many consents are read at once: the newest nearly always covers what is asked.
const CONSENTS_AT_ONCE: u32 = 20;

/// `GET /authorize`.
///
/// # Errors
/// A page, where nothing is known that the browser may be sent back to.
pub async fn get(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let query = uri.query().unwrap_or_default().as_bytes();
    let form = read_form(app, query)?;
    let browser = Browser::of(app, &headers);
    let Posted { request, prompt_none } = match form.get(continuation::PARAMETER) {
        // A request of a client has at least a `client_id`, whatever else it has.
        Some(_) if form.get("client_id").is_none() => {
            continuation::read(app, &form, &browser, now).await?
        }
        _ => match check(app, &form, now).await? {
            Ok(checked) => checked,
            Err(answer) => return Ok(*answer),
        },
    };
    match ask(app, &request, prompt_none, &browser, &headers, now).await {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(refused.linking_back(app, &request).await),
    }
}

/// `POST /authorize`: as by GET, one redirect later. A form that another site posts carries none of
/// our cookies (`SameSite=Lax`), the redirect after it does.
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
    let bytes = page_form(app, &headers, body).await?;
    let form = read_form(app, &bytes)?;
    let by_get = format!("/authorize?{}", form.encoded());
    // Without a client there is nothing to ask: a program that posts again where it should get
    // would do so for ever.
    if by_get.len() <= LONGEST_LOCATION && form.get("client_id").is_some() {
        return Ok(see_other(&by_get));
    }
    match check(app, &form, now).await? {
        Err(answer) => Ok(*answer),
        Ok(posted) if app.continuations.take(now) => {
            continuation::send_on(app, None, &posted, now).await
        }
        Ok(_) => Err(Refused::unavailable_page(
            app,
            "more requests were posted in this second than are kept",
        )),
    }
}

fn read_form<'a>(app: &App, parameters: &'a [u8]) -> Result<Form<'a>, Refused> {
    // One that was sent twice is answered by redirect, like every error once the client is known.
    let form = match Form::parse_oauth(parameters) {
        Err(FormError::Repeated) => Form::parse(parameters),
        read => read,
    };
    form.map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))
}

/// A request that may be asked of the customer; else the redirect that says why not.
async fn check(
    app: &App,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Result<Posted, Box<Response>>, Refused> {
    let redirect = |to: &AuthorizationRequest, error, reason| {
        redirect_error(app, to, error, reason).map(|answer| Err(Box::new(answer)))
    };
    let (mut request, prompt_none) = match read(app, form, now) {
        Ok(checked) => checked,
        Err(Rejected::Page(message, reason)) => {
            return Err(Refused::page(app, StatusCode::BAD_REQUEST, message, reason));
        }
        Err(Rejected::Redirect(to, error, reason)) => return redirect(&to, error, reason),
    };
    if let Some(hint) = form.get("id_token_hint") {
        match hint::heed(app, &mut request, hint).await {
            Ok(Ok(())) => {}
            Ok(Err((error, reason))) => return redirect(&request, error, reason),
            Err(error) => {
                return Err(Refused::unavailable_page(app, error)
                    .linking_back(app, &request)
                    .await);
            }
        }
    }
    Ok(Ok(Posted { request, prompt_none }))
}

async fn ask(
    app: &App,
    request: &AuthorizationRequest,
    prompt_none: bool,
    browser: &Browser,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    if !prompt_none && let Some(answer) = grade::consent(app, request, now).await? {
        return Ok(answer);
    }
    let current = session::current(app, headers, now)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
    // A request for a sign-in from this moment on is not met by one of the same second, before it.
    let asks_afresh = request.not_before == Some(now);
    let session =
        current.clone().filter(|session| !asks_afresh && fits(app, session, request, now));
    if prompt_none {
        return without_asking(app, request, session, now).await;
    }
    let response = match session {
        Some(session) => consent::page(app, request, &session, browser, now).await?,
        None => {
            // The customer whom the client knows is the one who is signed in at this browser, and
            // must do so once more.
            let known = current.filter(|session| {
                request.subject.is_some() && request.is_about(app, &session.customer)
            });
            let attempt = Attempt::first(
                request
                    .login_hint
                    .as_deref()
                    .or(known.as_ref().map(|session| session.customer.customer.as_str())),
            );
            sign_in::page(
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

/// Whether a session will do for a request: of the provider and the customer asked for, and not
/// older than asked for. Another node may have begun it, by a clock that is a little ahead; one
/// that is behind dates it by the request ([`AuthorizationRequest::signed_in_at`]).
pub fn fits(app: &App, session: &Session, request: &AuthorizationRequest, now: Timestamp) -> bool {
    let begun = session.authenticated_at;
    request.is_about(app, &session.customer)
        && request
            .connector
            .as_ref()
            .is_none_or(|connector| *connector == session.customer.provider)
        && request
            .not_before
            .is_none_or(|not_before| (not_before..=now.plus(SKEW)).contains(&begun))
}

/// `prompt=none`: succeeds only where the customer is signed in and has given this client as much
/// before.
async fn without_asking(
    app: &App,
    request: &AuthorizationRequest,
    session: Option<Session>,
    now: Timestamp,
) -> Result<Response, Refused> {
    let refuse = |error, reason: &'static str| redirect_error(app, request, error, reason);
    let Some(session) = session else {
        return refuse(ErrorCode::LoginRequired, "the customer is not signed in");
    };
    // RFC 8252 section 8.6: whoever listens on a loopback port or claims a private scheme is not
    // known to be the app that was allowed.
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "unknown-client",
            "the client was removed meanwhile",
        ));
    };
    if !request.redirect_uri.starts_with("https://") && client.settings.is_public() {
        return refuse(
            ErrorCode::InteractionRequired,
            "the client's identity is not assured, so the customer must be asked",
        );
    }
    let unavailable = |error: StoreError| Refused::unavailable_page(app, error);
    let Some(earlier) = covering_consent(app, request, &session, now).await.map_err(unavailable)?
    else {
        return refuse(
            ErrorCode::ConsentRequired,
            "no living consent for this client covers the request",
        );
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
        // It is no consent of its own: it dies with the one that the customer gave, however that
        // ends.
        parent: Some(earlier.grant),
    };
    match consent::approve(app, request, approval, now)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?
    {
        Some(code) => redirect_code(app, request, &code),
        None => {
            refuse(ErrorCode::ConsentRequired, "the consent that covers the request has just ended")
        }
    }
}

/// The terms of the customer's newest living consent for the same client that covers scope and
/// connector.
async fn covering_consent(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    now: Timestamp,
) -> Result<Option<Terms>, StoreError> {
    // A code that nobody redeemed yet is no sign that the client ever had the customer's data.
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
