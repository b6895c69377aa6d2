//! The token management test plan: refresh and revocation of ID tokens, and the answers to wrong
//! requests.

use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::expectation::Dialect;
use crate::id_token;
use crate::plan::{Case, GrantFate, Plan};
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::{Code, Tokens};

pub(crate) const PLAN: Plan = Plan {
    name: "token-management",
    title: "Token management",
    dialect: Dialect::Network,
    needs: &[Endpoint::Token, Endpoint::Revocation, Endpoint::Jwks],
    cases: &[
        Case {
            id: "refresh",
            title: "Refresh an ID token",
            clause: "Token management test plan: Refresh an ID token; OpenID Connect Core section 12.2; RFC 6749 section 6",
            grant: GrantFate::Lives,
            checks: &[Check::words(
                "grant_type=refresh_token with the current refresh_token and valid client credentials",
                RENEWED,
            )],
            run: |case| Box::pin(refresh(case)),
        },
        Case {
            id: "refresh-expired-id-token",
            title: "Refresh an expired ID token",
            clause: "Token management test plan: Refresh an expired ID token; OpenID Connect Core section 12.2",
            grant: GrantFate::Lives,
            checks: &[Check::words(
                "the ID token is older than 24 hours (and so refused by /accounts), the refresh_token is current",
                RENEWED,
            )],
            run: |case| Box::pin(refresh_expired_id_token(case)),
        },
        Case {
            id: "revoke-id-token",
            title: "Revoke an ID token",
            clause: "Token management test plan: Revoke an ID token; RFC 7009 section 2.2; FDX error 602",
            grant: GrantFate::Ends,
            checks: &[
                Check::empty("the token is revoked with valid client credentials", 200),
                Check::body(
                    "the very next call with the revoked ID token as bearer",
                    401,
                    r#"{"code":602,"message":"Customer not authorized"}"#,
                ),
            ],
            run: |case| Box::pin(revoke_id_token(case)),
        },
        Case {
            id: "refresh-used",
            title: "Refresh with a used refresh_token",
            clause: "Token management test plan: Refresh a used refresh_token; RFC 9700 section 4.14.2",
            grant: GrantFate::MayEnd,
            checks: &[Check::body(
                "a refresh_token that has already been claimed",
                400,
                r#"{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}"#,
            )],
            run: |case| Box::pin(refresh_used(case)),
        },
        Case {
            id: "refresh-bad-secret",
            title: "Refresh with an invalid client_secret",
            clause: "Token management test plan: Refresh with invalid client_secret; RFC 6749 section 5.2",
            grant: GrantFate::Lives,
            checks: &[Check::body(
                "a current refresh_token and a wrong client_secret",
                401,
                INVALID_CLIENT,
            )],
            run: |case| Box::pin(refresh_bad_secret(case)),
        },
        Case {
            id: "revoke-bad-secret",
            title: "Revoke with an invalid client_secret",
            clause: "Token management test plan: Revoke with invalid client_secret; RFC 7009 section 2.1",
            grant: GrantFate::Lives,
            checks: &[
                Check::body("no client_secret at all", 400, r#"{"error":"invalid_request"}"#),
                Check::body("a wrong client_secret", 401, r#"{"error":"unauthorized_client"}"#),
            ],
            run: |case| Box::pin(revoke_bad_secret(case)),
        },
        Case {
            id: "code-invalid",
            title: "Obtain a token with an invalid authorization code",
            clause: "Token management test plan: Obtain a token with invalid authorization code; RFC 6749 section 4.1.2",
            grant: GrantFate::Lives,
            checks: &[
                Check::body("an expired code", 400, INVALID_CODE),
                Check::body("an incorrect code", 400, INVALID_CODE),
            ],
            run: |case| Box::pin(code_invalid(case)),
        },
        Case {
            id: "redirect-uri-mismatch",
            title: "Obtain a token with an incorrect redirect_uri",
            clause: "Token management test plan: Obtain a token with an incorrect redirect_URI; RFC 6749 section 4.1.3",
            grant: GrantFate::Lives,
            checks: &[Check::body(
                "a good code and a redirect_uri that differs from the one in the authorization request",
                400,
                r#"{"error":"invalid_request","error_description":"redirect_uri did not match URI from initial request."}"#,
            )],
            run: |case| Box::pin(redirect_uri_mismatch(case)),
        },
        Case {
            id: "grant-type-invalid",
            title: "Obtain a token with a missing or incorrect grant_type",
            clause: "Token management test plan: Obtain a token with a missing grant_type field",
            grant: GrantFate::Lives,
            checks: &[
                Check::body("no grant_type", 400, r#"{"error":"invalid_grant"}"#),
                Check::body(
                    "a grant_type that does not exist",
                    400,
                    r#"{"error":"invalid_grant"}"#,
                ),
            ],
            run: |case| Box::pin(grant_type_invalid(case)),
        },
        Case {
            id: "client-invalid",
            title: "Obtain a token with incorrect client credentials",
            clause: "Token management test plan: Obtain a token with an incorrect client_id; RFC 6749 section 5.2",
            grant: GrantFate::Lives,
            checks: &[
                Check::described("an unknown client_id", 401, INVALID_CLIENT),
                Check::body("a wrong client_secret", 401, INVALID_CLIENT),
            ],
            run: |case| Box::pin(client_invalid(case)),
        },
        Case {
            id: "refresh-token-missing",
            title: "Refresh without a refresh_token",
            clause: "Token management test plan: Refresh a token without a refresh_token; RFC 6749 section 6",
            grant: GrantFate::Lives,
            checks: &[Check::body(
                "grant_type=refresh_token, valid client credentials, no refresh_token",
                400,
                r#"{"error":"invalid_request","error_description":"No refresh token in request."}"#,
            )],
            run: |case| Box::pin(refresh_token_missing(case)),
        },
    ],
};

const RENEWED: &str = "200 with a new id_token that verifies against the published keys and is accepted by /accounts, and a new \
                       refresh_token, different from the one sent; both usable";
const INVALID_CLIENT: &str =
    r#"{"error":"invalid_client","error_description":"Invalid client credentials."}"#;
const INVALID_CODE: &str =
    r#"{"error":"invalid_request","error_description":"Invalid or expired code parameter."}"#;

/// What the table means by "older than 24 hours", and how far the clock is moved for it.
const DAY: i64 = 24 * 60 * 60;
const PAST_A_DAY: i64 = 25 * 60 * 60;

async fn refresh(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    // Where they are not, the check can't be made.
    case.accounts(&tokens.id_token).await?;
    let answer = case.refresh(&tokens.refresh_token).await;
    let verdict = renewed(case, &tokens.id_token, &tokens.refresh_token, &answer).await;
    case.judged(0, &answer, verdict);
    Ok(())
}

async fn refresh_expired_id_token(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (id_token, refresh_token) = expired_id_token(case).await?;
    let refused = case.accounts(&id_token).await?;
    if !refused.is(401) {
        return Err(Abort::set_up(format!(
            "the accounts don't refuse an ID token that is older than 24 hours: {}",
            case.line(&refused)
        )));
    }
    let answer = case.refresh(&refresh_token).await;
    let verdict = renewed(case, &id_token, &refresh_token, &answer).await;
    case.judged(0, &answer, verdict);
    Ok(())
}

async fn revoke_id_token(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    case.accounts_accept(&tokens.id_token).await?;
    let revoked =
        case.post_as(Client::Ours, Endpoint::Revocation, &[("token", &tokens.id_token)]).await;
    case.holds(0, &revoked);
    let refused = case.accounts(&tokens.id_token).await?;
    case.holds(1, &refused);
    Ok(())
}

async fn refresh_used(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let claimed = case.refresh(&tokens.refresh_token).await;
    case.tokens_of(&claimed, "a current refresh_token was not redeemed")?;
    let answer = case.refresh(&tokens.refresh_token).await;
    case.holds(0, &answer);
    Ok(())
}

async fn refresh_bad_secret(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    case.secret()?;
    let tokens = case.tokens().await?;
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token)];
    let answer = case.post_as(Client::WrongSecret, Endpoint::Token, &form).await;
    case.holds(0, &answer);
    Ok(())
}

async fn revoke_bad_secret(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    case.secret()?;
    let tokens = case.tokens().await?;
    for (check, client) in [Client::NoSecret, Client::WrongSecret].into_iter().enumerate() {
        let answer =
            case.post_as(client, Endpoint::Revocation, &[("token", &tokens.id_token)]).await;
        case.holds(check, &answer);
    }
    Ok(())
}

async fn code_invalid(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let incorrect = Code { value: random(), ..case.any_code().await? };
    let answer = case.redeem(&incorrect).await;
    case.holds(1, &answer);
    // Last: what aborts the case here concerns an expired code only.
    if !case.has_clock() {
        return Err(Abort::not_run(
            "a code expires only as time goes by, and the server has no clock that can be moved",
        ));
    }
    let expired = case.code().await?;
    case.advance(expired.lifetime.saturating_add(1)).await?;
    let answer = case.redeem(&expired).await;
    case.holds(0, &answer);
    Ok(())
}

async fn redirect_uri_mismatch(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.code().await?;
    let elsewhere = Code { redirect_uri: format!("{}/elsewhere", code.redirect_uri), ..code };
    let answer = case.redeem(&elsewhere).await;
    case.holds(0, &answer);
    Ok(())
}

/// No grant type, then one that does not exist.
pub(super) async fn grant_type_invalid(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.any_code().await?;
    let form: Vec<_> = code.form().into_iter().filter(|(name, _)| *name != "grant_type").collect();
    let missing = case.post_as(Client::Ours, Endpoint::Token, &form).await;
    case.holds(0, &missing);
    let unknown = [&form[..], &[("grant_type", "no_such_grant_type")]].concat();
    let incorrect = case.post_as(Client::Ours, Endpoint::Token, &unknown).await;
    case.holds(1, &incorrect);
    Ok(())
}

/// An unknown client, then a wrong secret.
pub(super) async fn client_invalid(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.any_code().await?;
    let answer = case.post_as(Client::Unknown, Endpoint::Token, &code.form()).await;
    case.holds(0, &answer);
    case.secret()?;
    let answer = case.post_as(Client::WrongSecret, Endpoint::Token, &code.form()).await;
    case.holds(1, &answer);
    Ok(())
}

async fn refresh_token_missing(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer =
        case.post_as(Client::Ours, Endpoint::Token, &[("grant_type", "refresh_token")]).await;
    case.holds(0, &answer);
    Ok(())
}

/// An ID token that is older than 24 hours, and the refresh token of its grant: aged by moving
/// the clock, or kept since an earlier run.
async fn expired_id_token(case: &mut CaseRun<'_>) -> Result<(String, String), Abort> {
    if case.has_clock() {
        let tokens = case.tokens().await?;
        case.advance(PAST_A_DAY).await?;
        return Ok((tokens.id_token, tokens.refresh_token));
    }
    let Some(aged) = case.aged().cloned() else {
        let why = "the server has no clock that can be moved: give tokens of an earlier day with --aged-token (--keep-token keeps some)";
        return Err(Abort::not_run(why));
    };
    let age =
        id_token::issued_at(&aged.id_token).map(|issued_at| case.now().saturating_sub(issued_at));
    match age {
        Some(age) if age > DAY => Ok((aged.id_token, aged.refresh_token)),
        Some(age) => Err(Abort::not_run(format!(
            "the aged ID token is {} hours old, not more than 24",
            age / 3600
        ))),
        None => Err(Abort::not_run("the aged ID token does not tell when it was issued")),
    }
}

/// Whether an answer renews the tokens of a grant: both are new, and both are usable.
async fn renewed(
    case: &mut CaseRun<'_>,
    id_token: &str,
    refresh_token: &str,
    answer: &Response,
) -> Result<(), String> {
    let tokens = Tokens::of(answer)?;
    if tokens.id_token == id_token {
        return Err("the id_token is the one that came before".to_owned());
    }
    if tokens.refresh_token == refresh_token {
        return Err("the refresh_token is the one that was sent".to_owned());
    }
    case.verify(&tokens, Some(id_token)).await?;
    let accepted = case
        .accounts(&tokens.id_token)
        .await
        .map_err(|_| "it is not known where the accounts are")?;
    if !accepted.is(200) {
        return Err(format!(
            "the new id_token is not accepted by /accounts: {}",
            case.line(&accepted)
        ));
    }
    let again = case.refresh(&tokens.refresh_token).await;
    Tokens::of(&again).map_err(|problem| {
        format!("the new refresh_token is not usable: {problem} ({})", case.line(&again))
    })?;
    Ok(())
}
