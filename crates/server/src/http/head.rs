//! The head of a request: its size, its `Host`, and headers that may appear only once.

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, Uri, Version};

/// The largest head, in bytes of target and headers as sent.
pub const LARGEST_HEAD: usize = 32 * 1024;

/// What is wrong with the head of a request, whatever its route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadHead {
    /// More than [`LARGEST_HEAD`].
    TooLarge,
    /// No `Host`, two of them, or an invalid one (RFC 9112 section 3.2).
    Host(&'static str),
}

/// Checks the size of a head and its `Host`. HTTP/1.0 may omit `Host`, but one that is sent is
/// checked too.
///
/// # Errors
/// [`BadHead`].
pub fn check_head(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), BadHead> {
    // Plus colon, space and line break.
    let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if sizes.sum::<usize>() + target > LARGEST_HEAD {
        return Err(BadHead::TooLarge);
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => Err(BadHead::Host("there is no Host")),
        (Some(_), Some(_)) => Err(BadHead::Host("Host was sent twice")),
        (Some(host), None) if host.as_bytes().iter().all(|&byte| is_of_host(byte)) => Ok(()),
        (Some(_), None) => Err(BadHead::Host("the Host is none")),
    }
}

/// Whether a `Host` may contain this byte (RFC 3986 section 3.2.2; user information is not
/// allowed).
const fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b':' | b'[' | b']' | b'!' | b'$' | b'&'
                ..=b',' | b';' | b'='
        )
}

/// A header appears twice, or is not text.
#[derive(Debug)]
pub struct BadHeader;

/// The value of a header that may appear only once.
///
/// # Errors
/// [`BadHeader`].
pub fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, BadHeader> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| BadHeader),
        _ => Err(BadHeader),
    }
}
