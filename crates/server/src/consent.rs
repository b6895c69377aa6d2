//! Consent: `GET, POST /consent`. Who asks, for what, which accounts, until when; and the making of the grant.

use crate::app::App;
use crate::authorize::answer::{redirect_code, redirect_error};
use crate::authorize::fits;
use crate::cookies::Browser;
use crate::follow::Unavailable;
use crate::pages::{AccountChoice, Consent, Locale, Party, numbered};
use crate::refused::Refused;
use crate::request::page_form;
use crate::respond::page as html_page;
use crate::session;
use crate::sign_in;
use crate::ticket::{self, AuthorizationRequest, Purpose};
use crate::unknown_key::ring_with;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::client::Client;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::dialect::ErrorCode;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::form::Form;
use counterfoil_core::grant::{CodeBinding, CustomerId, Seal, Terms};
use counterfoil_core::id_token::Lasting;
use counterfoil_core::random;
use counterfoil_core::redirect_uri::csp_source;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{Account, CreateGrant, NewGrant, Session};
use std::sync::Arc;

/// What a customer says yes to.
#[derive(Debug)]
pub struct Approval {
    /// Who says it.
    pub customer: CustomerId,
    /// Their era when they proved who they are.
    pub customer_era: u32,
    /// Their name.
    pub name: String,
    /// The accounts that they share; checked against the directory by the caller.
    pub accounts: Vec<String>,
    /// When they proved who they are.
    pub authenticated_at: Timestamp,
    /// What they allow.
    pub scopes: Scopes,
    /// The kinds of data that they share.
    pub clusters: DataClusters,
    /// How many days back the client may look.
    pub lookback_days: Option<u32>,
    /// An earlier end than that of client and server.
    pub ends_no_later_than: Option<Timestamp>,
}

/// Makes the grant and gives its code: the one way in which any code is made. `None` where the request was answered before and its code
/// is no longer good, or its grant id is taken.
///
/// # Errors
/// The store can't answer.
pub async fn approve(app: &App, request: &AuthorizationRequest, approval: Approval, now: Timestamp) -> Result<Option<Secret>, Unavailable> {
    let Some(client) = app.client(&request.client) else { return Ok(None) };
    let Approval { customer, customer_era, name, accounts, authenticated_at, scopes, clusters, lookback_days, ends_no_later_than } =
        approval;
    let expires_at = expires_at(app, &client, now);
    let terms = Terms {
        grant: request.grant,
        client: client.id.clone(),
        client_era: client.era,
        customer_era,
        customer,
        name,
        scopes,
        clusters,
        accounts,
        lookback_days,
        created_at: now,
        expires_at: ends_no_later_than.map_or(expires_at, |end| end.min(expires_at)),
        authenticated_at,
        parent: None,
        lasting: Lasting::default(),
    };
    let mut code = Slip {
        key: app.keys.ring().slips.current(),
        grant: terms.grant,
        number: 0,
        issued_at: now,
        seal: Seal::from_bytes(random::bytes()),
    };
    let code_expires_at = now.plus(app.settings.lifetimes.code).min(terms.expires_at);
    let bound = CodeBinding { redirect_uri: request.redirect_uri.clone(), challenge: request.challenge, nonce: request.nonce.clone() };
    let new = NewGrant { terms: terms.clone(), code: bound.clone(), seal: code.seal, code_expires_at, slip_key: code.key };
    match app.store.create_grant(new).await? {
        CreateGrant::Created => {}
        CreateGrant::NoParent => return Ok(None),
        CreateGrant::Exists(existing) => {
            // A doubled Allow gets the code that the first one got, as long as that is good for anything.
            let (earlier, row) = *existing;
            let same_answer =
                earlier.client == terms.client && earlier.customer == terms.customer && app.store.code(request.grant).await? == Some(bound);
            if !same_answer || row.next_slip != 0 || row.ended || now >= row.expires_at {
                return Ok(None);
            }
            code = Slip { key: row.slip_key, issued_at: earlier.created_at, seal: row.seal, ..code };
        }
    }
    // That of the first Allow may have been made by another node.
    Ok(code.write(&ring_with(app, code.key).await?.slips))
}

/// When a grant that is given now ends by itself.
fn expires_at(app: &App, client: &Client, now: Timestamp) -> Timestamp {
    let server = app.settings.lifetimes.grant;
    now.plus(client.settings.longest_grant().map_or(server, |client| client.min(server)))
}

/// The consent page.
///
/// # Errors
/// A page that says why not.
pub async fn page(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    browser: &Browser,
    now: Timestamp,
    nothing_chosen: bool,
) -> Result<Response, Refused> {
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "unknown-client", "the client was removed meanwhile"));
    };
    let directory = app.store.accounts(&session.customer).await.map_err(|error| Refused::unavailable_page(app, error))?;
    let shown: Vec<Shown> = directory.iter().map(Shown::of).collect();
    let target = csp_source(&request.redirect_uri);
    let purpose = Purpose::Authorize(Box::new(request.clone()));
    let until = expires_at(app, &client, now).day_for_people();
    let provider = app.settings.provider(&session.customer.provider);
    let html = Consent {
        locale: &app.locale,
        action: "/consent",
        ticket: &ticket::write(app, &purpose, &browser.id, now),
        client: party(&client),
        provider_name: provider.map_or(session.customer.provider.as_str(), |provider| provider.name.as_str()),
        customer_name: &session.name,
        clusters: client.settings.data_clusters.names().collect(),
        accounts: shown.iter().map(Shown::choice).collect(),
        until: &until,
        offline: request.scopes.contains(Scopes::OFFLINE_ACCESS),
        lookback_days: client.settings.lookback_days,
        nothing_chosen,
        redirect_host: &host_of(&request.redirect_uri),
    }
    .render();
    let status = if nothing_chosen { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(html_page(status, html, target.as_deref()))
}

/// Who asks, as pages show it.
pub fn party(client: &Client) -> Party<'_> {
    Party {
        name: &client.settings.name,
        logo_uri: client.settings.logo_uri.as_deref(),
        registered_entity: client.settings.registered_entity.as_deref(),
    }
}

fn host_of(uri: &str) -> String {
    url::Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| uri.to_owned())
}

/// What a page shows of an account.
pub struct Shown {
    id: String,
    label: String,
    kind: String,
    number: Option<String>,
}

impl Shown {
    /// Reads what to show from the FDX entity.
    pub fn of(account: &Account) -> Self {
        let entity: serde_json::Value = serde_json::from_str(&account.entity).unwrap_or_default();
        let inner = entity.as_object().and_then(|kinds| kinds.values().next());
        let text = |name: &str| inner.and_then(|inner| inner.get(name)).and_then(|value| value.as_str()).map(str::to_owned);
        Self {
            id: account.id.clone(),
            label: text("nickname").or_else(|| text("productName")).unwrap_or_else(|| account.id.clone()),
            kind: text("accountType").unwrap_or_default(),
            number: text("accountNumberDisplay"),
        }
    }

    /// What to call it where there is little room.
    pub fn label(&self, locale: &Locale) -> String {
        numbered(locale, &self.label, self.number.as_deref())
    }

    fn choice(&self) -> AccountChoice<'_> {
        AccountChoice { id: &self.id, label: &self.label, kind: &self.kind, number: self.number.as_deref() }
    }
}

/// `GET /consent`: where the browser is sent after signing in.
///
/// # Errors
/// A page.
pub async fn get(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Refused> {
    answer(&app, uri.query().unwrap_or_default().as_bytes(), &headers).await
}

/// `POST /consent`: the customer's answer.
///
/// # Errors
/// A page.
pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let bytes = page_form(&app, &headers, body).await?;
    decide(&app, &bytes, &headers).await
}

/// The request that a form or link belongs to, and the session that may answer it; or the page to show instead.
enum Asked {
    Ready(Box<AuthorizationRequest>, Session),
    Instead(Response),
}

async fn asked(app: &App, form: &Form<'_>, headers: &HeaderMap, browser: &Browser, now: Timestamp) -> Result<Asked, Refused> {
    let purpose = form.get("ticket").and_then(|text| ticket::read(app, text, &browser.id, now));
    let Some(Purpose::Authorize(request)) = purpose else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "session", "the ticket is missing, too old, or another browser's"));
    };
    let session = session::current(app, headers, now).await.map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(match session.filter(|session| fits(app, session, &request, now)) {
        Some(session) => Asked::Ready(request, session),
        None => {
            let hint = request.login_hint.clone();
            let purpose = Purpose::Authorize(request);
            Asked::Instead(sign_in::page(app, &purpose, browser, now, sign_in::Attempt::first(hint.as_deref())))
        }
    })
}

async fn answer(app: &App, query: &[u8], headers: &HeaderMap) -> Result<Response, Refused> {
    let now = app.clock.now();
    let form = Form::parse(query).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, headers);
    match asked(app, &form, headers, &browser, now).await? {
        Asked::Ready(request, session) => page(app, &request, &session, &browser, now, false).await,
        Asked::Instead(response) => Ok(response),
    }
}

async fn decide(app: &App, body: &[u8], headers: &HeaderMap) -> Result<Response, Refused> {
    let now = app.clock.now();
    let form = Form::parse(body).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, headers);
    let (request, session) = match asked(app, &form, headers, &browser, now).await? {
        Asked::Ready(request, session) => (request, session),
        Asked::Instead(response) => return Ok(response),
    };
    match form.get("decision") {
        Some("allow") => {}
        Some("deny") => return deny(app, &request, "the customer said no").await,
        _ => return Err(Refused::page(app, StatusCode::BAD_REQUEST, "malformed", "the decision is neither allow nor deny")),
    }
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "unknown-client", "the client was removed meanwhile"));
    };
    let directory = app.store.accounts(&session.customer).await.map_err(|error| Refused::unavailable_page(app, error))?;
    let chosen: Vec<&str> = form.all("account").collect();
    if chosen.iter().any(|id| !directory.iter().any(|account| account.id == *id)) {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "malformed", "an account that is not the customer's was chosen"));
    }
    if chosen.is_empty() {
        return page(app, &request, &session, &browser, now, true).await;
    }
    let approval = Approval {
        // In the order of the directory, each once.
        accounts: directory.into_iter().map(|account| account.id).filter(|id| chosen.contains(&id.as_str())).collect(),
        customer_era: session.customer_era,
        customer: session.customer,
        name: session.name,
        authenticated_at: session.authenticated_at,
        scopes: request.scopes,
        clusters: client.settings.data_clusters,
        lookback_days: client.settings.lookback_days,
        ends_no_later_than: None,
    };
    match approve(app, &request, approval, now).await.map_err(|error| Refused::unavailable_page(app, error))? {
        Some(code) => redirect_code(app, &request, &code),
        None => Err(already_answered(app, "the request was answered before and its code used or expired")),
    }
}

fn already_answered(app: &App, reason: &str) -> Refused {
    Refused::page(app, StatusCode::BAD_REQUEST, "already-answered", reason)
}

/// Sends the browser back with the customer's no, unless there was a yes before: that one stands, and nobody is told otherwise.
///
/// # Errors
/// A page.
pub async fn deny(app: &App, request: &AuthorizationRequest, reason: &'static str) -> Result<Response, Refused> {
    match app.store.terms(request.grant).await.map_err(|error| Refused::unavailable_page(app, error))? {
        Some(_) => Err(already_answered(app, "the request was allowed before")),
        None => redirect_error(app, request, ErrorCode::AccessDenied, reason),
    }
}
