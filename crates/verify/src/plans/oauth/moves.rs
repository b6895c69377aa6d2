//! Steps that several cases share.

use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::{Code, Tokens, access_token};

/// A form that refreshes.
pub(super) fn refreshing(refresh_token: &str) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", refresh_token)]
}

/// Whether an answer has tokens.
///
/// # Errors
/// What is wrong with it.
pub(super) fn has_tokens(answer: &Response) -> Result<(), String> {
    access_token(answer).map(drop)
}

/// Checks that a code is still good, if there are others for the cases that follow.
pub(super) async fn still_good(case: &mut CaseRun<'_>, check: usize, code: &Code) {
    if !case.session.supply.is_plentiful() {
        return case.not_run(
            check,
            "it would use up a code, and other cases need the few that the user consents to",
        );
    }
    let answer = case.redeem(code).await;
    case.judged(check, &answer, has_tokens(&answer));
}

/// Whether a request was refused, in any words.
///
/// # Errors
/// That it was not.
pub(super) fn refused(answer: &Response) -> Result<(), String> {
    match answer.status {
        Some(400..=499) => Ok(()),
        Some(status) => Err(format!("the status is {status}, not one of 400 to 499")),
        None => Err(answer.body.clone()),
    }
}

/// Sends a request made by hand, and follows what it did to the grant at hand where grants are
/// scarce.
pub(super) async fn by_hand(
    case: &mut CaseRun<'_>,
    endpoint: Endpoint,
    call: Call,
    form: &[(&str, &str)],
) -> Response {
    let answer = case.send(call).await;
    if !case.session.supply.is_plentiful() {
        case.session.supply.saw(endpoint, form, &answer);
    }
    answer
}

/// A request and a form with the client's credentials, put where this client puts them.
pub(super) fn proven<'f>(
    case: &CaseRun<'_>,
    call: Call,
    form: &[(&'f str, &'f str)],
) -> (Call, Vec<(String, String)>) {
    let mut form: Vec<(String, String)> =
        form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let client = &case.session.recipient;
    match &client.secret {
        Some(secret) if client.basic => (call.basic(&client.id, secret), form),
        secret => {
            form.push(("client_id".to_owned(), client.id.clone()));
            form.extend(secret.clone().map(|secret| ("client_secret".to_owned(), secret)));
            (call, form)
        }
    }
}

/// A second client, which a sandbox has.
pub(super) struct Another {
    id: &'static str,
    secret: &'static str,
    redirect_uri: String,
}

const SANDBOX_CLIENTS: [(&str, &str); 2] = [
    ("sandbox-recipient", "sandbox-recipient-secret-for-local-use"),
    ("sandbox-other", "sandbox-other-secret-for-local-use"),
];

impl Another {
    /// The sandbox's.
    ///
    /// # Errors
    /// Elsewhere no second client is known.
    pub(super) fn client(case: &CaseRun<'_>) -> Result<Self, Abort> {
        let sandbox = case.target().sandbox.as_deref();
        let redirect_uri = sandbox.map(|sandbox| format!("{sandbox}/callback"));
        let other = SANDBOX_CLIENTS.into_iter().find(|(id, _)| *id != case.client_id());
        match redirect_uri.zip(other) {
            Some((redirect_uri, (id, secret))) => Ok(Self { id, secret, redirect_uri }),
            None => Err(Abort::not_run(
                "it needs a second client, and only a sandbox has one that is known",
            )),
        }
    }

    /// A code of its own.
    pub(super) async fn code(&self, case: &mut CaseRun<'_>) -> Result<Code, Abort> {
        case.code_with(&[("client_id", self.id), ("redirect_uri", &self.redirect_uri)]).await
    }

    /// Tokens of its own.
    pub(super) async fn tokens(&self, case: &mut CaseRun<'_>) -> Result<Tokens, Abort> {
        let code = self.code(case).await?;
        let answer = self.post(case, &code.form()).await?;
        case.tokens_of(&answer, "the second client's code was not redeemed")
    }

    /// Posts a form to `/token` as this client.
    pub(super) async fn post(
        &self,
        case: &mut CaseRun<'_>,
        form: &[(&str, &str)],
    ) -> Result<Response, Abort> {
        let url = case.endpoint(Endpoint::Token)?;
        Ok(case.send(Call::post(&url).basic(self.id, self.secret).form(form)).await)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_the_clients_fault() {
        for (status, is_refusal) in
            [(400, true), (499, true), (200, false), (302, false), (500, false)]
        {
            assert_eq!(refused(&Response::sample(status, &[], "")).is_ok(), is_refusal, "{status}");
        }
    }

    #[test]
    fn an_answer_has_tokens_where_it_has_an_access_token() {
        assert_eq!(
            has_tokens(&Response::json_sample(200, &json!({ "access_token": "a" }))),
            Ok(())
        );
        assert!(has_tokens(&Response::json_sample(200, &json!({ "id_token": "i" }))).is_err());
        assert!(has_tokens(&Response::json_sample(400, &json!({ "access_token": "a" }))).is_err());
    }
}
