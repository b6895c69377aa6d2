//! A customer's session: started by signing in; ended by signing out, by its age, by a new
//! password, or with the customer.

use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{MINUTE, Seconds, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use counterfoil_core::secret::same;
use counterfoil_store::{Session, StoreError};

use crate::customer::passwords::Authentication;
use crate::http::cookies::{Browser, SessionCookie};
use crate::node::app::App;

/// The lifetime of a session, in seconds.
const SESSION_LIFETIME: Seconds = 30 * MINUTE;
/// How long the same customer's previous session remains valid, in seconds: another tab may just
/// have sent its cookie.
const PREVIOUS_SESSION_LIFETIME: Seconds = MINUTE;

/// The store's key for a session: not the cookie, so a stolen store opens no session.
fn key_of(cookie: &[u8; 32]) -> [u8; 32] {
    MacKey::new(cookie).mac(&[b"session"])
}

/// The session of the browser that sent this request.
///
/// # Errors
/// [`StoreError`].
pub async fn current(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    match SessionCookie::read(app, headers) {
        Some(cookie) => app.store.session(&key_of(&cookie), now).await,
        None => Ok(None),
    }
}

/// Starts a session for a customer who has just authenticated, dated `authenticated_at`, and sets
/// its cookie. Another customer's previous session ends now; the same customer's a minute later.
///
/// # Errors
/// [`StoreError`].
pub async fn begin(
    app: &App,
    headers: &HeaderMap,
    authentication: Authentication,
    authenticated_at: Timestamp,
    now: Timestamp,
    response: &mut Response,
) -> Result<(), StoreError> {
    let before = SessionCookie::read(app, headers).map(|cookie| key_of(&cookie));
    let cookie = random::bytes();
    let Authentication { customer, era } = authentication;
    let session = Session {
        customer: customer.id,
        name: customer.name,
        authenticated_at,
        expires_at: now.plus(SESSION_LIFETIME),
        customer_era: era,
    };
    app.store
        .create_session(key_of(&cookie), session, before, now.plus(PREVIOUS_SESSION_LIFETIME))
        .await?;
    SessionCookie::set(app, response, &cookie);
    Ok(())
}

/// Ends the session of the browser that sent this request.
///
/// # Errors
/// [`StoreError`].
pub async fn end(
    app: &App,
    headers: &HeaderMap,
    response: &mut Response,
) -> Result<(), StoreError> {
    if let Some(cookie) = SessionCookie::read(app, headers) {
        app.store.end_session(key_of(&cookie)).await?;
    }
    SessionCookie::clear(app, response);
    Ok(())
}

/// The CSRF token in the forms of a customer's own pages. Bound to the browser rather than the
/// session, which another tab may replace while the page is open.
pub fn csrf_token(app: &App, browser: &Browser, customer: &CustomerId) -> String {
    csrf_token_for(app, browser.newest_id(), customer)
}

/// Whether a form carries the CSRF token of its browser and customer.
pub fn is_csrf_token(
    app: &App,
    browser: &Browser,
    customer: &CustomerId,
    sent: Option<&str>,
) -> bool {
    let is_of = |id| {
        sent.is_some_and(|sent| same(csrf_token_for(app, id, customer).as_bytes(), sent.as_bytes()))
    };
    browser.ids().any(is_of)
}

fn csrf_token_for(app: &App, browser: &[u8; 32], customer: &CustomerId) -> String {
    let mac = app.keys.ring().tickets.mac(&[
        b"csrf",
        browser,
        customer.provider.as_bytes(),
        customer.customer.as_bytes(),
    ]);
    URL_SAFE_NO_PAD.encode(mac)
}
