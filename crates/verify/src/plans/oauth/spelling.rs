//! The table: which situation gets which answer, in the network's words and as the RFCs let a
//! server answer.

use crate::expectation::Expectation::{self, Body, Described, Empty, OneOf, Status, Words};
use crate::expectation::Spelling;

/// What is answered in the network's words, and as the RFCs let a server answer.
pub(super) const fn row(network: Expectation, rfc: Expectation) -> Spelling {
    Spelling { network, rfc }
}

// At /authorize.

/// Nobody can be redirected.
pub(super) const NO_REDIRECT: Spelling =
    row(Words("400, and no redirect"), Words("no redirect to there"));

// At both endpoints.

/// The request can't be read.
pub(super) const MALFORMED: Spelling = row(INVALID_REQUEST, OneOf(&[(400, "invalid_request")]));
/// What must be in the body is in the query. The RFCs say that it is forbidden, not what is
/// answered.
pub(super) const IN_QUERY: Spelling = row(
    INVALID_REQUEST,
    OneOf(&[(400, "invalid_request"), (400, "invalid_client"), (401, "invalid_client")]),
);
/// The client is named twice, and not the same.
pub(super) const TWO_CLIENTS: Spelling = row(
    INVALID_REQUEST,
    OneOf(&[
        (400, "invalid_request"),
        (400, "invalid_client"),
        (401, "invalid_client"),
        (400, "invalid_grant"),
    ]),
);

// At /token.

/// The client is unknown.
pub(super) const CLIENT_UNKNOWN: Spelling = row(Described(401, INVALID_CLIENT), NOT_PROVEN);
/// The secret is wrong.
pub(super) const SECRET_WRONG: Spelling = row(Body(401, INVALID_CLIENT), NOT_PROVEN);
/// There is no grant_type.
pub(super) const GRANT_TYPE_MISSING: Spelling =
    row(INVALID_GRANT, OneOf(&[(400, "invalid_request")]));
/// The grant_type does not exist.
pub(super) const GRANT_TYPE_UNKNOWN: Spelling =
    row(INVALID_GRANT, OneOf(&[(400, "unsupported_grant_type")]));
/// There is no code.
pub(super) const CODE_MISSING: Spelling =
    row(Body(400, INVALID_CODE), OneOf(&[(400, "invalid_request"), (400, "invalid_grant")]));
/// The code is none, or not good any more.
pub(super) const CODE_INVALID: Spelling =
    row(Body(400, INVALID_CODE), OneOf(&[(400, "invalid_grant")]));
/// There is no redirect_uri.
pub(super) const REDIRECT_URI_MISSING: Spelling =
    row(Body(400, OTHER_REDIRECT_URI), OneOf(&[(400, "invalid_request"), (400, "invalid_grant")]));
/// The redirect_uri is another one.
pub(super) const REDIRECT_URI_DIFFERENT: Spelling =
    row(Body(400, OTHER_REDIRECT_URI), OneOf(&[(400, "invalid_grant")]));
/// The verifier is missing, or was sent where no challenge was.
pub(super) const VERIFIER_UNFIT: Spelling =
    row(INVALID_GRANT, OneOf(&[(400, "invalid_grant"), (400, "invalid_request")]));
/// The verifier is wrong.
pub(super) const VERIFIER_WRONG: Spelling = row(INVALID_GRANT, OneOf(&[(400, "invalid_grant")]));
/// There is no refresh_token.
pub(super) const REFRESH_TOKEN_MISSING: Spelling = row(
    Body(400, r#"{"error":"invalid_request","error_description":"No refresh token in request."}"#),
    OneOf(&[(400, "invalid_request")]),
);
/// The refresh token is none, or not good any more.
pub(super) const REFRESH_TOKEN_INVALID: Spelling = row(
    Body(
        400,
        r#"{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}"#,
    ),
    OneOf(&[(400, "invalid_grant")]),
);
/// More is asked for than was granted.
pub(super) const SCOPE_BEYOND: Spelling =
    row(Body(400, r#"{"error":"invalid_scope"}"#), OneOf(&[(400, "invalid_scope")]));

// At /revoke.

/// There are no credentials.
pub(super) const REVOKE_NOT_PROVEN: Spelling = row(INVALID_REQUEST, NOT_PROVEN);
/// There are no credentials at all, so a parameter is missing, too.
pub(super) const REVOKE_NOBODY: Spelling = row(
    INVALID_REQUEST,
    OneOf(&[(401, "invalid_client"), (400, "invalid_client"), (400, "invalid_request")]),
);
/// The credentials are wrong.
pub(super) const REVOKE_WRONGLY_PROVEN: Spelling =
    row(Body(401, r#"{"error":"unauthorized_client"}"#), NOT_PROVEN);
/// The token was issued to another client. RFC 7009 says that this is an error, not which one.
pub(super) const TOKEN_OF_ANOTHER: Spelling = row(
    INVALID_REQUEST,
    OneOf(&[
        (400, "invalid_grant"),
        (400, "invalid_request"),
        (400, "invalid_client"),
        (401, "invalid_client"),
        (400, "unauthorized_client"),
        (400, "invalid_token"),
    ]),
);
/// The token_type_hint names no kind of token.
pub(super) const HINT_UNKNOWN: Spelling =
    row(Body(400, r#"{"error":"unsupported_token_type"}"#), Status(200));
/// The token is revoked, or is none. Section 2.2 of RFC 7009: what is in the body is ignored.
pub(super) const REVOKED: Spelling = row(Empty(200), Status(200));

const INVALID_CLIENT: &str =
    r#"{"error":"invalid_client","error_description":"Invalid client credentials."}"#;
const INVALID_CODE: &str =
    r#"{"error":"invalid_request","error_description":"Invalid or expired code parameter."}"#;
const OTHER_REDIRECT_URI: &str = r#"{"error":"invalid_request","error_description":"redirect_uri did not match URI from initial request."}"#;
const INVALID_REQUEST: Expectation = Body(400, r#"{"error":"invalid_request"}"#);
const INVALID_GRANT: Expectation = Body(400, r#"{"error":"invalid_grant"}"#);
/// RFC 6749 section 5.2: 401 is a must only where the client used the Authorization header.
const NOT_PROVEN: Expectation = OneOf(&[(401, "invalid_client"), (400, "invalid_client")]);
