//! Cookies: one identifies the customer's session, the others the browser, so that forms can be
//! bound to it.
//!
//! Tabs opened at the same time in a fresh browser each get a cookie under its own name, so that
//! none overwrites another's. From then on any of them identifies the browser, and no more are set.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::mac::MacKey;
use counterfoil_core::random;
use counterfoil_core::settings::Settings;

use crate::node::app::App;

/// Random bytes in a cookie's value.
const LENGTH: usize = 32;
/// Bytes of a browser cookie's value that its name repeats. In base64url they are 8 characters,
/// longer than any port.
const TAG: usize = 6;
/// How many cookies a browser keeps. Each takes 90 bytes of a header line, for which proxies allow
/// 8 KiB.
const MOST_COOKIES: usize = 40;
/// How many cookies one answer removes. Each takes 100 bytes of its head, for which proxies allow 4
/// KiB.
const MOST_TAKEN_AWAY: usize = 8;

/// The name of a cookie. Off loopback the `__Host-` prefix makes browsers restrict it to this host
/// and to TLS (RFC 6265bis section 4.1.3.2). Cookies ignore ports (RFC 6265 section 8.5), so the
/// port of the issuer, if any, is part of the name: two sandboxes on one host are two servers.
fn name(settings: &Settings, what: &str) -> String {
    let prefix = if settings.is_https() { "__Host-" } else { "" };
    let port = settings
        .issuer
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let (dash, port) = port.map_or(("", ""), |port| ("-", port));
    format!("{prefix}counterfoil-{what}{dash}{port}")
}

/// The cookies of a request, one by one: a malformed cookie of another application on this host
/// must not affect the rest.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
        })
}

fn decode(value: &[u8]) -> Option<[u8; LENGTH]> {
    URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()
}

fn write(app: &App, response: &mut Response, name: &str, value: &str, extra: &str) {
    let secure = if app.settings.is_https() { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{extra}");
    // Names and base64url are valid in headers.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// The cookie of a customer's session, kept until the browser is closed. The store holds its hash.
#[derive(Debug)]
pub struct SessionCookie;

impl SessionCookie {
    /// The cookie as the browser sent it; `None` if it is missing or not one of ours.
    pub fn read(app: &App, headers: &HeaderMap) -> Option<[u8; LENGTH]> {
        let ours = name(&app.settings, "session");
        cookies(headers)
            .filter(|(name, _)| *name == ours.as_bytes())
            .find_map(|(_, value)| decode(value))
    }

    /// Sets the cookie.
    pub fn set(app: &App, response: &mut Response, value: &[u8; LENGTH]) {
        write(app, response, &name(&app.settings, "session"), &URL_SAFE_NO_PAD.encode(value), "");
    }

    /// Removes the cookie.
    pub fn clear(app: &App, response: &mut Response) {
        write(app, response, &name(&app.settings, "session"), "", "; Max-Age=0");
    }
}

/// The browser that sent a request: identified by its cookies, or given one with the answer. The
/// cookies grant nothing; forms are bound to them.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The values of its cookies, newest last.
    ids: Vec<[u8; LENGTH]>,
    known: bool,
    /// Names of cookies beyond the limit.
    surplus: Vec<String>,
}

impl Browser {
    /// Identifies the browser that sent this request.
    pub fn of(app: &App, headers: &HeaderMap) -> Self {
        let ours = name(&app.settings, "browser");
        let is_ours = |name: &[u8]| {
            // Versions that set only one cookie gave it no tag.
            name.strip_prefix(ours.as_bytes()).is_some_and(|tag| {
                tag.is_empty() || (tag[0] == b'-' && tag.len() == 1 + tag_of(&[0; LENGTH]).len())
            })
        };
        let sent: Vec<(&[u8], [u8; LENGTH])> = cookies(headers)
            .filter(|(name, _)| is_ours(name))
            .filter_map(|(name, value)| Some((name, decode(value)?)))
            .collect();
        // Browsers send the oldest first (RFC 6265 section 5.4).
        let surplus =
            sent.iter().take(sent.len().saturating_sub(MOST_COOKIES).min(MOST_TAKEN_AWAY));
        let surplus = surplus.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        match sent.is_empty() {
            false => Self {
                ids: sent.into_iter().map(|(_, value)| value).collect(),
                known: true,
                surplus,
            },
            true => Self { ids: vec![random::bytes()], known: false, surplus },
        }
    }

    /// What new forms are bound to.
    pub fn newest_id(&self) -> &[u8; LENGTH] {
        // There is at least one.
        self.ids.last().unwrap_or(&[0; LENGTH])
    }

    /// Every id of the browser.
    pub fn ids(&self) -> impl Iterator<Item = &[u8; LENGTH]> {
        self.ids.iter()
    }

    /// What the store identifies a browser by instead of its cookie.
    pub fn hash_of(id: &[u8; LENGTH]) -> [u8; 32] {
        MacKey::new(id).mac(&[b"browser"])
    }

    /// Sets the browser's cookie if it has none yet.
    pub fn remember(&self, app: &App, mut response: Response) -> Response {
        let new = self.newest_id();
        if !self.known {
            let name = format!("{}-{}", name(&app.settings, "browser"), tag_of(new));
            write(app, &mut response, &name, &URL_SAFE_NO_PAD.encode(new), "");
        }
        for name in &self.surplus {
            write(app, &mut response, name, "", "; Max-Age=0");
        }
        response
    }
}

fn tag_of(id: &[u8; LENGTH]) -> String {
    URL_SAFE_NO_PAD.encode(&id[..TAG])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_is_no_matter_to_the_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_bytes(b"a=\xe9\xff; b=1;; =x; lone ;\xc3\xa9=2;c = d=e ").unwrap(),
        );
        headers.append(COOKIE, HeaderValue::from_static("f=3"));
        let read: Vec<_> = cookies(&headers).collect();
        let expected: [(&[u8], &[u8]); 6] = [
            (b"a", b"\xe9\xff"),
            (b"b", b"1"),
            (b"", b"x"),
            (b"\xc3\xa9", b"2"),
            (b"c", b"d=e"),
            (b"f", b"3"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_port_is_part_of_the_name() {
        let named = |issuer: &str| {
            let settings = Settings {
                issuer: issuer.into(),
                dialect: Default::default(),
                lifetimes: Default::default(),
                providers: vec![],
            };
            name(&settings, "session")
        };
        for (issuer, expected) in [
            ("http://127.0.0.1:8080", "counterfoil-session-8080"),
            ("http://[::1]:5", "counterfoil-session-5"),
            ("http://[::1]", "counterfoil-session"),
            ("https://auth.bank.example", "__Host-counterfoil-session"),
            ("https://auth.bank.example:8443", "__Host-counterfoil-session-8443"),
        ] {
            assert_eq!(named(issuer), expected);
        }
    }
}
