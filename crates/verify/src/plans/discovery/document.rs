//! The document itself.

use reqwest::Url;
use serde_json::Value;

use super::members::{has, is_endpoint, is_flag, is_list, is_secure, is_url, members};
use super::{NO_DOCUMENT, document, document_of, documents, saw, texts, verdict};
use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::plan::{Case, GrantFate};

pub(super) const PUBLISHED: Case = Case {
    id: "published",
    title: "The documents are published, and agree",
    clause: "OpenID Connect Discovery 1.0 section 4.2; RFC 8414 sections 3 and 3.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("/.well-known/openid-configuration", "200 with a JSON object"),
        Check::words("/.well-known/oauth-authorization-server", "200 with a JSON object"),
        Check::words("the members that both have", "the same values"),
    ],
    run: |case| Box::pin(published(case)),
};

pub(super) const ISSUER: Case = Case {
    id: "issuer",
    title: "The issuer of each document is the one that was asked for",
    clause: "OpenID Connect Discovery 1.0 sections 3 and 4.3; RFC 8414 sections 2 and 3.3",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("issuer in /.well-known/openid-configuration", THE_ISSUER),
        Check::words("issuer in /.well-known/oauth-authorization-server", THE_ISSUER),
    ],
    run: |case| Box::pin(issuer(case)),
};

pub(super) const REQUIRED: Case = Case {
    id: "required-members",
    title: "Nothing is missing that clients need",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "the document",
        "issuer, authorization_endpoint, token_endpoint, jwks_uri, response_types_supported, subject_types_supported and \
         id_token_signing_alg_values_supported",
    )],
    run: |case| Box::pin(required(case)),
};

pub(super) const TYPES: Case = Case {
    id: "member-types",
    title: "Each member is of the right type",
    clause: "OpenID Connect Discovery 1.0 sections 3 and 4.2; RFC 8414 sections 2 and 3.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("lists", "arrays of texts, none of them empty"),
        Check::words("URLs", "texts that are absolute URLs"),
        Check::words("yes or no", "JSON booleans"),
    ],
    run: |case| Box::pin(types(case)),
};

pub(super) const SECURE: Case = Case {
    id: "secure-urls",
    title: "Everything is reached by TLS",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 6749 sections 3.1 and 3.2; RFC 8414 section 2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "the issuer",
            "https, or on the loopback interface; without query and fragment",
        ),
        Check::words(
            "endpoints and jwks_uri",
            "https, or on the loopback interface; without fragment",
        ),
    ],
    run: |case| Box::pin(secure(case)),
};

pub(super) const RESPONSE_TYPES: Case = Case {
    id: "response-types",
    title: "The code flow is offered",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2; RFC 9700 section 2.1.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("response_types_supported", "has code"),
        Check::words(
            "grant_types_supported, where it is there",
            "has authorization_code and refresh_token",
        ),
    ],
    run: |case| Box::pin(response_types(case)),
};

pub(super) const SCOPES: Case = Case {
    id: "scopes-and-subjects",
    title: "Scopes and kinds of subjects",
    clause: "OpenID Connect Discovery 1.0 section 3; OpenID Connect Core section 8",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("scopes_supported, where it is there", "has openid"),
        Check::words("subject_types_supported", "public, pairwise or both, and nothing else"),
    ],
    run: |case| Box::pin(scopes(case)),
};

pub(super) const ALGORITHMS: Case = Case {
    id: "id-token-algorithms",
    title: "ID tokens are signed",
    clause: "OpenID Connect Discovery 1.0 section 3; RFC 8725 sections 3.1 and 3.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("id_token_signing_alg_values_supported", "has RS256"),
        Check::words("it, and what clients may sign with at the endpoints", "has no none"),
    ],
    run: |case| Box::pin(algorithms(case)),
};

pub(super) const AUTH_METHODS: Case = Case {
    id: "auth-methods",
    title: "How clients prove who they are",
    clause: "OpenID Connect Core section 9; RFC 8414 section 2; RFC 8705 section 2",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "token_endpoint_auth_methods_supported and the like",
            "methods that are registered",
        ),
        Check::words(
            "where private_key_jwt or client_secret_jwt is listed",
            "the algorithms for it are listed too",
        ),
    ],
    run: |case| Box::pin(auth_methods(case)),
};

pub(super) const PKCE: Case = Case {
    id: "pkce-methods",
    title: "Challenges can be made with S256",
    clause: "RFC 7636 section 4.2; RFC 8414 section 2; RFC 9700 section 2.1.1",
    grant: GrantFate::Lives,
    checks: &[Check::words("code_challenge_methods_supported", "has S256")],
    run: |case| Box::pin(pkce(case)),
};

/// The suffix of lists of algorithms that clients authenticate with (OpenID Connect Discovery 1.0
/// section 3; RFC 8414 section 2).
const OF_CLIENTS: &str = "_endpoint_auth_signing_alg_values_supported";
const THE_ISSUER: &str = "the issuer that was asked for, character for character";
const REQUIRED_MEMBERS: [&str; 7] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];
/// The registry of RFC 7591 section 4.2, with what RFC 8705 and OpenID Connect Core section 9 add.
const REGISTERED_METHODS: [&str; 7] = [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];

async fn published(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answers = documents(case).await?;
    for (check, answer) in answers.iter().enumerate() {
        match answer.status {
            Some(404) => case.not_run(check, NO_DOCUMENT),
            _ => case.judged(check, answer, document_of(answer).map(drop)),
        }
    }
    if answers.iter().any(|answer| answer.is(404)) {
        return Err(Abort::not_run("there is one document, and nothing that it could differ from"));
    }
    let [openid, oauth] = answers.each_ref().map(document_of);
    let (Ok(Value::Object(openid)), Ok(Value::Object(oauth))) = (openid, oauth) else {
        return Err(Abort::set_up("one of the documents can't be read"));
    };
    let differing = |name: &&String| oauth.get(*name).is_some_and(|value| *value != openid[*name]);
    let wrong: Vec<String> = openid
        .keys()
        .filter(differing)
        .map(|name| format!("`{name}` is {} and {}", openid[name], oauth[name]))
        .collect();
    let both = openid.keys().filter(|name| oauth.contains_key(*name)).count();
    case.saw(2, format!("{both} members are in both"), verdict(wrong));
    Ok(())
}

async fn issuer(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    for (check, answer) in documents(case).await?.iter().enumerate() {
        if answer.is(404) {
            case.not_run(check, NO_DOCUMENT);
            continue;
        }
        let expected = case.target().issuer.clone();
        let found = document_of(answer).map(|document| document["issuer"].clone());
        let seen = found.as_ref().map_or_else(String::clone, Value::to_string);
        let verdict = match found {
            Ok(found) if found == *expected => Ok(()),
            Ok(found) => Err(format!("the issuer is {found}, not \"{expected}\"")),
            Err(problem) => Err(problem),
        };
        case.saw(check, seen, verdict);
    }
    Ok(())
}

async fn required(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let missing = REQUIRED_MEMBERS.iter().filter(|name| document[**name].is_null());
    let wrong: Vec<String> = missing.map(|name| format!("`{name}` is missing")).collect();
    case.saw(
        0,
        members(&document).keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        verdict(wrong),
    );
    Ok(())
}

/// Members of a kind, by their names, and what their values must be.
type Kind = (fn(&str) -> bool, fn(&Value) -> bool);

async fn types(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let members = members(&document);
    let is_texts = |value: &Value| {
        value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
    };
    let is_absolute = |value: &Value| value.as_str().is_some_and(|url| Url::parse(url).is_ok());
    let kinds: [Kind; 3] =
        [(is_list, is_texts), (is_url, is_absolute), (is_flag, Value::is_boolean)];
    for (check, (is_kind, fits)) in kinds.into_iter().enumerate() {
        let of_kind: Vec<_> = members.iter().filter(|(name, _)| is_kind(name)).collect();
        let wrong = of_kind
            .iter()
            .filter(|(_, value)| !fits(value))
            .map(|(name, value)| format!("`{name}` is {value}"))
            .collect();
        case.saw(
            check,
            of_kind.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            verdict(wrong),
        );
    }
    Ok(())
}

async fn secure(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let issuer = document["issuer"].as_str().unwrap_or_default();
    saw(case, 0, &document, &["issuer"], is_secure(issuer, true));
    let members = members(&document);
    let endpoints: Vec<(&String, &str)> = members
        .iter()
        .filter(|(name, _)| is_endpoint(name))
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .collect();
    let wrong = endpoints
        .iter()
        .filter_map(|(name, url)| {
            is_secure(url, false).err().map(|problem| format!("`{name}`: {problem}"))
        })
        .collect();
    case.saw(
        1,
        endpoints.iter().map(|(name, url)| format!("{name}: {url}")).collect::<Vec<_>>().join(", "),
        verdict(wrong),
    );
    Ok(())
}

async fn response_types(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    saw(
        case,
        0,
        &document,
        &["response_types_supported"],
        has(&document, "response_types_supported", &["code"]),
    );
    let grant_types = "grant_types_supported";
    // Where it is left out, it means authorization_code and implicit, and says nothing of
    // refreshing.
    if document[grant_types].is_null() {
        case.not_run(1, "the document has no grant_types_supported");
    } else {
        saw(
            case,
            1,
            &document,
            &[grant_types],
            has(&document, grant_types, &["authorization_code", "refresh_token"]),
        );
    }
    Ok(())
}

async fn scopes(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    if document["scopes_supported"].is_null() {
        case.not_run(0, "the document has no scopes_supported");
    } else {
        saw(
            case,
            0,
            &document,
            &["scopes_supported"],
            has(&document, "scopes_supported", &["openid"]),
        );
    }
    let subjects: Vec<&str> = texts(&document, "subject_types_supported").collect();
    let known =
        !subjects.is_empty() && subjects.iter().all(|kind| ["public", "pairwise"].contains(kind));
    let verdict = if known { Ok(()) } else { Err(format!("the kinds are {subjects:?}")) };
    saw(case, 1, &document, &["subject_types_supported"], verdict);
    Ok(())
}

async fn algorithms(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let of_id_tokens = "id_token_signing_alg_values_supported";
    saw(case, 0, &document, &[of_id_tokens], has(&document, of_id_tokens, &["RS256"]));
    let members = members(&document);
    // Not those of request objects and of userinfo, where it is allowed.
    let lists: Vec<&String> =
        members.keys().filter(|name| *name == of_id_tokens || name.ends_with(OF_CLIENTS)).collect();
    let with_none = lists
        .iter()
        .filter(|name| texts(&document, name).any(|alg| alg.eq_ignore_ascii_case("none")));
    let wrong = with_none.map(|name| format!("`{name}` has none")).collect();
    let seen: Vec<&str> = lists.iter().map(|name| name.as_str()).collect();
    saw(case, 1, &document, &seen, verdict(wrong));
    Ok(())
}

async fn auth_methods(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let members = members(&document);
    let lists: Vec<&str> = members
        .keys()
        .map(String::as_str)
        .filter(|name| name.ends_with("_endpoint_auth_methods_supported"))
        .collect();
    let all =
        || lists.iter().flat_map(|name| texts(&document, name).map(move |method| (*name, method)));
    let unknown = all().filter(|(_, method)| !REGISTERED_METHODS.contains(method));
    let unknown = unknown.map(|(name, method)| format!("`{name}` has `{method}`")).collect();
    let unsigned = all().filter(|(name, method)| {
        let algorithms =
            name.replace("_auth_methods_supported", "_auth_signing_alg_values_supported");
        method.ends_with("_jwt") && texts(&document, &algorithms).next().is_none()
    });
    let unsigned = unsigned
        .map(|(name, method)| format!("`{name}` has `{method}`, whose algorithms are not listed"))
        .collect();
    saw(case, 0, &document, &lists, verdict(unknown));
    saw(case, 1, &document, &lists, verdict(unsigned));
    Ok(())
}

async fn pkce(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (_, document) = document(case).await?;
    let methods = "code_challenge_methods_supported";
    saw(case, 0, &document, &[methods], has(&document, methods, &["S256"]));
    Ok(())
}
