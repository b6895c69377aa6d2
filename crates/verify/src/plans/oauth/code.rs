//! Codes: good once, for one client and one redirect URI.

use super::moves::{Another, has_tokens, refreshing, still_good};
use super::spelling;
use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::target::Endpoint;
use crate::tokens::Code;

pub(super) const CODE_INVALID: Case = Case {
    id: "code-invalid",
    title: "What is no good code",
    clause: "RFC 6749 sections 4.1.2, 4.1.3 and 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("no code", spelling::CODE_MISSING),
        Check::spelled("a code that was never issued", spelling::CODE_INVALID),
        Check::spelled("a refresh token as the code", spelling::CODE_INVALID),
        Check::spelled("a code that has expired", spelling::CODE_INVALID),
    ],
    run: |case| Box::pin(invalid(case)),
};

pub(super) const CODE_USED: Case = Case {
    id: "code-used",
    title: "A code is redeemed once",
    clause: "RFC 6749 sections 4.1.2 and 10.5; RFC 9700 section 2.1.1",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled(AGAIN, spelling::CODE_INVALID),
        Check::spelled(
            "then the refresh token that the code led to",
            spelling::REFRESH_TOKEN_INVALID,
        ),
    ],
    run: |case| Box::pin(used(case)),
};

pub(super) const CODE_USED_RFC: Case =
    Case { checks: &[Check::spelled(AGAIN, spelling::CODE_INVALID)], ..CODE_USED };

pub(super) const CODE_REDIRECT_URI: Case = Case {
    id: "code-redirect-uri",
    title: "A code is good for the redirect URI of its request",
    clause: "RFC 6749 sections 4.1.3 and 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("no redirect_uri", spelling::REDIRECT_URI_MISSING),
        Check::spelled("another redirect_uri", spelling::REDIRECT_URI_DIFFERENT),
        Check::words(
            "then the right redirect_uri",
            "200 with tokens: what was refused claimed nothing",
        ),
    ],
    run: |case| Box::pin(redirect_uri(case)),
};

pub(super) const CODE_REDIRECT_URI_RFC: Case = Case {
    checks: &[
        Check::spelled("no redirect_uri", spelling::REDIRECT_URI_MISSING),
        Check::spelled("another redirect_uri", spelling::REDIRECT_URI_DIFFERENT),
    ],
    ..CODE_REDIRECT_URI
};

pub(super) const CODE_OF_ANOTHER: Case = Case {
    id: "code-of-another-client",
    title: "A code is good for the client that it was issued to",
    clause: "RFC 6749 sections 4.1.3 and 10.5",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("a code of another client", spelling::CODE_INVALID),
        Check::words(
            "then the same code from its own client",
            "200 with tokens: what was refused claimed nothing",
        ),
    ],
    run: |case| Box::pin(of_another(case)),
};

pub(super) const CODE_OF_ANOTHER_RFC: Case = Case {
    checks: &[Check::spelled("a code of another client", spelling::CODE_INVALID)],
    ..CODE_OF_ANOTHER
};

const AGAIN: &str = "a code that was redeemed, and whose refresh token was too";

async fn invalid(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.any_code().await?;
    let form: Vec<_> = code.form().into_iter().filter(|(name, _)| *name != "code").collect();
    let answer = case.post_as(Client::Ours, Endpoint::Token, &form).await;
    case.holds(0, &answer);
    let answer = case.redeem(&Code { value: random(), ..code.clone() }).await;
    case.holds(1, &answer);
    let tokens = case.tokens().await?;
    let answer = case.redeem(&Code { value: tokens.refresh_token, ..code }).await;
    case.holds(2, &answer);
    if !case.has_clock() {
        return Err(Abort::not_run(
            "a code expires only as time goes by, and the server has no clock that can be moved",
        ));
    }
    let expired = case.code().await?;
    case.advance(expired.lifetime + 1).await?;
    let answer = case.redeem(&expired).await;
    case.holds(3, &answer);
    Ok(())
}

async fn used(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.code().await?;
    let first = case.redeem(&code).await;
    if code.tried && has_tokens(&first).is_err() {
        return Err(Abort::not_run(
            "the code at hand was sent wrongly before, which may have voided it",
        ));
    }
    let tokens = case.tokens_of(&first, "a code was not redeemed")?;
    // As long as the tokens of the first redemption are unused, a second one may be a retry; from now
    // on it is a leak.
    let refreshed = case.refresh(&tokens.refresh_token).await;
    let tokens = case.renewed_by(&refreshed, &tokens)?;
    let again = case.redeem(&code).await;
    case.holds(0, &again);
    if !case.is_rfc() {
        let ended = case.refresh(&tokens.refresh_token).await;
        case.holds(1, &ended);
    }
    Ok(())
}

async fn redirect_uri(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.code().await?;
    let elsewhere =
        Code { redirect_uri: format!("{}/elsewhere", code.redirect_uri), ..code.clone() };
    let answer = case.redeem(&elsewhere).await;
    case.holds(1, &answer);
    // In a sandbox a new one: what is refused first may void a code.
    let code = if case.is_rfc() { case.code().await? } else { code };
    let form: Vec<_> =
        code.form().into_iter().filter(|(name, _)| *name != "redirect_uri").collect();
    let answer = case.post_as(Client::Ours, Endpoint::Token, &form).await;
    if case.is_rfc() && answer.is(200) {
        let why = "tokens were given, which OpenID Connect Core section 3.1.3.2 lets a server do that knows one redirect URI of the client";
        case.not_run(0, why);
    } else {
        case.holds(0, &answer);
    }
    if !case.is_rfc() {
        still_good(case, 2, &code).await;
    }
    Ok(())
}

async fn of_another(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let another = Another::client(case)?;
    let code = another.code(case).await?;
    let answer = case.redeem(&code).await;
    case.holds(0, &answer);
    if !case.is_rfc() {
        let answer = another.post(case, &code.form()).await?;
        case.judged(1, &answer, has_tokens(&answer));
    }
    Ok(())
}

/// A refresh token is no code, nor a code a refresh token.
pub(super) async fn as_refresh_token(case: &mut CaseRun<'_>, check: usize) -> Result<(), Abort> {
    let code = case.code().await?;
    let answer = case.post_as(Client::Ours, Endpoint::Token, &refreshing(&code.value)).await;
    case.holds(check, &answer);
    Ok(())
}
