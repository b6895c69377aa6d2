//! The consent page: which client asks, for what, which accounts, until when.

pub mod accounts;
pub mod snapshot;

pub use accounts::AccountView;
pub use snapshot::PageSnapshot;

use std::collections::HashSet;

use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_core::client::Client;
use counterfoil_core::clock::{DAY, Seconds, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_store::Session;
use serde::{Deserialize, Serialize};

use crate::authorization::answerable::still_may_ask;
use crate::authorization::request::AuthorizationRequest;
use crate::customer::continuation::Continuation;
use crate::customer::ticket::{self, Purpose};
use crate::grants::access_period::AccessPeriod;
use crate::http::body::LARGEST_CONSENT;
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::respond::{Forms, page as html_page};
use crate::node::app::App;
use crate::pages::{Consent, Party};

/// Why the consent page is shown again instead of doing what its form asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConsentRetryReason {
    /// No account was chosen.
    NothingChosen,
    /// Something differs from what was shown.
    Changed,
}

/// A repeated consent page.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsentRetry {
    pub(super) why: ConsentRetryReason,
    /// When it was first shown.
    pub(super) at: Timestamp,
    /// The customer being asked.
    pub(super) customer: CustomerId,
    /// What has changed since it was last shown, in words.
    pub(super) changes: Vec<String>,
    /// The ticked accounts.
    pub(super) chosen: Vec<String>,
}

/// Continues to the consent page, after sign-in or to show it again.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsentContinuation {
    /// The request to consent to.
    pub request: AuthorizationRequest,
    /// Why it is shown again; `None` the first time.
    pub again: Option<ConsentRetry>,
}

impl Continuation for ConsentContinuation {
    const PATH: &str = "/consent";
    const LIFETIME: Seconds = DAY;

    fn request(&self) -> Option<&AuthorizationRequest> {
        Some(&self.request)
    }
}

/// A consent page to render.
pub(super) struct ConsentView<'a> {
    pub(super) client: &'a Client,
    pub(super) accounts: &'a [AccountView],
    pub(super) request: &'a AuthorizationRequest,
    pub(super) snapshot: PageSnapshot,
    pub(super) again: Option<ConsentRetry>,
}

impl ConsentView<'_> {
    pub(super) fn page(
        self,
        app: &App,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<Response, Refused> {
        let Self { client, accounts, request, snapshot, again } = self;
        let (until, time) = match snapshot.lasts {
            AccessPeriod::Until(end) => (Some(app.locale.day(end)), None),
            AccessPeriod::For(seconds) => (None, Some(app.locale.length_of_time(seconds))),
        };
        let ticket = ticket::write(
            app,
            &Purpose::Authorize(Box::new(request.clone())),
            Some(&snapshot),
            browser,
            now,
        );
        if accounts::bytes_of_form(&ticket, accounts) > LARGEST_CONSENT {
            let reason =
                "a form with all accounts of the customer would be larger than proxies take";
            return Err(Refused::page(StatusCode::CONFLICT, "too-many-accounts", reason));
        }
        let (why, changes, chosen) = match again {
            Some(ConsentRetry { why, changes, chosen, .. }) => {
                (Some(why), changes, HashSet::from_iter(chosen))
            }
            None => (None, Vec::new(), HashSet::new()),
        };
        let html = Consent {
            locale: &app.locale,
            action: "/consent",
            ticket: &ticket,
            client: party(client),
            provider_name: &snapshot.provider_name,
            customer_name: &snapshot.customer_name,
            clusters: snapshot.clusters.names().collect(),
            accounts: accounts
                .iter()
                .map(|account| account.choice(chosen.contains(&account.id)))
                .collect(),
            until: until.as_deref(),
            time: time.as_deref(),
            lookback_days: snapshot.lookback_days,
            nothing_chosen: why == Some(ConsentRetryReason::NothingChosen),
            changes,
            redirect_host: &host_of(&request.redirect_uri),
        }
        .render();
        let status = match why {
            None => StatusCode::OK,
            Some(ConsentRetryReason::NothingChosen) => StatusCode::BAD_REQUEST,
            Some(ConsentRetryReason::Changed) => StatusCode::CONFLICT,
        };
        Ok(html_page(status, html, Forms::LeadToApp))
    }
}

pub(super) async fn accounts_of(app: &App, session: &Session) -> Result<Vec<AccountView>, Refused> {
    let directory =
        app.store.accounts(&session.customer).await.map_err(Refused::unavailable_page)?;
    Ok(directory.iter().map(AccountView::of).collect())
}

/// The consent page, for the first time.
///
/// # Errors
/// An error page.
pub async fn page(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    browser: &Browser,
    now: Timestamp,
) -> Result<Response, Refused> {
    show(app, request, None, session, browser, now).await
}

/// The consent page, for the first time or again.
///
/// # Errors
/// An error page.
pub(super) async fn show(
    app: &App,
    request: &AuthorizationRequest,
    again: Option<ConsentRetry>,
    session: &Session,
    browser: &Browser,
    now: Timestamp,
) -> Result<Response, Refused> {
    let client = still_may_ask(app, request)?;
    let accounts = accounts_of(app, session).await?;
    // What one customer was told must not be shown to another.
    let again = again.filter(|again| again.customer == session.customer);
    let snapshot = PageSnapshot::of(
        app,
        request,
        &client,
        session,
        &accounts,
        again.as_ref().map_or(now, |again| again.at),
    );
    ConsentView { client: &client, accounts: &accounts, request, snapshot, again }
        .page(app, browser, now)
}

/// The client, as pages show it.
pub fn party(client: &Client) -> Party<'_> {
    Party {
        name: &client.settings.name,
        logo_uri: client.settings.logo_uri.as_deref(),
        registered_entity: client.settings.registered_entity.as_deref(),
    }
}

fn host_of(uri: &str) -> String {
    url::Url::parse(uri)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| uri.to_owned())
}
