//! What only a sandbox has: codes without a browser, a clock that can be moved, a callback page, a
//! front page, and who lives in it.

mod approval;
pub mod callback;
pub mod clock;
pub mod codes;
pub mod dashboard;
pub mod faults;
pub mod grade;
pub mod requests;
pub mod seed;
pub mod walkthrough;

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};
use counterfoil_core::dialect::{ErrorCode, WireError};
use url::{Host, Url};

use crate::http::refused::Refused;
use crate::node::app::App;
use crate::sandbox::faults::Faults;
use crate::sandbox::grade::Grading;
use crate::sandbox::requests::Requests;

/// The provider that a sandbox has.
pub const PROVIDER: &str = "sandbank";
/// Where the sandbox's own clients receive codes.
pub const CALLBACK: &str = "/sandbox/callback";

/// What a sandbox has that no other server has.
#[derive(Debug, Default)]
pub struct Sandbox {
    /// What is asked to go wrong.
    pub faults: Faults,
    /// The last requests, for people to look at.
    pub requests: Requests,
    /// The client that is graded, if one is.
    pub grading: Grading,
    /// Hosts that `/sandbox/*` may be asked for besides the issuer's and loopback ones.
    pub hosts: Vec<Host>,
}

/// Lets only requests through that are meant for this machine: a page of another site must not move
/// the clock, be it by a plain form (foreign `Origin`) or by a name of its own that it makes
/// resolve to loopback (foreign `Host`).
///
/// # Errors
/// 403.
pub fn guard(app: &App, request: &Request) -> Result<(), Refused> {
    match foreign(app, request.headers(), request.uri()) {
        Some(reason) => Err(Refused::wire(
            WireError { status: 403, error: ErrorCode::AccessDenied, description: None },
            None,
            reason,
        )),
        None => Ok(()),
    }
}

/// What about a request is not of this machine.
fn foreign(app: &App, headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).or(uri.authority().map(|authority| authority.as_str()));
    if !host.is_some_and(|host| is_here(app, &format!("http://{host}"))) {
        return Some("the Host is neither the issuer's nor a loopback one, nor named with --host");
    }
    // Our own pages send no referrer, so a form that they post to the callback has the Origin
    // `null`; the callback changes nothing.
    let foreign =
        uri.path() != CALLBACK && text(ORIGIN).is_some_and(|origin| !is_here(app, origin));
    foreign.then_some("the Origin is a foreign one")
}

/// Whether an origin is the issuer's host, one that was named at the start, `localhost` or a
/// loopback address, at any port.
fn is_here(app: &App, origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    match url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => true,
        Some(Host::Ipv6(address)) if address.is_loopback() => true,
        Some(Host::Domain("localhost")) => true,
        Some(host)
            if app
                .sandbox
                .as_ref()
                .is_some_and(|sandbox| sandbox.hosts.contains(&host.to_owned())) =>
        {
            true
        }
        Some(host) => {
            Url::parse(&app.settings.issuer).is_ok_and(|issuer| issuer.host() == Some(host))
        }
        None => false,
    }
}
