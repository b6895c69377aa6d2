//! Where a posted form sends the browser on to: a page of ours that it can reload and go back to,
//! and what that page needs to know.
//!
//! It is kept in the store, under the hash of a number in the page's address. An address that held
//! it would grow with what the client sent, and proxies take 4 KiB of headers.

use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::{DAY, HOUR, Seconds, Timestamp};
use counterfoil_core::form::Form;
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use crate::authorization::answer::WayBack;
use crate::customer::consent::ShownAgain;
use crate::customer::sign_in::Attempt;
use crate::customer::ticket::{AuthorizationRequest, Purpose};
use crate::http::cookies::Browser;
use crate::http::refused::Refused;
use crate::http::respond::see_other;
use crate::node::app::App;

/// The parameter that names one.
pub const PARAMETER: &str = "continue";
/// The parameter that names the client.
pub const CLIENT: &str = "for";

/// How many are kept in a second of those that need no proof of anything: whoever posts a thousand
/// wrong passwords a second must not fill the store.
const MOST_IN_A_SECOND: u32 = 20;

/// What a page goes on with.
pub trait Continuation: Serialize + DeserializeOwned {
    /// The path of the page.
    const PATH: &str;
    /// Seconds for which the page can be reloaded. What it shows is made anew each time.
    const LIFETIME: Seconds;

    /// The request that it is about, if it is about one.
    fn request(&self) -> Option<&AuthorizationRequest>;
}

/// An authorization request that was posted, and that no address can hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct Posted {
    /// The request.
    pub request: AuthorizationRequest,
    /// Whether nobody must be asked (`prompt=none`).
    pub prompt_none: bool,
}

/// A sign-in that did not succeed, or that must be done once more.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInAgain {
    /// What for.
    pub purpose: Purpose,
    /// What was tried.
    pub attempt: Attempt,
}

/// A consent page, after signing in or once more.
#[derive(Debug, Serialize, Deserialize)]
pub struct ToConsent {
    /// What is asked.
    pub request: AuthorizationRequest,
    /// Why it is shown again; `None` the first time.
    pub again: Option<ShownAgain>,
}

impl Continuation for Posted {
    const PATH: &str = "/authorize";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        Some(&self.request)
    }
}

impl Continuation for SignInAgain {
    const PATH: &str = "/sign-in";
    const LIFETIME: Seconds = 4 * HOUR;

    fn request(&self) -> Option<&AuthorizationRequest> {
        match &self.purpose {
            Purpose::Authorize(request) => Some(request),
            Purpose::ConnectedApps => None,
        }
    }
}

impl Continuation for ToConsent {
    const PATH: &str = "/consent";
    const LIFETIME: Seconds = DAY;

    fn request(&self) -> Option<&AuthorizationRequest> {
        Some(&self.request)
    }
}

fn key_of(number: &[u8; 16]) -> [u8; 32] {
    MacKey::new(number).mac(&[b"continuation"])
}

/// Sends the browser on: `browser`, or whichever follows where that is not known. The address names
/// the client too, so that the page finds the way back when all else is forgotten.
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
        .map_err(|error| Refused::unavailable_page(app, error))?;
    let mut query = Serializer::new(String::new());
    query.append_pair(PARAMETER, &URL_SAFE_NO_PAD.encode(number));
    query.extend_pairs(next.request().map(|request| (CLIENT, &request.client)));
    Ok(see_other(&format!("{}?{}", C::PATH, query.finish())))
}

/// How many were kept in the second that it is.
#[derive(Debug, Default)]
pub struct Budget(Mutex<(Option<Timestamp>, u32)>);

impl Budget {
    /// Whether one more may be kept.
    pub fn take(&self, now: Timestamp) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != Some(now) {
            *kept = (Some(now), 0);
        }
        kept.1 += 1;
        kept.1 <= MOST_IN_A_SECOND
    }
}

/// What the page at `C::PATH` goes on with.
///
/// # Errors
/// A page, where it is not known, or not this browser's, or the store can't answer.
pub async fn read<C: Continuation>(
    app: &App,
    query: &Form<'_>,
    browser: &Browser,
    now: Timestamp,
) -> Result<C, Refused> {
    let refuse = |reason| Refused::page(app, StatusCode::BAD_REQUEST, "session", reason);
    let forgotten = |reason| {
        refuse(reason).leading_to(
            app,
            query.get(CLIENT).and_then(|client| WayBack::to_front_door(app, client)),
        )
    };
    let number = query
        .get(PARAMETER)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|number| number.try_into().ok());
    let Some(number) = number else {
        return Err(forgotten("what the page goes on with is missing"));
    };
    let found = app
        .store
        .continuation(&key_of(&number), now)
        .await
        .map_err(|error| Refused::unavailable_page(app, error))?;
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
        Some(request) => refused.linking_back(app, request).await,
        None => refused,
    })
}
