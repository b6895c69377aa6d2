//! A request to `/token`, parsed once from its form.

use axum::http::HeaderName;
use counterfoil_core::client::GrantType;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::scope::Scopes;

use crate::http::head::one;
use crate::http::refused::Refused;
use crate::oauth::client_request::ClientRequest;

/// The header that makes a refresh repeatable.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request to `/token`, one variant per grant type.
pub(super) enum TokenRequest<'a> {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode(CodeExchange<'a>),
    /// RFC 6749 section 6.
    RefreshToken(Refresh<'a>),
}

/// A code to exchange.
pub(super) struct CodeExchange<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: Option<&'a str>,
}

/// A refresh token to redeem.
pub(super) struct Refresh<'a> {
    pub(super) token: &'a str,
    pub(super) scope: Option<RequestedScope<'a>>,
    /// The `Idempotency-Key`.
    pub(super) retry_key: Option<&'a str>,
}

/// A `scope` that narrows the granted one.
pub(super) struct RequestedScope<'a> {
    /// As sent, which identifies a repeat.
    pub(super) text: &'a str,
    /// `None` if it contains an unknown scope.
    pub(super) scopes: Option<Scopes>,
}

impl<'a> TokenRequest<'a> {
    /// Parses the request of an authenticated client. The order of checks is the contract's: the
    /// grant type, may the client use it, what it needs.
    ///
    /// # Errors
    /// As in the table of `counterfoil_core::dialect`.
    pub(super) fn read(request: &'a ClientRequest<'_>) -> Result<Self, Refused> {
        let form = &request.form;
        let Some(grant_type) = form.get("grant_type") else {
            return Err(request.refuse(Refusal::GrantTypeMissing, "no grant_type"));
        };
        let Some(grant_type) = GrantType::parse(grant_type) else {
            return Err(request.refuse(Refusal::GrantTypeUnknown, "there is no such grant_type"));
        };
        if !request.client.settings.grant_types.contains(&grant_type) {
            return Err(request.refuse(
                Refusal::GrantTypeNotAllowed,
                "the client is not registered for this grant_type",
            ));
        }
        let needed = |name, refusal, reason: &str| {
            form.get(name).ok_or_else(|| request.refuse(refusal, reason))
        };
        Ok(match grant_type {
            GrantType::AuthorizationCode => Self::AuthorizationCode(CodeExchange {
                code: needed("code", Refusal::CodeInvalid, "no code")?,
                redirect_uri: needed(
                    "redirect_uri",
                    Refusal::RedirectUriMismatch,
                    "no redirect_uri",
                )?,
                code_verifier: form.get("code_verifier"),
            }),
            GrantType::RefreshToken => Self::RefreshToken(Refresh {
                retry_key: retry_key(request)?,
                token: needed("refresh_token", Refusal::RefreshTokenMissing, "no refresh_token")?,
                scope: form
                    .get("scope")
                    .map(|text| RequestedScope { text, scopes: Scopes::parse(text).ok() }),
            }),
        })
    }
}

/// The `Idempotency-Key`: 16 to 255 visible characters.
fn retry_key<'a>(request: &ClientRequest<'a>) -> Result<Option<&'a str>, Refused> {
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
