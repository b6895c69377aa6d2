//! Tickets: the customer's pending task, carried by the page itself, so that no node has to
//! remember it.
//!
//! A ticket is authenticated under our key and bound to the browser it was issued to, so no other
//! site can make or post a form with one (CSRF), and nothing in it can be altered.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{MINUTE, Seconds, Timestamp};
use counterfoil_core::form::Form;
use counterfoil_core::secret::same;
use serde::{Deserialize, Serialize};

use crate::authorization::request::AuthorizationRequest;
use crate::authorization::way_back::linking_back;
use crate::customer::consent_page::snapshot::PageSnapshot;
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::node::app::App;

/// Seconds for which a page may stay open before the customer is asked again.
const PAGE_LIFETIME: Seconds = 30 * MINUTE;

/// What a customer signs in for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To answer an authorization request.
    Authorize(Box<AuthorizationRequest>),
    /// To see their connected apps.
    ConnectedApps,
}

/// A ticket once opened.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The customer's pending task.
    pub purpose: Purpose,
    /// What the page showed, if it asked for consent. Nothing else can be allowed.
    pub snapshot: Option<PageSnapshot>,
    /// Whether it is too old for anything but a refusal.
    pub is_old: bool,
}

/// A ticket that does not open. It may still be ours, but issued to another browser, or to this one
/// before it lost its cookies.
#[derive(Debug)]
pub struct TicketError {
    /// The request, if the ticket is ours: the browser can only be sent back to the client with a
    /// refusal.
    pub request: Option<Box<AuthorizationRequest>>,
}

impl TicketError {
    /// The error page.
    pub async fn refused(self, app: &App) -> Refused {
        let reason = "the ticket is missing, another page's, or another browser's";
        let refused = Refused::page(StatusCode::BAD_REQUEST, "session", reason);
        match self.request {
            Some(request) => linking_back(refused, app, &request).await,
            None => refused,
        }
    }
}

/// A ticket's JSON. Nodes of the first version write it without a snapshot, and ignore one when
/// they read it: while nodes are upgraded, a page of one version may be answered at the other.
#[derive(Serialize, Deserialize)]
struct TicketDocument {
    expires_at: Timestamp,
    purpose: Purpose,
    #[serde(rename = "shown", default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<PageSnapshot>,
    /// A MAC of the rest, independent of the browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authentic: Option<String>,
}

impl TicketDocument {
    fn json(&self) -> Vec<u8> {
        // These types always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The MAC of a ticket, computed without its own field.
    fn mac(&self, app: &App) -> String {
        URL_SAFE_NO_PAD.encode(app.keys.ring().tickets.mac(&[b"authentic ticket", &self.json()]))
    }
}

/// A ticket for this browser only, for a page with this snapshot, or one that has asked for nothing
/// yet.
pub fn write(
    app: &App,
    purpose: &Purpose,
    snapshot: Option<&PageSnapshot>,
    browser: &Browser,
    now: Timestamp,
) -> String {
    let mut ticket = TicketDocument {
        expires_at: now.plus(PAGE_LIFETIME),
        purpose: purpose.clone(),
        snapshot: snapshot.cloned(),
        authentic: None,
    };
    ticket.authentic = Some(ticket.mac(app));
    let body = ticket.json();
    let mac = app.keys.ring().tickets.mac(&[b"ticket", browser.newest_id(), &body]);
    format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(mac))
}

/// Opens the ticket of a posted form.
///
/// # Errors
/// A page, if it does not open.
pub async fn of_form(
    app: &App,
    form: &Form<'_>,
    browser: &Browser,
    now: Timestamp,
) -> Result<Ticket, Refused> {
    match open(app, form.get("ticket").unwrap_or_default(), browser, now) {
        Ok(ticket) => Ok(ticket),
        Err(error) => Err(error.refused(app).await),
    }
}

/// Opens a ticket.
///
/// # Errors
/// [`TicketError`] if it is not ours, or not this browser's.
pub fn open(
    app: &App,
    text: &str,
    browser: &Browser,
    now: Timestamp,
) -> Result<Ticket, TicketError> {
    let (body, mac) = text.split_once('.').unwrap_or_default();
    let (body, mac) = (
        URL_SAFE_NO_PAD.decode(body).unwrap_or_default(),
        URL_SAFE_NO_PAD.decode(mac).unwrap_or_default(),
    );
    let mut ticket: TicketDocument =
        serde_json::from_slice(&body).map_err(|_| TicketError { request: None })?;
    let tickets = app.keys.ring().tickets.clone();
    if browser.ids().any(|id| same(&tickets.mac(&[b"ticket", id, &body]), &mac)) {
        let TicketDocument { expires_at, purpose, snapshot, .. } = ticket;
        return Ok(Ticket { purpose, snapshot, is_old: now >= expires_at });
    }
    let authentic =
        ticket.authentic.take().is_some_and(|mac| same(ticket.mac(app).as_bytes(), mac.as_bytes()));
    match ticket.purpose {
        Purpose::Authorize(request) if authentic => Err(TicketError { request: Some(request) }),
        _ => Err(TicketError { request: None }),
    }
}
