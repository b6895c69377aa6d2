//! `GET, POST /authorize`, also `/auth` (RFC 6749 section 4.1.1, OpenID Connect Core section
//! 3.1.2): a client sends a browser here to ask a customer for a grant.

mod hint;
mod request;

pub use request::{Rejected, read as read_request};

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
use crate::http::refused::Refused;
use crate::http::respond::see_other;
use crate::node::app::App;

/// How many consents are read at once: the newest nearly always covers what is asked.
const CONSENTS_AT_ONCE: u32 = 20;

/// An authorization request that may be asked of the customer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The request.
    pub request: AuthorizationRequest,
    /// Whether nobody must be asked (`prompt=none`).
    pub prompt_none: bool,
}

impl Continuation for Asked {
    const PATH: &str = "/authorize";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        Some(&self.request)
    }
}

/// `GET /authorize`.
///
/// # Errors
/// A page, where nothing is known that the browser may be sent back to.
pub async fn get(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let asked = read(&app, &uri, &headers, now).await?;
    answer(&app, &asked, &headers, now).await
}

/// The request of an address.
///
/// # Errors
/// The answer, where nothing may be asked of the customer.
pub async fn read(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Asked, Refused> {
    let form = read_form(uri.query().unwrap_or_default().as_bytes())?;
    match form.get(continuation::PARAMETER) {
        // A request of a client has at least a `client_id`, whatever else it has.
        Some(_) if form.get("client_id").is_none() => {
            continuation::read(app, &form, &Browser::of(app, headers), now).await
        }
        _ => check(app, &form, now).await,
    }
}

/// The answer to a request: a page, or the way back to the client.
///
/// # Errors
/// A page.
pub async fn answer(
    app: &App,
    asked: &Asked,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let Asked { request, prompt_none } = asked;
    match ask(app, request, *prompt_none, &Browser::of(app, headers), headers, now).await {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(linking_back(refused, app, request).await),
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
    let bytes = page_form(&headers, body).await?;
    let form = read_form(&bytes)?;
    let by_get = format!("/authorize?{}", form.encoded());
    // Without a client there is nothing to ask: a program that posts again where it should get
    // would do so for ever.
    if by_get.len() <= LONGEST_LOCATION && form.get("client_id").is_some() {
        return Ok(see_other(&by_get));
    }
    let asked = check(app, &form, now).await?;
    if app.limits.continuations.take(now) {
        return continuation::send_on(app, None, &asked, now).await;
    }
    Err(Refused::unavailable_page("more requests were posted in this second than are stored"))
}

fn read_form<'a>(parameters: &'a [u8]) -> Result<Form<'a>, Refused> {
    // One that was sent twice is answered by redirect, like every error once the client is known.
    let form = match Form::parse_oauth(parameters) {
        Err(FormError::Repeated) => Form::parse(parameters),
        read => read,
    };
    form.map_err(|error| Refused::page(StatusCode::BAD_REQUEST, "malformed", error))
}

/// A request that may be asked of the customer.
///
/// # Errors
/// A page, or the redirect that tells the client.
async fn check(app: &App, form: &Form<'_>, now: Timestamp) -> Result<Asked, Refused> {
    let (mut request, prompt_none) = match request::read(app, form, now) {
        Ok(checked) => checked,
        Err(Rejected::Page(message, reason)) => {
            return Err(Refused::page(StatusCode::BAD_REQUEST, message, reason));
        }
        Err(Rejected::Redirect(to, error)) => {
            return Err(Refused::by(redirect_error(app, &to, error)?));
        }
    };
    if let Some(hint) = form.get("id_token_hint") {
        match hint::heed(app, &mut request, hint).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Refused::by(redirect_error(app, &request, error)?)),
            Err(error) => {
                let refused = Refused::unavailable_page(error);
                return Err(linking_back(refused, app, &request).await);
            }
        }
    }
    Ok(Asked { request, prompt_none })
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
    // A request for a sign-in from this moment on is not met by one of the same second, before it.
    let asks_afresh = request.not_before == Some(now);
    let session =
        current.clone().filter(|session| !asks_afresh && request.is_met_by(app, session, now));
    if prompt_none {
        return without_asking(app, request, session, now).await;
    }
    let response = match session {
        Some(session) => consent_page::page(app, request, &session, browser, now).await?,
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

/// `prompt=none`: succeeds only where the customer is signed in and has given this client as much
/// before.
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
    // RFC 8252 section 8.6: whoever listens on a loopback port or claims a private scheme is not
    // known to be the app that was allowed.
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
        // It is no consent of its own: it dies with the one that the customer gave, however that
        // ends.
        parent: Some(earlier.grant),
    };
    match approve(app, request, approval, now).await.map_err(Refused::unavailable_page)? {
        Some(code) => redirect_code(app, request, &code),
        None => refuse(AuthorizationError::ConsentEnded),
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
