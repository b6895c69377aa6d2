//! HTTP Basic credentials as OAuth uses them (RFC 6749 section 2.3.1): form-encoded, then base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::form::decode;
use crate::secret::Secret;

/// Credentials sent in an `Authorization: Basic` header.
#[derive(Debug)]
pub struct Basic {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: Secret,
}

/// The header has no readable Basic credentials.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the Authorization header holds no readable Basic credentials")]
pub struct NotBasic;

/// Reads the value of an `Authorization` header.
///
/// # Errors
/// [`NotBasic`] for another scheme, wrong base64, no colon, or bytes that are not UTF-8.
pub fn parse(header: &[u8]) -> Result<Basic, NotBasic> {
    let (scheme, rest) = header.split_at_checked(6).ok_or(NotBasic)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Err(NotBasic);
    }
    let credentials =
        zeroize::Zeroizing::new(STANDARD.decode(rest.trim_ascii()).map_err(|_| NotBasic)?);
    let colon = credentials.iter().position(|b| *b == b':').ok_or(NotBasic)?;
    let part = |bytes| decode(bytes).map(std::borrow::Cow::into_owned).map_err(|_| NotBasic);
    Ok(Basic {
        id: part(&credentials[..colon])?,
        secret: Secret::new(part(&credentials[colon + 1..])?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(credentials: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(credentials)).into_bytes()
    }

    #[test]
    fn credentials_are_form_decoded() {
        let basic = parse(&header("my+app:p%3Aass%25:word")).unwrap();
        assert_eq!((basic.id.as_str(), basic.secret.expose()), ("my app", "p:ass%:word"));
        assert!(parse(b"bAsIc YTpi").is_ok());
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            &b""[..],
            b"Basic",
            b"Basic !!!",
            b"Bearer YTpi",
            b"Basic YWI=",
            "Bäsic YTpi".as_bytes(),
            &header("%ff:x"),
        ] {
            assert_eq!(parse(bad).unwrap_err(), NotBasic);
        }
    }
}
