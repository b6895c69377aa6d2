//! Client authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::moves::{by_hand, has_tokens, refreshing};
use super::spelling;
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::plan::{Case, GrantFate};
use crate::plans::headers::challenged;
use crate::plans::token_management::client_invalid;
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;

pub(super) const CLIENT_CREDENTIALS: Case = Case {
    id: "client-credentials",
    title: "A client with a secret proves it in either way",
    clause: "RFC 6749 section 2.3.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("a refresh with id and secret by HTTP Basic", "200 with new tokens"),
        Check::words("a refresh with id and secret in the body", "200 with new tokens"),
        Check::words(
            "a refresh by HTTP Basic, each character of id and secret percent-encoded",
            "200 with new tokens",
        ),
    ],
    run: |case| Box::pin(credentials(case)),
};

pub(super) const CLIENT_INVALID: Case = Case {
    id: "client-invalid",
    title: "A client that is unknown, or whose secret is wrong",
    clause: "RFC 6749 section 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("an unknown client_id", spelling::CLIENT_UNKNOWN),
        Check::spelled("a wrong client_secret", spelling::SECRET_WRONG),
    ],
    run: |case| Box::pin(client_invalid(case)),
};

pub(super) const CLIENT_CHALLENGED: Case = Case {
    id: "client-challenged",
    title: "Credentials by HTTP Basic that are wrong are answered with a challenge",
    clause: "RFC 6749 section 5.2; RFC 7009 section 2.2.1; RFC 9110 section 11.6.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words(
            "a wrong secret by HTTP Basic at the token endpoint",
            "401 with WWW-Authenticate: Basic",
        ),
        Check::words(
            "a wrong secret by HTTP Basic at the revocation endpoint",
            "401 with WWW-Authenticate: Basic",
        ),
    ],
    run: |case| Box::pin(is_challenged(case)),
};

pub(super) const CLIENT_TWICE: Case = Case {
    id: "client-twice",
    title: "Credentials in two places",
    clause: "RFC 6749 sections 2.3 and 5.2",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("a good secret by HTTP Basic and in the body", spelling::MALFORMED),
        Check::spelled(
            "a client_id in the body that is not the one of HTTP Basic",
            spelling::TWO_CLIENTS,
        ),
    ],
    run: |case| Box::pin(twice(case)),
};

/// Refreshes with a request made by hand.
async fn refresh_by_hand(
    case: &mut CaseRun<'_>,
    call: Call,
    more: &[(&str, &str)],
) -> Result<Response, Abort> {
    let refresh_token = case.tokens().await?.refresh_token;
    let form = [&refreshing(&refresh_token), more].concat();
    Ok(by_hand(case, Endpoint::Token, call.form(&form), &form).await)
}

async fn credentials(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (id, secret, url) =
        (case.client_id().to_owned(), case.secret()?, case.endpoint(Endpoint::Token)?);
    let basic = refresh_by_hand(case, Call::post(&url).basic(&id, &secret), &[]).await?;
    let body =
        refresh_by_hand(case, Call::post(&url), &[("client_id", &id), ("client_secret", &secret)])
            .await?;
    let pair = STANDARD.encode(format!("{}:{}", percent_encoded(&id), percent_encoded(&secret)));
    let encoded = refresh_by_hand(
        case,
        Call::post(&url).header("authorization", &format!("Basic {pair}")),
        &[],
    )
    .await?;
    // OpenID Connect registers a client for one way; the other one may be refused.
    let is_rfc = case.is_rfc();
    let other_way =
        |answer: &Response| is_rfc && answer.text("error").as_deref() == Some("invalid_client");
    for (check, answer, instead) in [(0, &basic, &body), (1, &body, &basic), (2, &encoded, &body)] {
        if other_way(answer) && has_tokens(instead).is_ok() && (check < 2 || other_way(&basic)) {
            case.not_run(
                check,
                "the client proves its secret in another way, and the server takes only that one",
            );
        } else {
            case.judged(check, answer, has_tokens(answer));
        }
    }
    Ok(())
}

/// Every character as its percent-encoding, which decodes to the same (the appendix B of RFC 6749).
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn is_challenged(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (id, wrong, token) = (case.client_id().to_owned(), random(), random());
    case.secret()?;
    for (check, endpoint) in [Endpoint::Token, Endpoint::Revocation].into_iter().enumerate() {
        let form = [&refreshing(&token)[..], &[("token", &token)]].concat();
        let url = case.endpoint(endpoint)?;
        let answer = case.send(Call::post(&url).basic(&id, &wrong).form(&form)).await;
        case.judged(check, &answer, challenged(&answer, "Basic"));
    }
    Ok(())
}

async fn twice(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (id, secret, url) =
        (case.client_id().to_owned(), case.secret()?, case.endpoint(Endpoint::Token)?);
    let call = || Call::post(&url).basic(&id, &secret);
    let answer =
        refresh_by_hand(case, call(), &[("client_id", &id), ("client_secret", &secret)]).await?;
    case.holds(0, &answer);
    let answer = refresh_by_hand(case, call(), &[("client_id", &random())]).await?;
    case.holds(1, &answer);
    Ok(())
}
