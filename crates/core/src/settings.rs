//! The settings of a server, checked and ready to use.

use url::{Host, Url};

use crate::clock::{DAY, HOUR, MINUTE, Seconds};
use crate::dialect::Dialect;
use crate::login::LetterCase;

/// What an operator sets of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer: an origin without a path.
    pub issuer: String,
    /// How errors are spelled to clients without a dialect of their own.
    pub dialect: Dialect,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// The providers whose customers may share their data, at least one.
    pub providers: Vec<Provider>,
}

/// How long things live, in seconds from their issue.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An authorization code.
    pub code: Seconds,
    /// An ID token and the access token issued with it.
    pub id_token: Seconds,
    /// A refresh token.
    pub refresh_token: Seconds,
    /// A grant, from consent.
    pub grant: Seconds,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { code: 5 * MINUTE, id_token: 24 * HOUR, refresh_token: 90 * DAY, grant: 365 * DAY }
    }
}

impl Lifetimes {
    /// Checks that the lifetimes make sense.
    ///
    /// # Errors
    /// Which does not, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: Seconds, most: Seconds, words: &str| match value {
            ..1 => Err(format!("`lifetimes.{name}` must be at least 1s")),
            value if value > most => Err(format!("`lifetimes.{name}` must be {words}")),
            _ => Ok(()),
        };
        within("code", self.code, 10 * MINUTE, "at most 10m (RFC 6749 section 4.1.2)")?;
        within("id_token", self.id_token, 24 * HOUR, "at most 24h")?;
        within("refresh_token", self.refresh_token, 365 * DAY, "at most 365d")?;
        within("grant", self.grant, 365 * DAY, "at most 365d (CFPB 1033: one year)")
    }
}

/// A bank whose customers may share their data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// Its id: `connector` in requests, `connectorId` in ID tokens.
    pub id: String,
    /// What customers know it by.
    pub name: String,
    /// Whether letter case matters in the names that its customers sign in with.
    pub case: LetterCase,
}

impl Settings {
    /// The provider of this id.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// Whether cookies must be `Secure`, which they are everywhere but on loopback.
    pub fn is_https(&self) -> bool {
        self.issuer.starts_with("https://")
    }
}

/// Checks an issuer: a canonical origin without a path, `https` unless its host is loopback.
///
/// # Errors
/// What is wrong with it.
pub fn check_issuer(issuer: &str) -> Result<(), String> {
    let url = check_origin(issuer)?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "http" if !loopback => {
            Err(format!("the issuer `{issuer}` must be https, unless its host is a loopback one"))
        }
        _ => Ok(()),
    }
}

/// Checks the issuer of a sandbox: a canonical origin without a path. `http` is fine under any
/// name, such as that of a container: nothing in a sandbox is worth a certificate.
///
/// # Errors
/// What is wrong with it.
pub fn check_sandbox_issuer(issuer: &str) -> Result<(), String> {
    let url = check_origin(issuer)?;
    let is_name = |host: &str| {
        host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    match url.host() {
        Some(Host::Domain(name)) if !is_name(name) => {
            Err(format!("the host of the issuer `{issuer}` is not the name of a machine"))
        }
        _ => Ok(()),
    }
}

fn check_origin(issuer: &str) -> Result<Url, String> {
    let url = Url::parse(issuer).map_err(|e| format!("the issuer `{issuer}` is not a URL: {e}"))?;
    // First, since later messages quote the issuer.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the issuer must not hold a user name or password".into());
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the issuer `{issuer}` must be https"));
    }
    let origin = url.origin().ascii_serialization();
    if origin == issuer {
        Ok(url)
    } else {
        Err(format!("the issuer must be an origin without a path: write it as `{origin}`"))
    }
}

/// Checks the id of a provider, which becomes part of paths: letters, digits, `-`, `_` and `.`.
///
/// # Errors
/// What it may be.
pub fn check_provider_id(id: &str) -> Result<(), String> {
    let fits = !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits {
        Ok(())
    } else {
        Err(format!(
            "the provider id `{}` may hold letters, digits, `-`, `_` and `.` alone",
            id.escape_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers() {
        for good in [
            "https://auth.bank.example",
            "https://auth.bank.example:8443",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:5",
        ] {
            assert_eq!(check_issuer(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "auth.bank.example",
            "http://auth.bank.example",
            "https://auth.bank.example/",
            "https://auth.bank.example/x",
            "https://AUTH.bank.example",
            "https://a@bank.example",
            "ftp://127.0.0.1",
        ] {
            assert!(check_issuer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn issuers_of_sandboxes() {
        for good in [
            "http://sandbox:8080",
            "http://127.0.0.1:8080",
            "https://sandbox",
            "http://my_service.test",
            "http://10.0.0.7:1",
        ] {
            assert_eq!(check_sandbox_issuer(good), Ok(()), "{good}");
        }
        for bad in [
            "sandbox:8080",
            "http://sandbox:8080/",
            "http://u:p@sandbox",
            "ftp://sandbox",
            "http://sand;box",
            "http://SANDBOX",
        ] {
            assert!(check_sandbox_issuer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lifetimes() {
        Lifetimes::default().check().unwrap();
        assert!(Lifetimes { grant: 366 * DAY, ..Lifetimes::default() }.check().is_err());
        assert!(Lifetimes { code: 0, ..Lifetimes::default() }.check().is_err());
    }
}
