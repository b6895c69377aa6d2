//! What the members of a discovery document are by their names, and what is asked of them.

use reqwest::Url;
use serde_json::{Map, Value};

use super::texts;

/// Suffixes of the names of lists; other members are not looked at.
const LISTS: [&str; 7] = [
    "scopes_supported",
    "claims_supported",
    "_types_supported",
    "_modes_supported",
    "_methods_supported",
    "_values_supported",
    "_locales_supported",
];
/// Whether a member is a list.
pub(super) fn is_list(name: &str) -> bool {
    LISTS.iter().any(|kind| name.ends_with(kind))
}

/// The members of a document.
pub(super) fn members(document: &Value) -> Map<String, Value> {
    document.as_object().cloned().unwrap_or_default()
}

/// Whether a member says yes or no.
pub(super) fn is_flag(name: &str) -> bool {
    name.ends_with("_parameter_supported")
        || name.ends_with("logout_supported")
        || name.ends_with("session_supported")
        || name.starts_with("require_")
}

/// Whether a member is where requests of OAuth or OpenID go, or the keys are.
pub(super) fn is_endpoint(name: &str) -> bool {
    name.ends_with("_endpoint") || name == "jwks_uri"
}

/// Whether a member is a URL.
pub(super) fn is_url(name: &str) -> bool {
    is_endpoint(name)
        || ["issuer", "service_documentation", "op_policy_uri", "op_tos_uri"].contains(&name)
}

/// Whether a list has all of these.
pub(super) fn has(document: &Value, member: &str, expected: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = expected
        .iter()
        .copied()
        .filter(|text| !texts(document, member).any(|listed| listed == *text))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("`{member}` does not have {}", missing.join(" and ")))
    }
}

/// Whether a URL is reached by TLS, or does not leave the machine.
pub(super) fn is_secure(url: &str, is_issuer: bool) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
    let host = parsed.host_str().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_loopback) {
        return Err(format!("`{url}` is not https"));
    }
    if parsed.fragment().is_some() || (is_issuer && parsed.query().is_some()) {
        return Err(format!("`{url}` has a query or a fragment"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_told_by_their_names() {
        for name in ["scopes_supported", "response_types_supported", "claims_locales_supported"] {
            assert!(is_list(name) && !is_flag(name) && !is_url(name), "{name}");
        }
        for name in [
            "claims_parameter_supported",
            "frontchannel_logout_supported",
            "require_pushed_authorization_requests",
        ] {
            assert!(is_flag(name) && !is_list(name) && !is_url(name), "{name}");
        }
        for name in ["token_endpoint", "jwks_uri"] {
            assert!(is_url(name) && is_endpoint(name) && !is_list(name), "{name}");
        }
        assert!(is_url("issuer") && !is_endpoint("issuer"));
        assert!(!is_list("something_of_theirs"));
    }

    #[test]
    fn a_list_has_what_is_asked_for() {
        let document = json!({ "list": ["a", "b", 7], "text": "a" });
        assert_eq!(has(&document, "list", &["b", "a"]), Ok(()));
        let missing = has(&document, "list", &["a", "c", "d"]);
        assert_eq!(missing, Err("`list` does not have c and d".to_owned()));
        assert!(has(&document, "text", &["a"]).is_err());
        assert!(has(&document, "nowhere", &["a"]).is_err());
    }

    #[test]
    fn only_loopback_does_without_tls() {
        for (url, as_endpoint, as_issuer) in [
            ("https://bank.example/token", true, true),
            ("http://127.0.0.1:8080/token", true, true),
            ("http://localhost/token", true, true),
            ("http://[::1]:1/token", true, true),
            ("http://bank.example/token", false, false),
            ("http://127.0.0.1.bank.example/", false, false),
            ("ftp://127.0.0.1/", false, false),
            ("https://bank.example/?tenant=1", true, false),
            ("https://bank.example/#there", false, false),
            ("bank.example", false, false),
        ] {
            assert_eq!(is_secure(url, false).is_ok(), as_endpoint, "{url}");
            assert_eq!(is_secure(url, true).is_ok(), as_issuer, "{url}");
        }
    }
}
