//! `/connected-apps`: the customer's page of living grants, where any can be ended.

use crate::app::App;
use crate::consent::{Shown, party};
use crate::cookies::Browser;
use crate::pages::{ConnectedApp, ConnectedApps, Party};
use crate::refused::Refused;
use crate::request::page_form;
use crate::respond::{page as html_page, see_other};
use crate::session::{self, csrf_token, is_csrf_token};
use crate::sign_in;
use crate::ticket::Purpose;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::form::Form;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_store::{Grant, GrantFilter, Session, StoreError};
use std::sync::Arc;

/// How many grants are read from the store at once.
const GRANTS_AT_ONCE: u32 = 500;

/// `GET /connected-apps`.
///
/// # Errors
/// A page.
pub async fn get(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let unavailable = |error: StoreError| Refused::unavailable_page(app, error);
    let Some(session) = session::current(app, &headers, now).await.map_err(unavailable)? else {
        let browser = Browser::of(app, &headers);
        let response = sign_in::page(app, &Purpose::ConnectedApps, &browser, now, sign_in::Attempt::first(None));
        return Ok(browser.remember(app, response));
    };
    let csrf = csrf_token(app, &headers).unwrap_or_default();
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let just_ended = match query.get("ended").and_then(GrantId::parse) {
        Some(id) => app.store.grant(id).await.map_err(unavailable)?,
        None => None,
    };
    // Anybody can write such a link: it may say of no grant that it has ended but of one that has.
    let just_ended = just_ended.filter(|grant| grant.terms.customer == session.customer && grant.counterfoil.ended);
    let ended_name = just_ended.map(|grant| name_of(app, &grant.terms.client));
    show(app, &session, &csrf, ended_name.as_deref(), now).await.map_err(unavailable)
}

fn name_of(app: &App, client: &str) -> String {
    app.client(client).map_or_else(|| client.to_owned(), |client| client.settings.name.clone())
}

/// Whether a grant was put to use: a code that nobody redeemed connects nothing.
fn is_connected(grant: &Grant, now: Timestamp) -> bool {
    grant.counterfoil.next_slip > 0 || now < grant.counterfoil.expires_at
}

/// Every living grant of the customer, for one client or all, however many ended ones came after it; the newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn living_grants(app: &App, customer: &CustomerId, client: Option<String>, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
    let mut filter = GrantFilter { client, customer: Some(customer.clone()), limit: GRANTS_AT_ONCE, before: None };
    let mut found = Vec::new();
    loop {
        let grants = app.store.grants(&filter).await?;
        filter.before = grants.last().map(|grant| grant.terms.grant);
        let is_last = grants.len() < GRANTS_AT_ONCE as usize;
        found.extend(grants.into_iter().filter(|grant| grant.is_living(now)));
        if is_last {
            return Ok(found);
        }
    }
}

async fn show(app: &App, session: &Session, csrf: &str, ended: Option<&str>, now: Timestamp) -> Result<Response, StoreError> {
    let mut grants = living_grants(app, &session.customer, None, now).await?;
    grants.retain(|grant| is_connected(grant, now));
    let directory = app.store.accounts(&session.customer).await?;
    let directory: Vec<(String, String)> =
        directory.iter().map(|account| (account.id.clone(), Shown::of(account).label(&app.locale))).collect();
    let mut rows = Vec::new();
    for grant in &grants {
        let replayed = app.store.audit(grant.terms.grant).await?.iter().any(|entry| entry.event.ends_with("_replayed"));
        let label = |id: &String| directory.iter().find(|(known, _)| known == id).map_or_else(|| id.clone(), |(_, label)| label.clone());
        rows.push((
            grant.terms.grant.to_string(),
            app.client(&grant.terms.client),
            grant.terms.accounts.iter().map(label).collect::<Vec<_>>(),
            grant.terms.created_at.day_for_people(),
            grant.terms.expires_at.day_for_people(),
            replayed,
        ));
    }
    let apps = rows
        .iter()
        .zip(&grants)
        .map(|((id, client, accounts, since, until, replayed), grant)| ConnectedApp {
            grant: id,
            client: match client {
                Some(client) => party(client),
                None => Party { name: &grant.terms.client, logo_uri: None, registered_entity: None },
            },
            clusters: grant.terms.clusters.names().collect(),
            accounts: accounts.iter().map(String::as_str).collect(),
            since,
            until,
            warning: replayed.then_some("connected-apps-replay"),
        })
        .collect();
    let provider = app.settings.provider(&session.customer.provider);
    let html = ConnectedApps {
        locale: &app.locale,
        customer_name: &session.name,
        provider_name: provider.map_or(session.customer.provider.as_str(), |provider| provider.name.as_str()),
        apps,
        action: "/connected-apps",
        sign_out_action: "/sign-out",
        csrf,
        ended,
    }
    .render();
    Ok(html_page(StatusCode::OK, html, None))
}

/// Checks a form posted from the page; gives the session that it belongs to.
async fn session_of_form(app: &App, headers: &HeaderMap, form: &Form<'_>, now: Timestamp) -> Result<Session, Refused> {
    let session = session::current(app, headers, now).await.map_err(|error| Refused::unavailable_page(app, error))?;
    session
        .filter(|_| is_csrf_token(app, headers, form.get("csrf")))
        .ok_or_else(|| Refused::page(app, StatusCode::BAD_REQUEST, "session", "no session, or the form is not of this session"))
}

/// `POST /connected-apps`: ends a grant.
///
/// # Errors
/// A page.
pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = page_form(app, &headers, body).await?;
    let form = Form::parse(&bytes).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let session = session_of_form(app, &headers, &form, now).await?;
    let unavailable = |error: StoreError| Refused::unavailable_page(app, error);
    let named = form.get("grant").and_then(GrantId::parse).filter(|_| form.get("decision") == Some("end"));
    let Some(grant) = named else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "malformed", "no grant to end"));
    };
    let terms = app.store.terms(grant).await.map_err(unavailable)?;
    if !terms.is_some_and(|terms| terms.customer == session.customer) {
        return Err(Refused::page(app, StatusCode::NOT_FOUND, "not-found", "the grant is not the customer's"));
    }
    app.store.end_grant(grant, EndedBy::Customer, now).await.map_err(unavailable)?;
    Ok(see_other(&format!("/connected-apps?ended={grant}")))
}

/// `POST /sign-out`.
///
/// # Errors
/// A page.
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = page_form(app, &headers, body).await?;
    let form = Form::parse(&bytes).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    session_of_form(app, &headers, &form, now).await?;
    let mut response = see_other("/connected-apps");
    session::end(app, &headers, &mut response).await.map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(response)
}
