//! Grant type `refresh_token` (RFC 6749 section 6): slip n for the tokens of the day and slip n +
//! 1.

use axum::http::HeaderName;
use axum::response::Response;
use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;
use counterfoil_core::slip::Kind;
use counterfoil_core::verdict::Presentation;

use super::TokenRequest;
use super::issue::Issue;
use crate::http::refused::Refused;
use crate::http::request::one;
use crate::tokens::unknown_key::read_good_slip;

/// The header that makes a refresh repeatable.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Redeems a refresh token.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`; a refused attempt claims nothing.
pub(super) async fn redeem(request: TokenRequest<'_>) -> Result<Response, Refused> {
    let TokenRequest { app, form, now, .. } = request;
    let retry_key = retry_key(&request)?;
    let token = form
        .get("refresh_token")
        .ok_or_else(|| request.refuse(Refusal::RefreshTokenMissing, "no refresh_token"))?;
    let (ring, slip) =
        read_good_slip(app, Kind::RefreshToken, token, now).await.map_err(Refused::unavailable)?;
    let slip = slip.map_err(|reason| request.refuse(Refusal::RefreshTokenInvalid, reason))?;
    let terms = request.terms_of(slip.grant, Refusal::RefreshTokenInvalid).await?;
    let refuse =
        |refusal, reason: &str| request.refuse(refusal, reason).of(None, Some(terms.grant));
    let scope = form.get("scope");
    let scopes = match scope.map(Scopes::parse) {
        None => terms.scopes,
        Some(Ok(asked)) if terms.scopes.contains(asked) && !asked.is_empty() => asked,
        Some(_) => {
            return Err(refuse(
                Refusal::ScopeBeyondGrant,
                "the scope is empty or goes beyond what was granted",
            ));
        }
    };
    let claimed = RequestIdentity { client: &request.client.id, slip: token, scope };
    let claim = match retry_key {
        Some(key) => Claim::keyed(&ring.claims, key, claimed),
        None => Claim::keyless(&ring.claims, random::unique(), claimed),
    };
    let settings = &request.client.settings;
    let presented = Presentation {
        slip,
        claim,
        now,
        on_replay: settings.on_replay(),
        on_lost_answer: settings.on_lost_answer,
    };
    let issue = Issue { request: &request, ring: &ring, terms: &terms, scopes, nonce: None };
    issue.redeem(presented, Refusal::RefreshTokenInvalid).await
}

/// The `Idempotency-Key`: 16 to 255 visible characters.
fn retry_key<'a>(request: &TokenRequest<'a>) -> Result<Option<&'a str>, Refused> {
    match one(request.headers, &IDEMPOTENCY_KEY) {
        Ok(None) => Ok(None),
        Ok(Some(key))
            if (16..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(Some(key))
        }
        _ => Err(request.refuse(
            Refusal::MalformedRequest,
            "the Idempotency-Key is not one header of 16 to 255 visible characters",
        )),
    }
}
