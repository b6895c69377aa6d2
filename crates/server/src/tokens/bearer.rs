//! The resource check: is this bearer token valid now? Always ends with one primary-key read of the
//! counterfoil.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use counterfoil_core::access_token::UnverifiedAccessToken;
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::dialect::{Dialect, Refusal};
use counterfoil_core::fdx::FdxError;
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::jws::Compact;
use counterfoil_core::oauth_error::Challenge;
use counterfoil_core::scope::Scopes;
use counterfoil_core::token::Token;

use crate::grants::find::{Life, life};
use crate::http::head::one;
use crate::http::refused::Refused;
use crate::http::shape::Shape;
use crate::node::app::App;
use crate::node::guest::{Sender, Strike};
use crate::node::known_keys::ring_with;
use crate::node::poll::Unavailable;
use crate::tokens::id_token::{self, IdTokenError};

/// Why a token is refused that may have been revoked before data was lost.
const LOST: &str = "it was issued before data was lost; refresh it";

/// A valid bearer token.
#[derive(Debug)]
pub struct Bearer {
    /// The terms of its grant.
    pub terms: Arc<Terms>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// An access token's own scopes; for an ID token, those of the grant.
    pub scopes: Scopes,
}

/// Why there is no valid bearer token.
#[derive(Debug)]
pub enum NoBearer {
    /// None was sent.
    Missing(&'static str),
    /// The token is not valid.
    NotGood {
        /// Why, in plain words.
        reason: &'static str,
        /// The grant that it names, if it is authentic.
        grant: Option<GrantId>,
    },
    /// The store can't answer.
    Unavailable(Unavailable),
    /// The token is valid, but the sandbox refuses the request.
    Struck(Strike, GrantId),
}

impl<E: Into<Unavailable>> From<E> for NoBearer {
    fn from(error: E) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<IdTokenError> for NoBearer {
    fn from(error: IdTokenError) -> Self {
        match error {
            IdTokenError::NotOurs(reason) => Self::not_good(reason, None),
            IdTokenError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl NoBearer {
    const fn not_good(reason: &'static str, grant: Option<GrantId>) -> Self {
        Self::NotGood { reason, grant }
    }

    /// The answer at a data path.
    pub fn at_data(self) -> Refused {
        let refuse = |challenge, reason| {
            Refused::fdx(FdxError::CustomerNotAuthorized, Some(challenge), reason)
        };
        match self {
            Self::Missing(reason) => refuse(Challenge::Bearer, reason),
            Self::NotGood { reason, grant } => {
                refuse(Challenge::BearerInvalidToken, reason).of(None, grant)
            }
            Self::Unavailable(error) => Refused::unavailable_fdx(error),
            Self::Struck(strike, grant) => {
                Refused::struck(Shape::Fdx, strike).of(None, Some(grant))
            }
        }
    }

    /// The answer at an OAuth path (RFC 6750 section 3.1).
    pub fn at_oauth(self, dialect: Dialect) -> Refused {
        match self {
            Self::Missing(reason) => Refused::oauth(Refusal::BearerTokenMissing, dialect, reason),
            Self::NotGood { reason, grant } => {
                Refused::oauth(Refusal::BearerTokenInvalid, dialect, reason).of(None, grant)
            }
            Self::Unavailable(error) => Refused::unavailable(error),
            Self::Struck(strike, grant) => {
                Refused::struck(Shape::OAuth, strike).of(None, Some(grant))
            }
        }
    }
}

/// The tokens that a path accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcceptedTokens {
    /// Access tokens only.
    AccessToken,
    /// Access tokens and ID tokens.
    Either,
}

/// A route that requires a bearer token.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// Its path.
    pub path: &'static str,
    /// Whether it serves the bank's data.
    pub is_data: bool,
    /// The tokens that it accepts.
    pub accepts: AcceptedTokens,
}

/// Checks the token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
///
/// # Errors
/// [`NoBearer`].
pub async fn check_header(
    app: &App,
    resource: Resource,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Bearer, NoBearer> {
    let header = match one(headers, &AUTHORIZATION) {
        Ok(Some(header)) => header,
        Ok(None) => return Err(NoBearer::Missing("no bearer token")),
        Err(_) => {
            return Err(NoBearer::not_good("the Authorization header is not one text", None));
        }
    };
    let (scheme, token) = header.split_once(' ').ok_or(NoBearer::Missing("no bearer token"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NoBearer::Missing("the Authorization header holds no bearer token"));
    }
    check(app, resource, Token::parse(token.trim()), now).await
}

/// Checks a token sent to a resource.
///
/// # Errors
/// [`NoBearer`].
pub async fn check(
    app: &App,
    resource: Resource,
    token: Token<'_>,
    now: Timestamp,
) -> Result<Bearer, NoBearer> {
    let bearer = read(app, token, now, resource.accepts).await?;
    if let Some(guest) = &app.guest {
        let Resource { path, is_data, .. } = resource;
        let (client, customer) = (&*bearer.terms.client, Some(&bearer.terms.customer));
        let struck = guest.strike(&app.store, Sender { path, is_data, client, customer }).await;
        struck.map_err(|strike| NoBearer::Struck(strike, bearer.terms.grant))?;
    }
    Ok(bearer)
}

/// Whether a token is valid.
///
/// # Errors
/// [`NoBearer::NotGood`] or [`NoBearer::Unavailable`].
pub async fn read(
    app: &App,
    token: Token<'_>,
    now: Timestamp,
    accepts: AcceptedTokens,
) -> Result<Bearer, NoBearer> {
    match (token, accepts) {
        (Token::AccessToken(token), _) => read_access_token(app, token, now).await,
        (Token::IdToken(token), AcceptedTokens::Either) => read_id_token(app, &token, now).await,
        (_, AcceptedTokens::AccessToken) => {
            Err(NoBearer::not_good("it is not an access token", None))
        }
        (Token::Slip(..) | Token::Unknown, AcceptedTokens::Either) => {
            Err(NoBearer::not_good("it is neither an access token nor an ID token", None))
        }
    }
}

async fn read_id_token(app: &App, token: &Compact<'_>, now: Timestamp) -> Result<Bearer, NoBearer> {
    let claims = id_token::read(app, token).await?;
    let grant = claims.grant_id;
    let not_good = |reason| NoBearer::not_good(reason, Some(grant));
    if now >= claims.exp {
        return Err(not_good("the ID token has expired"));
    }
    let terms = match life(app, grant, now).await? {
        Life::Living(terms, _) => terms,
        Life::Over(reason) => return Err(not_good(reason)),
    };
    if *terms.client != *claims.aud {
        return Err(not_good("it is of another client"));
    }
    must_be_of_its_time(app, claims.iat, now).map_err(not_good)?;
    let scopes = terms.scopes;
    Ok(Bearer { terms, issued_at: claims.iat, expires_at: claims.exp, scopes })
}

async fn read_access_token(
    app: &App,
    unverified: UnverifiedAccessToken,
    now: Timestamp,
) -> Result<Bearer, NoBearer> {
    let ring = ring_with(app, unverified.key()).await?;
    let (terms, row) = match life(app, unverified.grant(), now).await? {
        Life::Living(terms, row) => (terms, row),
        Life::Over(reason) => return Err(NoBearer::not_good(reason, None)),
    };
    let token = unverified
        .verify(&row.seal, &ring.slips)
        .ok_or(NoBearer::not_good("its MAC is wrong", None))?;
    let not_good = |reason| NoBearer::not_good(reason, Some(token.grant));
    if ring.refuses(token.key, now) {
        return Err(not_good("others may have its key, which was good for a while only"));
    }
    if now >= token.expires_at {
        return Err(not_good("the access token has expired"));
    }
    must_be_of_its_time(app, token.issued_at, now).map_err(not_good)?;
    Ok(Bearer {
        terms,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        scopes: token.scopes,
    })
}

/// Checks the issue time of an unexpired token; the error says what is wrong.
fn must_be_of_its_time(
    app: &App,
    issued_at: Timestamp,
    now: Timestamp,
) -> Result<(), &'static str> {
    if issued_at < app.bearers_from() {
        Err(LOST)
    } else if issued_at.since(now) > SKEW && !app.is_sandbox() {
        // Issued by a clock that was ahead, so it would be valid for too long. A sandbox's clock
        // may be moved back.
        Err("it was issued in the future; refresh it")
    } else {
        Ok(())
    }
}
