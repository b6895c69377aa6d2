//! Proof Key for Code Exchange.

use super::authorize::{ask, tells};
use super::moves::still_good;
use super::spelling;
use crate::abort::Abort;
use crate::case::CaseRun;
use crate::check::Check;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::tokens::Code;

pub(super) const PKCE_VERIFIER: Case = Case {
    id: "pkce-verifier",
    title: "A code whose request had a challenge needs its verifier",
    clause: "RFC 7636 sections 4.5 and 4.6",
    grant: GrantFate::Lives,
    checks: &[
        Check::spelled("no code_verifier", spelling::VERIFIER_UNFIT),
        Check::spelled("a wrong code_verifier", spelling::VERIFIER_WRONG),
        Check::spelled("the challenge as the code_verifier", spelling::VERIFIER_WRONG),
        Check::words(
            "then the right code_verifier",
            "200 with tokens: what was refused claimed nothing",
        ),
    ],
    run: |case| Box::pin(verifier(case)),
};

pub(super) const PKCE_VERIFIER_RFC: Case = Case {
    checks: &[
        Check::spelled("no code_verifier", spelling::VERIFIER_UNFIT),
        Check::spelled("a wrong code_verifier", spelling::VERIFIER_WRONG),
        Check::spelled("the challenge as the code_verifier", spelling::VERIFIER_WRONG),
    ],
    ..PKCE_VERIFIER
};

pub(super) const PKCE_UNASKED: Case = Case {
    id: "pkce-unasked",
    title: "A verifier for a code whose request had no challenge",
    clause: "RFC 9700 sections 2.1.1 and 4.8.2",
    grant: GrantFate::Lives,
    checks: &[Check::spelled(
        "a code_verifier where no code_challenge was",
        spelling::VERIFIER_UNFIT,
    )],
    run: |case| Box::pin(unasked(case)),
};

pub(super) const PKCE_METHOD: Case = Case {
    id: "pkce-method",
    title: "Challenges are made with S256",
    clause: "RFC 7636 sections 4.2, 4.3 and 4.4.1; RFC 9700 section 2.1.1",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("code_challenge_method=plain", INVALID_REQUEST),
        Check::words("a code_challenge without a method, which means plain", INVALID_REQUEST),
        Check::words("a code_challenge_method that does not exist", INVALID_REQUEST),
    ],
    run: |case| Box::pin(method(case)),
};

pub(super) const PKCE_PUBLIC: Case = Case {
    id: "pkce-public",
    title: "A public client needs a challenge",
    clause: "RFC 9700 section 2.1.1; RFC 7636 section 4.4.1",
    grant: GrantFate::Lives,
    checks: &[Check::words(
        "an authorization request of a public client without a code_challenge",
        INVALID_REQUEST,
    )],
    run: |case| Box::pin(public(case)),
};

const INVALID_REQUEST: &str =
    "a redirect to the client with error=invalid_request and the state as it was";

async fn verifier(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let mut code = case.code().await?;
    let Some(right) = code.verifier.clone() else {
        return Err(Abort::not_run("the code that was given has no verifier"));
    };
    for (check, verifier) in
        [None, Some(random()), Some(crate::tokens::challenge(&right))].into_iter().enumerate()
    {
        if case.is_rfc() && check > 0 {
            // In a sandbox a new one: what is refused first may void a code.
            code = case.code().await?;
        }
        let answer = case.redeem(&Code { verifier, ..code.clone() }).await;
        case.holds(check, &answer);
    }
    if !case.is_rfc() {
        still_good(case, 3, &code).await;
    }
    Ok(())
}

async fn unasked(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    if case.session.recipient.secret.is_none() {
        return Err(Abort::not_run("a public client gets no code without a challenge"));
    }
    let code = case.code_with(&[("code_challenge", ""), ("code_challenge_method", "")]).await?;
    let answer = case.redeem(&Code { verifier: Some(random()), ..code }).await;
    case.holds(0, &answer);
    Ok(())
}

async fn method(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    // RFC 7636 itself knows plain: where it is listed it may be taken.
    let plain_listed = case.is_rfc()
        && case.target().lists("code_challenge_methods_supported", "plain") != Some(false);
    for (check, method) in ["plain", "", "no_such_method"].into_iter().enumerate() {
        if plain_listed && check < 2 {
            case.not_run(check, "the server does not say that it takes no plain challenges (code_challenge_methods_supported)");
            continue;
        }
        let answer = ask(case, &[("code_challenge_method", method)]).await?;
        tells(case, check, &answer, &["invalid_request"]);
    }
    Ok(())
}

async fn public(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let ours = case.session.recipient.secret.is_none().then(|| case.client_id().to_owned());
    let sandboxs = case.target().sandbox.is_some().then(|| "sandbox-app".to_owned());
    let Some(id) = ours.or(sandboxs) else {
        return Err(Abort::not_run("it needs a public client, and this one has a secret"));
    };
    let answer =
        ask(case, &[("client_id", &id), ("code_challenge", ""), ("code_challenge_method", "")])
            .await?;
    tells(case, 0, &answer, &["invalid_request"]);
    Ok(())
}
