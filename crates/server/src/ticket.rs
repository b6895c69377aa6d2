//! Tickets: what a customer is in the middle of, carried by the page itself, so that no node has to remember it.
//!
//! A ticket is authenticated under a key of ours and bound to the browser that it was given to, so a form with one can't be
//! made or posted by another site (CSRF), and nothing in it can be changed on the way.

use crate::app::App;
use crate::consent::Shown;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{MINUTE, SKEW, Seconds, Timestamp};
use counterfoil_core::grant::GrantId;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::same;
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

impl AuthorizationRequest {
    /// When a customer signed in who did so for this request, at `now`: not before it asks for, though another node's clock, by which it asked, may be a little ahead.
    pub fn signed_in_at(&self, now: Timestamp) -> Timestamp {
        self.not_before.filter(|not_before| (0..=SKEW).contains(&not_before.since(now))).unwrap_or(now)
    }
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
        Ticket { expires_at: now.plus(LIFETIME), purpose: self.clone(), shown: None }.write(app, browser)
    }

    /// What a ticket is for; `None` where it is not ours, not this browser's, or too old.
    pub fn read(app: &App, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<Self> {
        Ticket::read(app, text, browser, now).map(|ticket| ticket.purpose)
    }
}

/// What a client asks, and how the customer was shown it: what the ticket of a consent page says. Nothing else can be allowed.
#[derive(Clone, Debug)]
pub struct Question {
    /// The request.
    pub request: AuthorizationRequest,
    /// What the page showed.
    pub shown: Shown,
}

impl Question {
    /// A ticket for this browser alone.
    pub fn write(&self, app: &App, browser: &[u8; 32], now: Timestamp) -> String {
        let purpose = Purpose::Authorize(Box::new(self.request.clone()));
        Ticket { expires_at: now.plus(LIFETIME), purpose, shown: Some(self.shown.clone()) }.write(app, browser)
    }

    /// What a ticket of a consent page says; `None` where it does not say what was shown, is not ours, not this browser's, or too old.
    pub fn read(app: &App, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<Self> {
        match Ticket::read(app, text, browser, now)? {
            Ticket { purpose: Purpose::Authorize(request), shown: Some(shown), .. } => Some(Self { request: *request, shown }),
            _ => None,
        }
    }
}

/// What a page carries. Nodes of the first version write it without what was shown, and read it without looking at that: while nodes are replaced, a page of
/// one version is answered at the other.
#[derive(Serialize, Deserialize)]
struct Ticket {
    expires_at: Timestamp,
    purpose: Purpose,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
}

impl Ticket {
    fn write(&self, app: &App, browser: &[u8; 32]) -> String {
        // These types always serialise.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mac = app.keys.ring().tickets.mac(&[b"ticket", browser, &body]);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(mac))
    }

    fn read(app: &App, text: &str, browser: &[u8; 32], now: Timestamp) -> Option<Self> {
        let (body, mac) = text.split_once('.')?;
        let (body, mac) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        if !same(&app.keys.ring().tickets.mac(&[b"ticket", browser, &body]), &mac) {
            return None;
        }
        let ticket: Self = serde_json::from_slice(&body).ok()?;
        (now < ticket.expires_at).then_some(ticket)
    }
}
