//! The link from an error page back to an app.

use axum::http::StatusCode;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::redirect_uri::with_query;
use url::Url;

use crate::authorization::request::AuthorizationRequest;
use crate::http::refused::Refused;
use crate::node::app::App;
use crate::pages::WayBack;

/// The page saying that a request was already answered.
const ALREADY_ANSWERED: &str = "already-answered";

/// The customer has already answered the request, and that answer stands.
pub fn already_answered(reason: &'static str) -> Refused {
    Refused::page(StatusCode::BAD_REQUEST, ALREADY_ANSWERED, reason)
}

/// An error page with a link back to the app that made the request. Every error page has one if the
/// request is known to be ours. If the request was allowed before, the page says so, and the app is
/// told nothing else.
pub async fn linking_back(refused: Refused, app: &App, request: &AuthorizationRequest) -> Refused {
    let Some(message) = refused.message() else {
        return refused;
    };
    // If that can't be read, this page knows of no approval.
    let is_allowed = app.store.terms(request.grant).await.is_ok_and(|terms| terms.is_some());
    let error = if is_allowed { None } else { what_to_tell(message) };
    let refused = if is_allowed && refused.told().0.is_client_error() {
        refused.saying(ALREADY_ANSWERED)
    } else {
        refused
    };
    refused.leading_to(to_client(app, request, error))
}

/// The link to the home page of a client about whose request nothing else is known.
pub fn to_front_door(app: &App, client: &str) -> Option<WayBack> {
    let client = app.client(client)?;
    to_front_door_of(client.settings.redirect_uris.first()?, client.settings.name.clone())
}

fn to_front_door_of(redirect_uri: &str, client_name: String) -> Option<WayBack> {
    let front_door = Url::parse(redirect_uri).ok()?.join("/").ok()?;
    Some(WayBack { client_name, uri: front_door.into(), fields: Vec::new() })
}

/// The link back for a request, which tells the app `error`; to the app's home page if it already
/// has an answer. `None` if the browser may no longer be sent there.
fn to_client(
    app: &App,
    request: &AuthorizationRequest,
    error: Option<AuthorizationError>,
) -> Option<WayBack> {
    let client = app
        .client(&request.client)
        .filter(|client| client.settings.may_redirect_to(&request.redirect_uri))?;
    let client_name = client.settings.name.clone();
    let uri = &request.redirect_uri;
    let Some(error) = error else {
        return to_front_door_of(uri, client_name);
    };
    let mut fields = vec![("error", error.on_wire().0.as_str().to_owned())];
    fields.extend(request.state.clone().map(|state| ("state", state)));
    fields.push(("iss", app.settings.issuer.clone()));
    if request.form_post {
        return Some(WayBack { client_name, uri: uri.clone(), fields });
    }
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Some(WayBack { client_name, uri: with_query(uri, &fields)?, fields: Vec::new() })
}

/// The error for an app whose customer returns from an error page (RFC 6749 section 4.1.2.1).
/// `None` if it already has an answer.
fn what_to_tell(message: &str) -> Option<AuthorizationError> {
    match message {
        ALREADY_ANSWERED => None,
        "unavailable" => Some(AuthorizationError::Unavailable),
        "internal" => Some(AuthorizationError::Internal),
        _ => Some(AuthorizationError::NotCompleted),
    }
}
