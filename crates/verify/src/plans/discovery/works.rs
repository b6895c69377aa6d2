//! Whether what is listed works.

use serde_json::Value;

use super::{document, openid_url, verdict};
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::client::Client;
use crate::id_token::part;
use crate::plan::{Case, GrantFate};
use crate::plans::oauth::authorize;
use crate::target::Endpoint;

pub(super) const ENDPOINTS: Case = Case {
    id: "endpoints",
    title: "Each endpoint that is listed is there",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "a plain GET of jwks_uri and the endpoints that take one, an empty form to those that take forms alone",
        "an answer that is neither 404 nor 5xx",
    )],
    run: |case| Box::pin(endpoints(case)),
};

pub(super) const ISS: Case = Case {
    id: "iss-parameter",
    title: "Authorization responses name the issuer, as the document says",
    clause: "RFC 9207 sections 2 and 3; RFC 9700 section 4.4.2.1",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "an authorization response (an error: that needs no customer)",
        "iss is the issuer, and the document says so",
    )],
    run: |case| Box::pin(iss(case)),
};

pub(super) const USERINFO: Case = Case {
    id: "userinfo",
    title: "The userinfo endpoint tells of whom the tokens are",
    clause: "OpenID Connect Core sections 5.3.1 and 5.3.2",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "the access token of a grant at userinfo_endpoint",
        "200 with the sub of the ID token",
    )],
    run: |case| Box::pin(userinfo(case)),
};

pub(super) const INTROSPECTION: Case = Case {
    id: "introspection",
    title: "The introspection endpoint knows what it issued, and nothing else",
    clause: "RFC 7662 sections 2.1 and 2.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the client's access token at introspection_endpoint", "200 with active true"),
        Check::words("a token that was never issued", "200 with active false, and nothing else"),
    ],
    run: |case| Box::pin(introspection(case)),
};

pub(super) const CORS: Case = Case {
    id: "cors",
    title: "Pages of other sites may read what is public",
    clause: "Fetch standard, CORS protocol",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the document, asked from a page of another site", CROSS),
        Check::words("jwks_uri, asked so", CROSS),
    ],
    run: |case| Box::pin(cors(case)),
};

pub(super) const ID_TOKEN: Case = Case {
    id: "id-token",
    title: "An ID token is signed with a key and an algorithm that are published",
    clause: "OpenID Connect Core sections 2, 3.1.3.7 and 10.1",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "the ID token of a grant",
        "verifies against a published key, by an algorithm that is listed",
    )],
    run: |case| Box::pin(id_token(case)),
};

const CROSS: &str = "Access-Control-Allow-Origin, for all or for this site; no credentials";
const SITE: &str = "https://app.example";

async fn endpoints(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let members = document.as_object().into_iter().flatten();
    let endpoints: Vec<(&String, Call)> =
        members.filter_map(|(name, url)| Some((name, asking(name, url.as_str()?)?))).collect();
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for (name, call) in endpoints {
        let answer = case.send(call).await;
        let status =
            answer.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        seen.push(format!("{name}: {status}"));
        if !matches!(answer.status, Some(200..=403 | 405..=499)) {
            wrong.push(format!("{name} answers {status}"));
        }
    }
    case.saw(0, seen.join(", "), verdict(wrong));
    Ok(())
}

/// A request that the endpoint's specification has an answer to; none if there is no such
/// specification.
fn asking(name: &str, url: &str) -> Option<Call> {
    match name {
        "authorization_endpoint" | "userinfo_endpoint" | "end_session_endpoint" | "jwks_uri" => {
            Some(Call::get(url))
        }
        // RFC 6749 section 3.2, RFC 7009 section 2.1, RFC 7662 section 2.1, RFC 9126 section 2.1,
        // RFC 8628 section 3.1: POST alone.
        "token_endpoint"
        | "revocation_endpoint"
        | "introspection_endpoint"
        | "pushed_authorization_request_endpoint"
        | "device_authorization_endpoint" => Some(Call::post(url).form(&[])),
        _ => None,
    }
}

async fn iss(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let promised = document["authorization_response_iss_parameter_supported"] == Value::Bool(true);
    let answer = authorize::ask(case, &[("response_type", "no_such_type")]).await?;
    let Some(told) = authorize::told(case, &answer) else {
        return Err(Abort::not_run(format!(
            "a wrong request is not answered to the client: {}",
            case.line(&answer)
        )));
    };
    let issuer = case.target().issuer.clone();
    let verdict = match told.get("iss") {
        None if !promised => {
            return Err(Abort::not_run(
                "the server does not say that its responses have one, and they have none",
            ));
        }
        None => Err("there is no iss, and the document says that there is".to_owned()),
        Some(_) if !promised => Err("there is an iss, and the document does not say so".to_owned()),
        Some(iss) if *iss != issuer => Err(format!("iss is `{iss}`, not `{issuer}`")),
        Some(_) => Ok(()),
    };
    let seen = format!("iss={}", told.get("iss").map_or("", String::as_str));
    case.saw(0, seen, verdict);
    Ok(())
}

async fn userinfo(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let url = listed(case, Endpoint::Userinfo)?;
    let tokens = case.tokens().await?;
    let Some(access_token) = &tokens.access_token else {
        return Err(Abort::not_run("the tokens at hand have no access token"));
    };
    let sub = part(&tokens.id_token, 1).unwrap_or_default()["sub"].clone();
    let answer = case.send(Call::get(&url).bearer(access_token)).await;
    let told = answer.json().unwrap_or_default()["sub"].clone();
    let verdict = match answer.status {
        Some(200) if told == sub && !sub.is_null() => Ok(()),
        Some(200) => Err(format!("sub is {told}, not {sub}")),
        status => Err(format!("the status is {}, not 200", status.unwrap_or_default())),
    };
    case.judged(0, &answer, verdict);
    Ok(())
}

async fn introspection(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    listed(case, Endpoint::Introspection)?;
    case.secret()?;
    let tokens = case.tokens().await?;
    let Some(access_token) = &tokens.access_token else {
        return Err(Abort::not_run("the tokens at hand have no access token"));
    };
    let answer =
        case.post_as(Client::Ours, Endpoint::Introspection, &[("token", access_token)]).await;
    if matches!(answer.status, Some(401 | 403)) {
        return Err(Abort::not_run(
            "the server lets this client introspect nothing, which RFC 7662 section 2.1 leaves to it",
        ));
    }
    let active = |json: Option<Value>| json.is_some_and(|json| json["active"] == Value::Bool(true));
    let verdict = if answer.is(200) && active(answer.json()) {
        Ok(())
    } else {
        Err("it is not active".to_owned())
    };
    case.judged(0, &answer, verdict);
    let unknown = crate::random::random();
    let answer = case.post_as(Client::Ours, Endpoint::Introspection, &[("token", &unknown)]).await;
    let inactive = answer.json() == Some(serde_json::json!({ "active": false }));
    let verdict = if answer.is(200) && inactive {
        Ok(())
    } else {
        Err("more is told than active false".to_owned())
    };
    case.judged(1, &answer, verdict);
    Ok(())
}

async fn cors(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let urls = [openid_url(case), case.endpoint(Endpoint::Jwks)?];
    for (check, url) in urls.into_iter().enumerate() {
        let answer = case.send(Call::get(&url).header("origin", SITE)).await;
        let said = answer.header("access-control-allow-origin").to_owned();
        let credentials = answer.header("access-control-allow-credentials") == "true";
        let verdict = match said.as_str() {
            "" => {
                case.not_run(check, "there is no Access-Control-Allow-Origin: the server does without clients in browsers");
                continue;
            }
            "*" | SITE if !credentials => Ok(()),
            "*" | SITE => Err("a page of another site may send credentials".to_owned()),
            other => Err(format!("Access-Control-Allow-Origin is `{other}`")),
        };
        case.saw(check, format!("Access-Control-Allow-Origin: {said}"), verdict);
    }
    Ok(())
}

async fn id_token(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    case.endpoint(Endpoint::Token)?;
    let tokens = case.tokens().await?;
    let header = part(&tokens.id_token, 0).unwrap_or_default();
    let verdict = case.verify(&tokens, None).await.map(drop);
    case.saw(0, format!("alg: {}, kid: {}", header["alg"], header["kid"]), verdict);
    Ok(())
}

/// An endpoint that discovery may leave out.
fn listed(case: &CaseRun<'_>, endpoint: Endpoint) -> Result<String, Abort> {
    let member = endpoint.member().unwrap_or_default();
    case.endpoint(endpoint).map_err(|_| Abort::not_run(format!("the server has no {member}")))
}
