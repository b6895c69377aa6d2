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

/// A sign-in that did not succeed, or that must be done once more.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInAgain {
    /// What for.
    pub purpose: Purpose,
    /// What was tried.
    pub attempt: Attempt,
}

impl Continuation for SignInAgain {
    const PATH: &str = "/sign-in";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        match &self.purpose {
            Purpose::Authorize(request) => Some(request),
            Purpose::ConnectedApps => None,
        }
    }
}
