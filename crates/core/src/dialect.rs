//! The refusals of OAuth endpoints and their two spellings, as one table.
//!
//! The network that this project implements answers some errors with other codes than the RFCs.
//! Data recipients certify against the `network` dialect; generic clients and certification suites
//! expect `rfc`. Errors that any path can answer are in [`failure`](crate::failure), those that
//! `/authorize` redirects with in [`authorization_error`](crate::authorization_error).

use serde::{Deserialize, Serialize};

use crate::oauth_error::{Challenge, ErrorCode, OAuthError};

/// How errors are spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// As the network does.
    #[default]
    Network,
    /// As RFC 6749 and RFC 7009 say.
    Rfc,
}

/// Why an OAuth endpoint refuses a request: the situation, not yet its spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request can't be read: parameters sent twice, credentials in two places, OAuth
    /// parameters in the query, a bad header.
    MalformedRequest,
    /// `/token`, `/introspect`: client unknown, secret missing or wrong.
    InvalidClient,
    /// `/token`: `grant_type` missing.
    GrantTypeMissing,
    /// `/token`: `grant_type` unknown.
    GrantTypeUnknown,
    /// `/token`: the client may not use this grant type.
    GrantTypeNotAllowed,
    /// `/token`: code missing, malformed, another client's, redeemed, expired, or its grant ended.
    CodeInvalid,
    /// `/token`: `redirect_uri` missing or different.
    RedirectUriMismatch,
    /// `/token`: PKCE verifier missing or wrong, or sent where no challenge was.
    PkceMismatch,
    /// `/token`: `refresh_token` missing.
    RefreshTokenMissing,
    /// `/token`: refresh token malformed, another client's, claimed, expired, or its grant ended.
    RefreshTokenInvalid,
    /// `/token`: scope beyond what was granted.
    ScopeBeyondGrant,
    /// `/revoke`: `client_id` missing, or no secret from a client that is not registered `none` (an
    /// unknown one too).
    RevokeCredentialsMissing,
    /// `/revoke`: `client_id` unknown and a secret sent, or secret wrong.
    RevokeCredentialsWrong,
    /// `/revoke`, `/introspect`: `token` missing.
    TokenMissing,
    /// `/revoke`: a `token_type_hint` that names no kind of token. Only the network's dialect
    /// refuses it (RFC 7009 section 2.1).
    TokenTypeHintUnknown,
    /// `/revoke`: the token was issued to another client.
    TokenOfAnotherClient,
    /// `/userinfo`: no bearer token.
    BearerTokenMissing,
    /// `/userinfo`: a bearer token that is not good.
    BearerTokenInvalid,
    /// `/userinfo`: a bearer token in two places, or a form that can't be read.
    BearerTokenMalformed,
    /// `/sandbox/*`: asked for by a page of another site.
    ForeignOrigin,
    /// `/sandbox/codes`: there is no such client.
    UnknownClient,
    /// `/sandbox/grade`: another client is being graded.
    GradingUnderWay,
}

impl Refusal {
    /// The table.
    pub const fn on_wire(self, dialect: Dialect) -> OAuthError {
        use Dialect::{Network, Rfc};
        use ErrorCode as E;
        match (self, dialect) {
            (Self::MalformedRequest, _) => bad(E::InvalidRequest),
            (Self::InvalidClient, _) => unauthorized(E::InvalidClient, Challenge::Basic)
                .described("Invalid client credentials."),
            (Self::GrantTypeMissing, Network) => bad(E::InvalidGrant),
            (Self::GrantTypeMissing, Rfc) => bad(E::InvalidRequest),
            (Self::GrantTypeUnknown, Network) => bad(E::InvalidGrant),
            (Self::GrantTypeUnknown, Rfc) => bad(E::UnsupportedGrantType),
            (Self::GrantTypeNotAllowed, _) => bad(E::UnauthorizedClient),
            (Self::CodeInvalid, Network) => {
                bad(E::InvalidRequest).described("Invalid or expired code parameter.")
            }
            (Self::CodeInvalid, Rfc) => bad(E::InvalidGrant),
            (Self::RedirectUriMismatch, Network) => bad(E::InvalidRequest)
                .described("redirect_uri did not match URI from initial request."),
            (Self::RedirectUriMismatch, Rfc) => bad(E::InvalidGrant),
            (Self::PkceMismatch, _) => bad(E::InvalidGrant),
            (Self::RefreshTokenMissing, _) => {
                bad(E::InvalidRequest).described("No refresh token in request.")
            }
            (Self::RefreshTokenInvalid, Network) => bad(E::InvalidRequest).described(
                "Refresh token is invalid or has already been claimed by another client.",
            ),
            (Self::RefreshTokenInvalid, Rfc) => bad(E::InvalidGrant),
            (Self::ScopeBeyondGrant, _) => bad(E::InvalidScope),
            (Self::RevokeCredentialsMissing, Network) => bad(E::InvalidRequest),
            (Self::RevokeCredentialsMissing, Rfc) => {
                unauthorized(E::InvalidClient, Challenge::Basic)
            }
            (Self::RevokeCredentialsWrong, Network) => {
                unauthorized(E::UnauthorizedClient, Challenge::Basic)
            }
            (Self::RevokeCredentialsWrong, Rfc) => unauthorized(E::InvalidClient, Challenge::Basic),
            (Self::TokenMissing, _) => bad(E::InvalidRequest),
            (Self::TokenTypeHintUnknown, _) => bad(E::UnsupportedTokenType),
            (Self::TokenOfAnotherClient, Network) => bad(E::InvalidRequest),
            (Self::TokenOfAnotherClient, Rfc) => bad(E::InvalidGrant),
            (Self::BearerTokenMissing, _) => unauthorized(E::InvalidToken, Challenge::Bearer),
            (Self::BearerTokenInvalid, _) => {
                unauthorized(E::InvalidToken, Challenge::BearerInvalidToken)
            }
            (Self::BearerTokenMalformed, _) => {
                bad(E::InvalidRequest).asking_for(Challenge::BearerInvalidRequest)
            }
            (Self::ForeignOrigin, _) => OAuthError::plain(403, E::AccessDenied),
            (Self::UnknownClient, _) => bad(E::InvalidClient),
            (Self::GradingUnderWay, _) => OAuthError::plain(409, E::InvalidRequest),
        }
    }
}

impl Dialect {
    /// Whether a `token_type_hint` that names no kind of token is refused (network) or ignored (RFC
    /// 7009 section 2.1).
    pub const fn refuses_unknown_hints(self) -> bool {
        matches!(self, Self::Network)
    }
}

const fn bad(code: ErrorCode) -> OAuthError {
    OAuthError::plain(400, code)
}

const fn unauthorized(code: ErrorCode, challenge: Challenge) -> OAuthError {
    OAuthError::plain(401, code).asking_for(challenge)
}
