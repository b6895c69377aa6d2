//! Where a posted form redirects the browser: one of our pages, which it can reload and go back to,
//! and the data that page needs.
//!
//! The data is in the store, under the hash of a number in the page's address. An address that
//! contained it would grow with what the client sent, and proxies allow 4 KiB of headers.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::form::Form;
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use crate::authorization::request::AuthorizationRequest;
use crate::authorization::way_back::{linking_back, to_front_door};
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::respond::see_other;
use crate::node::app::App;

/// The query parameter that names a continuation.
pub const PARAMETER: &str = "continue";
/// The query parameter that names the client.
pub const CLIENT: &str = "for";

/// The data that a page continues with.
pub trait Continuation: Serialize + DeserializeOwned {
    /// The path of the page.
    const PATH: &str;
    /// Seconds for which the page can be reloaded. It is rendered from current data each time.
    const LIFETIME: Seconds;

    /// The authorization request concerned, if any.
    fn request(&self) -> Option<&AuthorizationRequest>;
}

fn key_of(number: &[u8; 16]) -> [u8; 32] {
    MacKey::new(number).mac(&[b"continuation"])
}

/// Redirects the browser; without a known `browser`, any browser may follow. The address also names
/// the client, so that the page can link back even when the rest is lost.
///
/// # Errors
/// The store can't answer.
pub async fn send_on<C: Continuation>(
    app: &App,
    browser: Option<&Browser>,
    next: &C,
    now: Timestamp,
) -> Result<Response, Refused> {
    let number = random::bytes::<16>();
    let continuation = counterfoil_store::Continuation {
        browser: browser.map(|browser| Browser::hash_of(browser.newest_id())),
        kind: C::PATH.trim_start_matches('/').to_owned(),
        // These types always serialise.
        document: serde_json::to_string(next).unwrap_or_default(),
        expires_at: now.plus(C::LIFETIME),
    };
    app.store
        .keep_continuation(key_of(&number), continuation)
        .await
        .map_err(Refused::unavailable_page)?;
    let mut query = Serializer::new(String::new());
    query.append_pair(PARAMETER, &URL_SAFE_NO_PAD.encode(number));
    query.extend_pairs(next.request().map(|request| (CLIENT, &request.client)));
    Ok(see_other(&format!("{}?{}", C::PATH, query.finish())))
}

/// Reads the data for the page at `C::PATH`.
///
/// # Errors
/// A page, if it is unknown or another browser's, or the store can't answer.
pub async fn read<C: Continuation>(
    app: &App,
    query: &Form<'_>,
    browser: &Browser,
    now: Timestamp,
) -> Result<C, Refused> {
    let refuse = |reason| Refused::page(StatusCode::BAD_REQUEST, "session", reason);
    let forgotten = |reason| {
        refuse(reason).leading_to(query.get(CLIENT).and_then(|client| to_front_door(app, client)))
    };
    let number = query
        .get(PARAMETER)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|number| number.try_into().ok());
    let Some(number) = number else {
        return Err(forgotten("what the page goes on with is missing"));
    };
    let found =
        app.store.continuation(&key_of(&number), now).await.map_err(Refused::unavailable_page)?;
    let found = found.filter(|found| found.kind == C::PATH.trim_start_matches('/'));
    let Some(continuation) = found else {
        return Err(forgotten(
            "what the page goes on with is not known, or was known too long ago",
        ));
    };
    let Ok(next) = serde_json::from_str::<C>(&continuation.document) else {
        return Err(forgotten("what the page goes on with was written by another version"));
    };
    if continuation.browser.is_none_or(|hash| browser.ids().any(|id| Browser::hash_of(id) == hash))
    {
        return Ok(next);
    }
    let refused =
        refuse("what the page goes on with is another browser's, or this one has lost its cookies");
    Err(match next.request() {
        Some(request) => linking_back(refused, app, request).await,
        None => refused,
    })
}
