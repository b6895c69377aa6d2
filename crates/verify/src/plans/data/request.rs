//! How requests for data are made, and what goes with every answer.

use reqwest::Method;
use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

use super::NOT_AUTHORIZED;
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::id_token::part;
use crate::plan::{Case, GrantFate};
use crate::plans::headers::{no_store, not_allowed};
use crate::random::{random, random_bytes};
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::Tokens;

pub(super) const VERSION: Case = Case {
    id: "version",
    title: "The version in the path",
    clause: "FDX API versioning; FDX error 1106",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("/accounts/v2/{provider}", "200 with the accounts that /accounts has"),
        Check::fdx(
            "/accounts/v9/{provider}",
            501,
            r#"{"code":1106,"message":"Version not supported"}"#,
        ),
        Check::fdx(
            "/accounts/v9/{provider} with a token that was never issued",
            401,
            NOT_AUTHORIZED,
        ),
    ],
    run: |case| Box::pin(version(case)),
};

pub(super) const PROVIDER: Case = Case {
    id: "provider",
    title: "The provider in the path is the token's",
    clause: "FDX error 403; Counterfoil wire contract: GET /accounts",
    grant: GrantFate::Lives,
    checks: &[Check::fdx(
        "/accounts/v2/{another provider}",
        403,
        r#"{"code":403,"message":"Forbidden"}"#,
    )],
    run: |case| Box::pin(provider(case)),
};

pub(super) const INTERACTION_ID: Case = Case {
    id: "interaction-id",
    title: "Each request has a name on both sides",
    clause: "FAPI 1.0 Baseline section 6.2.1 (item 11); FDX API, header x-fapi-interaction-id; RFC 9562 section 4",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "x-fapi-interaction-id with a request that is answered",
            "the same in the answer",
        ),
        Check::words(
            "x-fapi-interaction-id with a request that is refused",
            "the same in the answer",
        ),
        Check::words("none with a request that is answered", "a UUID in the answer"),
        Check::words(
            "none with a request that is refused",
            "a UUID in the answer, and not the one before",
        ),
    ],
    run: |case| Box::pin(interaction_id(case)),
};

pub(super) const NOT_STORED: Case = Case {
    id: "not-stored",
    title: "Nobody keeps the data",
    clause: "RFC 9111 section 5.2.2.5; Counterfoil wire contract: in every answer",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("accounts that are given", "Cache-Control: no-store"),
        Check::words("accounts that are refused", "Cache-Control: no-store"),
    ],
    run: |case| Box::pin(not_stored(case)),
};

pub(super) const METHOD: Case = Case {
    id: "method",
    title: "Accounts are read, not written",
    clause: "RFC 9110 section 15.5.6; FDX API: the shape of errors",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("POST, with a good token", NOT_ALLOWED),
        Check::words("DELETE, with a good token", NOT_ALLOWED),
    ],
    run: |case| Box::pin(method(case)),
};

const NOT_ALLOWED: &str =
    "405 with an Allow that lists GET, and an error of FDX whose code is an integer";
const INTERACTION: &str = "x-fapi-interaction-id";

/// Tokens, and the path of their provider in a version of the API; not run where there are no such
/// paths.
async fn versioned(case: &mut CaseRun<'_>) -> Result<(Tokens, String, String), Abort> {
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Accounts)?);
    let Some(provider) = part(&tokens.id_token, 1)
        .and_then(|claims| claims["connectorId"].as_str().map(str::to_owned))
    else {
        return Err(Abort::not_run(
            "the ID token has no connectorId, so the paths of its provider are not known",
        ));
    };
    let answer = at(case, &format!("{url}/v2/{provider}"), &tokens.id_token).await;
    if answer.is(404) {
        return Err(Abort::not_run(format!("there are no paths with versions below {url}")));
    }
    Ok((tokens, url, provider))
}

async fn at(case: &mut CaseRun<'_>, url: &str, token: &str) -> Response {
    case.send(Call::get(url).bearer(token)).await
}

async fn version(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url, provider) = versioned(case).await?;
    let plain = case.accounts(&tokens.id_token).await?;
    let answer = at(case, &format!("{url}/v2/{provider}"), &tokens.id_token).await;
    let same = answer.is(200) && answer.json() == plain.json();
    case.judged(
        0,
        &answer,
        if same { Ok(()) } else { Err("these are not the accounts of /accounts".to_owned()) },
    );
    let unknown = format!("{url}/v9/{provider}");
    let answer = at(case, &unknown, &tokens.id_token).await;
    case.holds(1, &answer);
    let answer = at(case, &unknown, &random()).await;
    case.holds(2, &answer);
    Ok(())
}

async fn provider(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url, provider) = versioned(case).await?;
    let answer = at(case, &format!("{url}/v2/not-{provider}"), &tokens.id_token).await;
    case.holds(0, &answer);
    Ok(())
}

async fn interaction_id(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Accounts)?);
    let calls = || [Call::get(&url).bearer(&tokens.id_token), Call::get(&url)];
    for (check, call) in calls().into_iter().enumerate() {
        let id = uuid();
        let answer = case.send(call.header(INTERACTION, &id)).await;
        let found = answer.header(INTERACTION);
        let verdict =
            if found == id { Ok(()) } else { Err(format!("it is `{found}`, not `{id}`")) };
        case.saw(check, format!("{INTERACTION}: {found}"), verdict);
    }
    let mut before = String::new();
    for (check, call) in calls().into_iter().enumerate() {
        let answer = case.send(call).await;
        let found = answer.header(INTERACTION).to_owned();
        let verdict = match () {
            () if !is_uuid(&found) => Err(format!("it is `{found}`, no UUID")),
            () if found == before => Err("it is the one before".to_owned()),
            () => Ok(()),
        };
        case.saw(check + 2, format!("{INTERACTION}: {found}"), verdict);
        before = found;
    }
    Ok(())
}

/// A new UUID (RFC 9562 section 5.4).
fn uuid() -> String {
    Builder::from_random_bytes(random_bytes()).into_uuid().to_string()
}

/// Whether it is a UUID as RFC 9562 section 4 writes it; other spellings can be parsed too.
fn is_uuid(text: &str) -> bool {
    text.len() == Hyphenated::LENGTH && Uuid::try_parse(text).is_ok()
}

async fn not_stored(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Accounts)?);
    for (check, call) in
        [Call::get(&url).bearer(&tokens.id_token), Call::get(&url)].into_iter().enumerate()
    {
        let answer = case.send(call).await;
        case.judged(check, &answer, no_store(&answer));
    }
    Ok(())
}

async fn method(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, url) = (case.tokens().await?, case.endpoint(Endpoint::Accounts)?);
    for (check, method) in [Method::POST, Method::DELETE].into_iter().enumerate() {
        let answer = case.send(Call::new(method, &url).bearer(&tokens.id_token)).await;
        let is_fdx =
            answer.json().is_some_and(|json| json["code"].is_i64() && json["message"].is_string());
        let shaped = if is_fdx {
            Ok(())
        } else {
            Err("the body is no error of FDX with an integer as its code".to_owned())
        };
        case.judged(check, &answer, not_allowed(&answer, "GET").and(shaped));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interaction_is_told_by_a_uuid() {
        assert!(is_uuid(&uuid()) && uuid() != uuid());
        assert!(is_uuid("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"));
        for other in [
            "",
            "f81d4fae7dec11d0a76500a0c91e6bf6",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ] {
            assert!(!is_uuid(other), "{other}");
        }
    }
}
