//! The sign-in page.

use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_core::clock::{HOUR, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use crate::authorization::request::AuthorizationRequest;
use crate::customer::continuation::Continuation;
use crate::customer::ticket::{self, Purpose};
use crate::http::cookies::Browser;
use crate::http::respond::{Forms, page as html_page};
use crate::node::app::App;
use crate::pages::{Choice, Locale, RetryNotice, SignIn};

/// What the page is prefilled with, and why it is shown again.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The typed name.
    pub username: String,
    /// The chosen provider.
    pub connector: Option<String>,
    /// Why it is shown again; `None` the first time.
    pub failed: Option<SignInRetryReason>,
}

/// Why a customer is asked to sign in again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInRetryReason {
    /// Name or password are wrong, or no provider was chosen.
    Wrong,
    /// Too many recent failures.
    Closed {
        /// When passwords are checked again.
        until: Timestamp,
    },
    /// The page was open too long.
    Old,
    /// The session of an answered consent page has ended.
    Ended,
    /// The customer who signed in is not the one that the client expects (`id_token_hint`).
    AnotherCustomer,
}

impl SignInRetryReason {
    fn in_words(self, locale: &Locale, client_name: &str) -> RetryNotice {
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
        RetryNotice { title: text("title"), text: text("text"), blames_input: self == Self::Wrong }
    }
}

impl Attempt {
    /// The first page, perhaps with a name that the client knows.
    pub fn first(login_hint: Option<&str>) -> Self {
        Self { username: login_hint.unwrap_or_default().to_owned(), ..Self::default() }
    }

    /// The first page again, for a reason.
    pub fn again(login_hint: Option<&str>, failed: SignInRetryReason) -> Self {
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
    // Not 401, which would have to name an HTTP authentication scheme (RFC 9110 section 15.5.2).
    let status =
        if matches!(attempt.failed, None | Some(SignInRetryReason::Old | SignInRetryReason::Ended))
        {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
    html_page(status, html, forms)
}

/// A failed or repeated sign-in.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInRetry {
    /// What it is for.
    pub purpose: Purpose,
    /// What was entered.
    pub attempt: Attempt,
}

impl Continuation for SignInRetry {
    const PATH: &str = "/sign-in";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        match &self.purpose {
            Purpose::Authorize(request) => Some(request),
            Purpose::ConnectedApps => None,
        }
    }
}
