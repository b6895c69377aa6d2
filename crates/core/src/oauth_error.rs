//! OAuth errors as they are sent: status, `error`, `error_description` and `WWW-Authenticate`.

use serde::{Serialize, Serializer};

/// The error codes that we send (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 7009
/// section 2.2.1, OpenID Connect Core section 3.1.2.6).
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

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The authentication that an answer asks for in `WWW-Authenticate`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// The credentials of a client.
    Basic,
    /// A bearer token, where none was sent.
    Bearer,
    /// A better bearer token than the one that was sent (RFC 6750 section 3.1).
    BearerInvalidToken,
    /// A bearer token sent in a way that can be read.
    BearerInvalidRequest,
}

impl Challenge {
    /// The value of the header.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Basic => "Basic realm=\"counterfoil\", charset=\"UTF-8\"",
            Self::Bearer => "Bearer realm=\"counterfoil\"",
            Self::BearerInvalidToken => "Bearer realm=\"counterfoil\", error=\"invalid_token\"",
            Self::BearerInvalidRequest => "Bearer realm=\"counterfoil\", error=\"invalid_request\"",
        }
    }
}

/// An error answer. Serialised, it is the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct OAuthError {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// The `error` member.
    #[serde(rename = "error")]
    pub code: ErrorCode,
    /// The `error_description` member.
    #[serde(rename = "error_description", skip_serializing_if = "Option::is_none")]
    pub description: Option<&'static str>,
    /// What `WWW-Authenticate` asks for.
    #[serde(skip)]
    pub challenge: Option<Challenge>,
}

impl OAuthError {
    pub(crate) const fn plain(status: u16, code: ErrorCode) -> Self {
        Self { status, code, description: None, challenge: None }
    }

    pub(crate) const fn described(self, description: &'static str) -> Self {
        Self { description: Some(description), ..self }
    }

    pub(crate) const fn asking_for(self, challenge: Challenge) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}
