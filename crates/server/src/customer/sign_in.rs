//! Signing in: `GET, POST /sign-in`, from the page that `/authorize` and `/connected-apps` show to
//! whom they don't know.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login;
use counterfoil_core::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::customer::consent;
use crate::customer::continuation::{self, SignInAgain, ToConsent, send_on};
use crate::customer::passwords::{self, PasswordError, Refusal};
use crate::customer::session;
use crate::customer::ticket::{self, Purpose, Ticket};
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::request::page_form;
use crate::http::respond::{Forms, page as html_page, see_other};
use crate::node::app::App;
use crate::pages::{Choice, Locale, SignIn, TryAgain};

/// What the page is filled in with, and why it is shown again.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The name.
    pub username: String,
    /// The provider that was chosen.
    pub connector: Option<String>,
    /// What was wrong; `None` the first time.
    pub failed: Option<Failed>,
}

/// Why a customer is asked to sign in once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// Name or password are wrong, or no provider was chosen.
    Wrong,
    /// Too many tries failed lately.
    Closed {
        /// When a password is looked at again.
        until: Timestamp,
    },
    /// The page was open for too long.
    Old,
    /// The session has ended that a consent page was answered in.
    Ended,
    /// Whoever signed in is not the customer whom the client asks for (`id_token_hint`).
    AnotherCustomer,
}

impl Failed {
    fn in_words(self, locale: &Locale, client_name: &str) -> TryAgain {
        let (stem, until) = match self {
            Self::Wrong => ("sign-in-failed", String::new()),
            Self::Closed { until } => ("sign-in-closed", locale.time_of_day(until)),
            Self::Old => ("sign-in-old", String::new()),
            Self::Ended => ("sign-in-ended", String::new()),
            Self::AnotherCustomer => ("sign-in-another", String::new()),
        };
        let text = |part| {
            locale
                .text_with(&format!("{stem}-{part}"), &[("client", client_name), ("until", &until)])
        };
        TryAgain { title: text("title"), text: text("text"), blames_input: self == Self::Wrong }
    }
}

impl Attempt {
    /// Nothing was tried yet; perhaps the client knows the name.
    pub fn first(login_hint: Option<&str>) -> Self {
        Self { username: login_hint.unwrap_or_default().to_owned(), ..Self::default() }
    }

    /// The first one once more.
    pub fn again(login_hint: Option<&str>, failed: Failed) -> Self {
        Self { failed: Some(failed), ..Self::first(login_hint) }
    }
}

/// The page.
pub fn page(
    app: &App,
    purpose: &Purpose,
    browser: &Browser,
    now: Timestamp,
    attempt: &Attempt,
) -> Response {
    let (client, connector, forms) = match purpose {
        Purpose::Authorize(request) => {
            (app.client(&request.client), request.connector.as_deref(), Forms::LeadToApp)
        }
        Purpose::ConnectedApps => (None, None, Forms::StayHere),
    };
    let offered = app
        .settings
        .providers
        .iter()
        .filter(|provider| connector.is_none_or(|id| id == provider.id));
    let providers = offered
        .map(|provider| Choice {
            id: &provider.id,
            name: &provider.name,
            selected: attempt.connector.as_ref() == Some(&provider.id),
        })
        .collect();
    let client_name = client.as_ref().map(|client| client.settings.name.as_str());
    let html = SignIn {
        locale: &app.locale,
        action: "/sign-in",
        ticket: &ticket::write(app, purpose, None, browser, now),
        client_name,
        providers,
        username: &attempt.username,
        failed: attempt
            .failed
            .map(|failed| failed.in_words(&app.locale, client_name.unwrap_or_default())),
        cancel: matches!(purpose, Purpose::Authorize(_)),
    }
    .render();
    // Not 401, which would have to name a scheme of HTTP authentication (RFC 9110 section 15.5.2).
    let status = if matches!(attempt.failed, None | Some(Failed::Old | Failed::Ended)) {
        StatusCode::OK
    } else {
        StatusCode::FORBIDDEN
    };
    html_page(status, html, forms)
}

/// `GET /sign-in`: the page once more, after a try.
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
    let SignInAgain { purpose, attempt } = match continuation::read(app, &query, &browser, now)
        .await
    {
        Ok(again) => again,
        // It was for the customer's own page, which asks anew.
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
    let bytes = page_form(app, &headers, body).await?;
    let form = Form::parse(&bytes)
        .map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, &headers);
    let ticket = ticket::of_form(app, &form, &browser, now).await?;
    let request = match &ticket.purpose {
        Purpose::Authorize(request) => Some(request.clone()),
        Purpose::ConnectedApps => None,
    };
    match (sign_in(app, ticket, &form, &browser, &headers, now).await, request) {
        (Err(refused), Some(request)) => Err(refused.linking_back(app, &request).await),
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
            return consent::deny(app, request, "the customer went back without signing in").await;
        }
        connector = request.connector.clone().or(connector);
    }
    let username = form.get("username").unwrap_or_default();
    let once_more = async |purpose: Purpose, failed: Failed, reason: &str| {
        // The name of somebody else would only be typed over.
        let filled_in = if username.len() <= login::LONGEST && failed != Failed::AnotherCustomer {
            username
        } else {
            ""
        };
        let attempt = Attempt {
            username: filled_in.to_owned(),
            connector: connector.clone(),
            failed: Some(failed),
        };
        let mut response = match app.continuations.take(now) {
            true => send_on(app, Some(browser), &SignInAgain { purpose, attempt }, now).await?,
            false => page(app, &purpose, browser, now, &attempt),
        };
        response.extensions_mut().insert(crate::http::observe::Seen {
            reason: Some(reason.to_owned()),
            ..Default::default()
        });
        Ok(response)
    };
    if is_old {
        let anew = match purpose {
            Purpose::Authorize(request) => {
                consent::must_be_unanswered(app, &request).await?;
                Purpose::Authorize(Box::new(request.begun_anew(now)))
            }
            Purpose::ConnectedApps => Purpose::ConnectedApps,
        };
        return once_more(anew, Failed::Old, "the page was open for too long").await;
    }
    // With one provider there is nothing to choose.
    let only = match app.settings.providers.as_slice() {
        [only] => Some(only.id.as_str()),
        _ => None,
    };
    let Some(provider) = connector.as_deref().or(only).and_then(|id| app.settings.provider(id))
    else {
        return once_more(purpose, Failed::Wrong, "no provider was chosen").await;
    };
    let id = CustomerId { provider: provider.id.clone(), customer: username.to_owned() };
    let password = Secret::new(form.get("password").unwrap_or_default());
    let signed_in =
        passwords::sign_in(app, id, password, now).await.map_err(|error| match error {
            PasswordError::Store(error) => Refused::unavailable_page(app, error),
            PasswordError::Hash(reason) => {
                Refused::page(app, StatusCode::INTERNAL_SERVER_ERROR, "internal", reason)
            }
        })?;
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(refusal @ Refusal::Wrong { .. }) => {
            return once_more(purpose, Failed::Wrong, refusal.reason()).await;
        }
        Err(refusal @ Refusal::Closed { until }) => {
            return once_more(purpose, Failed::Closed { until }, refusal.reason()).await;
        }
    };
    if let Purpose::Authorize(request) = &purpose
        && !request.is_about(app, &signed_in.customer.id)
    {
        return once_more(purpose, Failed::AnotherCustomer, "the client asks for another customer")
            .await;
    }
    let (mut response, authenticated_at) = match purpose {
        Purpose::Authorize(request) => {
            let authenticated_at = request.signed_in_at(now);
            (
                send_on(app, Some(browser), &ToConsent { request: *request, again: None }, now)
                    .await?,
                authenticated_at,
            )
        }
        Purpose::ConnectedApps => (see_other("/connected-apps"), now),
    };
    session::begin(app, headers, signed_in, authenticated_at, now, &mut response)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(response)
}
