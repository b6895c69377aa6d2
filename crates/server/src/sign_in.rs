//! Signing in: `POST /sign-in`, from the page that `/authorize` and `/connected-apps` show to whom they don't know.

use crate::app::App;
use crate::consent;
use crate::cookies::Browser;
use crate::pages::{Choice, SignIn};
use crate::passwords::{self, PasswordError, Refusal};
use crate::refused::Refused;
use crate::request::page_form;
use crate::respond::{page as html_page, see_other};
use crate::session;
use crate::ticket::Purpose;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::redirect_uri::csp_source;
use counterfoil_core::secret::Secret;
use std::sync::Arc;

/// What the page is filled in with.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    username: &'a str,
    connector: Option<&'a str>,
    refusal: Option<Refusal>,
}

impl<'a> Attempt<'a> {
    /// Nothing was tried yet; perhaps the client knows the name.
    pub fn first(login_hint: Option<&'a str>) -> Self {
        Self { username: login_hint.unwrap_or_default(), connector: None, refusal: None }
    }
}

/// The page.
pub fn page(app: &App, purpose: &Purpose, browser: &Browser, now: Timestamp, attempt: Attempt<'_>) -> Response {
    let (client, connector, target) = match purpose {
        Purpose::Authorize(request) => (app.client(&request.client), request.connector.as_deref(), csp_source(&request.redirect_uri)),
        Purpose::ConnectedApps => (None, None, None),
    };
    let offered = app.settings.providers.iter().filter(|provider| connector.is_none_or(|id| id == provider.id));
    let providers = offered
        .map(|provider| Choice { id: &provider.id, name: &provider.name, selected: attempt.connector == Some(provider.id.as_str()) })
        .collect();
    let closed_until = match attempt.refusal {
        Some(Refusal::Closed { until }) => Some(until.time_for_people()),
        _ => None,
    };
    let html = SignIn {
        locale: &app.locale,
        action: "/sign-in",
        ticket: &purpose.write(app, &browser.id, now),
        client_name: client.as_ref().map(|client| client.settings.name.as_str()),
        providers,
        username: attempt.username,
        failed: attempt.refusal.is_some(),
        closed_until: closed_until.as_deref(),
        cancel: matches!(purpose, Purpose::Authorize(_)),
    }
    .render();
    // Not 401, which would have to name a scheme of HTTP authentication (RFC 9110 section 15.5.2).
    let status = if attempt.refusal.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    html_page(status, html, target.as_deref())
}

/// `POST /sign-in`.
///
/// # Errors
/// A page.
pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = page_form(app, &headers, body).await?;
    let form = Form::parse(&bytes).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, &headers);
    let Some(purpose) = Purpose::read(app, form.get("ticket").unwrap_or_default(), &browser.id, now) else {
        return Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "session",
            "the ticket is missing, too old, another page's, or another browser's",
        ));
    };
    let mut connector = form.get("connector");
    if let Purpose::Authorize(request) = &purpose {
        if form.get("decision") == Some("deny") {
            return consent::deny(app, request, "the customer went back without signing in").await;
        }
        connector = request.connector.as_deref().or(connector);
    }
    // With one provider there is nothing to choose.
    let only = match app.settings.providers.as_slice() {
        [only] => Some(only.id.as_str()),
        _ => None,
    };
    let provider = connector.or(only).and_then(|id| app.settings.provider(id));
    let username = form.get("username").unwrap_or_default();
    let failed = |refusal: Refusal| {
        let mut response = page(app, &purpose, &browser, now, Attempt { username, connector, refusal: Some(refusal) });
        response.extensions_mut().insert(crate::observe::Seen { reason: Some(refusal.reason().to_owned()), ..Default::default() });
        Ok(response)
    };
    let Some(provider) = provider else { return failed(Refusal::Wrong { reason: "no provider was chosen" }) };
    let id = CustomerId { provider: provider.id.clone(), customer: username.to_owned() };
    let password = Secret::new(form.get("password").unwrap_or_default());
    let signed_in = passwords::sign_in(app, id, password, now).await.map_err(|error| match error {
        PasswordError::Store(error) => Refused::unavailable_page(app, error),
        PasswordError::Hash(reason) => Refused::page(app, StatusCode::INTERNAL_SERVER_ERROR, "internal", reason),
    })?;
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(refusal) => return failed(refusal),
    };
    let (next, authenticated_at) = match &purpose {
        Purpose::Authorize(request) => (format!("/consent?ticket={}", purpose.write(app, &browser.id, now)), request.signed_in_at(now)),
        Purpose::ConnectedApps => ("/connected-apps".to_owned(), now),
    };
    let mut response = see_other(&next);
    session::begin(app, &headers, signed_in, authenticated_at, now, &mut response)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(response)
}
