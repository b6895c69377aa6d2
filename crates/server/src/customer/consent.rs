//! Consent: `GET, POST /consent`. Who asks, for what, which accounts, until when; and the making of
//! the grant.

pub(crate) mod accounts;
mod shown;

pub use accounts::ShownAccount;
pub use shown::{Lasts, Shown};

use std::collections::HashSet;
use std::sync::Arc;

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
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{CreateGrant, NewGrant, Session};
use serde::{Deserialize, Serialize};

use crate::authorization::answer::{redirect_code, redirect_error};
use crate::customer::continuation::{self, SignInAgain, ToConsent, send_on};
use crate::customer::session;
use crate::customer::sign_in::{self, Attempt, Failed};
use crate::customer::ticket::{self, AuthorizationRequest, NotOpened, Purpose, Ticket};
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::request::{LARGEST_CONSENT, consent_form};
use crate::http::respond::{Forms, page as html_page};
use crate::node::app::App;
use crate::node::follow::Unavailable;
use crate::oauth::authorize::fits;
use crate::pages::{Consent, Party};
use crate::tokens::unknown_key::ring_with;

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

/// Makes the grant and gives its code: the one way in which any code is made. `None` where the
/// request was answered before, otherwise or with a code that is no longer good, or where its grant
/// id is taken.
///
/// # Errors
/// The store can't answer.
pub async fn approve(
    app: &App,
    request: &AuthorizationRequest,
    approval: Approval,
    now: Timestamp,
) -> Result<Option<Secret>, Unavailable> {
    let Approval {
        client,
        customer,
        customer_era,
        name,
        accounts,
        authenticated_at,
        scopes,
        clusters,
        lookback_days,
        ..
    } = approval;
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
    };
    let mut code = Slip {
        key: app.keys.ring().slips.current(),
        grant: terms.grant,
        number: 0,
        issued_at: now,
        seal: Seal::from_bytes(random::bytes()),
    };
    let code_expires_at = now.plus(app.settings.lifetimes.code).min(terms.expires_at);
    let bound = CodeBinding {
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge,
        nonce: request.nonce.clone(),
    };
    let new = NewGrant {
        terms: terms.clone(),
        code: bound.clone(),
        seal: code.seal,
        code_expires_at,
        slip_key: code.key,
    };
    match app.store.create_grant(new).await? {
        CreateGrant::Created => {}
        CreateGrant::NoParent => return Ok(None),
        CreateGrant::Exists(existing) => {
            // A doubled Allow gets the code that the first one got, as long as that is good for
            // anything. One that says something else does not: the code would stand for what the
            // customer has just seen and chosen otherwise.
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
            code =
                Slip { key: row.slip_key, issued_at: earlier.created_at, seal: row.seal, ..code };
        }
    }
    // That of the first Allow may have been made by another node.
    Ok(code.write(&ring_with(app, code.key).await?.slips))
}

/// Why a consent page is shown again, instead of what its form asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    /// No account was chosen.
    NothingChosen,
    /// Something is not as it was shown.
    Changed,
}

/// A consent page that is shown again.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownAgain {
    why: Why,
    /// When it was shown first.
    at: Timestamp,
    /// Who is asked.
    customer: CustomerId,
    /// What has changed since it was shown before, in words.
    changes: Vec<String>,
    /// The accounts that are ticked.
    chosen: Vec<String>,
}

/// A consent page to be shown.
struct ToShow<'a> {
    client: &'a Client,
    accounts: &'a [ShownAccount],
    request: &'a AuthorizationRequest,
    shown: Shown,
    again: Option<ShownAgain>,
}

impl ToShow<'_> {
    fn page(self, app: &App, browser: &Browser, now: Timestamp) -> Result<Response, Refused> {
        let Self { client, accounts, request, shown, again } = self;
        let (until, time) = match shown.lasts {
            Lasts::Until(end) => (Some(app.locale.day(end)), None),
            Lasts::For(seconds) => (None, Some(app.locale.length_of_time(seconds))),
        };
        let ticket = ticket::write(
            app,
            &Purpose::Authorize(Box::new(request.clone())),
            Some(&shown),
            browser,
            now,
        );
        if accounts::bytes_of_form(&ticket, accounts) > LARGEST_CONSENT {
            let reason =
                "a form with all accounts of the customer would be larger than proxies take";
            return Err(Refused::page(app, StatusCode::CONFLICT, "too-many-accounts", reason));
        }
        let (why, changes, chosen) = match again {
            Some(ShownAgain { why, changes, chosen, .. }) => {
                (Some(why), changes, HashSet::from_iter(chosen))
            }
            None => (None, Vec::new(), HashSet::new()),
        };
        let html = Consent {
            locale: &app.locale,
            action: "/consent",
            ticket: &ticket,
            client: party(client),
            provider_name: &shown.provider_name,
            customer_name: &shown.customer_name,
            clusters: shown.clusters.names().collect(),
            accounts: accounts
                .iter()
                .map(|account| account.choice(chosen.contains(&account.id)))
                .collect(),
            until: until.as_deref(),
            time: time.as_deref(),
            lookback_days: shown.lookback_days,
            nothing_chosen: why == Some(Why::NothingChosen),
            changes,
            redirect_host: &host_of(&request.redirect_uri),
        }
        .render();
        let status = match why {
            None => StatusCode::OK,
            Some(Why::NothingChosen) => StatusCode::BAD_REQUEST,
            Some(Why::Changed) => StatusCode::CONFLICT,
        };
        Ok(html_page(status, html, Forms::LeadToApp))
    }
}

async fn accounts_of(app: &App, session: &Session) -> Result<Vec<ShownAccount>, Refused> {
    let directory = app
        .store
        .accounts(&session.customer)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
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
    show(app, request, None, session, browser, now).await
}

async fn show(
    app: &App,
    request: &AuthorizationRequest,
    again: Option<ShownAgain>,
    session: &Session,
    browser: &Browser,
    now: Timestamp,
) -> Result<Response, Refused> {
    let client = match still_may_ask(app, request)? {
        Ok(client) => client,
        Err(answer) => return Ok(*answer),
    };
    let accounts = accounts_of(app, session).await?;
    // What it told whoever was asked before is nothing to the next.
    let again = again.filter(|again| again.customer == session.customer);
    let shown = Shown::of(
        app,
        request,
        &client,
        session,
        &accounts,
        again.as_ref().map_or(now, |again| again.at),
    );
    ToShow { client: &client, accounts: &accounts, request, shown, again }.page(app, browser, now)
}

/// The client of a request that was checked when it came, if it may still be answered; else the
/// error to send the browser back with.
///
/// # Errors
/// A page, where the browser must no longer be sent back: the client was removed, or its redirect
/// URI is registered no more.
fn still_may_ask(
    app: &App,
    request: &AuthorizationRequest,
) -> Result<Result<Arc<Client>, Box<Response>>, Refused> {
    let client = may_be_answered(app, request)?;
    let refuse = |error, reason| {
        redirect_error(app, request, error, reason).map(|answer| Err(Box::new(answer)))
    };
    if !client.settings.grant_types.contains(&GrantType::AuthorizationCode) {
        return refuse(
            ErrorCode::UnauthorizedClient,
            "the client is no longer registered for the authorization code flow",
        );
    }
    if client.settings.require_pkce && request.challenge.is_none() {
        return refuse(
            ErrorCode::InvalidRequest,
            "the client must use PKCE now, and there is no code_challenge",
        );
    }
    Ok(Ok(client))
}

fn may_be_answered(app: &App, request: &AuthorizationRequest) -> Result<Arc<Client>, Refused> {
    let Some(client) = app.client(&request.client) else {
        return Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "unknown-client",
            "the client was removed meanwhile",
        ));
    };
    if !client.settings.may_redirect_to(&request.redirect_uri) {
        return Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "redirect-uri",
            "the redirect URI is no longer registered",
        ));
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
    url::Url::parse(uri)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| uri.to_owned())
}

/// `GET /consent`: where the browser is sent after signing in, and where the page is shown again.
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
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let query =
        query.map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, &headers);
    let ToConsent { request, again } = match query.get("ticket") {
        // As a node of the version before sends browsers here.
        Some(text) => match ticket::open(app, text, &browser, now) {
            Ok(Ticket { purpose: Purpose::Authorize(request), is_old: false, .. }) => {
                ToConsent { request: *request, again: None }
            }
            Ok(Ticket { purpose: Purpose::Authorize(request), .. }) => {
                return Err(Refused::not_opened(app, NotOpened { request: Some(request) }).await);
            }
            Ok(_) => return Err(Refused::not_opened(app, NotOpened { request: None }).await),
            Err(not_opened) => return Err(Refused::not_opened(app, not_opened).await),
        },
        None => continuation::read(app, &query, &browser, now).await?,
    };
    let answer = async {
        match session_for(app, &request, &headers, now).await? {
            Some(session) => show(app, &request, again, &session, &browser, now).await,
            None => {
                let attempt = Attempt::first(request.login_hint.as_deref());
                Ok(sign_in::page(
                    app,
                    &Purpose::Authorize(Box::new(request.clone())),
                    &browser,
                    now,
                    &attempt,
                ))
            }
        }
    };
    let answer: Result<Response, Refused> = answer.await;
    match answer {
        Ok(response) => Ok(browser.remember(app, response)),
        Err(refused) => Err(refused.linking_back(app, &request).await),
    }
}

/// `POST /consent`: the customer's answer.
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
    let bytes = consent_form(app, &headers, body).await?;
    let form = Form::parse(&bytes)
        .map_err(|error| Refused::page(app, StatusCode::BAD_REQUEST, "malformed", error))?;
    let browser = Browser::of(app, &headers);
    let ticket = ticket::of_form(app, &form, &browser, now).await?;
    let Purpose::Authorize(request) = &ticket.purpose else {
        return Err(Refused::not_opened(app, NotOpened { request: None }).await);
    };
    let answer = match form.get("decision") {
        Some("allow") => allow(app, request, &ticket, &form, &browser, &headers, now).await,
        // Nothing is given, so it matters not who is signed in by now.
        Some("deny") => deny(app, request, "the customer said no").await,
        _ => Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "malformed",
            "the decision is neither allow nor deny",
        )),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(refused.linking_back(app, request).await),
    }
}

async fn session_for(
    app: &App,
    request: &AuthorizationRequest,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Session>, Refused> {
    let session = session::current(app, headers, now)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
    Ok(session.filter(|session| fits(app, session, request, now)))
}

/// What comes of *Allow*: a code where the page still shows what is true, else the page again.
async fn allow(
    app: &App,
    request: &AuthorizationRequest,
    ticket: &Ticket,
    form: &Form<'_>,
    browser: &Browser,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Refused> {
    let client = match still_may_ask(app, request)? {
        Ok(client) => client,
        Err(answer) => return Ok(*answer),
    };
    if ticket.is_old {
        must_be_unanswered(app, request).await?;
    }
    let begun = if ticket.is_old { request.clone().begun_anew(now) } else { request.clone() };
    let Some(session) = session_for(app, request, headers, now).await? else {
        let hint = request.login_hint.as_deref();
        let attempt = Attempt::again(hint, if ticket.is_old { Failed::Old } else { Failed::Ended });
        let purpose = Purpose::Authorize(Box::new(begun));
        return match app.continuations.take(now) {
            true => send_on(app, Some(browser), &SignInAgain { purpose, attempt }, now).await,
            false => Ok(sign_in::page(app, &purpose, browser, now, &attempt)),
        };
    };
    let offered = accounts_of(app, &session).await?;
    let ids: HashSet<&str> = offered.iter().map(|account| account.id.as_str()).collect();
    let chosen: HashSet<&str> = form.all("account").collect();
    let shown = ticket.shown.as_ref();
    // What the page would show now, had it been opened when it was.
    let now_shown =
        Shown::of(app, request, &client, &session, &offered, shown.map_or(now, |shown| shown.at));
    let show_again = async |why, changes| {
        // Of another customer's accounts none is ticked, not even one that both hold.
        let same_customer = shown.is_some_and(|shown| shown.customer == session.customer);
        let chosen = chosen
            .intersection(&ids)
            .filter(|_| same_customer)
            .map(|id| (*id).to_owned())
            .collect();
        let at = if ticket.is_old { now } else { now_shown.at };
        let again =
            Some(ShownAgain { why, at, customer: session.customer.clone(), changes, chosen });
        match app.continuations.take(now) {
            true => {
                send_on(app, Some(browser), &ToConsent { request: begun.clone(), again }, now).await
            }
            false => show(app, &begun, again, &session, browser, now).await,
        }
    };
    let mut changes = match shown {
        None => vec![app.locale.text("changed-other")],
        Some(shown) => shown.changes(&now_shown, &app.locale),
    };
    if ticket.is_old {
        changes.insert(0, app.locale.text("changed-old"));
    }
    if !changes.is_empty() {
        return show_again(Why::Changed, changes).await;
    }
    if !chosen.is_subset(&ids) {
        return Err(Refused::page(
            app,
            StatusCode::BAD_REQUEST,
            "malformed",
            "an account that is not the customer's was chosen",
        ));
    }
    if chosen.is_empty() {
        return show_again(Why::NothingChosen, Vec::new()).await;
    }
    let approval = Approval {
        client,
        // In the order of the directory, each once.
        accounts: offered
            .iter()
            .map(|account| account.id.clone())
            .filter(|id| chosen.contains(id.as_str()))
            .collect(),
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
    match approve(app, request, approval, now)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?
    {
        Some(code) => redirect_code(app, request, &code),
        None => Err(Refused::already_answered(
            app,
            "the request was answered before, otherwise, or its code was used or has expired",
        )),
    }
}

/// Holds that a request was not allowed before: what was allowed stands, however old the page is
/// that asked.
///
/// # Errors
/// A page that says that it was.
pub async fn must_be_unanswered(app: &App, request: &AuthorizationRequest) -> Result<(), Refused> {
    match app
        .store
        .terms(request.grant)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?
    {
        Some(_) => Err(Refused::already_answered(app, "the request was allowed before")),
        None => Ok(()),
    }
}

/// Sends the browser back with the customer's no, unless there was a yes before: that one stands,
/// and nobody is told otherwise.
///
/// # Errors
/// A page.
pub async fn deny(
    app: &App,
    request: &AuthorizationRequest,
    reason: &'static str,
) -> Result<Response, Refused> {
    may_be_answered(app, request)?;
    must_be_unanswered(app, request).await?;
    redirect_error(app, request, ErrorCode::AccessDenied, reason)
}
