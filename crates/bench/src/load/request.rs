//! What is sent for a token, and what the answer leads to.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::response::Response;
use super::target::Target;
use crate::{Client, ClientAuth, Workload};

/// What a form value spells out; everything else is escaped.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters of a wrong answer that are shown.
const SHOWN: usize = 300;

/// What is sent to one URL for a token.
pub(super) enum RequestTemplate {
    Refresh {
        /// The head up to the value of `Content-Length`.
        head: String,
        /// The form up to the value of `refresh_token`.
        form: String,
    },
    Bearer {
        /// The head up to the token.
        head: String,
        /// Whether a token is sent once.
        once: bool,
    },
}

#[derive(Deserialize)]
struct TokenResponse<'a> {
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
}

impl RequestTemplate {
    pub(super) fn new(workload: &Workload, target: &Target, once: bool) -> Self {
        let Target { authority, path, .. } = target;
        match workload {
            Workload::Refresh { client, .. } => {
                let (authorization, credentials) = proof(client);
                Self::Refresh {
                    head: format!(
                        "POST {path} HTTP/1.1\r\nHost: {authority}\r\n{authorization}Accept: application/json\r\n\
                         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
                    ),
                    form: format!("grant_type=refresh_token&{credentials}refresh_token="),
                }
            }
            Workload::Bearer { .. } => Self::Bearer {
                head: format!(
                    "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nAuthorization: Bearer "
                ),
                once,
            },
        }
    }

    /// Writes the request for a token in the place of what `into` holds.
    pub(super) fn write(&self, token: &str, into: &mut Vec<u8>) {
        into.clear();
        match self {
            Self::Refresh { head, form } => {
                let token: Cow<'_, str> = utf8_percent_encode(token, FORM).into();
                for part in
                    [head, &(form.len() + token.len()).to_string(), "\r\n\r\n", form, &token]
                {
                    into.extend_from_slice(part.as_bytes());
                }
            }
            Self::Bearer { head, .. } => {
                for part in [head, token, "\r\n\r\n"] {
                    into.extend_from_slice(part.as_bytes());
                }
            }
        }
    }

    /// The token to send after this one, if there is one.
    ///
    /// # Errors
    /// The answer is not what it should be; it is shown without tokens.
    pub(super) fn next(
        &self,
        sent: String,
        answer: &Response<'_>,
    ) -> Result<Option<String>, String> {
        if answer.status != 200 {
            return Err(shown(answer, &sent));
        }
        match self {
            Self::Refresh { .. } => match serde_json::from_slice(&answer.body) {
                Ok(TokenResponse { refresh_token: Some(token) }) => Ok(Some(token.into_owned())),
                _ => Err(format!("no refresh_token in {}", shown(answer, &sent))),
            },
            Self::Bearer { once, .. } => Ok((!once).then_some(sent)),
        }
    }
}

/// What proves the client: a header line, and members of the form.
fn proof(client: &Client) -> (String, String) {
    let encode = |text: &str| utf8_percent_encode(text, FORM).to_string();
    let (id, secret) = (encode(&client.id), encode(client.secret.as_deref().unwrap_or_default()));
    match client.auth {
        ClientAuth::Post => (String::new(), format!("client_id={id}&client_secret={secret}&")),
        // RFC 6749 section 2.3.1: both are encoded like a form's values first.
        ClientAuth::Basic => (
            format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}"))),
            String::new(),
        ),
        ClientAuth::None => (String::new(), format!("client_id={id}&")),
    }
}

/// An answer in one line, without the tokens in it.
fn shown(answer: &Response<'_>, sent: &str) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let masked = match serde_json::from_str(&text) {
        Ok(Value::Object(mut members)) => {
            for (_, value) in members.iter_mut().filter(|(name, _)| name.ends_with("token")) {
                *value = "***".into();
            }
            Value::Object(members).to_string()
        }
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let masked = masked.replace(sent, "***");
    let end = masked.char_indices().nth(SHOWN).map_or(masked.len(), |(at, _)| at);
    format!("status {}: {}", answer.status, &masked[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(auth: ClientAuth) -> RequestTemplate {
        let client = Client { id: "a client".into(), secret: Some("s:cret".into()), auth };
        let target = Target::of("http://localhost:8080/token", None).unwrap();
        RequestTemplate::new(&Workload::Refresh { client, tokens: Vec::new() }, &target, false)
    }

    fn written(asking: &RequestTemplate, token: &str) -> String {
        let mut request = b"what was there".to_vec();
        asking.write(token, &mut request);
        String::from_utf8(request).unwrap()
    }

    fn answer(status: u16, body: &str) -> Response<'_> {
        Response { status, body: Cow::Borrowed(body.as_bytes()), keeps: true }
    }

    #[test]
    fn a_refresh_is_a_form() {
        let request = written(&asking(ClientAuth::Post), "a+b/c=");
        let (head, form) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            form,
            "grant_type=refresh_token&client_id=a%20client&client_secret=s%3Acret&refresh_token=a%2Bb%2Fc%3D"
        );
        assert!(head.starts_with("POST /token HTTP/1.1\r\nHost: localhost:8080\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", form.len())), "{head}");
    }

    #[test]
    fn how_a_client_proves_itself() {
        let request = written(&asking(ClientAuth::Basic), "x");
        assert!(
            request.contains("\r\nAuthorization: Basic YSUyMGNsaWVudDpzJTNBY3JldA==\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\ngrant_type=refresh_token&refresh_token=x"), "{request}");
        let request = written(&asking(ClientAuth::None), "x");
        assert!(
            request
                .ends_with("\r\n\r\ngrant_type=refresh_token&client_id=a%20client&refresh_token=x"),
            "{request}"
        );
    }

    #[test]
    fn what_comes_next() {
        let refresh = asking(ClientAuth::Post);
        let good = answer(200, r#"{"access_token":"a","refresh_token":"new\/er","expires_in":1}"#);
        assert_eq!(refresh.next("old".into(), &good), Ok(Some("new/er".into())));
        let target = Target::of("http://localhost/accounts", None).unwrap();
        let bearer =
            |once| RequestTemplate::new(&Workload::Bearer { tokens: Vec::new() }, &target, once);
        assert_eq!(
            bearer(false).next("token".into(), &answer(200, "anything")),
            Ok(Some("token".into()))
        );
        assert_eq!(bearer(true).next("token".into(), &answer(200, "anything")), Ok(None));
        assert!(written(&bearer(true), "t").ends_with("\r\nAuthorization: Bearer t\r\n\r\n"));
    }

    #[test]
    fn wrong_answers_are_shown_without_tokens() {
        let refresh = asking(ClientAuth::Post);
        let wrong =
            |status, body: &str| refresh.next("old".into(), &answer(status, body)).unwrap_err();
        assert_eq!(
            wrong(400, r#"{"error":"invalid_grant"}"#),
            r#"status 400: {"error":"invalid_grant"}"#
        );
        assert_eq!(
            wrong(200, r#"{"id_token":"secret"}"#),
            r#"no refresh_token in status 200: {"id_token":"***"}"#
        );
        assert_eq!(wrong(502, "<p>\r\n  old\n"), "status 502: <p> ***");
        assert_eq!(wrong(500, &"ä".repeat(400)).chars().count(), "status 500: ".len() + SHOWN);
    }
}
