//! An authorization request that was checked: what a client asks a customer for.

use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::id_token::subject;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;
use counterfoil_store::Session;
use serde::{Deserialize, Serialize};

use crate::node::app::App;

/// An authorization request that was checked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The grant that will be made; set when the request comes in, so that a doubled Allow makes
    /// one.
    pub grant: GrantId,
    /// The client that asks.
    pub client: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// How: in the query, or by a form that the browser posts.
    pub form_post: bool,
    /// Given back as it came.
    pub state: Option<String>,
    /// For the first ID token.
    pub nonce: Option<String>,
    /// What is asked for, already cut to what the client may ask for.
    pub scopes: Scopes,
    /// The PKCE challenge.
    pub challenge: Option<Challenge>,
    /// The provider to sign in at, where the request names one.
    pub connector: Option<String>,
    /// The name to fill in.
    pub login_hint: Option<String>,
    /// The `sub` of the customer who is to be asked, where the request has an `id_token_hint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The customer must have proven who they are at this moment or later (`prompt=login`,
    /// `max_age`).
    pub not_before: Option<Timestamp>,
}

impl AuthorizationRequest {
    /// When a customer signed in who did so for this request, at `now`: not before it asks for,
    /// though another node's clock, by which it asked, may be a little ahead.
    pub fn signed_in_at(&self, now: Timestamp) -> Timestamp {
        self.not_before
            .filter(|not_before| (0..=SKEW).contains(&not_before.since(now)))
            .unwrap_or(now)
    }

    /// Whether the request may be answered by this customer: by anybody, unless it asks for one.
    pub fn is_about(&self, app: &App, customer: &CustomerId) -> bool {
        self.subject
            .as_ref()
            .is_none_or(|asked_for| *asked_for == subject(customer, &app.keys.ring().subjects))
    }

    /// The request as if it had come in just now, for a grant of its own.
    pub fn begun_anew(self, now: Timestamp) -> Self {
        Self { grant: GrantId::new(now, random::bytes()), ..self }
    }

    /// Whether a session will do: of the provider and the customer asked for, and not older than
    /// asked for. Another node may have begun it, by a clock that is a little ahead; one that is
    /// behind dates it by the request ([`AuthorizationRequest::signed_in_at`]).
    pub fn is_met_by(&self, app: &App, session: &Session, now: Timestamp) -> bool {
        let begun = session.authenticated_at;
        self.is_about(app, &session.customer)
            && self.connector.as_ref().is_none_or(|id| *id == session.customer.provider)
            && self
                .not_before
                .is_none_or(|not_before| (not_before..=now.plus(SKEW)).contains(&begun))
    }
}
