//! A request and its answer, with the secrets masked.

mod find;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

use crate::Case;
use find::{Ends, NamedSecret};
use view::View;

/// A request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// When the request went out, RFC 3339 with milliseconds.
    pub at: String,
    /// What it is about, in words: `set-up`, or `check 2`; empty where there is nothing to say.
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

/// Headers whose values are credentials: a scheme, and what proves it.
const CREDENTIALS: [&str; 2] = ["authorization", "proxy-authorization"];

/// Schemes that are shown before masked credentials. Any other first word may be the secret itself.
const SCHEMES: [&str; 5] = ["basic", "bearer", "digest", "dpop", "negotiate"];

/// The shortest value that is looked for everywhere: a shorter one would be found in innocent text.
const SHORTEST: usize = 6;

/// The shortest value of a cookie that is looked for everywhere: many a cookie holds a plain word.
const SHORTEST_COOKIE: usize = 16;

/// Masks secrets: by the name of the member or header that carries them, and by value wherever a
/// secret that was seen once turns up again, in an error's text or escaped for a URL,
/// for JSON or for HTML.
///
/// Text is masked in place and otherwise left as it came: it is evidence.
#[derive(Default)]
pub struct Mask {
    /// Secrets by how they begin, so that a text is gone through once, however many there are.
    known: HashMap<[u8; SHORTEST], HashSet<Secret>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Secret {
    value: Vec<u8>,
    /// Whether its beginning and end may be shown.
    partly: bool,
}

/// Where in a text a secret is.
struct Span {
    range: Range<usize>,
    partly: bool,
}

impl std::fmt::Debug for Mask {
    /// How many secrets there are; never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} known)", self.known.values().map(HashSet::len).sum::<usize>())
    }
}

impl Mask {
    /// Masks this value too, wherever it turns up, and all of it.
    pub fn learn(&mut self, secret: &str) {
        self.remember(secret.as_bytes(), false);
    }

    /// Any text, without the secrets known so far.
    pub fn text(&self, text: &str) -> String {
        let views = view::views(text);
        let spans = found(&views, Ends::of(text))
            .into_iter()
            .map(|(view, found)| span(view, &found))
            .collect();
        self.masked(text, &views, spans)
    }

    /// A form or query, without the values of its secret members; they are known from then on.
    pub fn form(&mut self, form: &str) -> String {
        self.by_name(form, Ends::Form)
    }

    /// A body, without the values of its secret members, whether JSON, a form or a page with one;
    /// they are known from then on.
    pub fn body(&mut self, body: &str) -> String {
        self.by_name(body, Ends::of(body))
    }

    /// A header's value.
    pub fn header(&mut self, name: &str, value: &str) -> String {
        if CREDENTIALS.iter().any(|header| name.eq_ignore_ascii_case(header)) {
            self.credentials(value.trim())
        } else if name.eq_ignore_ascii_case("cookie") {
            value.split(';').map(|cookie| self.cookie(cookie)).collect::<Vec<_>>().join(";")
        } else if name.eq_ignore_ascii_case("set-cookie") {
            // What follows the first semicolon are attributes, and what the server promises by them
            // is evidence.
            let (cookie, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
            format!("{}{}", self.cookie(cookie), self.text(attributes))
        } else {
            self.by_name(value, Ends::of(value))
        }
    }

    /// A URL, or any other text that may hold a query.
    pub fn url(&mut self, url: &str) -> String {
        self.by_name(url, Ends::of(url))
    }

    /// Masks in a case what came to be known as a secret only after it was written down: in its
    /// evidence, and in what its checks saw.
    pub fn again(&self, case: &mut Case) {
        for check in &mut case.checks {
            for text in [&mut check.seen, &mut check.reason] {
                *text = self.text(text);
            }
        }
        case.exchanges.iter_mut().for_each(|exchange| self.exchange_again(exchange));
    }

    /// The same in one exchange. What its names tell to be secret is masked already, so only values
    /// are looked for.
    fn exchange_again(&self, exchange: &mut Exchange) {
        let Exchange {
            at: _,
            note,
            method,
            url,
            request_headers,
            request_body,
            status: _,
            answer_headers,
            answer_body,
        } = exchange;
        let headers = request_headers
            .iter_mut()
            .chain(answer_headers)
            .flat_map(|(name, value)| [name, value]);
        for text in [note, method, url, request_body, answer_body].into_iter().chain(headers) {
            *text = self.masked(text, &view::views(text), Vec::new());
        }
    }

    fn credentials(&mut self, value: &str) -> String {
        let Some((scheme, credentials)) =
            value.split_once(' ').filter(|(scheme, _)| is_one_of(scheme, &SCHEMES))
        else {
            self.learn(value);
            return HIDDEN.to_owned();
        };
        let credentials = credentials.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            self.remember(credentials.as_bytes(), true);
            return format!("{} {}", self.text(scheme), shown(credentials));
        }
        self.learn(credentials);
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = decode(credentials);
            // The secret is looked for by itself, as it came and with its escapes undone (RFC 6749,
            // section 2.3.1).
            if let Some((_, secret)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
                self.learn_found(&NamedSecret {
                    name: "client_secret".to_owned(),
                    value: 0..secret.len(),
                    text: secret.as_bytes().to_vec(),
                });
            }
        }
        format!("{} {HIDDEN}", self.text(scheme))
    }

    /// One cookie: its name is shown and, where there is no name, nothing.
    fn cookie(&mut self, cookie: &str) -> String {
        let (name, value) = cookie.split_at(cookie.find('=').map_or(0, |at| at + 1));
        let bare = value.trim().trim_matches('"');
        if bare.is_empty() {
            return self.text(cookie);
        }
        if bare.len() >= SHORTEST_COOKIE {
            self.learn(bare);
        }
        format!("{}{HIDDEN}", self.text(name))
    }

    /// Learns the secrets that members are named for, and masks them and all known ones.
    fn by_name(&mut self, text: &str, ends: Ends) -> String {
        let views = view::views(text);
        let mut spans = Vec::new();
        for (view, found) in found(&views, ends) {
            self.learn_found(&found);
            spans.push(span(view, &found));
        }
        self.masked(text, &views, spans)
    }

    /// A secret that was found is known from then on, as it came and with its escapes undone. Plain
    /// words are not, unless they are what a client or a person proves itself with: a code made up
    /// for a check may be `incorrect`, and an error be called that.
    fn learn_found(&mut self, found: &NamedSecret) {
        if find::is_word(&found.text) && !found.is_proof() {
            return;
        }
        self.remember(&found.text, found.is_token());
        for escape in view::ESCAPES {
            if let Some(view) = View::of(&found.text).unescaped(escape) {
                self.remember(&view.bytes, found.is_token());
            }
        }
    }

    fn remember(&mut self, secret: &[u8], partly: bool) {
        let value: Vec<u8> = secret.iter().map(view::plus_as_space).collect();
        if let Some(start) = value.first_chunk() {
            // A short token is as secret as a password: a part of it gives away too much, and may
            // be all that there is of another.
            let partly = partly && value.len() >= LONG;
            self.known.entry(*start).or_default().insert(Secret { value, partly });
        }
    }

    /// Every place where a known secret is.
    fn places(&self, view: &View) -> Vec<Span> {
        let bytes: Vec<u8> = view.bytes.iter().map(view::plus_as_space).collect();
        let mut spans = Vec::new();
        for (at, start) in bytes.windows(SHORTEST).enumerate() {
            let secrets =
                <&[u8; SHORTEST]>::try_from(start).ok().and_then(|start| self.known.get(start));
            for secret in secrets
                .into_iter()
                .flatten()
                .filter(|secret| bytes[at..].starts_with(&secret.value))
            {
                spans.push(Span {
                    range: view.source(&(at..at + secret.value.len())),
                    partly: secret.partly,
                });
            }
        }
        spans
    }

    /// The text without these spans and without the known secrets. Spans that overlap are masked as
    /// one, lest the rest of one be seen.
    fn masked(&self, text: &str, views: &[View], mut spans: Vec<Span>) -> String {
        if !self.known.is_empty() {
            spans.extend(views.iter().flat_map(|view| self.places(view)));
        }
        // Of a secret in other bytes than a text's a span may begin or end within a character, and
        // two of them may share one.
        for Span { range, .. } in &mut spans {
            *range = text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
        }
        spans.sort_by_key(|span| (span.range.start, span.range.end));
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        let mut spans = spans.into_iter().peekable();
        while let Some(Span { mut range, mut partly }) = spans.next() {
            while let Some(next) = spans.next_if(|next| next.range.start < range.end) {
                range.end = range.end.max(next.range.end);
                partly &= next.partly;
            }
            masked.push_str(&text[done..range.start]);
            done = range.end;
            masked.push_str(&if partly { shown(&text[range]) } else { HIDDEN.to_owned() });
        }
        masked.push_str(&text[done..]);
        masked
    }
}

/// What its name says is a secret, in each of the views.
fn found(views: &[View], ends: Ends) -> Vec<(&View, NamedSecret)> {
    views
        .iter()
        .flat_map(|view| {
            find::secrets(&view.bytes, ends).into_iter().map(move |found| (view, found))
        })
        .collect()
}

fn span(view: &View, found: &NamedSecret) -> Span {
    Span { range: view.source(&found.value), partly: found.is_token() }
}

const HIDDEN: &str = "[masked]";
/// Between the beginning and the end of a token.
const CUT: char = '…';

/// How many characters of a token are shown, and how long it must be for that to give nothing away.
const SHOWN: usize = 8;
const SHOWN_LAST: usize = 4;
const LONG: usize = 40;

/// What is shown of a token: of a long one its beginning and end, so that one can be told from
/// another.
fn shown(token: &str) -> String {
    let plain = token.bytes().all(find::is_of_token);
    match (token.get(..SHOWN), token.get(token.len().saturating_sub(SHOWN_LAST)..)) {
        (Some(head), Some(tail)) if plain && token.len() >= LONG => format!("{head}{CUT}{tail}"),
        _ => HIDDEN.to_owned(),
    }
}

/// Whether this is what is shown of a secret. It is left alone, so that evidence may be masked
/// again when more secrets are known.
fn is_masked(text: &[u8]) -> bool {
    let cut = |text: &str| {
        text.find(CUT) == Some(SHOWN) && text.len() == SHOWN + CUT.len_utf8() + SHOWN_LAST
    };
    std::str::from_utf8(text).is_ok_and(|text| text == HIDDEN || cut(text))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Basic credentials in any spelling of base64: a client that uses the wrong one sent a secret all the
/// same.
fn decode(credentials: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let bytes = [&STANDARD, &URL_SAFE].into_iter().find_map(|alphabet| {
        GeneralPurpose::new(alphabet, lenient).decode(credentials.trim_end()).ok()
    })?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
