//! Tickets: what a customer is in the middle of, carried by the page itself, so that no node has to remember it.
//!
//! A ticket is authenticated under a key of ours and bound to its page and to the browser that it was given to, so a form with one can't be
//! made or posted by another site (CSRF), and nothing in it can be changed on the way.

use crate::app::App;
use crate::consent::Shown;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{MINUTE, Seconds, Timestamp};
use counterfoil_core::grant::GrantId;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::same;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Seconds for which a page may be left open before its form is too old.
const LIFETIME: Seconds = 30 * MINUTE;

/// An authorization request that was checked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The grant that will be made; set when the request comes in, so that a doubled Allow makes one.
    pub grant: GrantId,
    /// The client that asks.
    pub client: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// How: in the query, or by a form that the browser posts.
    pub form_post: bool,
    /// Given back as it came.
    pub state: Option<String>,
    /// For the first ID token.
    pub nonce: Option<String>,
    /// What is asked for, already cut to what the client may ask for.
    pub scopes: Scopes,
    /// The PKCE challenge.
    pub challenge: Option<Challenge>,
    /// The provider to sign in at, where the request names one.
    pub connector: Option<String>,
    /// The name to fill in.
    pub login_hint: Option<String>,
    /// The customer must have proven who they are at this moment or later (`prompt=login`, `max_age`).
    pub not_before: Option<Timestamp>,
}

/// What a customer signs in for: what the ticket of a sign-in page says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To be asked what a client may see. Nothing of that was shown yet.
    Authorize(Box<AuthorizationRequest>),
    /// To look at their connected apps.
    ConnectedApps,
}

impl Purpose {
    /// A ticket for this browser alone.
    pub fn write(&self, app: &App, browser: &[u8; 32], now: Timestamp) -> String {
        write(app, Page::SignIn, self, browser, now)
    }

    /// What a ticket of a sign-in page says; `None` where it is of another page, not ours, not this browser's, or too old.
    pub fn read(app: &App, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<Self> {
        read(app, Page::SignIn, text, browser, now)
    }
}

/// What a client asks, and how the customer was shown it: what the ticket of a consent page says. Nothing else can be allowed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// The request.
    pub request: AuthorizationRequest,
    /// What the page showed.
    pub shown: Shown,
}

impl Question {
    /// A ticket for this browser alone.
    pub fn write(&self, app: &App, browser: &[u8; 32], now: Timestamp) -> String {
        write(app, Page::Consent, self, browser, now)
    }

    /// What a ticket of a consent page says; `None` where it is of another page, not ours, not this browser's, or too old.
    pub fn read(app: &App, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<Self> {
        read(app, Page::Consent, text, browser, now)
    }
}

/// The page that a ticket is part of. None is taken for one of another page.
#[derive(Clone, Copy, Debug)]
enum Page {
    SignIn,
    Consent,
}

impl Page {
    /// Nodes of the first version write and read the first of these, for every page.
    const fn name(self) -> &'static [u8] {
        match self {
            Self::SignIn => b"ticket",
            Self::Consent => b"consent ticket",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Ticket<T> {
    expires_at: Timestamp,
    purpose: T,
}

fn write<T: Serialize>(app: &App, page: Page, purpose: &T, browser: &[u8; 32], now: Timestamp) -> String {
    let ticket = Ticket { expires_at: now.plus(LIFETIME), purpose };
    // These types always serialise.
    let body = serde_json::to_vec(&ticket).unwrap_or_default();
    let mac = app.keys.ring().tickets.mac(&[page.name(), browser, &body]);
    format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(mac))
}

fn read<T: DeserializeOwned>(app: &App, page: Page, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<T> {
    let (body, mac) = text.split_once('.')?;
    let (body, mac) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
    if !same(&app.keys.ring().tickets.mac(&[page.name(), browser, &body]), &mac) {
        return None;
    }
    let ticket: Ticket<T> = serde_json::from_slice(&body).ok()?;
    (now < ticket.expires_at).then_some(ticket.purpose)
}
