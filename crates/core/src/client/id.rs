//! Client ids: which ones a new client may have.

/// The longest client id, in bytes.
pub const LONGEST_ID: usize = 128;

/// An id that no client can be registered under.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "a client id may have from 1 to {LONGEST_ID} visible ASCII characters without `:`, `+` and `%`, which HTTP Basic credentials do not carry as \
     they are (RFC 7617 section 2, RFC 6749 section 2.3.1)"
)]
pub struct InvalidId;

/// Checks that a new client may have this id.
///
/// RFC 6749 section 2.3.1 has clients form-encode their Basic credentials, and many don't. An id
/// must reach us unchanged either way: a colon would end it, `+` and `%` would be decoded, and
/// nobody knows the character set of anything beyond ASCII.
///
/// # Errors
/// [`InvalidId`].
pub fn check_id(id: &str) -> Result<(), InvalidId> {
    let is_carried = |b: u8| b.is_ascii_graphic() && !matches!(b, b':' | b'+' | b'%');
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_carried) {
        Ok(())
    } else {
        Err(InvalidId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the client encodes it.
    #[test]
    fn basic_carries_every_id() {
        use base64::Engine as _;
        let carried = |credentials: String| {
            let header =
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials));
            crate::basic::parse(header.as_bytes()).unwrap().id
        };
        let visible: String =
            (b'!'..=b'~').map(char::from).filter(|c| !":+%".contains(*c)).collect();
        for id in ["app", "https//app.example", &visible] {
            assert_eq!(check_id(id), Ok(()), "{id}");
            let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            assert_eq!(
                (carried(format!("{id}:x")), carried(format!("{encoded}:x"))),
                (id.to_owned(), id.to_owned())
            );
        }
        for bad in
            ["", "a:b", "a+b", "a%41", "a b", "a\tb", "a\u{7f}", "é", &"x".repeat(LONGEST_ID + 1)]
        {
            assert_eq!(check_id(bad), Err(InvalidId), "{bad:?}");
        }
    }
}
