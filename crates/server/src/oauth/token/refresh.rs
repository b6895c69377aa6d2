//! Grant type `refresh_token` (RFC 6749 section 6): slip n for the tokens of the day and slip n +
//! 1.

use axum::response::Response;
use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::random;
use counterfoil_core::slip::Kind;
use counterfoil_core::verdict::Presentation;

use super::issue::Issue;
use super::request::{Refresh, RequestedScope};
use super::terms_of;
use crate::http::refused::Refused;
use crate::oauth::client_request::ClientRequest;
use crate::tokens::slip::read_good_slip;

/// Redeems a refresh token.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`; a refused attempt claims nothing.
pub(super) async fn redeem(
    request: &ClientRequest<'_>,
    Refresh { token, scope, retry_key }: Refresh<'_>,
) -> Result<Response, Refused> {
    let (app, now) = (request.app, request.now);
    let (ring, slip) =
        read_good_slip(app, Kind::RefreshToken, token, now).await.map_err(Refused::unavailable)?;
    let slip = slip.map_err(|reason| request.refuse(Refusal::RefreshTokenInvalid, reason))?;
    let terms = terms_of(request, slip.grant, Refusal::RefreshTokenInvalid).await?;
    let refuse =
        |refusal, reason: &str| request.refuse(refusal, reason).of(None, Some(terms.grant));
    let scopes = match &scope {
        None => terms.scopes,
        Some(RequestedScope { scopes: Some(asked), .. })
            if terms.scopes.contains(*asked) && !asked.is_empty() =>
        {
            *asked
        }
        Some(_) => {
            return Err(refuse(
                Refusal::ScopeBeyondGrant,
                "the scope is empty or goes beyond what was granted",
            ));
        }
    };
    let scope = scope.map(|scope| scope.text);
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
    let issue = Issue { request, ring: &ring, terms: &terms, scopes, nonce: None };
    issue.redeem(presented, Refusal::RefreshTokenInvalid).await
}
