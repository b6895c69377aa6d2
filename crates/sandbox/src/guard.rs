//! Keeps other sites away from the sandbox's own routes.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use counterfoil_core::dialect::Refusal;
use counterfoil_server::App;
use counterfoil_server::http::operation::Operation;
use counterfoil_server::http::refused::Refused;
use url::{Host, Url};

use crate::{CALLBACK, Sandbox};

/// The sandbox, extracted only from requests meant for this machine. Another site's page must not
/// move the clock, neither with a plain form (foreign `Origin`) nor by DNS rebinding (foreign
/// `Host`). Every handler of the sandbox's own routes takes it.
pub struct Local(pub Arc<Sandbox>);

impl FromRequestParts<Arc<App>> for Local {
    type Rejection = Refused;

    /// # Errors
    /// 403.
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let sandbox = parts.extensions.get::<Arc<Sandbox>>().cloned();
        let sandbox = sandbox.ok_or_else(|| Refused::internal("this is no sandbox"))?;
        match foreign(app, &sandbox, &parts.headers, &parts.uri) {
            Some(reason) => {
                Err(Refused::oauth(Refusal::ForeignOrigin, app.settings.dialect, reason))
            }
            None => Ok(Self(sandbox)),
        }
    }
}

/// Why a request is not meant for this machine; `None` where it is.
fn foreign(app: &App, sandbox: &Sandbox, headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).or(uri.authority().map(|authority| authority.as_str()));
    if !host.is_some_and(|host| is_here(app, sandbox, &format!("http://{host}"))) {
        return Some("the Host is neither the issuer's nor a loopback one, nor named with --host");
    }
    // Our own pages send no referrer, so a form they post to the callback has `Origin: null`. That is
    // harmless: the callback changes nothing.
    let foreign =
        uri.path() != CALLBACK && text(ORIGIN).is_some_and(|origin| !is_here(app, sandbox, origin));
    foreign.then_some("the Origin is a foreign one")
}

/// Whether an origin is the issuer's host, one given with `--host`, `localhost` or a loopback
/// address, on any port.
fn is_here(app: &App, sandbox: &Sandbox, origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    match url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => true,
        Some(Host::Ipv6(address)) if address.is_loopback() => true,
        Some(Host::Domain("localhost")) => true,
        Some(host) if sandbox.hosts.contains(&host.to_owned()) => true,
        Some(host) => {
            Url::parse(&app.settings.issuer).is_ok_and(|issuer| issuer.host() == Some(host))
        }
        None => false,
    }
}

/// What the OpenAPI document says of every operation that takes [`Local`].
pub fn local(operation: Operation) -> Operation {
    operation.refusal(403, "Host or Origin is foreign.")
}
