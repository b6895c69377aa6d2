//! Authorization codes and tokens, as a client holds them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::response::Response;

/// How long a code lives where nobody says so, in seconds.
pub(crate) const CODE_LIFETIME: i64 = 300;

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
    pub fn of(answer: &Response) -> Result<Self, String> {
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
    pub fn renewed_by(&self, answer: &Response) -> Result<Self, String> {
        let access_token = access_token(answer)?;
        let or_earlier =
            |name: &str, earlier: &str| answer.text(name).unwrap_or_else(|| earlier.to_owned());
        Ok(Self {
            id_token: or_earlier("id_token", &self.id_token),
            access_token: Some(access_token),
            refresh_token: or_earlier("refresh_token", &self.refresh_token),
        })
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, token: &str) -> bool {
        self.id_token == token
            || self.refresh_token == token
            || self.access_token.as_deref() == Some(token)
    }
}

/// The access token of an answer, which every answer with tokens has (RFC 6749 section 5.1).
///
/// # Errors
/// What is wrong with the answer, in words.
pub fn access_token(answer: &Response) -> Result<String, String> {
    is_success(answer)?;
    answer.text("access_token").ok_or_else(|| "there is no `access_token` in the answer".to_owned())
}

/// Whether an answer is 200 and JSON.
fn is_success(answer: &Response) -> Result<(), String> {
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

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_come_with_200_and_in_json() {
        let body = json!({ "id_token": "i", "refresh_token": "r", "access_token": "a" });
        let tokens =
            Tokens::of(&Response::json_sample(200, &body)).unwrap_or_else(|e| panic!("{e}"));
        assert!(["i", "r", "a"].iter().all(|token| tokens.has(token)) && !tokens.has("x"));
        let wrong = |answer: &Response| Tokens::of(answer).err().unwrap_or_default();
        assert_eq!(wrong(&Response::json_sample(201, &body)), "the status is 201, not 200");
        let text = Response::sample(200, &[("content-type", "text/plain")], &body.to_string());
        assert_eq!(wrong(&text), "the content type is `text/plain`, not application/json");
        for missing in ["id_token", "refresh_token"] {
            let mut less = body.clone();
            less[missing].take();
            let problem = wrong(&Response::json_sample(200, &less));
            assert_eq!(problem, format!("there is no `{missing}` in the answer"));
        }
    }

    #[test]
    fn what_a_refresh_leaves_out_stays() {
        let before = Tokens { id_token: "i".into(), access_token: None, refresh_token: "r".into() };
        let renewed = |body| before.renewed_by(&Response::json_sample(200, &body));
        let after = renewed(json!({ "access_token": "a2" })).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((&*after.id_token, &*after.refresh_token), ("i", "r"));
        assert_eq!(after.access_token.as_deref(), Some("a2"));
        let after =
            renewed(json!({ "access_token": "a2", "refresh_token": "r2", "id_token": "i2" }));
        let after = after.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((&*after.id_token, &*after.refresh_token), ("i2", "r2"));
        assert!(renewed(json!({ "refresh_token": "r2" })).is_err());
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_hash_of_its_verifier() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
