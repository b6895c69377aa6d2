//! The two dialects of OAuth errors, as one table: which situation gets which answer.
//!
//! The system that this project implements answers some errors with other codes than the RFCs. Data
//! recipients certify against the `network` dialect; generic clients and certification suites
//! expect `rfc`.

use serde::{Deserialize, Serialize};

/// How errors are spelled on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// As the network does it.
    #[default]
    Network,
    /// As RFC 6749 and RFC 7009 say.
    Rfc,
}

/// The error codes that we send (RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1, OpenID
/// Connect Core section 3.1.2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum ErrorCode {
    AccessDenied,
    ConsentRequired,
    InteractionRequired,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    LoginRequired,
    MethodNotAllowed,
    NotFound,
    RequestNotSupported,
    RequestUriNotSupported,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    UnsupportedTokenType,
}

impl ErrorCode {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::LoginRequired => "login_required",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
        }
    }
}

/// A refusal at `/token`, `/revoke` or `/introspect`: the situation, not yet its spelling.
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
}

/// A refusal as it goes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireError {
    /// HTTP status.
    pub status: u16,
    /// The `error` member.
    pub error: ErrorCode,
    /// The `error_description` member, where there is one.
    pub description: Option<&'static str>,
}

impl Refusal {
    /// The table.
    pub const fn on_wire(self, dialect: Dialect) -> WireError {
        use Dialect::{Network, Rfc};
        use ErrorCode as E;
        match (self, dialect) {
            (Self::MalformedRequest, _) => plain(400, E::InvalidRequest),
            (Self::InvalidClient, _) => {
                described(401, E::InvalidClient, "Invalid client credentials.")
            }
            (Self::GrantTypeMissing, Network) => plain(400, E::InvalidGrant),
            (Self::GrantTypeMissing, Rfc) => plain(400, E::InvalidRequest),
            (Self::GrantTypeUnknown, Network) => plain(400, E::InvalidGrant),
            (Self::GrantTypeUnknown, Rfc) => plain(400, E::UnsupportedGrantType),
            (Self::GrantTypeNotAllowed, _) => plain(400, E::UnauthorizedClient),
            (Self::CodeInvalid, Network) => {
                described(400, E::InvalidRequest, "Invalid or expired code parameter.")
            }
            (Self::CodeInvalid, Rfc) => plain(400, E::InvalidGrant),
            (Self::RedirectUriMismatch, Network) => described(
                400,
                E::InvalidRequest,
                "redirect_uri did not match URI from initial request.",
            ),
            (Self::RedirectUriMismatch, Rfc) => plain(400, E::InvalidGrant),
            (Self::PkceMismatch, _) => plain(400, E::InvalidGrant),
            (Self::RefreshTokenMissing, _) => {
                described(400, E::InvalidRequest, "No refresh token in request.")
            }
            (Self::RefreshTokenInvalid, Network) => described(
                400,
                E::InvalidRequest,
                "Refresh token is invalid or has already been claimed by another client.",
            ),
            (Self::RefreshTokenInvalid, Rfc) => plain(400, E::InvalidGrant),
            (Self::ScopeBeyondGrant, _) => plain(400, E::InvalidScope),
            (Self::RevokeCredentialsMissing, Network) => plain(400, E::InvalidRequest),
            (Self::RevokeCredentialsMissing, Rfc) => plain(401, E::InvalidClient),
            (Self::RevokeCredentialsWrong, Network) => plain(401, E::UnauthorizedClient),
            (Self::RevokeCredentialsWrong, Rfc) => plain(401, E::InvalidClient),
            (Self::TokenMissing, _) => plain(400, E::InvalidRequest),
            (Self::TokenTypeHintUnknown, _) => plain(400, E::UnsupportedTokenType),
            (Self::TokenOfAnotherClient, Network) => plain(400, E::InvalidRequest),
            (Self::TokenOfAnotherClient, Rfc) => plain(400, E::InvalidGrant),
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

const fn plain(status: u16, error: ErrorCode) -> WireError {
    WireError { status, error, description: None }
}

const fn described(status: u16, error: ErrorCode, description: &'static str) -> WireError {
    WireError { status, error, description: Some(description) }
}
