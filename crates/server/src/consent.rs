//! Consent: `GET, POST /consent`. Who asks, for what, which accounts, until when; and the making of the grant.

mod accounts;
mod shown;

pub use accounts::ShownAccount;
pub use shown::{Lasts, Shown};

use crate::app::App;
use crate::authorize::answer::{redirect_code, redirect_error};
use crate::authorize::fits;
use crate::cookies::Browser;
use crate::follow::Unavailable;
use crate::pages::{Consent, Party};
use crate::refused::Refused;
use crate::request::page_form;
use crate::respond::page as html_page;
use crate::session;
use crate::sign_in;
use crate::ticket::{AuthorizationRequest, Purpose, Question};
use crate::unknown_key::ring_with;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::client::{Client, GrantType};
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::dialect::ErrorCode;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::form::Form;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::id_token::Lasting;
use counterfoil_core::random;
use counterfoil_core::redirect_uri::csp_source;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{CreateGrant, NewGrant, Session};
use std::sync::Arc;

/// What a customer says yes to.
#[derive(Debug)]
pub struct Approval {
    /// The client that they say it to, as they were shown it.
    pub client: Arc<Client>,
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
    /// The consent that it goes by, where the customer is not asked.
    pub parent: Option<GrantId>,
}

/// Makes the grant and gives its code: the one way in which any code is made. `None` where the request was answered before, otherwise or with a
/// code that is no longer good, or where its grant id is taken.
///
/// # Errors
/// The store can't answer.
pub async fn approve(app: &App, request: &AuthorizationRequest, approval: Approval, now: Timestamp) -> Result<Option<Secret>, Unavailable> {
    let Approval { client, customer, customer_era, name, accounts, authenticated_at, scopes, clusters, lookback_days, .. } = approval;
    let expires_at = Lasts::of(app, &client, scopes, now).end(now, app.settings.lifetimes.code);
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
        expires_at: approval.ends_no_later_than.map_or(expires_at, |end| end.min(expires_at)),
        authenticated_at,
        parent: approval.parent,
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
            // A doubled Allow gets the code that the first one got, as long as that is good for anything. One that says something else does
            // not: the code would stand for what the customer has just seen and chosen otherwise.
            let (earlier, row) = *existing;
            let same_answer = earlier.client == terms.client
                && earlier.customer == terms.customer
                && (earlier.client_era, earlier.customer_era) == (terms.client_era, terms.customer_era)
                && (earlier.scopes, earlier.clusters, earlier.lookback_days) == (terms.scopes, terms.clusters, terms.lookback_days)
                && earlier.accounts == terms.accounts
                // Another node may have answered, by a clock that is a little ahead.
                && earlier.expires_at <= terms.expires_at.plus(SKEW)
                && app.store.code(request.grant).await? == Some(bound);
            if !same_answer || row.next_slip != 0 || row.ended || now >= row.expires_at {
                return Ok(None);
            }
            code = Slip { key: row.slip_key, issued_at: earlier.created_at, seal: row.seal, ..code };
        }
    }
    // That of the first Allow may have been made by another node.
    Ok(code.write(&ring_with(app, code.key).await?.slips))
}

/// Why a consent page is shown again, instead of what its form asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Again {
    /// No account was chosen.
    NothingChosen,
    /// Something is not as it was shown.
    Changed,
}

/// A consent page to be shown.
struct ToShow<'a> {
    client: &'a Client,
    accounts: &'a [ShownAccount],
    question: Question,
    /// Why again; `None` the first time.
    again: Option<Again>,
    /// What has changed since it was shown before.
    changes: Vec<String>,
    /// The accounts that are ticked.
    chosen: Vec<&'a str>,
}

impl ToShow<'_> {
    fn page(self, app: &App, browser: &Browser, now: Timestamp) -> Response {
        let Self { client, accounts, question, again, changes, chosen } = self;
        let Question { request, shown } = &question;
        let (until, time) = match shown.lasts {
            Lasts::Until(end) => (Some(end.day_for_people()), None),
            Lasts::For(seconds) => (None, Some(app.locale.length_of_time(seconds))),
        };
        let html = Consent {
            locale: &app.locale,
            action: "/consent",
            ticket: &question.write(app, &browser.id, now),
            client: party(client),
            provider_name: &shown.provider_name,
            customer_name: &shown.customer_name,
            clusters: shown.clusters.names().collect(),
            accounts: accounts.iter().map(|account| account.choice(chosen.contains(&account.id.as_str()))).collect(),
            until: until.as_deref(),
            time: time.as_deref(),
            lookback_days: shown.lookback_days,
            nothing_chosen: again == Some(Again::NothingChosen),
            changes,
            redirect_host: &host_of(&request.redirect_uri),
        }
        .render();
        let status = match again {
            None => StatusCode::OK,
            Some(Again::NothingChosen) => StatusCode::BAD_REQUEST,
            Some(Again::Changed) => StatusCode::CONFLICT,
        };
        html_page(status, html, csp_source(&request.redirect_uri).as_deref())
    }
}

async fn accounts_of(app: &App, session: &Session) -> Result<Vec<ShownAccount>, Refused> {
    let directory = app.store.accounts(&session.customer).await.map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(directory.iter().map(ShownAccount::of).collect())
}

/// The consent page, for the first time.
///
/// # Errors
/// A page that says why not.
pub async fn page(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    browser: &Browser,
    now: Timestamp,
) -> Result<Response, Refused> {
    let client = match still_may_ask(app, request)? {
        Ok(client) => client,
        Err(answer) => return Ok(*answer),
    };
    let accounts = accounts_of(app, session).await?;
    let shown = Shown::of(app, request, &client, session, &accounts, now);
    let question = Question { request: request.clone(), shown };
    let page = ToShow { client: &client, accounts: &accounts, question, again: None, changes: Vec::new(), chosen: Vec::new() };
    Ok(page.page(app, browser, now))
}

/// The client of a request that was checked when it came, if it may still be answered; else the error to send the browser back with.
///
/// # Errors
/// A page, where the browser must no longer be sent back: the client was removed, or its redirect URI is registered no more.
fn still_may_ask(app: &App, request: &AuthorizationRequest) -> Result<Result<Arc<Client>, Box<Response>>, Refused> {
    let client = may_be_answered(app, request)?;
    let refuse = |error, reason| redirect_error(app, request, error, reason).map(|answer| Err(Box::new(answer)));
    if !client.settings.grant_types.contains(&GrantType::AuthorizationCode) {
        return refuse(ErrorCode::UnauthorizedClient, "the client is no longer registered for the authorization code flow");
    }
    if client.settings.require_pkce && request.challenge.is_none() {
        return refuse(ErrorCode::InvalidRequest, "the client must use PKCE now, and there is no code_challenge");
    }
    Ok(Ok(client))
}

fn may_be_answered(app: &App, request: &AuthorizationRequest) -> Result<Arc<Client>, Refused> {
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "unknown-client", "the client was removed meanwhile"));
    };
    if !client.settings.may_redirect_to(&request.redirect_uri) {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "redirect-uri", "the redirect URI is no longer registered"));
    }
    Ok(client)
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

const TICKET_REFUSED: &str = "the ticket is missing, too old, another page's, or another browser's";

/// `GET /consent`: where the browser is sent after signing in.
///
/// # Errors
/// A page.
pub async fn get(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let form = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let form = form.map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, &headers);
    let Some(Purpose::Authorize(request)) = form.get("ticket").and_then(|text| Purpose::read(app, text, &browser.id, now)) else {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "session", TICKET_REFUSED));
    };
    match session_for(app, &request, &headers, now).await? {
        Some(session) => page(app, &request, &session, &browser, now).await,
        None => Ok(to_sign_in(app, *request, &browser, now)),
    }
}

/// `POST /consent`: the customer's answer.
///
/// # Errors
/// A page.
pub async fn post(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let bytes = page_form(&app, &headers, body).await?;
    decide(&app, &bytes, &headers).await
}

async fn session_for(app: &App, request: &AuthorizationRequest, headers: &HeaderMap, now: Timestamp) -> Result<Option<Session>, Refused> {
    let session = session::current(app, headers, now).await.map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(session.filter(|session| fits(session, request, now)))
}

fn to_sign_in(app: &App, request: AuthorizationRequest, browser: &Browser, now: Timestamp) -> Response {
    let hint = request.login_hint.clone();
    sign_in::page(app, &Purpose::Authorize(Box::new(request)), browser, now, sign_in::Attempt::first(hint.as_deref()))
}

async fn decide(app: &App, body: &[u8], headers: &HeaderMap) -> Result<Response, Refused> {
    let now = app.clock.now();
    let form = Form::parse(body).map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, headers);
    let ticket = form.get("ticket").unwrap_or_default();
    let (request, shown) = match Question::read(app, ticket, &browser.id, now) {
        Some(Question { request, shown }) => (request, Some(shown)),
        // A page that showed nothing, or whose ticket does not say what: one of a node of the first version.
        None => match Purpose::read(app, ticket, &browser.id, now) {
            Some(Purpose::Authorize(request)) => (*request, None),
            _ => return Err(Refused::page(app, StatusCode::BAD_REQUEST, "session", TICKET_REFUSED)),
        },
    };
    match form.get("decision") {
        Some("allow") => {}
        // Nothing is given, so it matters not who is signed in by now.
        Some("deny") => return deny(app, &request, "the customer said no").await,
        _ => return Err(Refused::page(app, StatusCode::BAD_REQUEST, "malformed", "the decision is neither allow nor deny")),
    }
    let client = match still_may_ask(app, &request)? {
        Ok(client) => client,
        Err(answer) => return Ok(*answer),
    };
    let Some(session) = session_for(app, &request, headers, now).await? else {
        return Ok(to_sign_in(app, request, &browser, now));
    };
    let offered = accounts_of(app, &session).await?;
    let chosen: Vec<&str> = form.all("account").collect();
    // What the page would show now, had it been opened when it was.
    let now_shown = Shown::of(app, &request, &client, &session, &offered, shown.as_ref().map_or(now, |shown| shown.at));
    let show_again = |again, changes| {
        // Of another customer's accounts none is ticked, not even one that both hold.
        let same_customer = shown.as_ref().is_some_and(|shown| shown.customer == session.customer);
        let chosen = if same_customer { chosen.clone() } else { Vec::new() };
        let question = Question { request: request.clone(), shown: now_shown.clone() };
        ToShow { client: &client, accounts: &offered, question, again: Some(again), changes, chosen }.page(app, &browser, now)
    };
    if shown.as_ref() != Some(&now_shown) {
        let changes = shown.as_ref().map_or_else(|| vec![app.locale.text("changed-other")], |shown| shown.changes(&now_shown, &app.locale));
        return Ok(show_again(Again::Changed, changes));
    }
    if chosen.iter().any(|id| !offered.iter().any(|account| account.id == *id)) {
        return Err(Refused::page(app, StatusCode::BAD_REQUEST, "malformed", "an account that is not the customer's was chosen"));
    }
    if chosen.is_empty() {
        return Ok(show_again(Again::NothingChosen, Vec::new()));
    }
    let approval = Approval {
        client,
        // In the order of the directory, each once.
        accounts: offered.into_iter().map(|account| account.id).filter(|id| chosen.contains(&id.as_str())).collect(),
        customer_era: now_shown.customer_era,
        customer: now_shown.customer,
        name: now_shown.customer_name,
        authenticated_at: session.authenticated_at,
        scopes: now_shown.scopes,
        clusters: now_shown.clusters,
        lookback_days: now_shown.lookback_days,
        ends_no_later_than: Some(now_shown.lasts.end(now, app.settings.lifetimes.code)),
        parent: None,
    };
    match approve(app, &request, approval, now).await.map_err(|error| Refused::unavailable_page(app, error))? {
        Some(code) => redirect_code(app, &request, &code),
        None => Err(already_answered(app, "the request was answered before, otherwise, or its code was used or has expired")),
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
    may_be_answered(app, request)?;
    match app.store.terms(request.grant).await.map_err(|error| Refused::unavailable_page(app, error))? {
        Some(_) => Err(already_answered(app, "the request was allowed before")),
        None => redirect_error(app, request, ErrorCode::AccessDenied, reason),
    }
}
