//! The way back to an app from a page that tells of an error.

use axum::http::StatusCode;
use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::redirect_uri::with_query;
use url::Url;

use crate::authorization::request::AuthorizationRequest;
use crate::http::refused::Refused;
use crate::node::app::App;
use crate::pages::WayBack;

/// The page that says that a request was answered before.
const ALREADY_ANSWERED: &str = "already-answered";

/// The customer has answered the request before, and that answer stands.
pub fn already_answered(reason: &'static str) -> Refused {
    Refused::page(StatusCode::BAD_REQUEST, ALREADY_ANSWERED, reason)
}

/// A page with the way back to the app whose request it is about. Every page has one that tells of
/// a request which is known to be ours. Where the request was allowed before, that is what the
/// customer is told, and the app is told nothing else.
pub async fn linking_back(refused: Refused, app: &App, request: &AuthorizationRequest) -> Refused {
    let Some(message) = refused.message() else {
        return refused;
    };
    // Where that can't be read, nothing was allowed that this page could know of.
    let is_allowed = app.store.terms(request.grant).await.is_ok_and(|terms| terms.is_some());
    let error = if is_allowed { None } else { what_to_tell(message) };
    let refused = if is_allowed && refused.told().0.is_client_error() {
        refused.saying(ALREADY_ANSWERED)
    } else {
        refused
    };
    refused.leading_to(to_client(app, request, error))
}

/// The way to the front door of a client of which nothing else is known than that it asked for
/// something.
pub fn to_front_door(app: &App, client: &str) -> Option<WayBack> {
    let client = app.client(client)?;
    to_front_door_of(client.settings.redirect_uris.first()?, client.settings.name.clone())
}

fn to_front_door_of(redirect_uri: &str, client_name: String) -> Option<WayBack> {
    let front_door = Url::parse(redirect_uri).ok()?.join("/").ok()?;
    Some(WayBack { client_name, uri: front_door.into(), fields: Vec::new() })
}

/// The way back for a request, which tells the app `error`; to the app's own front door where
/// it has got an answer before. `None` where the browser may not be sent there any more.
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

/// What an app is told whose customer goes back to it from an error page (RFC 6749 section
/// 4.1.2.1). Nothing, where it has got an answer before.
fn what_to_tell(message: &str) -> Option<AuthorizationError> {
    match message {
        ALREADY_ANSWERED => None,
        "unavailable" => Some(AuthorizationError::Unavailable),
        "internal" => Some(AuthorizationError::Internal),
        _ => Some(AuthorizationError::NotCompleted),
    }
}
