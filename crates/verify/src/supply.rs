//! Where codes and grants come from: as many as wanted from a sandbox, two consents at the most
//! elsewhere, or what was given.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::Value;

use crate::case::Stopped;
use crate::http::{Answer, Call};
use crate::listener::Listener;
use crate::session::{Event, Session};
use crate::target::Endpoint;

/// The customer whose codes a sandbox gives.
pub(crate) const CUSTOMER: &str = "customer_1";
/// How many consents the user is asked for in a run, at the most.
const CONSENTS: u32 = 2;
/// How long the user may take for one.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How long a code lives where nobody says so, in seconds.
const CODE_LIFETIME: i64 = 300;

/// An authorization code and what belongs to it.
#[derive(Clone)]
pub struct Code {
    /// The code.
    pub value: String,
    /// The redirect URI of the authorization request.
    pub redirect_uri: String,
    /// The PKCE verifier, where the request had a challenge.
    pub verifier: Option<String>,
    /// The nonce of the request, where it had one.
    pub nonce: Option<String>,
    /// How long it lives, in seconds.
    pub lifetime: i64,
    /// Whether a redemption of it was refused before, which may have voided it.
    pub(crate) tried: bool,
}

impl Code {
    /// A code as options give it.
    pub(crate) fn given(value: String, redirect_uri: String, verifier: Option<String>) -> Self {
        Self { value, redirect_uri, verifier, nonce: None, lifetime: CODE_LIFETIME, tried: false }
    }

    /// The form that redeems it.
    pub fn form(&self) -> Vec<(&str, &str)> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &*self.value),
            ("redirect_uri", &self.redirect_uri),
        ];
        form.extend(self.verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        form
    }
}

/// The tokens of an answer of `/token`.
#[derive(Clone)]
pub struct Tokens {
    /// The ID token.
    pub id_token: String,
    /// The access token, where there is one.
    pub access_token: Option<String>,
    /// The refresh token.
    pub refresh_token: String,
}

impl Tokens {
    /// The tokens of an answer.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of(answer: &Answer) -> Result<Self, String> {
        is_success(answer)?;
        let missing = |name: &str| format!("there is no `{name}` in the answer");
        Ok(Self {
            id_token: answer.text("id_token").ok_or_else(|| missing("id_token"))?,
            access_token: answer.text("access_token"),
            refresh_token: answer.text("refresh_token").ok_or_else(|| missing("refresh_token"))?,
        })
    }

    /// What a client holds after a refresh. The answer need not have a new refresh token (RFC 6749
    /// section 6) nor an ID token (OpenID Connect Core section 12.2): the earlier ones stay.
    ///
    /// # Errors
    /// What is wrong with the answer, in words.
    pub fn renewed_by(&self, answer: &Answer) -> Result<Self, String> {
        let access_token = access_token(answer)?;
        let or_earlier =
            |name: &str, earlier: &str| answer.text(name).unwrap_or_else(|| earlier.to_owned());
        Ok(Self {
            id_token: or_earlier("id_token", &self.id_token),
            access_token: Some(access_token),
            refresh_token: or_earlier("refresh_token", &self.refresh_token),
        })
    }

    fn has(&self, token: &str) -> bool {
        self.id_token == token
            || self.refresh_token == token
            || self.access_token.as_deref() == Some(token)
    }
}

/// The access token of an answer, which every answer with tokens has (RFC 6749 section 5.1).
///
/// # Errors
/// What is wrong with the answer, in words.
pub fn access_token(answer: &Answer) -> Result<String, String> {
    is_success(answer)?;
    answer.text("access_token").ok_or_else(|| "there is no `access_token` in the answer".to_owned())
}

/// Whether an answer is 200 and JSON.
fn is_success(answer: &Answer) -> Result<(), String> {
    match answer.status {
        None => Err(format!("no answer: {}", answer.body)),
        Some(200) if answer.is_json() => Ok(()),
        Some(200) => Err(format!(
            "the content type is `{}`, not application/json",
            answer.header("content-type")
        )),
        Some(status) => Err(format!("the status is {status}, not 200")),
    }
}

/// Where codes come from.
pub(crate) enum Source {
    /// From the sandbox at this URL.
    Sandbox(String),
    /// From the user, who consents in a browser.
    Ask(Listener),
    /// There are those that were given, and no others.
    Given,
}

/// What is left of codes and grants.
pub(crate) struct Supply {
    source: Source,
    codes: Vec<Code>,
    /// Grants by their newest tokens, and whether each may have ended unseen.
    grants: Vec<(Tokens, bool)>,
    asked: u32,
    /// Why there are no more.
    exhausted: String,
}

impl Supply {
    pub(crate) fn new(source: Source, code: Option<Code>, refresh_token: Option<String>) -> Self {
        let exhausted = match &source {
            Source::Given => "there is no further code or grant than the one given".to_owned(),
            _ => format!("it needs a further consent, and no more than {CONSENTS} are asked for"),
        };
        let grant = refresh_token.map(|refresh_token| {
            (Tokens { id_token: String::new(), access_token: None, refresh_token }, true)
        });
        Self {
            source,
            codes: code.into_iter().collect(),
            grants: grant.into_iter().collect(),
            asked: 0,
            exhausted,
        }
    }

    /// Whether every case can have a grant of its own.
    pub(crate) fn is_plentiful(&self) -> bool {
        matches!(self.source, Source::Sandbox(_))
    }

    /// From now on the user is left alone.
    pub(crate) fn ask_no_more(&mut self) {
        self.asked = CONSENTS;
    }

    /// From now on no grant is trusted to be alive.
    pub(crate) fn doubt(&mut self) {
        self.grants.iter_mut().for_each(|(_, doubtful)| *doubtful = true);
    }

    /// Follows what a request did to codes and grants.
    pub(crate) fn saw(&mut self, endpoint: Endpoint, form: &[(&str, &str)], answer: &Answer) {
        let sent =
            |name: &str| form.iter().find(|(sent, _)| *sent == name).map(|(_, value)| *value);
        match endpoint {
            Endpoint::Token => {
                let code = sent("code")
                    .and_then(|sent| self.codes.iter().position(|code| code.value == sent));
                if let Some(code) = code {
                    if !answer.is(200) {
                        self.codes[code].tried = true;
                        return;
                    }
                    self.codes.remove(code);
                    self.grants.extend(Tokens::of(answer).ok().map(|tokens| (tokens, false)));
                } else if let Some(sent) = sent("refresh_token").filter(|_| answer.is(200))
                    && let Some((tokens, _)) =
                        self.grants.iter_mut().find(|(tokens, _)| tokens.refresh_token == sent)
                {
                    for (token, name) in [
                        (&mut tokens.id_token, "id_token"),
                        (&mut tokens.refresh_token, "refresh_token"),
                    ] {
                        if let Some(newer) = answer.text(name) {
                            *token = newer;
                        }
                    }
                    tokens.access_token = answer.text("access_token");
                }
            }
            Endpoint::Revocation if answer.is(200) => {
                if let Some(token) = sent("token") {
                    self.grants.retain(|(tokens, _)| !tokens.has(token));
                }
            }
            _ => {}
        }
    }
}

impl Session {
    /// A good code that nobody redeemed, asked for with further parameters where there are any.
    pub(crate) async fn code(&mut self, more: &[(&str, &str)]) -> Result<Code, Stopped> {
        if let Source::Sandbox(url) = &self.supply.source {
            let url = format!("{url}/codes");
            return self.sandbox_code(&url, more).await;
        }
        if !more.is_empty() {
            let what: Vec<String> =
                more.iter().map(|(name, value)| format!("{name}={value}")).collect();
            return Err(Stopped::not_run(format!(
                "it needs a code asked for with {}, and only a sandbox gives such",
                what.join(" and ")
            )));
        }
        if let Some(code) = self.supply.codes.last() {
            return Ok(code.clone());
        }
        if matches!(self.supply.source, Source::Given) || self.supply.asked >= CONSENTS {
            return Err(Stopped::not_run(&*self.supply.exhausted));
        }
        let code = self.ask().await?;
        self.supply.codes.push(code.clone());
        Ok(code)
    }

    /// The same, where it can be had without asking anybody; else one that is made up.
    pub(crate) async fn any_code(&mut self) -> Result<Code, Stopped> {
        if self.supply.is_plentiful() || !self.supply.codes.is_empty() {
            return self.code(&[]).await;
        }
        Ok(Code::given(random(), self.redirect_uri.clone(), None))
    }

    /// The newest tokens of a grant that lives; of one of its own where a sandbox makes them.
    pub(crate) async fn tokens(&mut self) -> Result<Tokens, Stopped> {
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
                // A server may void a code upon the first refused attempt, and be right.
                Err(_) if code.tried => {
                    self.supply.codes.retain(|pooled| pooled.value != code.value)
                }
                Err(problem) => {
                    self.supply.codes.retain(|pooled| pooled.value != code.value);
                    let seen = self.http.seen(&answer);
                    return Err(Stopped::set_up(format!(
                        "a code was not redeemed for tokens: {problem} ({seen})"
                    )));
                }
            }
        }
    }

    /// A code of a sandbox.
    async fn sandbox_code(&mut self, url: &str, more: &[(&str, &str)]) -> Result<Code, Stopped> {
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
            return Err(Stopped::set_up(format!("the sandbox gave no code: {seen}")));
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
    async fn ask(&mut self) -> Result<Code, Stopped> {
        let (state, verifier, nonce) = (random(), random(), random());
        let url = self.authorization_url(&state, &verifier, &nonce)?;
        self.supply.asked += 1;
        let number = self.supply.asked;
        (self.progress)(Event::Consent { number, of: CONSENTS, url });
        let Source::Ask(listener) = &self.supply.source else {
            return Err(Stopped::not_run("there is nobody to ask"));
        };
        let Ok(answer) = tokio::time::timeout(PATIENCE, listener.answer(&state)).await else {
            // Nobody is there: the cases that follow need not wait as long again.
            self.supply.asked = CONSENTS;
            self.supply.exhausted =
                format!("nobody consented within {} minutes", PATIENCE.as_secs() / 60);
            return Err(Stopped::not_run(&*self.supply.exhausted));
        };
        let answer = answer.map_err(|error| {
            Stopped::not_run(format!("the redirect URI can't be listened on any more: {error}"))
        })?;
        // RFC 9207 section 2.4.
        let iss = answer.get("iss");
        let has_iss = self.target.metadata["authorization_response_iss_parameter_supported"]
            == Value::Bool(true);
        if iss.is_some_and(|iss| *iss != self.target.issuer) || (has_iss && iss.is_none()) {
            return Err(Stopped::set_up(format!(
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
                Err(Stopped::not_run("the consent was denied"))
            }
            (_, error) => Err(Stopped::set_up(format!(
                "the authorization response has no code but the error {error:?}"
            ))),
        }
    }

    fn authorization_url(
        &self,
        state: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<String, Stopped> {
        let endpoint = self.endpoint(Endpoint::Authorization)?;
        let mut url = Url::parse(&endpoint)
            .map_err(|error| Stopped::set_up(format!("`{endpoint}` is not a URL: {error}")))?;
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

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// A text that nobody guesses: 256 bits, of characters that are safe anywhere.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// Bytes that nobody guesses.
#[allow(clippy::disallowed_methods)] // The one place: what is certified is another program, and core's random is part of it.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // aws-lc aborts rather than give no randomness; were it otherwise, a guessable state would be
    // caught by nobody but harm nobody here.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}
