//! `/connected-apps`: the customer's page of apps with access, where they can end all access of an
//! app, or one of several consents.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::client::{Client, LONGEST_ID};
use counterfoil_core::clock::{DAY, MINUTE, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_store::{Grant, Session, StoreError};

use crate::customer::consent_page::{AccountView, party};
use crate::customer::session::{self, csrf_token, is_csrf_token};
use crate::customer::sign_in_page::{self, Attempt};
use crate::customer::ticket::Purpose;
use crate::grants::end::{EndAllError, end_all, end_one};
use crate::grants::living::LivingGrants;
use crate::http::body::{page_fields, page_form};
use crate::http::cookies::Browser;
use crate::http::operation::{self, Operation, optional, required};
use crate::http::refused::Refused;
use crate::http::respond::{Forms, page as html_page, see_other};
use crate::node::app::App;
use crate::pages::{ConnectedApp, ConnectedApps, ConsentEntry, EndingNotice, Locale, Party};

/// How many grants are read from the store at once.
const GRANTS_AT_ONCE: u32 = 500;
/// How many consents of an app are listed; older ones are only counted.
const LISTED: usize = 20;
/// How long the page confirms an ending, in seconds.
const JUST: Seconds = 10 * MINUTE;

/// `GET /connected-apps`.
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
    let unavailable = Refused::unavailable_page;
    let Some(session) = session::current(app, &headers, now).await.map_err(unavailable)? else {
        let browser = Browser::of(app, &headers);
        let response =
            sign_in_page::page(app, &Purpose::ConnectedApps, &browser, now, &Attempt::default());
        return Ok(browser.remember(app, response));
    };
    let browser = Browser::of(app, &headers);
    let csrf = csrf_token(app, &browser, &session.customer);
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let ended = match query.get("ended").and_then(GrantId::parse) {
        Some(id) => app.store.grant(id).await.map_err(unavailable)?,
        None => None,
    };
    // Anyone can forge such a link. It only names a grant; what the page says about it comes from
    // the store.
    let ended = ended.filter(|grant| {
        let just_now = grant
            .ended
            .is_some_and(|ended| ended.by == EndedBy::Customer && now.is_within(JUST, ended.at));
        grant.terms.customer == session.customer && just_now
    });
    let response = show(app, &session, &csrf, ended.as_ref(), now).await.map_err(unavailable)?;
    Ok(browser.remember(app, response))
}

/// Groups living grants by client; the app with the newest grant comes first.
fn by_client(grants: Vec<Grant>) -> Vec<(Arc<str>, Vec<Grant>)> {
    let mut apps: Vec<(Arc<str>, Vec<Grant>)> = Vec::new();
    for grant in grants {
        match apps.iter_mut().find(|(client, _)| *client == grant.terms.client) {
            Some((_, grants)) => grants.push(grant),
            None => apps.push((grant.terms.client.clone(), vec![grant])),
        }
    }
    apps
}

/// When each of an app's grants was given: the day, plus the time if another is from the same day.
fn since<'a>(grants: &'a [Grant], locale: &'a Locale) -> impl Iterator<Item = String> + 'a {
    let day = |at: Timestamp| at.unix().div_euclid(DAY);
    grants.iter().enumerate().map(move |(at, grant)| {
        let given = grant.terms.created_at;
        // Ordered by id, which is the order of time.
        let mut neighbours =
            [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| grants.get(at));
        let alone = neighbours.all(|other| day(other.terms.created_at) != day(given));
        let (date, written) = (locale.day(given), given.to_string());
        match written.get(11..16) {
            Some(time) if !alone => {
                locale.text_with("day-and-time", &[("day", &date), ("time", time)])
            }
            _ => date,
        }
    })
}

/// A client as the page shows it; one unknown to this node is shown by its id.
fn shown_as<'a>(client: Option<&'a Client>, id: &'a str) -> Party<'a> {
    client.map_or(Party { name: id, logo_uri: None, registered_entity: None }, party)
}

async fn show(
    app: &App,
    session: &Session,
    csrf: &str,
    ended: Option<&Grant>,
    now: Timestamp,
) -> Result<Response, StoreError> {
    let mut grants =
        LivingGrants::of(app, &session.customer, None, GRANTS_AT_ONCE, now).all().await?;
    // An unredeemed code connects nothing.
    grants.retain(|grant| grant.counterfoil.next_slip > 0);
    let ids: Vec<GrantId> = grants.iter().map(|grant| grant.terms.grant).collect();
    let replayed = app.store.replayed(&ids).await?;
    let directory: Vec<(String, String)> = app
        .store
        .accounts(&session.customer)
        .await?
        .iter()
        .map(|account| (account.id.clone(), AccountView::of(account).label(&app.locale)))
        .collect();
    let label = |id: &String| {
        directory
            .iter()
            .find(|(known, _)| known == id)
            .map_or_else(|| id.clone(), |(_, label)| label.clone())
    };
    let consented = |(grant, since): (&Grant, String)| ConsentEntry {
        grant: grant.terms.grant.to_string(),
        clusters: grant.terms.clusters.names().collect(),
        accounts: grant.terms.accounts.iter().map(label).collect(),
        since,
        until: app.locale.day(grant.terms.expires_at),
    };
    let ended = ended.map(|grant| {
        let remaining =
            grants.iter().filter(|other| other.terms.client == grant.terms.client).count() as u64;
        (app.client(&grant.terms.client), grant, app.locale.day(grant.terms.created_at), remaining)
    });
    let apps = by_client(grants);
    let clients: Vec<Option<Arc<Client>>> =
        apps.iter().map(|(client, _)| app.client(client)).collect();
    let apps = apps
        .iter()
        .zip(&clients)
        .map(|((id, grants), client)| ConnectedApp {
            id,
            client: shown_as(client.as_deref(), id),
            consents: grants
                .iter()
                .zip(since(grants, &app.locale))
                .take(LISTED)
                .map(consented)
                .collect(),
            more: grants.len().saturating_sub(LISTED) as u64,
            replayed: grants.iter().any(|grant| replayed.contains(&grant.terms.grant)),
        })
        .collect();
    let provider = app.settings.provider(&session.customer.provider);
    let html = ConnectedApps {
        locale: &app.locale,
        customer_name: &session.name,
        provider_name: provider
            .map_or(session.customer.provider.as_str(), |provider| provider.name.as_str()),
        apps,
        action: "/connected-apps",
        sign_out_action: "/sign-out",
        csrf,
        ended: ended.as_ref().map(|(client, grant, since, remaining)| EndingNotice {
            client: shown_as(client.as_deref(), &grant.terms.client).name,
            since,
            remaining: *remaining,
        }),
    }
    .render();
    Ok(html_page(StatusCode::OK, html, Forms::StayHere))
}

/// Checks a form posted from the page; returns its session, or `None` if that has ended, in which
/// case the page asks the customer to sign in.
async fn session_of_form(
    app: &App,
    headers: &HeaderMap,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Option<Session>, Refused> {
    let session = session::current(app, headers, now).await.map_err(Refused::unavailable_page)?;
    let browser = Browser::of(app, headers);
    if session
        .as_ref()
        .is_some_and(|session| !is_csrf_token(app, &browser, &session.customer, form.get("csrf")))
    {
        return Err(Refused::page(
            StatusCode::BAD_REQUEST,
            "session",
            "the form is not of this session",
        ));
    }
    Ok(session)
}

/// `POST /connected-apps`: ends one grant, or all of a client.
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
    let Some(session) = session_of_form(app, &headers, &form, now).await? else {
        return Ok(see_other("/connected-apps"));
    };
    let named = (form.get("decision"), form.get("grant").map(GrantId::parse), form.get("client"));
    let ended = match named {
        (Some("end"), Some(Some(grant)), None) => {
            let ended = end_one(app, &session.customer, grant, now).await;
            ended.map_err(Refused::unavailable_page)?
        }
        (Some("end"), None, Some(client)) => {
            let ended = end_all(app, &session.customer, client, now).await;
            ended.map_err(|failed| match failed {
                EndAllError::None(error) => Refused::unavailable_page(error),
                EndAllError::Some(error) => Refused::unavailable_page_of("not-all-ended", error),
            })?
        }
        _ => {
            return Err(Refused::page(
                StatusCode::BAD_REQUEST,
                "malformed",
                "neither a grant nor a client to end the access of",
            ));
        }
    };
    match ended {
        Some(grant) => Ok(see_other(&format!("/connected-apps?ended={grant}"))),
        None => Err(Refused::page(
            StatusCode::NOT_FOUND,
            "not-found",
            "the customer has given no such grant",
        )),
    }
}

/// `POST /sign-out`.
///
/// # Errors
/// A page.
pub async fn sign_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let app = &*app;
    let now = app.clock.now();
    let bytes = page_form(&headers, body).await?;
    let form = page_fields(&bytes)?;
    session_of_form(app, &headers, &form, now).await?;
    let mut response = see_other("/connected-apps");
    session::end(app, &headers, &mut response).await.map_err(Refused::unavailable_page)?;
    Ok(response)
}

/// What the OpenAPI document says of `/connected-apps`.
pub fn describe() -> Vec<Operation> {
    vec![
        operation::get("The customer's page of living grants")
            .query([optional("ended", 64, "The grant that was just ended.")])
            .page(200, "The page, or the sign-in page."),
        operation::post("End a grant, or all of a client")
            .form([
                required("csrf", 128, "From the page."),
                required("decision", 16, "What to do.").one_of(&["end"]),
                optional("grant", 64, "The grant to end."),
                optional("client", LONGEST_ID, "The client whose grants to end."),
            ])
            .empty(303, "Back to the page; it is ended.")
            .refusal(400, "The form is not readable, too old, or of another browser.")
            .refusal(404, "The grant is not the customer's."),
    ]
}

/// What the OpenAPI document says of `/sign-out`.
pub fn describe_sign_out() -> Vec<Operation> {
    vec![
        operation::post("End the session")
            .form([required("csrf", 128, "From the page.")])
            .empty(303, "To the sign-in page.")
            .refusal(400, "The form is not readable, too old, or of another browser."),
    ]
}
