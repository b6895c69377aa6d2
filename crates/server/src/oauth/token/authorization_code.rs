//! Grant type `authorization_code` (RFC 6749 section 4.1.3): slip 0 for the first tokens of a
//! grant.

use axum::response::Response;
use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::dialect::Refusal;
use counterfoil_core::random;
use counterfoil_core::secret::same;
use counterfoil_core::slip::Kind;
use counterfoil_core::verdict::{OnLostAnswer, Presentation};

use super::issue::Issue;
use super::request::CodeExchange;
use super::terms_of;
use crate::http::refused::Refused;
use crate::oauth::client_request::ClientRequest;
use crate::tokens::slip::read_good_slip;

/// Redeems a code.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`; a refused attempt claims nothing.
pub(super) async fn redeem(
    request: &ClientRequest<'_>,
    CodeExchange { code, redirect_uri, code_verifier }: CodeExchange<'_>,
) -> Result<Response, Refused> {
    let (app, now) = (request.app, request.now);
    let (ring, slip) =
        read_good_slip(app, Kind::Code, code, now).await.map_err(Refused::unavailable)?;
    let slip = slip.map_err(|reason| request.refuse(Refusal::CodeInvalid, reason))?;
    let terms = terms_of(request, slip.grant, Refusal::CodeInvalid).await?;
    let refuse =
        |refusal, reason: &str| request.refuse(refusal, reason).of(None, Some(terms.grant));
    let bound = app.store.code(terms.grant).await.map_err(Refused::unavailable)?;
    let bound = bound.ok_or_else(|| {
        refuse(Refusal::CodeInvalid, "the code is so old that what it was bound to is forgotten")
    })?;
    if !same(redirect_uri.as_bytes(), bound.redirect_uri.as_bytes()) {
        return Err(refuse(
            Refusal::RedirectUriMismatch,
            "the redirect_uri is not that of the authorization request",
        ));
    }
    // RFC 7636 section 4.6, and RFC 9700 section 2.1.1: a verifier without a challenge is a
    // downgrade.
    match (&bound.challenge, code_verifier) {
        (None, None) => {}
        (Some(challenge), Some(verifier)) if challenge.is_met_by(verifier) => {}
        (Some(_), Some(_)) => {
            return Err(refuse(Refusal::PkceMismatch, "the code_verifier is wrong"));
        }
        (Some(_), None) => return Err(refuse(Refusal::PkceMismatch, "no code_verifier")),
        (None, Some(_)) => {
            return Err(refuse(
                Refusal::PkceMismatch,
                "a code_verifier, but the authorization request had no challenge",
            ));
        }
    }
    let claim = Claim::keyless(
        &ring.claims,
        random::unique(),
        RequestIdentity { client: &request.client.id, slip: code, scope: None },
    );
    let presented = Presentation {
        slip,
        claim,
        now,
        on_replay: request.client.settings.on_replay(),
        on_lost_answer: OnLostAnswer::Strict,
    };
    let issue = Issue {
        request,
        ring: &ring,
        terms: &terms,
        scopes: terms.scopes,
        nonce: bound.nonce.as_deref(),
    };
    issue.redeem(presented, Refusal::CodeInvalid).await
}
