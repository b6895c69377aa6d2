//! Finds secrets by the name of the member that carries them: in queries and forms, in JSON, in the
//! hidden inputs of a page; and those that can be told by their looks.

use std::ops::Range;

/// Members whose values are secrets, of which, where they are long, the beginning and end may be
/// shown.
const TOKENS: [&str; 14] = [
    "access_token",
    "actor_token",
    "assertion",
    "client_assertion",
    "code",
    "csrf",
    "device_code",
    "id_token",
    "id_token_hint",
    "logout_token",
    "refresh_token",
    "registration_access_token",
    "subject_token",
    "token",
];

/// Members whose values are never shown, not even in part: with them a client or a person proves
/// itself.
const PROOFS: [&str; 4] = ["client_secret", "code_verifier", "password", "ticket"];

/// The longest text that passes for a word or an error's name.
const LONGEST_WORD: usize = 32;
/// The longest number that is an error's code (602), and not one to be exchanged for tokens.
const LONGEST_ERROR_CODE: usize = 5;
/// The shortest text that passes for a JWT.
const SHORTEST_JWT: usize = 20;

/// A secret.
#[derive(Debug)]
pub(super) struct NamedSecret {
    pub(super) name: String,
    /// Where its value is.
    pub(super) value: Range<usize>,
    /// Its value.
    pub(super) text: Vec<u8>,
}

impl NamedSecret {
    pub(super) fn is_token(&self) -> bool {
        is_one_of(&self.name, &TOKENS)
    }

    pub(super) fn is_proof(&self) -> bool {
        !self.is_token()
    }
}

/// What ends a parameter's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// In a form: the next one. A client that escapes carelessly may have any other character in
    /// its secret.
    Form,
    /// In a URL: that, or the fragment.
    Url,
    /// In a text with a URL in it: that, or what can't be in a URL.
    Text,
}

impl Ends {
    /// By the looks of a text: a URL or form has no spaces and is neither markup nor JSON.
    pub(super) fn of(text: &str) -> Self {
        let is_text = text.starts_with(['{', '[', '"'])
            || text
                .contains(|character: char| character.is_whitespace() || "<>".contains(character));
        if is_text { Self::Text } else { Self::Url }
    }

    fn end(self, byte: u8) -> bool {
        match self {
            Self::Form => byte == b'&',
            Self::Url => matches!(byte, b'&' | b'#'),
            Self::Text => {
                matches!(byte, b'&' | b'#' | b'"' | b'\'' | b'<' | b'>' | b';' | b'\\' | b')')
                    || byte.is_ascii_whitespace()
            }
        }
    }
}

/// Every secret that can be told by its name or looks.
pub(super) fn secrets(text: &[u8], ends: Ends) -> Vec<NamedSecret> {
    let mut found = Vec::new();
    parameters(text, ends, &mut found);
    members(text, &mut found);
    inputs(text, &mut found);
    passwords(text, &mut found);
    jwts(text, &mut found);
    found
}

/// Whether this is a word, or the name of an error (`invalid_request`, `NOT_FOUND`).
pub(super) fn is_word(text: &[u8]) -> bool {
    let of = |letter: fn(&u8) -> bool| {
        text.iter().all(|byte| letter(byte) || matches!(byte, b'_' | b'-' | b' ' | b'.'))
    };
    text.len() <= LONGEST_WORD && (of(u8::is_ascii_lowercase) || of(u8::is_ascii_uppercase))
}

/// Whether this may be in a token (RFC 6750, section 2.1).
pub(super) fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// `name=value` in a query, form or fragment.
fn parameters(text: &[u8], ends: Ends, found: &mut Vec<NamedSecret>) {
    for equals in positions(text, b"=") {
        let name = name_before(text, equals);
        let begins =
            text[..equals - name.len()].last().is_none_or(|before| b"?&#;\n".contains(before));
        if begins {
            push(found, name, text, equals + 1..end(text, equals + 1, |byte| ends.end(byte)));
        }
    }
}

/// `"name": "value"`, `"name": ["value"]` and `"name": 1`, in JSON and in what resembles it or was
/// cut off.
fn members(text: &[u8], found: &mut Vec<NamedSecret>) {
    for colon in positions(text, b":") {
        let before = text[..colon].trim_ascii_end();
        let Some((quote @ (b'"' | b'\''), before)) = before.split_last() else {
            continue;
        };
        let name = name_before(before, before.len());
        if before[..before.len() - name.len()].last() != Some(quote) {
            continue;
        }
        let mut at = space(text, colon + 1);
        let list = text.get(at) == Some(&b'[');
        at = space(text, at + usize::from(list));
        while let Some(quote @ (b'"' | b'\'')) = text.get(at) {
            let value = at + 1..closing(text, at + 1, *quote);
            at = space(text, value.end + 1);
            // An error's code is none to be exchanged for tokens.
            if name != b"code" || !is_error_code(&text[value.clone()]) {
                push(found, name, text, value);
            }
            if !list || text.get(at) != Some(&b',') {
                break;
            }
            at = space(text, at + 1);
        }
        if name != b"code" && text.get(at).is_some_and(u8::is_ascii_digit) {
            push(found, name, text, at..end(text, at, |byte| !byte.is_ascii_digit()));
        }
    }
}

/// `<input name="..." value="...">`: an answer by `form_post` carries its code and tokens so.
fn inputs(text: &[u8], found: &mut Vec<NamedSecret>) {
    for (at, _) in
        text.windows(6).enumerate().filter(|(_, tag)| tag.eq_ignore_ascii_case(b"<input"))
    {
        let (mut name, mut value) = (0..0, 0..0);
        let mut at = at + 6;
        loop {
            at = end(text, at, |byte| !byte.is_ascii_whitespace() && byte != b'/');
            let attribute = at..end(text, at, |byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/')
            });
            at = space(text, attribute.end);
            if text.get(at) == Some(&b'=') {
                at = space(text, at + 1);
                let content = match text.get(at) {
                    Some(quote @ (b'"' | b'\'')) => {
                        at + 1..end(text, at + 1, |byte| byte == *quote)
                    }
                    _ => at..end(text, at, |byte| byte.is_ascii_whitespace() || byte == b'>'),
                };
                at = if content.start > at { content.end + 1 } else { content.end };
                if text[attribute.clone()].eq_ignore_ascii_case(b"name") {
                    name = content;
                } else if text[attribute].eq_ignore_ascii_case(b"value") {
                    value = content;
                }
            } else if attribute.is_empty() {
                break;
            }
        }
        push(found, &text[name], text, value);
    }
}

/// `https://user:password@host`.
fn passwords(text: &[u8], found: &mut Vec<NamedSecret>) {
    for scheme in positions(text, b"://") {
        let start = scheme + 3;
        let authority = &text[start..end(text, start, |byte| {
            b"/?#\"'<>".contains(&byte) || byte.is_ascii_whitespace()
        })];
        let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else {
            continue;
        };
        if let Some(colon) = authority[..at].iter().position(|byte| *byte == b':') {
            push(found, b"password", text, start + colon + 1..start + at);
        }
    }
}

/// What looks like a JWT, whatever it is called.
fn jwts(text: &[u8], found: &mut Vec<NamedSecret>) {
    let is_of_jwt = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut done = 0;
    for at in positions(text, b"eyJ") {
        if at < done || at.checked_sub(1).is_some_and(|before| is_of_jwt(text[before])) {
            continue;
        }
        done = end(text, at, |byte| !is_of_jwt(byte));
        if done - at >= SHORTEST_JWT
            && text[at..done].iter().filter(|byte| **byte == b'.').count() >= 2
        {
            push(found, b"token", text, at..done);
        }
    }
}

fn push(found: &mut Vec<NamedSecret>, name: &[u8], text: &[u8], value: Range<usize>) {
    let name = String::from_utf8_lossy(name).into_owned();
    if !value.is_empty()
        && !super::is_masked(&text[value.clone()])
        && (is_one_of(&name, &TOKENS) || is_one_of(&name, &PROOFS))
    {
        found.push(NamedSecret { name, text: text[value.clone()].to_vec(), value });
    }
}

/// `accessToken`, `Access-Token` and `access_token` are one name.
fn is_one_of(name: &str, names: &[&str]) -> bool {
    let letters = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let name = letters(name);
    names.iter().any(|one| letters(one) == name)
}

fn is_error_code(text: &[u8]) -> bool {
    is_word(text) || (text.len() <= LONGEST_ERROR_CODE && text.iter().all(u8::is_ascii_digit))
}

fn name_before(text: &[u8], at: usize) -> &[u8] {
    let start =
        text[..at].iter().rposition(|byte| !(byte.is_ascii_alphanumeric() || b"_-".contains(byte)));
    &text[start.map_or(0, |start| start + 1)..at]
}

fn positions<'a>(text: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.windows(what.len())
        .enumerate()
        .filter(move |(_, window)| *window == what)
        .map(|(at, _)| at)
}

/// Where the first byte at or after this place is that ends a value.
fn end(text: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> usize {
    text.iter().skip(at).position(|byte| ends(*byte)).map_or(text.len(), |length| at + length)
}

fn space(text: &[u8], at: usize) -> usize {
    end(text, at, |byte| !byte.is_ascii_whitespace())
}

/// Where the quote is that closes a string.
fn closing(text: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at,
            _ => at += 1,
        }
    }
    text.len()
}
