//! `POST /token` (RFC 6749 section 3.2): who asks, for which grant type, and on to that grant
//! type's file.

mod authorization_code;
mod issue;
mod refresh;

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use counterfoil_core::client::{Client, GrantType};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::form::Form;
use counterfoil_core::grant::{GrantId, Terms};

use crate::http::refused::{Refused, Shape};
use crate::http::request::{malformed, oauth_form};
use crate::node::app::App;
use crate::oauth::client_auth::authenticate;
use crate::sandbox::faults::strike;

/// A request to `/token` of a client that has proven itself.
pub(crate) struct TokenRequest<'a> {
    app: &'a App,
    client: Arc<Client>,
    form: &'a Form<'a>,
    headers: &'a HeaderMap,
    now: Timestamp,
}

/// The endpoint. The order of checks is the contract's: size, method, form, credentials, client,
/// grant type, may the client use it.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`.
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let now = app.clock.now();
    // Taken apart, not asked for as headers and URI: those would be copies.
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    let client = authenticate(&app, &headers, &form, now)?.map_err(|unproven| {
        Refused::oauth(Refusal::InvalidClient, app.settings.dialect, unproven.reason())
    })?;
    let struck = strike(&app, "/token", Shape::OAuth, &client.id, None).await;
    struck.map_err(|refused| refused.of(Some(&client), None))?;
    let request = TokenRequest { app: &app, client, form: &form, headers: &headers, now };
    let Some(grant_type) = form.get("grant_type") else {
        return Err(request.refuse(Refusal::GrantTypeMissing, "no grant_type"));
    };
    let Some(grant_type) = GrantType::parse(grant_type) else {
        return Err(request.refuse(Refusal::GrantTypeUnknown, "there is no such grant_type"));
    };
    if !request.client.settings.grant_types.contains(&grant_type) {
        return Err(request.refuse(
            Refusal::GrantTypeNotAllowed,
            "the client is not registered for this grant_type",
        ));
    }
    match grant_type {
        GrantType::AuthorizationCode => authorization_code::redeem(request).await,
        GrantType::RefreshToken => refresh::redeem(request).await,
    }
}

impl TokenRequest<'_> {
    fn refuse(&self, refusal: Refusal, reason: impl Display) -> Refused {
        Refused::oauth(refusal, self.app.dialect_of(&self.client), reason)
            .of(Some(&self.client), None)
    }

    /// The terms of the grant that an authentic slip names, if they were given to this client.
    ///
    /// # Errors
    /// `refusal`, or 503.
    async fn terms_of(&self, grant: GrantId, refusal: Refusal) -> Result<Arc<Terms>, Refused> {
        let known = self.app.store.terms(grant).await.map_err(Refused::unavailable)?;
        let reason = match known {
            None => "the grant is not known",
            Some(terms) if terms.client != self.client.id => {
                "the token was issued to another client"
            }
            Some(terms) => return Ok(terms),
        };
        Err(self.refuse(refusal, reason).of(None, Some(grant)))
    }
}
