//! Codes and tokens for the cases: from a sandbox, from the user, or those that were given.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use crate::abort::Abort;
use crate::call::Call;
use crate::event::Event;
use crate::random::random;
use crate::session::Session;
use crate::supply::{CONSENTS, CUSTOMER, Source};
use crate::target::Endpoint;
use crate::tokens::{CODE_LIFETIME, Code, Tokens, challenge};

/// How long the user may take for a consent.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

impl Session {
    /// A good code, not redeemed yet, of a request with these further parameters.
    pub(crate) async fn code(&mut self, more: &[(&str, &str)]) -> Result<Code, Abort> {
        if let Source::Sandbox(url) = &self.supply.source {
            let url = format!("{url}/codes");
            return self.sandbox_code(&url, more).await;
        }
        if !more.is_empty() {
            let what: Vec<String> =
                more.iter().map(|(name, value)| format!("{name}={value}")).collect();
            return Err(Abort::not_run(format!(
                "it needs a code asked for with {}, and only a sandbox gives such",
                what.join(" and ")
            )));
        }
        if let Some(code) = self.supply.codes.last() {
            return Ok(code.clone());
        }
        if matches!(self.supply.source, Source::Given) || self.supply.asked >= CONSENTS {
            return Err(Abort::not_run(&*self.supply.exhausted));
        }
        let code = self.ask().await?;
        self.supply.codes.push(code.clone());
        Ok(code)
    }

    /// The same if there is one without asking the user, otherwise a made-up one.
    pub(crate) async fn any_code(&mut self) -> Result<Code, Abort> {
        if self.supply.is_plentiful() || !self.supply.codes.is_empty() {
            return self.code(&[]).await;
        }
        Ok(Code::given(random(), self.redirect_uri.clone(), None))
    }

    /// The newest tokens of a living grant; of a new one in a sandbox.
    pub(crate) async fn tokens(&mut self) -> Result<Tokens, Abort> {
        while let Some((tokens, doubtful)) = self.supply.grants.first().cloned() {
            if !doubtful {
                return Ok(tokens);
            }
            let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token)];
            let answer = self.post(Endpoint::Token, &form).await;
            if let Some((tokens, doubtful)) = self
                .supply
                .grants
                .first_mut()
                .filter(|(tokens, _)| answer.is(200) && !tokens.id_token.is_empty())
            {
                *doubtful = false;
                return Ok(tokens.clone());
            }
            self.supply.grants.remove(0);
            let seen = self.http.seen(&answer);
            let further = self.supply.exhausted.split(';').next().unwrap_or_default();
            self.supply.exhausted =
                format!("{further}; the grant at hand can't be refreshed any more: {seen}");
        }
        loop {
            let code = self.code(&[]).await?;
            let answer = self.post(Endpoint::Token, &code.form()).await;
            match Tokens::of(&answer) {
                Ok(tokens) => return Ok(tokens),
                // A server may rightly void a code at the first refused attempt.
                Err(_) if code.tried => {
                    self.supply.codes.retain(|pooled| pooled.value != code.value)
                }
                Err(problem) => {
                    self.supply.codes.retain(|pooled| pooled.value != code.value);
                    let seen = self.http.seen(&answer);
                    return Err(Abort::set_up(format!(
                        "a code was not redeemed for tokens: {problem} ({seen})"
                    )));
                }
            }
        }
    }

    /// A code of a sandbox.
    async fn sandbox_code(&mut self, url: &str, more: &[(&str, &str)]) -> Result<Code, Abort> {
        let (verifier, nonce) = (random(), random());
        let challenge = challenge(&verifier);
        let mut form = vec![
            ("client_id", &*self.recipient.id),
            ("redirect_uri", &self.redirect_uri),
            ("customer", CUSTOMER),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        form.retain(|(name, _)| !more.iter().any(|(changed, _)| changed == name));
        form.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let sent = |name: &str| {
            form.iter().find(|(sent, _)| *sent == name).map(|(_, value)| (*value).to_owned())
        };
        let verifier = (sent("code_challenge").as_ref() == Some(&challenge)).then_some(verifier);
        let answer = self.http.send(&Call::post(url).form(&form)).await;
        self.http.note(&answer, "set-up");
        let json = answer.json().filter(|_| answer.is(201)).unwrap_or_default();
        let Some(value) = json["code"].as_str() else {
            let seen = self.http.seen(&answer);
            return Err(Abort::set_up(format!("the sandbox gave no code: {seen}")));
        };
        Ok(Code {
            value: value.to_owned(),
            redirect_uri: sent("redirect_uri").unwrap_or_default(),
            verifier,
            nonce: sent("nonce"),
            lifetime: json["expires_in"].as_i64().unwrap_or(CODE_LIFETIME),
            tried: false,
        })
    }

    /// Asks the user for a consent.
    async fn ask(&mut self) -> Result<Code, Abort> {
        let (state, verifier, nonce) = (random(), random(), random());
        let url = self.authorization_url(&state, &verifier, &nonce)?;
        self.supply.asked += 1;
        let number = self.supply.asked;
        (self.progress)(Event::Consent { number, of: CONSENTS, url });
        let Source::Ask(listener) = &self.supply.source else {
            return Err(Abort::not_run("there is nobody to ask"));
        };
        let Ok(answer) = tokio::time::timeout(PATIENCE, listener.answer(&state)).await else {
            // The user is away: the cases that follow need not wait as long again.
            self.supply.asked = CONSENTS;
            self.supply.exhausted =
                format!("nobody consented within {} minutes", PATIENCE.as_secs() / 60);
            return Err(Abort::not_run(&*self.supply.exhausted));
        };
        let answer = answer.map_err(|error| {
            Abort::not_run(format!("the redirect URI can't be listened on any more: {error}"))
        })?;
        // RFC 9207 section 2.4.
        let iss = answer.get("iss");
        let has_iss = self.target.metadata["authorization_response_iss_parameter_supported"]
            == Value::Bool(true);
        if iss.is_some_and(|iss| *iss != self.target.issuer) || (has_iss && iss.is_none()) {
            return Err(Abort::set_up(format!(
                "iss in the authorization response is {iss:?}, not {:?}",
                self.target.issuer
            )));
        }
        match (answer.get("code"), answer.get("error")) {
            (Some(code), None) => {
                self.http.learn(code);
                let mut code = Code::given(code.clone(), self.redirect_uri.clone(), Some(verifier));
                code.nonce = Some(nonce);
                Ok(code)
            }
            (_, Some(error)) if error == "access_denied" => {
                Err(Abort::not_run("the consent was denied"))
            }
            (_, error) => Err(Abort::set_up(format!(
                "the authorization response has no code but the error {error:?}"
            ))),
        }
    }

    fn authorization_url(&self, state: &str, verifier: &str, nonce: &str) -> Result<String, Abort> {
        let endpoint = self.endpoint(Endpoint::Authorization)?;
        let mut url = Url::parse(&endpoint)
            .map_err(|error| Abort::set_up(format!("`{endpoint}` is not a URL: {error}")))?;
        // OpenID Connect Core section 11: without it a server may give no refresh token.
        let asks_offline = self.options.scope.split(' ').any(|scope| scope == "offline_access");
        let has_prompt = self.options.authorize_parameters.iter().any(|(name, _)| name == "prompt");
        let prompt = (asks_offline && !has_prompt).then_some(("prompt", "consent"));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.recipient.id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.options.scope)
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", &challenge(verifier))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(prompt)
            .extend_pairs(&self.options.authorize_parameters);
        Ok(url.into())
    }
}
