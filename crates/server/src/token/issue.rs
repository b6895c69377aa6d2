//! The one place where tokens are issued.

use crate::app::App;
use crate::keys::Ring;
use crate::observe::seen;
use crate::refused::Refused;
use crate::respond::json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use counterfoil_core::access_token::AccessToken;
use counterfoil_core::client::{Client, GrantType};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::grant::{Seal, Terms};
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::verdict::{Presented, Refused as SlipRefused};
use counterfoil_core::{id_token, random};
use counterfoil_store::{Redeem, Redeemed, Tearing, Torn};
use serde::Serialize;
use std::sync::Arc;

/// What tokens are issued for.
pub(super) struct Issue<'a> {
    pub(super) app: &'a App,
    pub(super) client: &'a Arc<Client>,
    pub(super) terms: &'a Terms,
    pub(super) scopes: Scopes,
    pub(super) now: Timestamp,
    /// Whether these are the grant's first tokens.
    pub(super) first: bool,
}

/// An ID token and the access token that it vouches for. Worthless until the write that they are issued for is done.
struct Tokens {
    access_token: Secret,
    id_token: String,
    expires_in: i64,
}

#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    id_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    scope: Scopes,
}

impl Issue<'_> {
    /// Redeems the slip, and answers with tokens or with `refusal`.
    ///
    /// The write is under way while the tokens are signed; where it is lost they are dropped unseen.
    pub(super) async fn redeem(&self, presented: Presented, ring: &Ring, refusal: Refusal) -> Result<Response, Refused> {
        let lifetime = self.app.settings.lifetimes.refresh_token;
        let successor_expires_at = self.now.plus(lifetime).min(self.terms.expires_at);
        let pending = self.app.store.redeem(Redeem { presented, successor_expires_at, slip_key: ring.slips.current() });
        let tokens = self.sign(&presented.slip.seal, ring);
        let about = |refused: Refused| refused.of(Some(self.client), Some(self.terms.grant));
        let redeemed = pending.await.map_err(|error| about(Refused::unavailable(error)))?;
        self.app.metrics.count_slip(&redeemed);
        let refuse = |reason: &str| {
            let dialect = self.client.settings.dialect.unwrap_or(self.app.settings.dialect);
            about(Refused::oauth(refusal, dialect, reason))
        };
        match redeemed {
            Redeemed::Torn(torn) => self.answer(tokens?, &torn, ring).ok_or_else(|| refuse("the key of its successor was dropped")),
            Redeemed::Refused { refused, reason } => {
                if matches!(refused, Some(SlipRefused::Forged | SlipRefused::Ahead)) {
                    tracing::error!(grant = %self.terms.grant, client = &*self.client.id, reason, "ALARM: a slip that can't be");
                }
                Err(refuse(&reason))
            }
        }
    }

    /// Makes and signs the tokens.
    fn sign(&self, seal: &Seal, ring: &Ring) -> Result<Tokens, Refused> {
        let expires_at = self.now.plus(self.app.settings.lifetimes.id_token).min(self.terms.expires_at);
        let access_token =
            AccessToken { key: ring.slips.current(), grant: self.terms.grant, issued_at: self.now, expires_at, scopes: self.scopes };
        let access_token = access_token.write(seal, &ring.slips).ok_or_else(|| Refused::internal("there is no slip key"))?;
        let alg = self.client.settings.id_token_signed_response_alg;
        let key = ring.signing_key(alg, self.now).ok_or_else(|| Refused::internal(format!("there is no {alg} key")))?;
        let claims = id_token::claims(
            self.terms,
            &id_token::Issue {
                issuer: &self.app.settings.issuer,
                now: self.now,
                expires_at,
                first: self.first,
                access_token: &access_token,
                alg,
                random: random::bytes(),
            },
        )
        .map_err(Refused::internal)?;
        let id_token = key.sign(&claims).map_err(Refused::internal)?;
        Ok(Tokens { access_token, id_token, expires_in: expires_at.since(self.now) })
    }

    /// Hands the tokens out, against the proof that the slip was torn, with the slip that follows it. `None` where that was made before
    /// with a key that was dropped since: it can't be made again.
    fn answer(&self, tokens: Tokens, torn: &Torn, ring: &Ring) -> Option<Response> {
        let settings = &self.client.settings;
        let may_refresh = self.terms.scopes.contains(Scopes::OFFLINE_ACCESS) && settings.grant_types.contains(&GrantType::RefreshToken);
        let successor = if may_refresh { Some(torn.successor().write(&ring.slips)?) } else { None };
        let body = Answer {
            access_token: tokens.access_token.expose(),
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            id_token: &tokens.id_token,
            refresh_token: successor.as_ref().map(Secret::expose),
            scope: self.scopes,
        };
        let mut response = seen(json(StatusCode::OK, &body), &self.client.id, self.terms.grant);
        if torn.how() == Tearing::Repeated {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        Some(response)
    }
}
