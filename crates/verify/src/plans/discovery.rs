//! What a server publishes about itself: OpenID Connect Discovery 1.0, RFC 8414, RFC 9207, and the
//! keys of RFC 7517.

mod document;
mod keys;
mod members;
mod works;

use reqwest::Url;
use serde_json::Value;

use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::expectation::Dialect;
use crate::plan::Plan;
use crate::response::Response;

pub(crate) const PLAN: Plan = Plan {
    name: "discovery",
    title: "Discovery and keys",
    dialect: Dialect::Network,
    needs: &[],
    cases: &[
        document::PUBLISHED,
        document::ISSUER,
        document::REQUIRED,
        document::TYPES,
        document::SECURE,
        document::RESPONSE_TYPES,
        document::SCOPES,
        document::ALGORITHMS,
        document::AUTH_METHODS,
        document::PKCE,
        works::ENDPOINTS,
        works::ISS,
        works::USERINFO,
        works::INTROSPECTION,
        works::CORS,
        keys::PUBLISHED,
        keys::NAMED,
        keys::USE,
        keys::PRIVATE,
        keys::STRENGTH,
        keys::ALGORITHMS,
        works::ID_TOKEN,
    ],
};

/// Where OpenID Connect Discovery 1.0 section 4 puts the document.
fn openid_url(case: &CaseRun<'_>) -> String {
    format!("{}/.well-known/openid-configuration", case.target().issuer.trim_end_matches('/'))
}

/// Where RFC 8414 section 3.1 does: before the path of the issuer.
fn oauth_url(case: &CaseRun<'_>) -> Result<String, Abort> {
    let issuer = &case.target().issuer;
    let url = Url::parse(issuer)
        .map_err(|error| Abort::set_up(format!("the issuer `{issuer}` is not a URL: {error}")))?;
    Ok(format!(
        "{}/.well-known/oauth-authorization-server{}",
        url.origin().ascii_serialization(),
        url.path().trim_end_matches('/')
    ))
}

/// Both documents, as they are answered now.
async fn documents(case: &mut CaseRun<'_>) -> Result<[Response; 2], Abort> {
    let (openid, oauth) = (openid_url(case), oauth_url(case)?);
    Ok([case.send(Call::get(&openid)).await, case.send(Call::get(&oauth)).await])
}

/// A document, where it is one.
///
/// # Errors
/// What it is instead.
fn document_of(answer: &Response) -> Result<Value, String> {
    match answer.json() {
        _ if !answer.is(200) => {
            Err(format!("the status is {}, not 200", answer.status.unwrap_or_default()))
        }
        _ if !answer.is_json() => Err(format!(
            "the content type is `{}`, not application/json",
            answer.header("content-type")
        )),
        Some(document @ Value::Object(_)) => Ok(document),
        _ => Err("the body is not a JSON object".to_owned()),
    }
}

/// The document: OpenID's or, where there is none, OAuth's.
///
/// # Errors
/// Where there is neither.
async fn document(case: &mut CaseRun<'_>) -> Result<(Response, Value), Abort> {
    let url = openid_url(case);
    let mut answer = case.send(Call::get(&url)).await;
    if answer.is(404) {
        let url = oauth_url(case)?;
        answer = case.send(Call::get(&url)).await;
    }
    if answer.is(404) {
        return Err(Abort::not_run(NO_DOCUMENT));
    }
    match document_of(&answer) {
        Ok(document) => Ok((answer, document)),
        Err(problem) => Err(Abort::set_up(format!("there is no discovery document: {problem}"))),
    }
}

const NO_DOCUMENT: &str = "the server publishes no such document";

/// The texts of a list.
fn texts<'d>(document: &'d Value, member: &str) -> impl Iterator<Item = &'d str> {
    document[member].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `Ok` if nothing is wrong.
fn verdict(wrong: Vec<String>) -> Result<(), String> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Concludes a check of a document, showing only the members that matter.
fn saw(
    case: &mut CaseRun<'_>,
    check: usize,
    document: &Value,
    members: &[&str],
    result: Result<(), String>,
) {
    let seen: Vec<String> =
        members.iter().map(|member| format!("{member}: {}", document[*member])).collect();
    case.saw(check, seen.join(", "), result);
}
