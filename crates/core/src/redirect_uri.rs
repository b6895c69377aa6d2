//! Redirect URIs: which may be registered, and which a request may name.

use url::{Host, Url};

/// The longest redirect URI, in bytes.
pub const LONGEST: usize = 2048;

/// Why a redirect URI can't be registered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidRedirectUri {
    /// It does not parse as an absolute URI of printable ASCII.
    #[error("`{0}` is not an absolute URI")]
    NotAUri(String),
    /// Longer than [`LONGEST`].
    #[error("a redirect URI may have {LONGEST} characters")]
    TooLong,
    /// RFC 6749 section 3.1.2.
    #[error("`{0}` has a fragment, which a redirect URI must not have (RFC 6749 section 3.1.2)")]
    Fragment(String),
    /// Credentials in the URI.
    #[error("`{0}` holds a user name or password")]
    Credentials(String),
    /// RFC 8252 sections 7 and 8.4; RFC 9700 section 2.6.
    #[error(
        "`{0}` must be https, http on a loopback host, or a private-use scheme with a dot such as com.example.app:/callback"
    )]
    Scheme(String),
}

/// Checks that `uri` may be registered by a client.
///
/// # Errors
/// [`InvalidRedirectUri`].
pub fn check(uri: &str) -> Result<(), InvalidRedirectUri> {
    if uri.len() > LONGEST {
        return Err(InvalidRedirectUri::TooLong);
    }
    let not_a_uri = || InvalidRedirectUri::NotAUri(uri.escape_default().to_string());
    if !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(not_a_uri());
    }
    let url = Url::parse(uri).map_err(|_| not_a_uri())?;
    if uri.contains('#') {
        return Err(InvalidRedirectUri::Fragment(uri.to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidRedirectUri::Credentials(uri.to_owned()));
    }
    let allowed = match url.scheme() {
        "https" => uri.starts_with("https://") && has_plain_host(&url),
        "http" => {
            uri.starts_with("http://")
                && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
        }
        scheme => scheme.contains('.'),
    };
    if allowed { Ok(()) } else { Err(InvalidRedirectUri::Scheme(uri.to_owned())) }
}

/// Whether a client that registered `registered` may use `requested`: they are equal, except that
/// the port is free where the host is a loopback address (RFC 8252 section 7.3; not `localhost`,
/// section 8.3).
pub fn matches(registered: &str, requested: &str) -> bool {
    registered == requested
        || (requested.len() <= LONGEST
            && match (without_loopback_port(registered), without_loopback_port(requested)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            })
}

/// Splits `http://127.0.0.1:port/rest` into host and rest; `None` for any other URI.
fn without_loopback_port(uri: &str) -> Option<(&'static str, &str)> {
    let (host, after) = ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find_map(|host| Some((host, uri.strip_prefix(host)?)))?;
    let rest = match after.strip_prefix(':') {
        None => after,
        Some(port_on) => {
            let digits = port_on.bytes().take_while(u8::is_ascii_digit).count();
            port_on[..digits].parse::<u16>().ok()?;
            &port_on[digits..]
        }
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

/// Whether the host is an ordinary name or an address: the URL standard also allows `;`, `,`, `*`
/// and `'`.
fn has_plain_host(url: &Url) -> bool {
    let is_plain = |host: &str| {
        host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    match url.host() {
        Some(Host::Domain(name)) => is_plain(name),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// Adds `parameters` to the query of `uri`, keeping what it had (RFC 6749 section 4.1.2).
pub fn with_query(uri: &str, parameters: &[(&str, &str)]) -> Option<String> {
    let mut url = Url::parse(uri).ok()?;
    url.query_pairs_mut().extend_pairs(parameters);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_registered() {
        for good in [
            "https://app.example/cb",
            "https://app.example/cb?x=1",
            "http://127.0.0.1/cb",
            "http://[::1]:5/",
            "http://localhost:3000/callback",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "http://app.example/cb",
            "https://app.example/cb#x",
            "https://u:p@app.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example/c b",
            "https://bücher.example/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_ports_are_free_and_nothing_else_is() {
        assert!(matches("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"));
        assert!(matches("http://[::1]:1/cb", "http://[::1]/cb"));
        for (registered, requested) in [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example:444/cb"),
            ("http://localhost:3000/callback", "http://localhost:3001/callback"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://[::1]/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
        ] {
            assert!(!matches(registered, requested), "{requested}");
        }
    }

    #[test]
    fn answers_keep_the_query() {
        assert_eq!(
            with_query("https://a.example/cb?x=1", &[("code", "a b")]).unwrap(),
            "https://a.example/cb?x=1&code=a+b"
        );
    }
}
