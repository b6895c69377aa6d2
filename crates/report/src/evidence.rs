//! A request and its answer, with the secrets masked.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// When the request went out, RFC 3339 with milliseconds.
    pub at: String,
    /// What it is about, in words: `set-up`, or the check's number; empty where there is nothing to say.
    pub note: String,
    /// The request's method.
    pub method: String,
    /// Where it went: a path with its query, or a URL.
    pub url: String,
    /// The request's headers.
    pub request_headers: Vec<(String, String)>,
    /// The request's body; empty where there was none.
    pub request_body: String,
    /// The status of the answer; `None` where there was no answer.
    pub status: Option<u16>,
    /// The answer's headers.
    pub answer_headers: Vec<(String, String)>,
    /// The answer's body, or why there was no answer.
    pub answer_body: String,
}

/// Members of forms, queries and JSON bodies whose values are secrets.
const SECRET_MEMBERS: [&str; 9] = [
    "access_token",
    "client_secret",
    "code",
    "code_verifier",
    "id_token",
    "id_token_hint",
    "password",
    "refresh_token",
    "token",
];

/// Headers whose values are secrets.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

/// The shortest value that is looked for everywhere: a shorter one would be found in innocent text.
const SHORTEST: usize = 6;

/// Masks secrets: by the name of the member or header that carries them, and by value wherever a secret that was seen once turns up
/// again, be it in an error's text.
#[derive(Debug, Default)]
pub struct Mask {
    /// Values of secrets, the longest first.
    known: BTreeSet<(std::cmp::Reverse<usize>, String)>,
}

impl Mask {
    /// Masks this value too, wherever it turns up.
    pub fn learn(&mut self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.known.insert((std::cmp::Reverse(secret.len()), secret.to_owned()));
        }
    }

    /// Any text, without the secrets known so far.
    pub fn text(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for (_, secret) in &self.known {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), &shown(secret));
            }
        }
        masked
    }

    /// A form or query, without the values of its secret members; they are known from then on.
    pub fn form(&mut self, form: &str) -> String {
        let pairs: Vec<String> = form
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if is_secret(name) => {
                    let decoded = percent_decoded(value);
                    self.learn(&decoded);
                    self.learn(value);
                    format!("{name}={}", shown(&decoded))
                }
                _ => pair.to_owned(),
            })
            .collect();
        self.text(&pairs.join("&"))
    }

    /// A JSON body, without the values of its secret members, or any other body.
    pub fn body(&mut self, body: &str) -> String {
        match serde_json::from_str::<Value>(body) {
            Ok(mut json) if json.is_object() || json.is_array() => {
                self.members(&mut json);
                self.text(&json.to_string())
            }
            _ => self.text(body),
        }
    }

    fn members(&mut self, json: &mut Value) {
        match json {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(secret) if is_secret(name) => {
                            self.learn(secret);
                            *value = shown(secret).into();
                        }
                        _ => self.members(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.members(item)),
            _ => {}
        }
    }

    /// A header's value.
    pub fn header(&mut self, name: &str, value: &str) -> String {
        if !SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            return self.url(value);
        }
        match value.split_once(' ') {
            Some((scheme, credentials)) => {
                self.learn(credentials);
                // Credentials of clients are short enough to be guessed from a part of them.
                let shown = if scheme.eq_ignore_ascii_case("bearer") { shown(credentials) } else { HIDDEN.to_owned() };
                format!("{scheme} {shown}")
            }
            None => HIDDEN.to_owned(),
        }
    }

    /// A URL, or any other text that may end in a query.
    pub fn url(&mut self, url: &str) -> String {
        match url.split_once('?') {
            Some((path, query)) => format!("{}?{}", self.text(path), self.form(query)),
            None => self.text(url),
        }
    }
}

const HIDDEN: &str = "[masked]";

/// How many characters of a token are shown, and how long it must be for that to give nothing away.
const SHOWN: usize = 8;
const LONG: usize = 40;

/// What is shown of a secret: of a long token its beginning and end, so that one can be told from another.
fn shown(secret: &str) -> String {
    let tail = secret.len().saturating_sub(4);
    match (secret.get(..SHOWN), secret.get(tail..)) {
        (Some(head), Some(tail)) if secret.len() >= LONG => format!("{head}…{tail}"),
        _ => HIDDEN.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    SECRET_MEMBERS.contains(&name)
}

fn percent_decoded(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}
