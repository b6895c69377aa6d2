//! The data API: which tokens are given which accounts, and how others are refused in FDX's words.

mod bearer;
mod forged;
mod list;
mod request;

use crate::expectation::Dialect;
use crate::plan::Plan;
use crate::target::Endpoint;

pub(crate) const PLAN: Plan = Plan {
    name: "data",
    title: "The data API and its errors",
    dialect: Dialect::Network,
    needs: &[Endpoint::Token, Endpoint::Accounts],
    cases: &[
        bearer::MISSING,
        bearer::NO_TOKEN,
        bearer::EXPIRED,
        bearer::OTHER_KINDS,
        bearer::TAMPERED,
        bearer::UNSIGNED,
        bearer::STRANGER,
        bearer::IN_QUERY,
        bearer::REVOKED,
        bearer::CHALLENGED,
        bearer::ACCESS_TOKEN,
        list::SHAPE,
        list::CONSENTED,
        list::NARROWED,
        list::UNKNOWN,
        list::OF_ANOTHER,
        list::EMPTY,
        request::VERSION,
        request::PROVIDER,
        request::INTERACTION_ID,
        request::NOT_STORED,
        request::METHOD,
    ],
};

/// The answer to a request without a good token.
const NOT_AUTHORIZED: &str = r#"{"code":602,"message":"Customer not authorized"}"#;
/// The answer about an account outside the consent.
const NOT_FOUND: &str = r#"{"code":701,"message":"Account not found"}"#;
