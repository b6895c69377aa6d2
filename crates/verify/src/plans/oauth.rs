//! What RFC 6749, RFC 7636 and RFC 7009 ask of `/authorize`, `/token` and `/revoke`: in the
//! network's dialect, and as the RFCs spell it.
//!
//! Each case is declared once. Where the dialects differ the expected answer is a row of the table
//! in `spelling.rs`; cases on what only the network promises are in its plan alone.

pub(super) mod authorize;
mod client;
mod code;
mod moves;
mod pkce;
mod refresh;
mod request;
mod revoke;
mod spelling;

use crate::check::Check;
use crate::plan::Plan;
use crate::target::Endpoint;
use spelling::Row;

const NEEDS: &[Endpoint] = &[Endpoint::Authorization, Endpoint::Token, Endpoint::Revocation];

/// The cases in a dialect: as the RFCs say, or as the network does.
struct Cases<const RFC: bool>;

type Network = Cases<false>;
type Rfc = Cases<true>;

impl<const RFC: bool> Cases<RFC> {
    /// A check that expects what the table says.
    const fn answered(given: &'static str, row: Row) -> Check {
        Check { given, expected: if RFC { row.rfc } else { row.network } }
    }
}

pub(crate) const NETWORK: Plan = Plan {
    name: "oauth",
    title: "OAuth 2.0 in the network's dialect",
    needs: NEEDS,
    cases: &[
        Network::AUTHORIZE_ERRORS,
        Network::AUTHORIZE_NOWHERE,
        Network::AUTHORIZE_PROMPT_NONE,
        Network::REQUEST_METHOD,
        Network::REQUEST_TYPE,
        Network::REQUEST_REPEATED,
        Network::REQUEST_QUERY,
        Network::REQUEST_IGNORED,
        Network::TOKEN_ANSWER,
        Network::NOT_STORED,
        Network::CLIENT_CREDENTIALS,
        Network::CLIENT_INVALID,
        Network::CLIENT_CHALLENGED,
        Network::CLIENT_TWICE,
        Network::GRANT_TYPE,
        Network::CODE_INVALID,
        Network::CODE_USED,
        Network::CODE_OF_ANOTHER,
        Network::PKCE_VERIFIER,
        Network::PKCE_UNASKED,
        Network::PKCE_METHOD,
        Network::PKCE_PUBLIC,
        Network::CODE_REDIRECT_URI,
        Network::REFRESH_INVALID,
        Network::REFRESH_USED,
        Network::REFRESH_SCOPE,
        Network::REFRESH_OF_ANOTHER,
        Network::REFUSED_CLAIMS_NOTHING,
        Network::REVOKE_CLIENT,
        Network::REVOKE_TOKEN_MISSING,
        Network::REVOKE_OF_ANOTHER,
        Network::REVOKE_CODE,
        Network::REVOKE_KINDS,
        Network::REVOKE_UNKNOWN,
        Network::REVOKE_SUPERSEDED,
        Network::REVOKE_HINT,
        Network::REVOKE_UNKNOWN_HINT,
    ],
};

pub(crate) const RFC: Plan = Plan {
    name: "oauth-rfc",
    title: "OAuth 2.0 as RFC 6749, RFC 7636 and RFC 7009 say",
    needs: NEEDS,
    cases: &[
        Rfc::AUTHORIZE_ERRORS,
        Rfc::AUTHORIZE_NOWHERE,
        Rfc::AUTHORIZE_PROMPT_NONE,
        Rfc::REQUEST_METHOD,
        Rfc::REQUEST_TYPE,
        Rfc::REQUEST_REPEATED,
        Rfc::REQUEST_QUERY,
        Rfc::REQUEST_IGNORED,
        Rfc::TOKEN_ANSWER,
        Rfc::CLIENT_CREDENTIALS,
        Rfc::CLIENT_INVALID,
        Rfc::CLIENT_CHALLENGED,
        Rfc::CLIENT_TWICE,
        Rfc::GRANT_TYPE,
        Rfc::CODE_INVALID,
        Rfc::CODE_USED,
        Rfc::CODE_OF_ANOTHER,
        Rfc::PKCE_VERIFIER,
        Rfc::PKCE_UNASKED,
        Rfc::PKCE_METHOD,
        Rfc::PKCE_PUBLIC,
        Rfc::CODE_REDIRECT_URI,
        Rfc::REFRESH_INVALID,
        Rfc::REFRESH_USED,
        Rfc::REFRESH_SCOPE,
        Rfc::REFRESH_OF_ANOTHER,
        Rfc::REVOKE_CLIENT,
        Rfc::REVOKE_TOKEN_MISSING,
        Rfc::REVOKE_OF_ANOTHER,
        Rfc::REVOKE_KINDS,
        Rfc::REVOKE_UNKNOWN,
        Rfc::REVOKE_HINT,
        Rfc::REVOKE_UNKNOWN_HINT,
    ],
};
