//! A customer's session: begun by signing in, ended by signing out, by its age, by a new password, or with the customer.

use crate::app::App;
use crate::cookies::Cookie;
use crate::passwords::SignedIn;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{MINUTE, Seconds, Timestamp};
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use counterfoil_core::secret::same;
use counterfoil_store::{Session, StoreError};

/// Seconds that a session lasts.
const LIFETIME: Seconds = 30 * MINUTE;

/// What the store keeps a session under: not the cookie, so a stolen store opens no session.
fn key_of(cookie: &[u8; 32]) -> [u8; 32] {
    MacKey::new(cookie).mac(&[b"session"])
}

/// The session of the browser that sent this request.
///
/// # Errors
/// [`StoreError`].
pub async fn current(app: &App, headers: &HeaderMap, now: Timestamp) -> Result<Option<Session>, StoreError> {
    match Cookie::Session.read(app, headers) {
        Some(cookie) => app.store.session(&key_of(&cookie), now).await,
        None => Ok(None),
    }
}

/// Begins a session of a customer who has just proven who they are, which counts as done at `authenticated_at`, and puts its cookie on the answer. The one before ends.
///
/// # Errors
/// [`StoreError`].
pub async fn begin(
    app: &App,
    headers: &HeaderMap,
    signed_in: SignedIn,
    authenticated_at: Timestamp,
    now: Timestamp,
    response: &mut Response,
) -> Result<(), StoreError> {
    if let Some(before) = Cookie::Session.read(app, headers) {
        app.store.end_session(key_of(&before)).await?;
    }
    let cookie = random::bytes();
    let SignedIn { customer, era } = signed_in;
    let session =
        Session { customer: customer.id, name: customer.name, authenticated_at, expires_at: now.plus(LIFETIME), customer_era: era };
    app.store.create_session(key_of(&cookie), session).await?;
    Cookie::Session.set(app, response, &cookie);
    Ok(())
}

/// Ends the session of the browser that sent this request.
///
/// # Errors
/// [`StoreError`].
pub async fn end(app: &App, headers: &HeaderMap, response: &mut Response) -> Result<(), StoreError> {
    if let Some(cookie) = Cookie::Session.read(app, headers) {
        app.store.end_session(key_of(&cookie)).await?;
    }
    Cookie::Session.clear(app, response);
    Ok(())
}

/// A value that forms within this session carry, which no other site can know.
pub fn csrf_token(app: &App, headers: &HeaderMap) -> Option<String> {
    let cookie = Cookie::Session.read(app, headers)?;
    Some(URL_SAFE_NO_PAD.encode(app.keys.ring().tickets.mac(&[b"csrf", &cookie])))
}

/// Whether a form carries the value of its session.
pub fn is_csrf_token(app: &App, headers: &HeaderMap, sent: Option<&str>) -> bool {
    csrf_token(app, headers).zip(sent).is_some_and(|(expected, sent)| same(expected.as_bytes(), sent.as_bytes()))
}
