//! A valid authorization request: what a client asks a customer for.

use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::id_token::subject;
use counterfoil_core::pkce::Challenge;
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;
use counterfoil_store::Session;
use serde::{Deserialize, Serialize};

use crate::node::app::App;

/// A valid authorization request (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The grant to be made; chosen when the request arrives, so that clicking Allow twice makes
    /// one.
    pub grant: GrantId,
    /// The client's id.
    pub client: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// How: by a form that the browser posts, or else in the query.
    pub form_post: bool,
    /// Returned unchanged.
    pub state: Option<String>,
    /// For the first ID token.
    pub nonce: Option<String>,
    /// The requested scopes, limited to those the client may request.
    pub scopes: Scopes,
    /// The PKCE challenge.
    pub challenge: Option<Challenge>,
    /// The provider to sign in at, if the request names one.
    pub connector: Option<String>,
    /// The name to prefill.
    pub login_hint: Option<String>,
    /// The `sub` of the expected customer, if the request has an `id_token_hint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The customer must have signed in at this time or later (`prompt=login`, `max_age`).
    pub not_before: Option<Timestamp>,
}

impl AuthorizationRequest {
    /// The sign-in time of a customer who signs in for this request at `now`: no earlier than the
    /// request requires, since it may come from a node whose clock is slightly ahead.
    pub fn signed_in_at(&self, now: Timestamp) -> Timestamp {
        self.not_before
            .filter(|not_before| (0..=SKEW).contains(&not_before.since(now)))
            .unwrap_or(now)
    }

    /// Whether this customer may answer the request: anyone, unless it expects a particular one.
    pub fn is_about(&self, app: &App, customer: &CustomerId) -> bool {
        self.subject
            .as_ref()
            .is_none_or(|asked_for| *asked_for == subject(customer, &app.keys.ring().subjects))
    }

    /// The request as if it had just arrived, for a grant of its own.
    pub fn restarted(self, now: Timestamp) -> Self {
        Self { grant: GrantId::new(now, random::bytes()), ..self }
    }

    /// Whether a session satisfies the request: the right provider and customer, and recent enough.
    /// Another node may have started it with a clock slightly ahead; one that is behind dates it by
    /// the request ([`AuthorizationRequest::signed_in_at`]).
    pub fn is_met_by(&self, app: &App, session: &Session, now: Timestamp) -> bool {
        let begun = session.authenticated_at;
        self.is_about(app, &session.customer)
            && self.connector.as_ref().is_none_or(|id| *id == session.customer.provider)
            && self
                .not_before
                .is_none_or(|not_before| (not_before..=now.plus(SKEW)).contains(&begun))
    }
}
