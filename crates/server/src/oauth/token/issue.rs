//! The only place that issues tokens.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use counterfoil_core::access_token::AccessToken;
use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::grant::Terms;
use counterfoil_core::jws::SigningKey;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_core::token_answer::TokenAnswer;
use counterfoil_core::verdict::Presentation;
use counterfoil_core::{id_token, random};
use counterfoil_store::{Redeem, Redeemed, Tearing, Torn};

use crate::http::observe::with_log_context;
use crate::http::refused::Refused;
use crate::http::respond::json_bytes;
use crate::node::guest::Special;
use crate::node::keys::Ring;
use crate::node::known_keys::ring_with;
use crate::oauth::client_request::ClientRequest;

/// What tokens are issued for.
pub(super) struct Issue<'a> {
    pub(super) request: &'a ClientRequest<'a>,
    pub(super) ring: &'a Ring,
    pub(super) terms: &'a Arc<Terms>,
    pub(super) scopes: Scopes,
    /// From the authorization request, when a code is redeemed.
    pub(super) nonce: Option<&'a str>,
}

/// Everything about the tokens that could be missing, obtained before the write.
struct TokenParts<'a> {
    access_token: Secret,
    key: &'a SigningKey,
    expires_at: Timestamp,
}

/// An ID token and the access token that it vouches for. Worthless until the write has succeeded.
struct Tokens {
    access_token: Secret,
    id_token: String,
    expires_in: i64,
}

impl Issue<'_> {
    /// Redeems the slip, and answers with tokens or with `refusal`.
    ///
    /// Whatever could be missing is obtained before the write, so that no slip is claimed for an
    /// answer that can't be given. The ID token is signed while the write is in flight; if the
    /// write is lost, the signature is dropped unseen.
    pub(super) async fn redeem(
        &self,
        presented: Presentation,
        refusal: Refusal,
    ) -> Result<Response, Refused> {
        let ClientRequest { app, client, now, .. } = self.request;
        let unavailable =
            |error| Refused::unavailable(error).of(Some(client), Some(self.terms.grant));
        let special = match &app.guest {
            None => Special::default(),
            Some(guest) => {
                let special = guest.before_issuing(&app.store, &client.id, &presented.slip, *now);
                special.await.map_err(unavailable)?
            }
        };
        let parts = self.prepare(&presented.slip, special)?;
        let successor_expires_at =
            now.plus(app.settings.lifetimes.refresh_token).min(self.terms.expires_at);
        let (slip_key, terms) = (self.ring.slips.current(), self.terms.clone());
        let pending = app.store.redeem(Redeem { presented, successor_expires_at, slip_key, terms });
        let tokens = self.sign(parts, special.skew);
        let redeemed = pending.await.map_err(unavailable)?;
        app.metrics.count_slip(&redeemed, self.terms.grant);
        let refuse =
            |reason: &str| self.request.refuse(refusal, reason).of(None, Some(self.terms.grant));
        match redeemed {
            Redeemed::Torn(torn) => {
                // The key of a repeated answer may be another node's.
                let ring = ring_with(app, torn.successor().key).await;
                let ring = ring.map_err(|error| {
                    Refused::unavailable(error).of(Some(client), Some(self.terms.grant))
                })?;
                self.answer(tokens?, &torn, &ring)
                    .ok_or_else(|| refuse("the key of its successor was dropped"))
            }
            Redeemed::Refused { reason, .. } => Err(refuse(&reason)),
        }
    }

    fn prepare(&self, slip: &Slip, special: Special) -> Result<TokenParts<'_>, Refused> {
        let ClientRequest { app, client, now, .. } = self.request;
        let lifetime = special.id_token_lifetime.unwrap_or(app.settings.lifetimes.id_token);
        let expires_at = now.plus(lifetime).min(self.terms.expires_at);
        let slips = &self.ring.slips;
        let says = AccessToken {
            key: slips.current(),
            grant: self.terms.grant,
            issued_at: *now,
            expires_at,
            scopes: self.scopes,
        };
        let access_token = says
            .write(&slip.seal, slips)
            .ok_or_else(|| Refused::internal("there is no slip key"))?;
        let alg = client.settings.id_token_signed_response_alg;
        let key = self
            .ring
            .signing_key(alg, *now)
            .ok_or_else(|| Refused::internal(format!("there is no {alg} key")))?;
        Ok(TokenParts { access_token, key, expires_at })
    }

    /// Signs the ID token, with its times shifted by `skew`.
    fn sign(&self, parts: TokenParts<'_>, skew: Seconds) -> Result<Tokens, Refused> {
        let ClientRequest { app, now, .. } = self.request;
        let TokenParts { access_token, key, expires_at } = parts;
        let new = id_token::NewIdToken {
            subjects: &self.ring.subjects,
            issuer: &app.settings.issuer,
            now: now.plus(skew),
            expires_at: expires_at.plus(skew),
            nonce: self.nonce,
            access_token: &access_token,
            alg: key.alg,
            random: random::unique(),
        };
        let claims = id_token::claims(self.terms, &new).map_err(Refused::internal)?;
        let id_token = key.sign(&claims).map_err(Refused::internal)?;
        Ok(Tokens { access_token, id_token, expires_in: expires_at.since(*now) })
    }

    /// Hands out the tokens and the next slip, against the proof that the slip was torn. `None` if
    /// the next slip was made with a key that has since been dropped: it can't be made again.
    fn answer(&self, tokens: Tokens, torn: &Torn, ring: &Ring) -> Option<Response> {
        let client = &self.request.client;
        let may_refresh = client.settings.may_refresh(self.terms.scopes);
        let successor = if may_refresh { Some(torn.successor().write(&ring.slips)?) } else { None };
        let body = TokenAnswer {
            access_token: tokens.access_token.expose(),
            id_token: &tokens.id_token,
            refresh_token: successor.as_ref().map(Secret::expose),
            expires_in: tokens.expires_in,
            scope: self.scopes,
        };
        let mut response = with_log_context(
            json_bytes(StatusCode::OK, body.to_json()),
            &client.id,
            self.terms.grant,
        );
        if torn.how() == Tearing::Repeated {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        Some(response)
    }
}
