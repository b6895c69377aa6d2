//! Which tokens are accepted.

use reqwest::Url;
use serde_json::json;

use super::NOT_AUTHORIZED;
use super::forged::{self, Stranger};
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::id_token::part;
use crate::plan::{Case, GrantFate};
use crate::plans::headers::challenged;
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::Tokens;

/// A check that a token is refused.
const fn refused(given: &'static str) -> Check {
    Check::fdx(given, 401, NOT_AUTHORIZED)
}

pub(super) const MISSING: Case = Case {
    id: "bearer-missing",
    title: "Nobody is given accounts without a token",
    clause: "RFC 6750 section 3; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("no Authorization header"),
        refused("a good token by another scheme"),
        refused("the scheme Bearer and nothing else"),
    ],
    run: |case| Box::pin(missing(case)),
};

pub(super) const NO_TOKEN: Case = Case {
    id: "bearer-garbage",
    title: "A bearer that is no token",
    clause: "RFC 6750 section 3.1 (invalid_token); FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("a text that was never issued"),
        refused("a text that looks like a JWS and is none"),
        refused("a good token twice in one header"),
    ],
    run: |case| Box::pin(no_token(case)),
};

pub(super) const EXPIRED: Case = Case {
    id: "bearer-expired",
    title: "A token that has expired",
    clause: "OpenID Connect Core section 2 (exp); RFC 7519 section 4.1.4; RFC 6750 section 3.1; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("an ID token whose exp has passed"),
        refused("the access token of the same answer"),
    ],
    run: |case| Box::pin(expired(case)),
};

pub(super) const OTHER_KINDS: Case = Case {
    id: "bearer-of-another-kind",
    title: "A refresh token or a code is no bearer",
    clause: "RFC 6749 sections 1.5 and 10.4; RFC 8725 section 3.12; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[refused("a refresh token"), refused("a code")],
    run: |case| Box::pin(other_kinds(case)),
};

pub(super) const TAMPERED: Case = Case {
    id: "bearer-tampered",
    title: "A token in which a character was changed",
    clause: "RFC 7515 section 5.2; RFC 8725 section 3.3; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("an ID token with one character of its signature changed"),
        refused("an ID token with another sub under its signature"),
        refused("an access token with one character changed"),
    ],
    run: |case| Box::pin(tampered(case)),
};

pub(super) const UNSIGNED: Case = Case {
    id: "bearer-unsigned",
    title: "A token that says that it needs no signature",
    clause: "RFC 8725 sections 2.1, 3.1 and 3.2; RFC 7519 section 6; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("an ID token with alg none and no signature"),
        refused("an ID token with alg none and its old signature"),
    ],
    run: |case| Box::pin(unsigned(case)),
};

pub(super) const STRANGER: Case = Case {
    id: "bearer-of-a-stranger",
    title: "A token that somebody else signed",
    clause: "RFC 7515 sections 4.1.3, 4.1.4 and 6; RFC 8725 sections 3.8 and 3.10; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[
        refused("signed with a stranger's key, under the kid of a published one"),
        refused("signed with a stranger's key that its header brings along (jwk)"),
        refused("of another issuer, which signed it"),
    ],
    run: |case| Box::pin(stranger(case)),
};

pub(super) const IN_QUERY: Case = Case {
    id: "bearer-in-query",
    title: "A token in the query, which ends up in logs",
    clause: "RFC 6750 sections 2.3 and 5.3; RFC 9700 section 4.3.2; FDX error 602",
    grant: GrantFate::Lives,
    checks: &[refused("a good token as the query's access_token")],
    run: |case| Box::pin(in_query(case)),
};

pub(super) const REVOKED: Case = Case {
    id: "bearer-revoked",
    title: "After a revocation no token of the grant is taken",
    clause: "RFC 7009 section 2.1; FDX security model: consent is checked on every request; FDX error 602",
    grant: GrantFate::Ends,
    checks: &[
        refused("the ID token"),
        refused("the ID token that was there before a refresh"),
        refused("the access token"),
    ],
    run: |case| Box::pin(revoked(case)),
};

pub(super) const CHALLENGED: Case = Case {
    id: "bearer-challenged",
    title: "Who is refused is told how to ask",
    clause: "RFC 6750 sections 3 and 3.1; RFC 9110 section 11.6.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("no token", "401 with WWW-Authenticate: Bearer, and no error"),
        Check::words(
            "a token that was never issued",
            "401 with WWW-Authenticate: Bearer, error=\"invalid_token\"",
        ),
    ],
    run: |case| Box::pin(is_challenged(case)),
};

pub(super) const ACCESS_TOKEN: Case = Case {
    id: "bearer-access-token",
    title: "ID token and access token are both taken",
    clause: "RFC 6750 section 2.1; RFC 9110 section 11.1; Counterfoil wire contract: GET /accounts",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the ID token", "200 with accounts"),
        Check::words("the access token", "200 with the same accounts"),
        Check::words(
            "the ID token by the scheme bearer, in small letters",
            "200 with the same accounts",
        ),
    ],
    run: |case| Box::pin(access_token(case)),
};

/// Asks for the accounts with any header.
async fn with_header(case: &mut CaseRun<'_>, header: &str) -> Result<Response, Abort> {
    let url = case.endpoint(Endpoint::Accounts)?;
    Ok(case.send(Call::get(&url).header("authorization", header)).await)
}

/// A bearer, or why there is none.
type Bearer = Result<String, &'static str>;

const NO_JWS: &str = "the ID token is no JWS, and nothing like it can be made of it";
const NO_ACCESS_TOKEN: &str = "the tokens at hand have no access token";

/// Makes the checks in order, one for each bearer.
async fn each_is_refused(case: &mut CaseRun<'_>, bearers: &[Bearer]) -> Result<(), Abort> {
    for (check, bearer) in bearers.iter().enumerate() {
        match bearer {
            Ok(bearer) => {
                let answer = case.accounts(bearer).await?;
                case.holds(check, &answer);
            }
            Err(why) => case.not_run(check, why),
        }
    }
    Ok(())
}

/// Tokens that are accepted as they are: what is made of them is refused for the change alone.
async fn good(case: &mut CaseRun<'_>) -> Result<Tokens, Abort> {
    let tokens = case.tokens().await?;
    case.accounts_accept(&tokens.id_token).await?;
    Ok(tokens)
}

async fn missing(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let url = case.endpoint(Endpoint::Accounts)?;
    let answer = case.send(Call::get(&url)).await;
    case.holds(0, &answer);
    let answer = with_header(case, "Bearer").await?;
    case.holds(2, &answer);
    let tokens = good(case).await?;
    let answer = with_header(case, &format!("Token {}", tokens.id_token)).await?;
    case.holds(1, &answer);
    Ok(())
}

async fn no_token(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = good(case).await?;
    let twice = format!("{0} {0}", tokens.id_token);
    each_is_refused(case, &[Ok(random()), Ok("e30.e30.e30".to_owned()), Ok(twice)]).await
}

async fn expired(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    if case.has_clock() {
        let tokens = good(case).await?;
        let exp = part(&tokens.id_token, 1).unwrap_or_default()["exp"].as_i64();
        let Some(exp) = exp else {
            return Err(Abort::set_up("the ID token has no exp"));
        };
        case.advance(exp.saturating_sub(case.now()).saturating_add(LEEWAY)).await?;
        return each_is_refused(
            case,
            &[Ok(tokens.id_token), tokens.access_token.ok_or(NO_ACCESS_TOKEN)],
        )
        .await;
    }
    let Some(aged) = case.aged().cloned() else {
        let why = "the server has no clock that can be moved: give tokens of an earlier day with --aged-token (--keep-token keeps some)";
        return Err(Abort::not_run(why));
    };
    let exp = part(&aged.id_token, 1).unwrap_or_default()["exp"].as_i64();
    if exp.is_none_or(|exp| exp.saturating_add(LEEWAY) > case.now()) {
        return Err(Abort::not_run("the aged ID token has not expired yet"));
    }
    case.not_run(1, "the access token of the aged ID token was not kept");
    let answer = case.accounts(&aged.id_token).await?;
    case.holds(0, &answer);
    Ok(())
}

/// How long after its end a token may still be taken, since clocks differ.
const LEEWAY: i64 = 60;

async fn other_kinds(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = good(case).await?;
    each_is_refused(case, &[Ok(tokens.refresh_token)]).await?;
    let code = case.code().await?;
    let answer = case.accounts(&code.value).await?;
    case.holds(1, &answer);
    Ok(())
}

async fn tampered(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let Tokens { id_token, access_token, .. } = good(case).await?;
    let access_token =
        access_token.map(|token| forged::one_character_changed(&token)).ok_or(NO_ACCESS_TOKEN);
    let [signature, claims] = [forged::other_signature(&id_token), forged::other_claims(&id_token)]
        .map(|made| made.ok_or(NO_JWS));
    each_is_refused(case, &[signature, claims, access_token]).await
}

async fn unsigned(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = good(case).await?;
    let [without, with] = forged::unsigned(&tokens.id_token)
        .map_or([Err(NO_JWS), Err(NO_JWS)], |tokens| tokens.map(Ok));
    each_is_refused(case, &[without, with]).await
}

async fn stranger(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let id_token = good(case).await?.id_token;
    let Some(key) = Stranger::new() else {
        return Err(Abort::not_run("no key could be made"));
    };
    let same = json!({});
    let named = Stranger::under_the_name_of(&id_token)
        .and_then(|header| key.signs(&id_token, &header, &same));
    let brought = key.signs(&id_token, &key.with_its_key(), &same);
    let of_another = key.signs(
        &id_token,
        &key.with_its_key(),
        &json!({ "iss": "https://another-issuer.example" }),
    );
    each_is_refused(case, &[named, brought, of_another].map(|made| made.ok_or(NO_JWS))).await
}

async fn in_query(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = good(case).await?;
    let url = case.endpoint(Endpoint::Accounts)?;
    let mut url = Url::parse(&url)
        .map_err(|error| Abort::set_up(format!("`{url}` is not a URL: {error}")))?;
    url.query_pairs_mut().append_pair("access_token", &tokens.id_token);
    let answer = case.send(Call::get(url.as_str())).await;
    case.holds(0, &answer);
    Ok(())
}

async fn revoked(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    case.endpoint(Endpoint::Revocation)?;
    let before = good(case).await?;
    let refreshed = case.refresh(&before.refresh_token).await;
    let now = case.renewed_by(&refreshed, &before)?;
    case.accounts_accept(&now.id_token).await?;
    let answer =
        case.post_as(Client::Ours, Endpoint::Revocation, &[("token", &now.refresh_token)]).await;
    if !answer.is(200) {
        return Err(Abort::set_up(format!(
            "a refresh token was not revoked: {}",
            case.line(&answer)
        )));
    }
    each_is_refused(
        case,
        &[Ok(now.id_token), Ok(before.id_token), now.access_token.ok_or(NO_ACCESS_TOKEN)],
    )
    .await
}

async fn is_challenged(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let url = case.endpoint(Endpoint::Accounts)?;
    for (check, call) in
        [Call::get(&url), Call::get(&url).bearer(&random())].into_iter().enumerate()
    {
        let answer = case.send(call).await;
        let said = answer.header("www-authenticate");
        let verdict = challenged(&answer, "Bearer").and_then(|()| match check {
            0 if said.contains("error=") => {
                Err(format!("WWW-Authenticate is `{said}`, with an error where nothing was sent"))
            }
            1 if !said.contains("error=\"invalid_token\"") => {
                Err(format!("WWW-Authenticate is `{said}`, without error=\"invalid_token\""))
            }
            _ => Ok(()),
        });
        case.judged(check, &answer, verdict);
    }
    Ok(())
}

async fn access_token(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let by_id_token = case.accounts(&tokens.id_token).await?;
    let has_list =
        by_id_token.is(200) && by_id_token.json().is_some_and(|json| json["accounts"].is_array());
    case.judged(
        0,
        &by_id_token,
        if has_list { Ok(()) } else { Err("there is no list of accounts".to_owned()) },
    );
    let same = |answer: &Response| {
        let same = answer.is(200) && answer.json() == by_id_token.json();
        if same {
            Ok(())
        } else {
            Err("these are not the accounts that the ID token is given".to_owned())
        }
    };
    match &tokens.access_token {
        Some(access_token) => {
            let answer = case.accounts(access_token).await?;
            case.judged(1, &answer, same(&answer));
        }
        None => case.not_run(1, NO_ACCESS_TOKEN),
    }
    let answer = with_header(case, &format!("bearer {}", tokens.id_token)).await?;
    case.judged(2, &answer, same(&answer));
    Ok(())
}
