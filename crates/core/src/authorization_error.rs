//! What is wrong with an authorization request, as the client is told by redirect (RFC 6749 section
//! 4.1.2.1, OpenID Connect Core section 3.1.2.6).

use crate::oauth_error::ErrorCode;

/// An error that the browser takes back to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the table says what they are")]
pub enum AuthorizationError {
    ParameterRepeated,
    RequestObject,
    RequestUri,
    ResponseTypeMissing,
    ResponseTypeNotSupported,
    ResponseModeNotSupported,
    NotRegisteredForCodes,
    NoLongerRegisteredForCodes,
    NonceTooLong,
    OpenidNotRequested,
    CodeChallengeMalformed,
    CodeChallengeMethodNotSupported,
    CodeChallengeMethodAlone,
    PkceRequired,
    PkceRequiredSince,
    PromptNoneWithAnother,
    MaxAgeMalformed,
    HintNotOurs,
    HintOfAnotherClient,
    HintOfAnotherConnector,
    HintOfRemovedConnector,
    NotSignedIn,
    ClientNotAssured,
    NoConsent,
    ConsentEnded,
    DeniedByCustomer,
    CustomerWentBack,
    NotCompleted,
    Internal,
    Unavailable,
}

impl AuthorizationError {
    /// The table: `error` and `error_description`.
    pub const fn on_wire(self) -> (ErrorCode, &'static str) {
        use ErrorCode as E;
        match self {
            Self::ParameterRepeated => (E::InvalidRequest, "a parameter was sent twice"),
            Self::RequestObject => (E::RequestNotSupported, "request objects are not supported"),
            Self::RequestUri => (E::RequestUriNotSupported, "request_uri is not supported"),
            Self::ResponseTypeMissing => (E::InvalidRequest, "no response_type"),
            Self::ResponseTypeNotSupported => {
                (E::UnsupportedResponseType, "the response_type is not code")
            }
            Self::ResponseModeNotSupported => {
                (E::InvalidRequest, "the response_mode is neither query nor form_post")
            }
            Self::NotRegisteredForCodes => (
                E::UnauthorizedClient,
                "the client is not registered for the authorization code flow",
            ),
            Self::NoLongerRegisteredForCodes => (
                E::UnauthorizedClient,
                "the client is no longer registered for the authorization code flow",
            ),
            Self::NonceTooLong => (E::InvalidRequest, "the nonce is too long"),
            Self::OpenidNotRequested => (E::InvalidScope, "the scope does not hold openid"),
            Self::CodeChallengeMalformed => {
                (E::InvalidRequest, "the code_challenge is not 43 characters of base64url")
            }
            Self::CodeChallengeMethodNotSupported => {
                (E::InvalidRequest, "the code_challenge_method is not S256")
            }
            Self::CodeChallengeMethodAlone => {
                (E::InvalidRequest, "a code_challenge_method without a code_challenge")
            }
            Self::PkceRequired => {
                (E::InvalidRequest, "the client must use PKCE, and there is no code_challenge")
            }
            Self::PkceRequiredSince => {
                (E::InvalidRequest, "the client must use PKCE now, and there is no code_challenge")
            }
            Self::PromptNoneWithAnother => {
                (E::InvalidRequest, "prompt=none together with another prompt")
            }
            Self::MaxAgeMalformed => (E::InvalidRequest, "the max_age is not a number of seconds"),
            Self::HintNotOurs => {
                (E::InvalidRequest, "the id_token_hint is not an ID token of this server")
            }
            Self::HintOfAnotherClient => {
                (E::InvalidRequest, "the id_token_hint is an ID token for another client")
            }
            Self::HintOfAnotherConnector => {
                (E::LoginRequired, "the id_token_hint is of a customer of another connector")
            }
            Self::HintOfRemovedConnector => {
                (E::LoginRequired, "the id_token_hint is of a customer whose connector is gone")
            }
            Self::NotSignedIn => (E::LoginRequired, "the customer is not signed in"),
            Self::ClientNotAssured => (
                E::InteractionRequired,
                "the client's identity is not assured, so the customer must be asked",
            ),
            Self::NoConsent => {
                (E::ConsentRequired, "no living consent for this client covers the request")
            }
            Self::ConsentEnded => {
                (E::ConsentRequired, "the consent that covers the request has just ended")
            }
            Self::DeniedByCustomer => (E::AccessDenied, "the customer said no"),
            Self::CustomerWentBack => {
                (E::AccessDenied, "the customer went back without signing in")
            }
            Self::NotCompleted => (E::AccessDenied, "the request could not be completed"),
            Self::Internal => (E::ServerError, "a bug"),
            Self::Unavailable => (E::TemporarilyUnavailable, "the server can't answer now"),
        }
    }
}
