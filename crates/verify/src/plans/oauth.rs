//! What RFC 6749, RFC 7636 and RFC 7009 ask of `/authorize`, `/token` and `/revoke`: in the
//! network's dialect, and as the RFCs spell it.
//!
//! Each case is declared once. Where the dialects differ the expected answer is a row of the table
//! in `spelling.rs`; where a case looks at less in the RFCs' dialect, that is a variant of it. Cases
//! on what only the network promises are in its plan alone.

pub(super) mod authorize;
mod client;
mod code;
mod moves;
mod pkce;
mod refresh;
mod request;
mod revoke;
mod spelling;

use crate::expectation::Dialect;
use crate::plan::Plan;
use crate::target::Endpoint;

const NEEDS: &[Endpoint] = &[Endpoint::Authorization, Endpoint::Token, Endpoint::Revocation];

pub(crate) const NETWORK: Plan = Plan {
    name: "oauth",
    title: "OAuth 2.0 in the network's dialect",
    dialect: Dialect::Network,
    needs: NEEDS,
    cases: &[
        authorize::AUTHORIZE_ERRORS,
        authorize::AUTHORIZE_NOWHERE,
        authorize::AUTHORIZE_PROMPT_NONE,
        request::REQUEST_METHOD,
        request::REQUEST_TYPE,
        request::REQUEST_REPEATED,
        request::REQUEST_QUERY,
        request::REQUEST_IGNORED,
        request::TOKEN_ANSWER,
        request::NOT_STORED,
        client::CLIENT_CREDENTIALS,
        client::CLIENT_INVALID,
        client::CLIENT_CHALLENGED,
        client::CLIENT_TWICE,
        request::GRANT_TYPE,
        code::CODE_INVALID,
        code::CODE_USED,
        code::CODE_OF_ANOTHER,
        pkce::PKCE_VERIFIER,
        pkce::PKCE_UNASKED,
        pkce::PKCE_METHOD,
        pkce::PKCE_PUBLIC,
        code::CODE_REDIRECT_URI,
        refresh::REFRESH_INVALID,
        refresh::REFRESH_USED,
        refresh::REFRESH_SCOPE,
        refresh::REFRESH_OF_ANOTHER,
        refresh::REFUSED_CLAIMS_NOTHING,
        revoke::REVOKE_CLIENT,
        revoke::REVOKE_TOKEN_MISSING,
        revoke::REVOKE_OF_ANOTHER,
        revoke::REVOKE_CODE,
        revoke::REVOKE_KINDS,
        revoke::REVOKE_UNKNOWN,
        revoke::REVOKE_SUPERSEDED,
        revoke::REVOKE_HINT,
        revoke::REVOKE_UNKNOWN_HINT,
    ],
};

pub(crate) const RFC: Plan = Plan {
    name: "oauth-rfc",
    title: "OAuth 2.0 as RFC 6749, RFC 7636 and RFC 7009 say",
    dialect: Dialect::Rfc,
    needs: NEEDS,
    cases: &[
        authorize::AUTHORIZE_ERRORS_RFC,
        authorize::AUTHORIZE_NOWHERE,
        authorize::AUTHORIZE_PROMPT_NONE,
        request::REQUEST_METHOD,
        request::REQUEST_TYPE,
        request::REQUEST_REPEATED,
        request::REQUEST_QUERY,
        request::REQUEST_IGNORED,
        request::TOKEN_ANSWER,
        client::CLIENT_CREDENTIALS,
        client::CLIENT_INVALID,
        client::CLIENT_CHALLENGED,
        client::CLIENT_TWICE,
        request::GRANT_TYPE,
        code::CODE_INVALID,
        code::CODE_USED_RFC,
        code::CODE_OF_ANOTHER_RFC,
        pkce::PKCE_VERIFIER_RFC,
        pkce::PKCE_UNASKED,
        pkce::PKCE_METHOD,
        pkce::PKCE_PUBLIC,
        code::CODE_REDIRECT_URI_RFC,
        refresh::REFRESH_INVALID,
        refresh::REFRESH_USED,
        refresh::REFRESH_SCOPE,
        refresh::REFRESH_OF_ANOTHER_RFC,
        revoke::REVOKE_CLIENT,
        revoke::REVOKE_TOKEN_MISSING,
        revoke::REVOKE_OF_ANOTHER,
        revoke::REVOKE_KINDS_RFC,
        revoke::REVOKE_UNKNOWN,
        revoke::REVOKE_HINT,
        revoke::REVOKE_UNKNOWN_HINT_RFC,
    ],
};
