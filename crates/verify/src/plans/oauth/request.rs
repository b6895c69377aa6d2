//! How requests to `/token` and `/revoke` are made, and how tokens are answered.

use reqwest::Url;

use super::moves::{by_hand, has_tokens, proven, refreshing, refused};
use super::spelling;
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::expectation::{Expectation, Spelling};
use crate::plan::{Case, GrantFate};
use crate::plans::headers::{no_store, not_allowed};
use crate::plans::token_management::grant_type_invalid;
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;

pub(super) const REQUEST_METHOD: Case = Case {
    id: "request-method",
    title: "A request that is no POST",
    clause: "RFC 6749 section 3.2; RFC 7009 section 2.1; RFC 9110 section 15.5.6",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("GET at the token endpoint", NO_POST),
        Check::spelled("GET at the revocation endpoint", NO_POST),
    ],
    run: |case| Box::pin(method(case)),
};

pub(super) const REQUEST_TYPE: Case = Case {
    id: "request-type",
    title: "A request whose body is no form",
    clause: "RFC 6749 sections 3.2 and 6, appendix B",
    grant: GrantFate::Lives,
    checks: &[Check::spelled("a refresh as JSON", NO_FORM)],
    run: |case| Box::pin(content_type(case)),
};

pub(super) const REQUEST_REPEATED: Case = Case {
    id: "request-repeated",
    title: "A parameter that is sent twice",
    clause: "RFC 6749 sections 3.2 and 5.2",
    grant: GrantFate::MayEnd,
    checks: &[
        Check::spelled("the same refresh_token twice", spelling::MALFORMED),
        Check::spelled("two grant_types", spelling::MALFORMED),
    ],
    run: |case| Box::pin(repeated(case)),
};

pub(super) const REQUEST_QUERY: Case = Case {
    id: "request-query",
    title: "Credentials and tokens in the query, which ends up in logs",
    clause: "RFC 6749 sections 2.3.1 and 3.2; RFC 9700 section 4.3",
    grant: GrantFate::MayEnd,
    checks: &[
        Check::spelled("client_id and client_secret in the query of a refresh", spelling::IN_QUERY),
        Check::spelled("the refresh_token in the query", spelling::IN_QUERY),
    ],
    run: |case| Box::pin(query(case)),
};

pub(super) const REQUEST_IGNORED: Case = Case {
    id: "request-ignored",
    title: "Parameters that count as not sent",
    clause: "RFC 6749 section 3.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("a refresh with a parameter that nobody knows", "200 with new tokens"),
        Check::words("a refresh with a scope without a value", "200 with new tokens"),
        Check::spelled("a refresh_token without a value", spelling::REFRESH_TOKEN_MISSING),
    ],
    run: |case| Box::pin(ignored(case)),
};

pub(super) const GRANT_TYPE: Case = Case {
    id: "grant-type",
    title: "A grant_type that is missing or does not exist",
    clause: "RFC 6749 sections 4.1.3 and 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("no grant_type", spelling::GRANT_TYPE_MISSING),
        Check::spelled("a grant_type that does not exist", spelling::GRANT_TYPE_UNKNOWN),
    ],
    run: |case| Box::pin(grant_type_invalid(case)),
};

pub(super) const TOKEN_ANSWER: Case = Case {
    id: "token-answer",
    title: "The answer with tokens",
    clause: "RFC 6749 section 5.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("token_type", "Bearer, in any case"),
        Check::spelled("expires_in", EXPIRES_IN),
        Check::spelled("scope", SCOPE),
        Check::words("Cache-Control", "no-store"),
    ],
    run: |case| Box::pin(answer(case)),
};

pub(super) const NOT_STORED: Case = Case {
    id: "not-stored",
    title: "Nobody keeps a refusal or the answer to a revocation",
    clause: "RFC 9111 section 5.2.2.5; Counterfoil wire contract: in every answer",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("a refresh that is refused", "Cache-Control: no-store"),
        Check::words("credentials that are wrong", "Cache-Control: no-store"),
        Check::words("a revocation", "Cache-Control: no-store"),
    ],
    run: |case| Box::pin(not_stored(case)),
};

const REFUSED: &str = "a status of 400 to 499; 405 with an Allow that lists POST";
const NO_POST: Spelling = spelling::row(
    Expectation::Words("405 with an Allow that lists POST"),
    Expectation::Words(REFUSED),
);
const NO_FORM: Spelling = spelling::row(
    Expectation::Body(400, r#"{"error":"invalid_request"}"#),
    Expectation::Words(REFUSED),
);
const EXPIRES_IN: Spelling = spelling::row(
    Expectation::Words("a number above 0"),
    Expectation::Words("a number above 0, if it is there"),
);
const SCOPE: Spelling = spelling::row(
    Expectation::Words("scopes with blanks between"),
    Expectation::Words("scopes with blanks between, if it is there"),
);

async fn method(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    for (check, endpoint) in [Endpoint::Token, Endpoint::Revocation].into_iter().enumerate() {
        let url = case.endpoint(endpoint)?;
        let answer = case.send(Call::get(&url)).await;
        let verdict = if case.is_rfc() && !answer.is(405) {
            refused(&answer)
        } else {
            not_allowed(&answer, "POST")
        };
        case.judged(check, &answer, verdict);
    }
    Ok(())
}

async fn content_type(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Token)?);
    let form = refreshing(&tokens.refresh_token);
    let (call, members) = proven(case, Call::post(&url), &form);
    let json: serde_json::Map<_, _> =
        members.into_iter().map(|(name, value)| (name, value.into())).collect();
    let call = call.body("application/json", &serde_json::Value::Object(json).to_string());
    let answer = by_hand(case, Endpoint::Token, call, &form).await;
    if case.is_rfc() {
        case.judged(0, &answer, refused(&answer))
    } else {
        case.holds(0, &answer)
    }
    Ok(())
}

async fn repeated(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let form = refreshing(&tokens.refresh_token);
    let answer =
        case.post_as(Client::Ours, Endpoint::Token, &[&form[..], &form[1..]].concat()).await;
    case.holds(0, &answer);
    let answer = case
        .post_as(
            Client::Ours,
            Endpoint::Token,
            &[&[("grant_type", "authorization_code")], &form[..]].concat(),
        )
        .await;
    case.holds(1, &answer);
    Ok(())
}

/// A URL with a query.
fn with_query(url: &str, query: &[(&str, &str)]) -> Result<String, Abort> {
    let mut url =
        Url::parse(url).map_err(|error| Abort::set_up(format!("`{url}` is not a URL: {error}")))?;
    url.query_pairs_mut().extend_pairs(query);
    Ok(url.into())
}

async fn query(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    if !case.session.supply.is_plentiful() {
        return Err(Abort::not_run(
            "it would put a live secret and a live token into the server's access log: only a sandbox is asked this",
        ));
    }
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Token)?);
    let form = refreshing(&tokens.refresh_token);
    // The token first: what comes after ends the case for a public client.
    let (call, rest) = proven(case, Call::post(&with_query(&url, &form[1..])?), &form[..1]);
    let rest: Vec<(&str, &str)> = rest.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = by_hand(case, Endpoint::Token, call.form(&rest), &form).await;
    case.holds(1, &answer);
    let (id, secret) = (case.client_id().to_owned(), case.secret()?);
    let call = Call::post(&with_query(&url, &[("client_id", &id), ("client_secret", &secret)])?)
        .form(&form);
    let answer = by_hand(case, Endpoint::Token, call, &form).await;
    case.holds(0, &answer);
    Ok(())
}

async fn ignored(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    for (check, ignored) in [("no_such_parameter", "1"), ("scope", "")].into_iter().enumerate() {
        let tokens = case.tokens().await?;
        let form = [&refreshing(&tokens.refresh_token)[..], &[ignored]].concat();
        let answer = case.post_as(Client::Ours, Endpoint::Token, &form).await;
        case.judged(check, &answer, has_tokens(&answer));
    }
    let answer = case.post_as(Client::Ours, Endpoint::Token, &refreshing("")).await;
    case.holds(2, &answer);
    Ok(())
}

async fn answer(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let answer = case.refresh(&tokens.refresh_token).await;
    case.renewed_by(&answer, &tokens)?;
    let body = answer.json().unwrap_or_default();
    let member = |name: &str, fits: bool| match &body[name] {
        _ if fits => Ok(()),
        found => Err(format!("`{name}` is {found}")),
    };
    let is_rfc = case.is_rfc();
    let optional = |name: &str| is_rfc && body[name].is_null();
    let verdicts = [
        member(
            "token_type",
            body["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
        ),
        member(
            "expires_in",
            body["expires_in"].as_f64().is_some_and(|seconds| seconds > 0.0)
                || optional("expires_in"),
        ),
        member(
            "scope",
            body["scope"]
                .as_str()
                .is_some_and(|scope| scope.split(' ').all(|name| !name.is_empty()))
                || optional("scope"),
        ),
        no_store(&answer),
    ];
    for (check, verdict) in verdicts.into_iter().enumerate() {
        case.judged(check, &answer, verdict);
    }
    Ok(())
}

async fn not_stored(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let unknown = random();
    let answers: [Response; 3] = [
        case.post_as(Client::Ours, Endpoint::Token, &refreshing(&unknown)).await,
        case.post_as(Client::Unknown, Endpoint::Token, &refreshing(&unknown)).await,
        case.post_as(Client::Ours, Endpoint::Revocation, &[("token", &unknown)]).await,
    ];
    for (check, answer) in answers.iter().enumerate() {
        case.judged(check, answer, no_store(answer));
    }
    Ok(())
}
