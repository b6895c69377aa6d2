//! The two cookies: one names the browser, to bind forms to it; one names the customer's session.

use crate::app::App;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::random;

/// Random bytes of a cookie.
const LENGTH: usize = 32;

/// A cookie of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cookie {
    /// Names the browser. Worth nothing but that forms can be bound to it.
    Browser,
    /// Names the session; the store keeps its hash.
    Session,
}

impl Cookie {
    /// Off loopback the `__Host-` prefix makes browsers hold it to this host and to TLS (RFC 6265bis section 4.1.3.2).
    const fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Browser, true) => "__Host-counterfoil-browser",
            (Self::Browser, false) => "counterfoil-browser",
            (Self::Session, true) => "__Host-counterfoil-session",
            (Self::Session, false) => "counterfoil-session",
        }
    }

    /// The cookie as the browser sent it; `None` where it is missing or not one that we set.
    pub fn read(self, app: &App, headers: &HeaderMap) -> Option<[u8; LENGTH]> {
        let name = self.name(app.settings.is_https());
        let pairs = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok()).flat_map(|header| header.split(';'));
        let value = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)?;
        URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()
    }

    /// Has the browser keep the cookie until it is closed.
    pub fn set(self, app: &App, response: &mut Response, value: &[u8; LENGTH]) {
        self.write(app, response, &URL_SAFE_NO_PAD.encode(value), "");
    }

    /// Has the browser forget the cookie.
    pub fn clear(self, app: &App, response: &mut Response) {
        self.write(app, response, "", "; Max-Age=0");
    }

    fn write(self, app: &App, response: &mut Response, value: &str, extra: &str) {
        let https = app.settings.is_https();
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{extra}", self.name(https));
        // Names and base64url are header text.
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// The browser that sent a request: known by its cookie, or given one with the answer.
#[derive(Clone, Copy, Debug)]
pub struct Browser {
    /// What names it.
    pub id: [u8; LENGTH],
    known: bool,
}

impl Browser {
    /// The browser that sent this request.
    pub fn of(app: &App, headers: &HeaderMap) -> Self {
        match Cookie::Browser.read(app, headers) {
            Some(id) => Self { id, known: true },
            None => Self { id: random::bytes(), known: false },
        }
    }

    /// Gives the browser its cookie, if it has none yet.
    pub fn remember(&self, app: &App, mut response: Response) -> Response {
        if !self.known {
            Cookie::Browser.set(app, &mut response, &self.id);
        }
        response
    }
}
