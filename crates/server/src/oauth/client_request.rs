//! The common start of `/token`, `/revoke` and `/introspect`: a form from an authenticated client.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use counterfoil_core::client::{Client, LONGEST_ID};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::form::Form;

use crate::http::body::malformed;
use crate::http::operation::{Field, optional};
use crate::http::refused::Refused;
use crate::http::shape::Shape;
use crate::node::app::App;
use crate::node::guest::Sender;
use crate::oauth::client_auth::{ClientAuthError, prove};

/// An endpoint with client authentication.
#[derive(Clone, Copy, Debug)]
pub struct ClientEndpoint {
    /// Its path.
    pub path: &'static str,
    /// The refusal if id or secret are missing.
    pub missing: Refusal,
    /// The refusal if they are wrong.
    pub wrong: Refusal,
}

/// A request of an authenticated client.
pub struct ClientRequest<'a> {
    /// The server.
    pub app: &'a App,
    /// The client.
    pub client: Arc<Client>,
    /// Its form.
    pub form: Form<'a>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// When it arrived.
    pub now: Timestamp,
}

impl<'a> ClientRequest<'a> {
    /// Reads a request and authenticates its client.
    ///
    /// # Errors
    /// 400 `invalid_request`, the endpoint's own refusals, or what the sandbox injects.
    pub async fn read(
        app: &'a App,
        endpoint: ClientEndpoint,
        headers: &'a HeaderMap,
        body: &'a Bytes,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let form = Form::parse_oauth(body).map_err(|error| malformed(app, error))?;
        let client = prove(app, headers, &form, now).map_err(|unproven| {
            let refusal = match unproven {
                ClientAuthError::Contradiction(_) => Refusal::MalformedRequest,
                ClientAuthError::Missing(_) => endpoint.missing,
                ClientAuthError::Wrong(_) => endpoint.wrong,
            };
            Refused::oauth(refusal, app.settings.dialect, unproven.reason())
        })?;
        if let Some(guest) = &app.guest {
            let sender =
                Sender { path: endpoint.path, is_data: false, client: &client.id, customer: None };
            let struck = guest.strike(&app.store, sender).await;
            struck
                .map_err(|strike| Refused::struck(Shape::OAuth, strike).of(Some(&client), None))?;
        }
        Ok(Self { app, client, form, headers, now })
    }

    /// A refusal in the client's dialect.
    pub fn refuse(&self, refusal: Refusal, reason: impl Display) -> Refused {
        Refused::oauth(refusal, self.app.dialect_of(&self.client), reason)
            .of(Some(&self.client), None)
    }
}

/// The fields of a form by which a client proves itself, as the OpenAPI document has them.
pub fn credentials() -> [Field; 2] {
    [
        optional(
            "client_id",
            LONGEST_ID,
            "The client id, where it is not in the Authorization header; a public client sends it alone.",
        ),
        optional(
            "client_secret",
            1024,
            "The client secret, where it is not in the Authorization header.",
        ),
    ]
}
