//! The authorization endpoint, as far as it answers without a customer.

use std::collections::BTreeMap;

use reqwest::Url;

use super::spelling;
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::challenge;

/// A state that comes back unchanged only if it is encoded and decoded correctly.
const STATE: &str = "a+b c&d=e%20f/~";

pub(super) const AUTHORIZE_ERRORS: Case = Case {
    id: "authorize-errors",
    title: "An authorization request that is wrong is answered to the client",
    clause: "RFC 6749 section 4.1.2.1; OpenID Connect Core section 3.1.2.6",
    grant: GrantFate::Lives,
    checks: &[NO_RESPONSE_TYPE, OTHER_RESPONSE_TYPE, NO_OPENID],
    run: |case| Box::pin(errors(case)),
};

pub(super) const AUTHORIZE_ERRORS_RFC: Case =
    Case { checks: &[NO_RESPONSE_TYPE, OTHER_RESPONSE_TYPE], ..AUTHORIZE_ERRORS };

pub(super) const AUTHORIZE_NOWHERE: Case = Case {
    id: "authorize-nowhere",
    title: "An authorization request of nobody, or to elsewhere, redirects nobody",
    clause: "RFC 6749 sections 3.1.2.4 and 4.1.2.1; RFC 9700 sections 2.1 and 4.11.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled(OTHER_REDIRECT_URI, spelling::NO_REDIRECT),
        Check::spelled(UNKNOWN_CLIENT, spelling::NO_REDIRECT),
    ],
    run: |case| Box::pin(nowhere(case)),
};

pub(super) const AUTHORIZE_PROMPT_NONE: Case = Case {
    id: "authorize-prompt-none",
    title: "An authorization request that must show no page, without a session",
    clause: "OpenID Connect Core sections 3.1.2.1 and 3.1.2.6; RFC 9700 section 4.4.2",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "prompt=none",
        "a redirect to the client with error=login_required and the state as it was",
    )],
    run: |case| Box::pin(prompt_none(case)),
};

const NO_RESPONSE_TYPE: Check = Check::words(
    "no response_type",
    "a redirect to the client with error=invalid_request and the state as it was",
);
const OTHER_RESPONSE_TYPE: Check = Check::words(
    "a response_type that does not exist",
    "a redirect to the client with error=unsupported_response_type and the state as it was",
);
const NO_OPENID: Check = Check::words(
    "a scope without openid",
    "a redirect to the client with error=invalid_scope and the state as it was",
);
const OTHER_REDIRECT_URI: &str = "a redirect_uri that the client has not registered";
const UNKNOWN_CLIENT: &str = "a client_id that does not exist";

async fn errors(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer = ask(case, &[("response_type", "")]).await?;
    tells(case, 0, &answer, &["invalid_request"]);
    let answer = ask(case, &[("response_type", "no_such_type")]).await?;
    // That a client may not use it (unauthorized_client) is also true of a type that does not exist.
    tells(
        case,
        1,
        &answer,
        if case.is_rfc() {
            &["unsupported_response_type", "unauthorized_client"]
        } else {
            &["unsupported_response_type"]
        },
    );
    if !case.is_rfc() {
        let answer = ask(case, &[("scope", "offline_access")]).await?;
        tells(case, 2, &answer, &["invalid_scope"]);
    }
    Ok(())
}

async fn nowhere(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let elsewhere = format!("{}/elsewhere", case.redirect_uri());
    let answer = ask(case, &[("redirect_uri", &elsewhere)]).await?;
    let verdict = stays(case, &answer, &elsewhere);
    case.judged(0, &answer, verdict);
    let (unknown, redirect_uri) = (random(), case.redirect_uri().to_owned());
    let answer = ask(case, &[("client_id", &unknown)]).await?;
    let verdict = stays(case, &answer, &redirect_uri);
    case.judged(1, &answer, verdict);
    Ok(())
}

async fn prompt_none(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let answer = ask(case, &[("prompt", "none")]).await?;
    let rfc = [
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    ];
    let expected: &[&str] = if case.is_rfc() { &rfc } else { &["login_required"] };
    tells(case, 0, &answer, expected);
    Ok(())
}

/// An authorization request that is good but for these parameters; an empty value leaves one out.
pub(in crate::plans) async fn ask(
    case: &mut CaseRun<'_>,
    changed: &[(&str, &str)],
) -> Result<Response, Abort> {
    let endpoint = case.endpoint(Endpoint::Authorization)?;
    let mut url = Url::parse(&endpoint)
        .map_err(|error| Abort::set_up(format!("`{endpoint}` is not a URL: {error}")))?;
    let (nonce, challenge) = (random(), challenge(&random()));
    let options = &case.session.options;
    let good = [
        ("response_type", "code"),
        ("client_id", case.client_id()),
        ("redirect_uri", case.redirect_uri()),
        ("scope", &options.scope),
        ("state", STATE),
        ("nonce", &nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let more = options.authorize_parameters.iter().map(|(name, value)| (&**name, &**value));
    let kept = good
        .into_iter()
        .chain(more)
        .filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    let sent = kept.chain(changed.iter().copied().filter(|(_, value)| !value.is_empty()));
    url.query_pairs_mut().extend_pairs(sent);
    Ok(case.send(Call::get(url.as_str())).await)
}

/// What an answer tells the client at its redirect URI, where it does.
pub(in crate::plans) fn told(
    case: &CaseRun<'_>,
    answer: &Response,
) -> Option<BTreeMap<String, String>> {
    if !matches!(answer.status, Some(302 | 303)) {
        return None;
    }
    let location = answer.header("location");
    let query = location.strip_prefix(case.redirect_uri())?.strip_prefix(['?', '&'])?;
    Some(url::form_urlencoded::parse(query.split('#').next()?.as_bytes()).into_owned().collect())
}

/// Checks that the client gets one of these errors, with its state. A server that lets the
/// customer sign in first may find the error later, which can't be seen here: in the RFCs' dialect
/// the check is not run then.
pub(super) fn tells(case: &mut CaseRun<'_>, check: usize, answer: &Response, errors: &[&str]) {
    let Some(told) = told(case, answer) else {
        if case.is_rfc() && matches!(answer.status, Some(200..=399)) {
            return case.not_run(check, "the server shows a page first, and what it tells the client after that needs a customer");
        }
        let (status, location) = (answer.status.unwrap_or_default(), answer.header("location"));
        let verdict = Err(format!(
            "the client is not told: the status is {status}, the Location `{location}`"
        ));
        return case.judged(check, answer, verdict);
    };
    let told = |name: &str| told.get(name).map_or("", String::as_str);
    let verdict = match (told("error"), told("state")) {
        (error, _) if !errors.contains(&error) => {
            Err(format!("the error is `{error}`, not {}", errors.join(" or ")))
        }
        (_, state) if state != STATE => Err(format!("the state is `{state}`, not `{STATE}`")),
        _ => Ok(()),
    };
    let seen =
        format!("{} to the client, error={}", answer.status.unwrap_or_default(), told("error"));
    case.saw(check, seen, verdict);
}

/// Whether the browser stays with the server.
fn stays(case: &CaseRun<'_>, answer: &Response, from: &str) -> Result<(), String> {
    let location = answer.header("location");
    if location.starts_with(from) {
        return Err(format!("the browser is sent to `{location}`"));
    }
    if !case.is_rfc() && (!answer.is(400) || !location.is_empty()) {
        return Err(format!(
            "the status is {}, not 400, the Location `{location}`",
            answer.status.unwrap_or_default()
        ));
    }
    Ok(())
}
