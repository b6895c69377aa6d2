//! How an authorization request is answered: a redirect, or a page that posts a form, back to the
//! client (RFC 9207 adds `iss`).

use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_core::dialect::ErrorCode;
use counterfoil_core::redirect_uri::with_query;
use counterfoil_core::secret::Secret;
use url::Url;

use crate::customer::ticket::AuthorizationRequest;
use crate::http::observe::Seen;
use crate::http::refused::Refused;
use crate::http::respond::{Forms, page, see_other};
use crate::node::app::App;
use crate::pages::FormPost;

/// The longest address that a browser is sent back to, in bytes: what nginx takes of all headers of
/// an answer, a page of memory of 4 KiB, without those that are beside it.
pub const LONGEST_LOCATION: usize = 3600;
/// The longest `state` that a form gives back, in bytes.
const LONGEST_POSTED_STATE: usize = 4096;
/// Bytes of an answer beside the redirect URI, state and issuer: a code, or an error in words.
const REST_OF_ANSWER: usize = 250;

/// Whether `state` is short enough to be given back to the redirect URI with whatever the answer
/// will be.
pub fn can_give_back(app: &App, redirect_uri: &str, form_post: bool, state: &str) -> bool {
    if form_post {
        return state.len() <= LONGEST_POSTED_STATE;
    }
    let answer = with_query(redirect_uri, &[("state", state), ("iss", &app.settings.issuer)]);
    answer.is_some_and(|answer| answer.len() + REST_OF_ANSWER <= LONGEST_LOCATION)
}

/// The way back to an app from a page that tells of an error: a link, or the fields of a form where
/// the app is answered by one.
#[derive(Debug)]
pub struct WayBack {
    /// The app's name.
    pub client_name: String,
    /// Where the link or the form goes.
    pub uri: String,
    /// The fields of the form; none for a link.
    pub fields: Vec<(&'static str, String)>,
}

impl WayBack {
    /// The way to the front door of a client of which nothing else is known than that it asked for
    /// something.
    pub fn to_front_door(app: &App, client: &str) -> Option<Self> {
        let client = app.client(client)?;
        Self::to_front_door_of(client.settings.redirect_uris.first()?, client.settings.name.clone())
    }

    fn to_front_door_of(redirect_uri: &str, client_name: String) -> Option<Self> {
        let front_door = Url::parse(redirect_uri).ok()?.join("/").ok()?;
        Some(Self { client_name, uri: front_door.into(), fields: Vec::new() })
    }

    /// The way back for a request, which tells the app `error`; to the app's own front door where
    /// it has got an answer before. `None` where the browser may not be sent there any more.
    pub fn of(app: &App, request: &AuthorizationRequest, error: Option<ErrorCode>) -> Option<Self> {
        let client = app
            .client(&request.client)
            .filter(|client| client.settings.may_redirect_to(&request.redirect_uri))?;
        let client_name = client.settings.name.clone();
        let uri = &request.redirect_uri;
        let Some(error) = error else {
            return Self::to_front_door_of(uri, client_name);
        };
        let mut fields = vec![("error", error.as_str().to_owned())];
        fields.extend(request.state.clone().map(|state| ("state", state)));
        fields.push(("iss", app.settings.issuer.clone()));
        if request.form_post {
            return Some(Self { client_name, uri: uri.clone(), fields });
        }
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Some(Self { client_name, uri: with_query(uri, &fields)?, fields: Vec::new() })
    }
}

/// Sends the browser back with a code.
///
/// # Errors
/// Where the redirect URI is none, which registration rules out.
pub fn redirect_code(
    app: &App,
    request: &AuthorizationRequest,
    code: &Secret,
) -> Result<Response, Refused> {
    redirect_code_from(app, request, code, Some(&app.settings.issuer))
}

/// The same, with `issuer` as the server that the answer says it comes from, if it says that.
///
/// # Errors
/// As [`redirect_code`].
pub fn redirect_code_from(
    app: &App,
    request: &AuthorizationRequest,
    code: &Secret,
    issuer: Option<&str>,
) -> Result<Response, Refused> {
    send(app, request, &[("code", code.expose())], issuer, None)
}

/// Sends the browser back with an error.
///
/// # Errors
/// As [`redirect_code`].
pub fn redirect_error(
    app: &App,
    request: &AuthorizationRequest,
    error: ErrorCode,
    reason: &'static str,
) -> Result<Response, Refused> {
    send(
        app,
        request,
        &[("error", error.as_str()), ("error_description", reason)],
        Some(&app.settings.issuer),
        Some(reason),
    )
}

fn send(
    app: &App,
    request: &AuthorizationRequest,
    answer: &[(&str, &str)],
    issuer: Option<&str>,
    reason: Option<&str>,
) -> Result<Response, Refused> {
    let mut fields = answer.to_vec();
    fields.extend(request.state.as_deref().map(|state| ("state", state)));
    fields.extend(issuer.map(|issuer| ("iss", issuer)));
    let uri = &request.redirect_uri;
    let mut response = if request.form_post {
        let client = app.client(&request.client);
        let client_name =
            client.as_ref().map_or(request.client.as_str(), |client| client.settings.name.as_str());
        let html = FormPost { locale: &app.locale, action: uri, fields, client_name }.render();
        page(StatusCode::OK, html, Forms::LeadToApp)
    } else {
        see_other(
            &with_query(uri, &fields)
                .ok_or_else(|| Refused::internal("a registered redirect URI is none"))?,
        )
    };
    let seen: &mut Seen = response.extensions_mut().get_or_insert_default();
    seen.client = Some(request.client.as_str().into());
    seen.reason = reason.map(str::to_owned);
    Ok(response)
}
