//! `application/x-www-form-urlencoded`, read strictly: invalid UTF-8 is refused, not repaired.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr_iter, memchr2};
use percent_encoding::percent_decode;

/// How many parameters an OAuth request may have: far more than any needs. It bounds the search for
/// repeated names.
pub const MOST_PARAMETERS: usize = 100;

/// The parameters of a form or query, in the order sent.
#[derive(Default)]
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl fmt::Debug for Form<'_> {
    /// Only the names: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Why a form can't be read. The texts are for logs and never quote values.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormError {
    /// A name or value does not decode to UTF-8.
    #[error("the form is not UTF-8")]
    NotUtf8,
    /// A name or value contains a NUL, which not every database can store.
    #[error("the form holds a NUL")]
    Nul,
    /// A parameter was sent more than once (RFC 6749 section 3.2).
    #[error("a parameter was sent twice")]
    Repeated,
    /// More than [`MOST_PARAMETERS`].
    #[error("more than {MOST_PARAMETERS} parameters were sent")]
    TooMany,
}

impl<'a> Form<'a> {
    /// Reads a form in which names may repeat, as checkboxes do.
    ///
    /// # Errors
    /// [`FormError::NotUtf8`], [`FormError::Nul`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormError> {
        let mut parameters = Vec::with_capacity(8);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (pair, after) = split(rest, b'&');
            if !pair.is_empty() {
                let (name, value) = split(pair, b'=');
                parameters.push((decode(name)?, decode(value)?));
            }
            rest = after;
        }
        Ok(Self(parameters))
    }

    /// Reads the parameters of an OAuth request, each of which may be sent once (RFC 6749 section
    /// 3.2).
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse_oauth(bytes: &'a [u8]) -> Result<Self, FormError> {
        if memchr_iter(b'&', bytes).count() >= MOST_PARAMETERS {
            return Err(FormError::TooMany);
        }
        let form = Self::parse(bytes)?;
        let repeated = form
            .0
            .iter()
            .enumerate()
            .any(|(i, (name, _))| form.0[..i].iter().any(|(earlier, _)| earlier == name));
        if repeated { Err(FormError::Repeated) } else { Ok(form) }
    }

    /// The value of a parameter. One without a value counts as not sent (RFC 6749 section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_ref())
            .filter(|value| !value.is_empty())
    }

    /// The form with `value` for parameter `name` unless it was sent.
    #[must_use]
    pub fn with_default(mut self, name: &'static str, value: &'static str) -> Self {
        if self.get(name).is_none() {
            self.0.retain(|(n, _)| n != name);
            self.0.push((name.into(), value.into()));
        }
        self
    }

    /// Every value of parameter `name`.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_ref())
    }

    /// The parameters as a query, in the order sent.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// The names sent, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }
}

/// Splits at the first `byte`, which may be missing.
fn split(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    memchr(byte, bytes).map_or((bytes, &[]), |at| (&bytes[..at], &bytes[at + 1..]))
}

/// Decodes one form-encoded name or value.
///
/// # Errors
/// [`FormError::NotUtf8`], [`FormError::Nul`].
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, FormError> {
    let text = if memchr2(b'+', b'%', bytes).is_none() {
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FormError::NotUtf8)?
    } else {
        let spaced: Vec<u8> = bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        let decoded: Vec<u8> = percent_decode(&spaced).collect();
        String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormError::NotUtf8)?
    };
    if memchr(0, text.as_bytes()).is_some() { Err(FormError::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_refused_however_it_is_sent() {
        for bad in [&b"nonce=a%00b"[..], b"a\0=1", b"a=1&b=+%00"] {
            assert_eq!(Form::parse(bad).map(drop), Err(FormError::Nul));
        }
    }

    #[test]
    fn forms() {
        let form = Form::parse_oauth(b"a=1&b=x+y%2Bz&empty=&flag&&c=%zz").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), Some("x y+z"));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.get("flag"), None);
        assert_eq!(form.get("c"), Some("%zz"));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(Form::parse_oauth(b"a=1&a=2").unwrap_err(), FormError::Repeated);
        assert_eq!(Form::parse_oauth(b"a=1&%61=").unwrap_err(), FormError::Repeated);
        assert_eq!(Form::parse_oauth(b"a=%ff").unwrap_err(), FormError::NotUtf8);
        assert_eq!(Form::parse_oauth(b"\xc3\x28=1").unwrap_err(), FormError::NotUtf8);
        assert_eq!(Form::parse_oauth(&b"&".repeat(60_000)).unwrap_err(), FormError::TooMany);
    }

    #[test]
    fn checkboxes() {
        let form = Form::parse(b"account=a&account=b").unwrap();
        assert_eq!(form.all("account").collect::<Vec<_>>(), ["a", "b"]);
    }
}
