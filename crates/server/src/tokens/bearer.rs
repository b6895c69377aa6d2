//! The resource check: is this bearer token good now? Ends with one primary-key read of the
//! counterfoil, every time.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use counterfoil_core::access_token::UnverifiedAccessToken;
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::jws::Compact;
use counterfoil_core::scope::Scopes;
use counterfoil_core::token::Token;
use counterfoil_core::verdict::Counterfoil;
use counterfoil_store::StoreError;

use crate::http::request::one;
use crate::node::app::App;
use crate::node::follow::Unavailable;
use crate::tokens::id_token;
use crate::tokens::unknown_key::ring_with;

/// Why a token is refused that may have been revoked: nobody knows any more.
const LOST: &str = "it was issued before data was lost; refresh it";

/// A bearer token that is good.
#[derive(Debug)]
pub struct Bearer {
    /// What its grant allows.
    pub terms: Arc<Terms>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it allows: an access token's own scopes, for an ID token those of the grant.
    pub scopes: Scopes,
}

/// A bearer token that is not good.
#[derive(Debug)]
pub struct NotGood {
    /// Why, in plain words.
    pub reason: &'static str,
    /// The grant that it names, where it is authentic.
    pub grant: Option<GrantId>,
    /// Whether there was a token at all.
    pub sent: bool,
}

/// Which tokens a path takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// Access tokens alone.
    AccessToken,
    /// Access tokens and ID tokens.
    Either,
}

/// Checks the token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
///
/// # Errors
/// The outer error is that the store can't answer; the inner one that the token is missing or not
/// good.
pub async fn check(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
    takes: Takes,
) -> Result<Result<Bearer, NotGood>, Unavailable> {
    let missing = |reason| Ok(Err(NotGood { reason, grant: None, sent: false }));
    let header = match one(headers, &AUTHORIZATION) {
        Ok(Some(header)) => header,
        Ok(None) => return missing("no bearer token"),
        Err(_) => {
            return Ok(Err(NotGood {
                reason: "the Authorization header is not one text",
                grant: None,
                sent: true,
            }));
        }
    };
    let Some((scheme, token)) = header.split_once(' ') else {
        return missing("no bearer token");
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return missing("the Authorization header holds no bearer token");
    }
    check_token(app, Token::parse(token.trim()), now, takes).await
}

/// Checks a token.
///
/// # Errors
/// As [`check`].
pub async fn check_token(
    app: &App,
    token: Token<'_>,
    now: Timestamp,
    takes: Takes,
) -> Result<Result<Bearer, NotGood>, Unavailable> {
    match (token, takes) {
        (Token::AccessToken(token), _) => check_access_token(app, token, now).await,
        (Token::IdToken(token), Takes::Either) => check_id_token(app, &token, now).await,
        (_, Takes::AccessToken) => not_good("it is not an access token", None),
        (Token::Slip(..) | Token::Unknown, Takes::Either) => {
            not_good("it is neither an access token nor an ID token", None)
        }
    }
}

fn not_good(
    reason: &'static str,
    grant: Option<GrantId>,
) -> Result<Result<Bearer, NotGood>, Unavailable> {
    Ok(Err(NotGood { reason, grant, sent: true }))
}

async fn check_access_token(
    app: &App,
    unverified: UnverifiedAccessToken,
    now: Timestamp,
) -> Result<Result<Bearer, NotGood>, Unavailable> {
    let ring = ring_with(app, unverified.key()).await?;
    let (terms, row) = match living(app, unverified.grant()).await? {
        Ok(found) => found,
        Err(reason) => return not_good(reason, None),
    };
    let Some(token) = unverified.verify(&row.seal, &ring.slips) else {
        return not_good("its MAC is wrong", None);
    };
    let grant = Some(token.grant);
    if ring.refuses(token.key, now) {
        return not_good("others may have its key, which was good for a while only", grant);
    }
    if now >= token.expires_at {
        return not_good("the access token has expired", grant);
    }
    if let Some(reason) = not_of_its_time(app, token.issued_at, &terms, now) {
        return not_good(reason, grant);
    }
    Ok(Ok(Bearer {
        terms,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        scopes: token.scopes,
    }))
}

async fn check_id_token(
    app: &App,
    token: &Compact<'_>,
    now: Timestamp,
) -> Result<Result<Bearer, NotGood>, Unavailable> {
    let claims = match id_token::read(app, token).await? {
        Ok(claims) => claims,
        Err(reason) => return not_good(reason, None),
    };
    let grant = Some(claims.grant_id);
    if now >= claims.exp {
        return not_good("the ID token has expired", grant);
    }
    let (terms, _) = match living(app, claims.grant_id).await? {
        Ok(found) => found,
        Err(reason) => return not_good(reason, grant),
    };
    if *terms.client != *claims.aud {
        return not_good("it is of another client", grant);
    }
    if let Some(reason) = not_of_its_time(app, claims.iat, &terms, now) {
        return not_good(reason, grant);
    }
    let scopes = terms.scopes;
    Ok(Ok(Bearer { terms, issued_at: claims.iat, expires_at: claims.exp, scopes }))
}

/// Why a token is not good that was issued at `issued_at` and has not expired.
fn not_of_its_time(
    app: &App,
    issued_at: Timestamp,
    terms: &Terms,
    now: Timestamp,
) -> Option<&'static str> {
    if issued_at < app.bearers_from() {
        Some(LOST)
    } else if now >= terms.expires_at {
        Some("the grant has expired")
    } else if issued_at.since(now) > SKEW && !app.is_sandbox() {
        // By a clock that was ahead, so it would be good for too long. A sandbox's clock is moved
        // back at will.
        Some("it was issued in the future; refresh it")
    } else {
        None
    }
}

/// The terms and the counterfoil of a living grant, or why there are none.
async fn living(
    app: &App,
    grant: GrantId,
) -> Result<Result<(Arc<Terms>, Counterfoil), &'static str>, StoreError> {
    let Some(terms) = app.store.terms(grant).await? else {
        return Ok(Err("the grant is not known"));
    };
    Ok(match app.store.living(&terms).await? {
        Some(row) => Ok((terms, row)),
        None => Err("the grant was ended"),
    })
}
