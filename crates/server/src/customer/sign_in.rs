//! Sign-in: `GET, POST /sign-in`, from the page that `/authorize` and `/connected-apps` show to
//! visitors without a session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::client::LONGEST_ID;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login;
use counterfoil_core::secret::Secret;

use crate::authorization::answerable::{deny, must_be_unanswered};
use crate::authorization::way_back::linking_back;
use crate::customer::consent_page::ConsentContinuation;
use crate::customer::continuation::{self, send_on};
use crate::customer::passwords::{self, SignInError};
use crate::customer::session;
use crate::customer::sign_in_page::{Attempt, SignInRetry, SignInRetryReason, page};
use crate::customer::ticket::{self, Purpose, Ticket};
use crate::http::body::{page_fields, page_form};
use crate::http::cookies::Browser;
use crate::http::observe::LogContext;
use crate::http::operation::{self, Operation, optional, required};
use crate::http::refused::Refused;
use crate::http::respond::see_other;
use crate::node::app::App;

/// `GET /sign-in`: the page again, after an attempt.
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
    let browser = Browser::of(app, &headers);
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let SignInRetry { purpose, attempt } = match continuation::read(app, &query, &browser, now)
        .await
    {
        Ok(again) => again,
        // It was for the customer's own page, which asks again.
        Err(refused)
            if query.get(continuation::CLIENT).is_none() && refused.told().0.is_client_error() =>
        {
            return Ok(see_other("/connected-apps"));
        }
        Err(refused) => return Err(refused),
    };
    Ok(browser.remember(app, page(app, &purpose, &browser, now, &attempt)))
}

/// `POST /sign-in`.
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
    let bytes = page_form(&headers, body).await?;
    let form = page_fields(&bytes)?;
    let browser = Browser::of(app, &headers);
    let ticket = ticket::of_form(app, &form, &browser, now).await?;
    let request = match &ticket.purpose {
        Purpose::Authorize(request) => Some(request.clone()),
        Purpose::ConnectedApps => None,
    };
    match (sign_in(app, ticket, &form, &browser, &headers, now).await, request) {
        (Err(refused), Some(request)) => Err(linking_back(refused, app, &request).await),
        (answer, _) => answer,
    }
}

async fn sign_in(
    app: &App,
    ticket: Ticket,
    form: &Form<'_>,
    browser: &Browser,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let Ticket { purpose, is_old, .. } = ticket;
    let mut connector = form.get("connector").map(str::to_owned);
    if let Purpose::Authorize(request) = &purpose {
        if form.get("decision") == Some("deny") {
            return deny(app, request, AuthorizationError::CustomerWentBack).await;
        }
        connector = request.connector.clone().or(connector);
    }
    let username = form.get("username").unwrap_or_default();
    let once_more = async |purpose: Purpose, failed: SignInRetryReason, reason: &str| {
        // Another customer's name would only have to be overwritten.
        let filled_in =
            if username.len() <= login::LONGEST && failed != SignInRetryReason::AnotherCustomer {
                username
            } else {
                ""
            };
        let attempt = Attempt {
            username: filled_in.to_owned(),
            connector: connector.clone(),
            failed: Some(failed),
        };
        let mut response = match app.limits.continuations.take(now) {
            true => send_on(app, Some(browser), &SignInRetry { purpose, attempt }, now).await?,
            false => page(app, &purpose, browser, now, &attempt),
        };
        response
            .extensions_mut()
            .insert(LogContext { reason: Some(reason.to_owned()), ..Default::default() });
        Ok(response)
    };
    if is_old {
        let anew = match purpose {
            Purpose::Authorize(request) => {
                must_be_unanswered(app, &request).await?;
                Purpose::Authorize(Box::new(request.restarted(now)))
            }
            Purpose::ConnectedApps => Purpose::ConnectedApps,
        };
        return once_more(anew, SignInRetryReason::Old, "the page was open for too long").await;
    }
    // With one provider there is no choice.
    let only = match app.settings.providers.as_slice() {
        [only] => Some(only.id.as_str()),
        _ => None,
    };
    let Some(provider) = connector.as_deref().or(only).and_then(|id| app.settings.provider(id))
    else {
        return once_more(purpose, SignInRetryReason::Wrong, "no provider was chosen").await;
    };
    let id = CustomerId { provider: provider.id.clone(), customer: username.to_owned() };
    let password = Secret::new(form.get("password").unwrap_or_default());
    let signed_in = match passwords::sign_in(app, id, password, now).await {
        Ok(signed_in) => signed_in,
        Err(SignInError::Wrong { reason }) => {
            return once_more(purpose, SignInRetryReason::Wrong, reason).await;
        }
        Err(SignInError::Closed { until }) => {
            let reason = "too many tries to sign in failed lately";
            return once_more(purpose, SignInRetryReason::Closed { until }, reason).await;
        }
        Err(SignInError::Store(error)) => return Err(Refused::unavailable_page(error)),
        Err(SignInError::Hash(reason)) => {
            return Err(Refused::page(StatusCode::INTERNAL_SERVER_ERROR, "internal", reason));
        }
    };
    if let Purpose::Authorize(request) = &purpose
        && !request.is_about(app, &signed_in.customer.id)
    {
        return once_more(
            purpose,
            SignInRetryReason::AnotherCustomer,
            "the client asks for another customer",
        )
        .await;
    }
    let (mut response, authenticated_at) = match purpose {
        Purpose::Authorize(request) => {
            let authenticated_at = request.signed_in_at(now);
            (
                send_on(
                    app,
                    Some(browser),
                    &ConsentContinuation { request: *request, again: None },
                    now,
                )
                .await?,
                authenticated_at,
            )
        }
        Purpose::ConnectedApps => (see_other("/connected-apps"), now),
    };
    session::begin(app, headers, signed_in, authenticated_at, now, &mut response)
        .await
        .map_err(Refused::unavailable_page)?;
    Ok(response)
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    vec![
        operation::get("The sign-in page once more, after a try")
            .query([
                optional(continuation::PARAMETER, 64, "What the customer is in the middle of."),
                optional(continuation::CLIENT, LONGEST_ID, "The client."),
            ])
            .page(200, "The page was open for too long.")
            .empty(303, "To the page of connected apps, which asks to sign in.")
            .refusal(400, "What the page goes on with is not known, or is another browser's.")
            .refusal(403, "Name or password is wrong, or too many tries failed."),
        operation::post("Sign in, from the sign-in page")
            .form([
                required("ticket", 32_768, "From the page."),
                optional("username", 1024, "The name."),
                optional("password", 1024, "The password."),
                optional("connector", 64, "The provider, where there are several."),
                optional("decision", 16, "Back to the client.").one_of(&["deny"]),
            ])
            .page(200, "The sign-in page, or the page that posts the answer to the client.")
            .empty(
                303,
                "On to consent or to the page of connected apps; back to the sign-in page; or back to the client.",
            )
            .refusal(400, "The form is not readable, or of another browser.")
            .refusal(403, "Name or password is wrong, or too many tries failed."),
    ]
}
