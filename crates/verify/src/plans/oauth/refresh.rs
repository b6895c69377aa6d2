//! Refresh tokens: of one client, each good once, for no more than was granted.

use std::collections::BTreeSet;

use super::moves::{Another, has_tokens, refreshing, still_good};
use super::{code, spelling};
use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;

pub(super) const REFRESH_INVALID: Case = Case {
    id: "refresh-invalid",
    title: "What is no refresh token",
    clause: "RFC 6749 sections 5.2 and 6",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("no refresh_token", spelling::REFRESH_TOKEN_MISSING),
        Check::spelled("a refresh_token that was never issued", spelling::REFRESH_TOKEN_INVALID),
        Check::spelled("an ID token as the refresh_token", spelling::REFRESH_TOKEN_INVALID),
        Check::spelled("a code as the refresh_token", spelling::REFRESH_TOKEN_INVALID),
    ],
    run: |case| Box::pin(invalid(case)),
};

pub(super) const REFRESH_USED: Case = Case {
    id: "refresh-used",
    title: "A refresh token that was replaced",
    clause: "RFC 6749 sections 6 and 10.4; RFC 9700 section 4.14.2",
    grant: GrantFate::MayEnd,
    checks: &[Check::spelled(
        "a refresh_token for which a new one was given",
        spelling::REFRESH_TOKEN_INVALID,
    )],
    run: |case| Box::pin(used(case)),
};

pub(super) const REFRESH_SCOPE: Case = Case {
    id: "refresh-scope",
    title: "A refresh may ask for less than was granted, not for more",
    clause: "RFC 6749 section 6",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("scope=openid", "200 with new tokens, whose scope is openid if it is told"),
        Check::words(
            "then a refresh without a scope",
            "200 with new tokens, whose scope is again the one that was granted",
        ),
        Check::spelled("a scope that was not granted", spelling::SCOPE_BEYOND),
    ],
    run: |case| Box::pin(scope(case)),
};

pub(super) const REFRESH_OF_ANOTHER: Case = Case {
    id: "refresh-of-another-client",
    title: "A refresh token is good for the client that it was issued to",
    clause: "RFC 6749 sections 6 and 10.4",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("a refresh_token of another client", spelling::REFRESH_TOKEN_INVALID),
        Check::words(
            "then the same refresh_token from its own client",
            "200 with new tokens: what was refused claimed nothing",
        ),
    ],
    run: |case| Box::pin(of_another(case)),
};

pub(super) const REFRESH_OF_ANOTHER_RFC: Case = Case {
    checks: &[Check::spelled("a refresh_token of another client", spelling::REFRESH_TOKEN_INVALID)],
    ..REFRESH_OF_ANOTHER
};

pub(super) const REFUSED_CLAIMS_NOTHING: Case = Case {
    id: "refused-claims-nothing",
    title: "What is refused claims nothing",
    clause: "Counterfoil wire contract: order of checks at /token",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "a refresh_token that came with a wrong secret, without one, and with a wider scope",
            CLAIMED_NOTHING,
        ),
        Check::words(
            "a code that came with a wrong secret, without one, and with its redirect_uri twice",
            CLAIMED_NOTHING,
        ),
    ],
    run: |case| Box::pin(claims_nothing(case)),
};

const CLAIMED_NOTHING: &str = "200 with tokens once everything is right";

async fn invalid(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer =
        case.post_as(Client::Ours, Endpoint::Token, &[("grant_type", "refresh_token")]).await;
    case.holds(0, &answer);
    let tokens = case.tokens().await?;
    for (check, token) in [random(), tokens.id_token].into_iter().enumerate() {
        let answer = case.refresh(&token).await;
        case.holds(check + 1, &answer);
    }
    code::as_refresh_token(case, 3).await
}

async fn used(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let first = case.refresh(&tokens.refresh_token).await;
    let next = case.renewed_by(&first, &tokens)?;
    if case.is_rfc() && next.refresh_token == tokens.refresh_token {
        return Err(Abort::not_run(
            "the server gives the same refresh token again, which RFC 6749 section 6 lets it",
        ));
    }
    let answer = case.refresh(&tokens.refresh_token).await;
    case.holds(0, &answer);
    Ok(())
}

async fn scope(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let refreshed = case.refresh(&tokens.refresh_token).await;
    let tokens = case.renewed_by(&refreshed, &tokens)?;
    let granted = refreshed.text("scope");
    let narrowed = with_scope(case, &tokens.refresh_token, "openid").await;
    case.judged(0, &narrowed, has_scope(&narrowed, &Some("openid".to_owned())));
    let tokens = case.renewed_by(&narrowed, &tokens)?;
    let whole = case.refresh(&tokens.refresh_token).await;
    case.judged(1, &whole, has_scope(&whole, &granted));
    let tokens = case.renewed_by(&whole, &tokens)?;
    let wider = with_scope(case, &tokens.refresh_token, "openid no_such_scope").await;
    case.holds(2, &wider);
    Ok(())
}

async fn with_scope(case: &mut CaseRun<'_>, refresh_token: &str, scope: &str) -> Response {
    case.post_as(
        Client::Ours,
        Endpoint::Token,
        &[&refreshing(refresh_token)[..], &[("scope", scope)]].concat(),
    )
    .await
}

/// Whether an answer has tokens of this scope; it need not tell the scope (RFC 6749 section 5.1).
fn has_scope(answer: &Response, expected: &Option<String>) -> Result<(), String> {
    has_tokens(answer)?;
    match (answer.text("scope"), expected) {
        (Some(told), Some(expected)) if scopes(&told) != scopes(expected) => {
            Err(format!("the scope is `{told}`, not `{expected}`"))
        }
        _ => Ok(()),
    }
}

/// A scope is a set: the order of its parts does not matter (RFC 6749 section 3.3).
fn scopes(scope: &str) -> BTreeSet<&str> {
    scope.split(' ').collect()
}

async fn of_another(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let another = Another::client(case)?;
    let tokens = another.tokens(case).await?;
    let answer = case.refresh(&tokens.refresh_token).await;
    case.holds(0, &answer);
    if !case.is_rfc() {
        let answer = another.post(case, &refreshing(&tokens.refresh_token)).await?;
        case.judged(1, &answer, has_tokens(&answer));
    }
    Ok(())
}

async fn claims_nothing(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let form = refreshing(&tokens.refresh_token);
    unproven(case, &form).await;
    with_scope(case, &tokens.refresh_token, "openid no_such_scope").await;
    let answer = case.refresh(&tokens.refresh_token).await;
    case.judged(0, &answer, has_tokens(&answer));
    let code = case.code().await?;
    unproven(case, &code.form()).await;
    case.post_as(
        Client::Ours,
        Endpoint::Token,
        &[code.form(), vec![("redirect_uri", &*code.redirect_uri)]].concat(),
    )
    .await;
    still_good(case, 1, &code).await;
    Ok(())
}

/// Sends what must be refused for its credentials; a public client has none that could be missing.
async fn unproven(case: &mut CaseRun<'_>, form: &[(&str, &str)]) {
    case.post_as(Client::WrongSecret, Endpoint::Token, form).await;
    let client = if case.secret().is_ok() { Client::NoSecret } else { Client::Nobody };
    case.post_as(client, Endpoint::Token, form).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_set() {
        assert_eq!(scopes("openid offline_access"), scopes("offline_access openid"));
        assert_ne!(scopes("openid offline_access"), scopes("openid"));
    }
}
