//! Revocation.

use super::moves::{Another, has_tokens, refreshing, still_good};
use super::spelling;
use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;

pub(super) const REVOKE_CLIENT: Case = Case {
    id: "revoke-client",
    title: "A revocation by somebody who does not prove to be the client",
    clause: "RFC 7009 sections 2.1 and 2.2.1; RFC 6749 section 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("neither client_id nor secret", spelling::REVOKE_NOBODY),
        Check::spelled("an unknown client_id with a secret", spelling::REVOKE_WRONGLY_PROVEN),
        Check::spelled("no secret", spelling::REVOKE_NOT_PROVEN),
        Check::spelled("a wrong secret", spelling::REVOKE_WRONGLY_PROVEN),
        Check::words("then a refresh", "200 with new tokens: nothing was revoked"),
    ],
    run: |case| Box::pin(client(case)),
};

pub(super) const REVOKE_TOKEN_MISSING: Case = Case {
    id: "revoke-token-missing",
    title: "A revocation of nothing",
    clause: "RFC 7009 section 2.1; RFC 6749 section 5.2",
    grant: GrantFate::Lives,
    checks: &[Check::spelled("no token", spelling::MALFORMED)],
    run: |case| Box::pin(token_missing(case)),
};

pub(super) const REVOKE_UNKNOWN: Case = Case {
    id: "revoke-unknown",
    title: "A revocation of what is no token, or not any more",
    clause: "RFC 7009 section 2.2",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled("a token that was never issued", spelling::REVOKED),
        Check::spelled("a refresh token that was revoked before", spelling::REVOKED),
    ],
    run: |case| Box::pin(unknown(case)),
};

pub(super) const REVOKE_OF_ANOTHER: Case = Case {
    id: "revoke-of-another-client",
    title: "A revocation of another client's token",
    clause: "RFC 7009 section 2.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("a refresh token of another client", spelling::TOKEN_OF_ANOTHER),
        Check::words(
            "then a refresh with it by its own client",
            "200 with new tokens: it stays valid",
        ),
    ],
    run: |case| Box::pin(of_another(case)),
};

pub(super) const REVOKE_CODE: Case = Case {
    id: "revoke-code",
    title: "A code is no token that could be revoked",
    clause: "RFC 7009 section 2.2; Counterfoil wire contract: POST /revoke",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("a code that was not redeemed", spelling::REVOKED),
        Check::words("then its redemption", "200 with tokens: nothing was revoked"),
    ],
    run: |case| Box::pin(code(case)),
};

pub(super) const REVOKE_KINDS: Case = Case {
    id: "revoke-kinds",
    title: "Any token of a grant ends the grant",
    clause: "RFC 7009 section 2.1; Counterfoil wire contract: POST /revoke",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled("a refresh token", spelling::REVOKED),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
        Check::spelled("an ID token", spelling::REVOKED),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
        Check::spelled("an access token", spelling::REVOKED),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
    ],
    run: |case| Box::pin(kinds(case)),
};

pub(super) const REVOKE_KINDS_RFC: Case = Case {
    title: "A refresh token is revoked",
    clause: "RFC 7009 section 2.1",
    checks: &[
        Check::spelled("a refresh token", spelling::REVOKED),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
    ],
    ..REVOKE_KINDS
};

pub(super) const REVOKE_SUPERSEDED: Case = Case {
    id: "revoke-superseded",
    title: "An old refresh token ends the grant too",
    clause: "RFC 7009 section 2.1; Counterfoil wire contract: POST /revoke",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled("the refresh token before the current one", spelling::REVOKED),
        Check::spelled("then a refresh with the current one", spelling::REFRESH_TOKEN_INVALID),
    ],
    run: |case| Box::pin(superseded(case)),
};

pub(super) const REVOKE_HINT: Case = Case {
    id: "revoke-hint",
    title: "A token_type_hint that is wrong still finds the token",
    clause: "RFC 7009 section 2.1",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled("a refresh token with token_type_hint=access_token", spelling::REVOKED),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
    ],
    run: |case| Box::pin(hint(case)),
};

pub(super) const REVOKE_UNKNOWN_HINT: Case = Case {
    id: "revoke-unknown-hint",
    title: "A token_type_hint that names no kind of token",
    clause: "RFC 7009 section 2.2.1; Counterfoil wire contract: POST /revoke",
    grant: GrantFate::MayEnd,
    checks: &[
        Check::spelled("a refresh token with token_type_hint=no_such_type", spelling::HINT_UNKNOWN),
        Check::words(THEN_REFRESH, "200 with new tokens: nothing was revoked"),
    ],
    run: |case| Box::pin(unknown_hint(case)),
};

pub(super) const REVOKE_UNKNOWN_HINT_RFC: Case = Case {
    clause: "RFC 7009 section 2.2",
    grant: GrantFate::Ends,
    checks: &[
        Check::spelled("a refresh token with token_type_hint=no_such_type", spelling::HINT_UNKNOWN),
        Check::spelled(THEN_REFRESH, spelling::REFRESH_TOKEN_INVALID),
    ],
    ..REVOKE_UNKNOWN_HINT
};

const THEN_REFRESH: &str = "then a refresh of its grant";

/// Revokes as the client.
async fn revoke(case: &mut CaseRun<'_>, token: &str) -> Response {
    case.post_as(Client::Ours, Endpoint::Revocation, &[("token", token)]).await
}

async fn client(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let form = [("token", &*tokens.refresh_token)];
    for (check, client) in [Client::Nobody, Client::Unknown, Client::NoSecret, Client::WrongSecret]
        .into_iter()
        .enumerate()
    {
        if let (Client::Unknown | Client::NoSecret | Client::WrongSecret, Err(Abort::NotRun(why))) =
            (client, case.secret())
        {
            case.not_run(check, &why);
            continue;
        }
        let answer = case.post_as(client, Endpoint::Revocation, &form).await;
        case.holds(check, &answer);
    }
    let answer = case.refresh(&tokens.refresh_token).await;
    case.judged(4, &answer, has_tokens(&answer));
    Ok(())
}

async fn token_missing(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer = case.post_as(Client::Ours, Endpoint::Revocation, &[]).await;
    case.holds(0, &answer);
    Ok(())
}

async fn unknown(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer = revoke(case, &random()).await;
    case.holds(0, &answer);
    let tokens = case.tokens().await?;
    let first = revoke(case, &tokens.refresh_token).await;
    if !first.is(200) {
        return Err(Abort::set_up(format!(
            "a refresh token was not revoked: {}",
            case.line(&first)
        )));
    }
    let again = revoke(case, &tokens.refresh_token).await;
    case.holds(1, &again);
    Ok(())
}

async fn of_another(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let another = Another::client(case)?;
    let tokens = another.tokens(case).await?;
    let answer = revoke(case, &tokens.refresh_token).await;
    case.holds(0, &answer);
    let answer = another.post(case, &refreshing(&tokens.refresh_token)).await?;
    case.judged(1, &answer, has_tokens(&answer));
    Ok(())
}

async fn code(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let code = case.code().await?;
    let answer = revoke(case, &code.value).await;
    case.holds(0, &answer);
    still_good(case, 1, &code).await;
    Ok(())
}

async fn kinds(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    for (kind, check) in [0, 2, 4].into_iter().enumerate().take(if case.is_rfc() { 1 } else { 3 }) {
        let tokens = case.tokens().await?;
        let token = match kind {
            0 => Some(&tokens.refresh_token),
            1 => Some(&tokens.id_token),
            _ => tokens.access_token.as_ref(),
        };
        let Some(token) = token else {
            return Err(Abort::set_up("there is no access_token"));
        };
        let answer = revoke(case, token).await;
        case.holds(check, &answer);
        let answer = case.refresh(&tokens.refresh_token).await;
        case.holds(check + 1, &answer);
    }
    Ok(())
}

async fn superseded(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let old = case.tokens().await?;
    let refreshed = case.refresh(&old.refresh_token).await;
    let current = case.renewed_by(&refreshed, &old)?;
    let answer = revoke(case, &old.refresh_token).await;
    case.holds(0, &answer);
    let answer = case.refresh(&current.refresh_token).await;
    case.holds(1, &answer);
    Ok(())
}

async fn hinted(case: &mut CaseRun<'_>, hint: &str) -> Result<String, Abort> {
    let tokens = case.tokens().await?;
    let form = [("token", &*tokens.refresh_token), ("token_type_hint", hint)];
    let answer = case.post_as(Client::Ours, Endpoint::Revocation, &form).await;
    case.holds(0, &answer);
    Ok(tokens.refresh_token)
}

async fn hint(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let refresh_token = hinted(case, "access_token").await?;
    let answer = case.refresh(&refresh_token).await;
    case.holds(1, &answer);
    Ok(())
}

async fn unknown_hint(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let refresh_token = hinted(case, "no_such_type").await?;
    let answer = case.refresh(&refresh_token).await;
    if case.is_rfc() {
        case.holds(1, &answer)
    } else {
        case.judged(1, &answer, has_tokens(&answer))
    }
    Ok(())
}
