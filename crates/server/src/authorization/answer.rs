//! Answers an authorization request: a redirect, or a page that posts a form, back to the client
//! (RFC 9207 adds `iss`).

use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::redirect_uri::with_query;
use counterfoil_core::secret::Secret;

use crate::authorization::request::AuthorizationRequest;
use crate::http::observe::LogContext;
use crate::http::refused::Refused;
use crate::http::respond::{Forms, page, see_other};
use crate::node::app::App;
use crate::pages::FormPost;

/// The longest address that a browser is sent back to, in bytes: nginx allows 4 KiB, one memory
/// page, for all headers of an answer, less the other headers.
pub const LONGEST_LOCATION: usize = 3600;
/// The longest `state` that a form returns, in bytes.
const LONGEST_POSTED_STATE: usize = 4096;
/// Bytes of an answer other than redirect URI, state and issuer: a code, or an error description.
const REST_OF_ANSWER: usize = 250;

/// Whether `state` is short enough to be returned to the redirect URI with any possible answer.
pub fn can_give_back(app: &App, redirect_uri: &str, form_post: bool, state: &str) -> bool {
    if form_post {
        return state.len() <= LONGEST_POSTED_STATE;
    }
    let answer = with_query(redirect_uri, &[("state", state), ("iss", &app.settings.issuer)]);
    answer.is_some_and(|answer| answer.len() + REST_OF_ANSWER <= LONGEST_LOCATION)
}

/// Sends the browser back with a code.
///
/// # Errors
/// The redirect URI is invalid, which registration rules out.
pub fn redirect_code(
    app: &App,
    request: &AuthorizationRequest,
    code: &Secret,
) -> Result<Response, Refused> {
    redirect_code_from(app, request, code, Some(&app.settings.issuer))
}

/// The same, with `issuer` as the `iss` of the answer, if any.
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
    error: AuthorizationError,
) -> Result<Response, Refused> {
    let (code, reason) = error.on_wire();
    send(
        app,
        request,
        &[("error", code.as_str()), ("error_description", reason)],
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
    let context: &mut LogContext = response.extensions_mut().get_or_insert_default();
    context.client = Some(request.client.as_str().into());
    context.reason = reason.map(str::to_owned);
    Ok(response)
}
