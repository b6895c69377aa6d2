//! Where requests are sent.

use std::path::Path;
use std::sync::Arc;

use counterfoil_core::text_file;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::BenchError;

/// Where requests are sent.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// What TLS connects with, and whose certificate it wants; none for plain HTTP.
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The `Host` header.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    /// Reads a URL. `ca` is a file of certificates to trust instead of the system's.
    ///
    /// # Errors
    /// It is no URL of HTTP, or the certificates can't be used.
    pub(super) fn of(url: &str, ca: Option<&Path>) -> Result<Self, BenchError> {
        let wrong = || BenchError::Plan(format!("`{url}` is no http:// or https:// URL"));
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let host = parsed.host_str().ok_or_else(wrong)?;
        let port = parsed.port_or_known_default().ok_or_else(wrong)?;
        let authority =
            parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match parsed.scheme() {
            "http" => None,
            "https" => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| wrong())?;
                Some((connector(ca)?, name))
            }
            _ => return Err(wrong()),
        };
        let path = parsed
            .query()
            .map_or_else(|| parsed.path().to_owned(), |query| format!("{}?{query}", parsed.path()));
        Ok(Self { host: bare, port, tls, authority, path })
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, BenchError> {
    let failed = |error: &dyn std::fmt::Display| match ca {
        Some(path) => BenchError::Plan(format!("the certificates in {}: {error}", path.display())),
        None => BenchError::System(format!("the system's certificates can't be used: {error}")),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?;
    let config = match ca {
        None => builder.with_platform_verifier().map_err(|e| failed(&e))?.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let pem = std::fs::read(path).map_err(|e| failed(&e))?;
            for certificate in CertificateDer::pem_slice_iter(text_file::without_mark(&pem)) {
                roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
            }
            if roots.is_empty() {
                return Err(failed(&"there are none"));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::of("http://127.0.0.1:8080/token?x=1", None).unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.tls.is_some()),
            ("127.0.0.1", 8080, false)
        );
        assert_eq!(
            (target.authority.as_str(), target.path.as_str()),
            ("127.0.0.1:8080", "/token?x=1")
        );
        let target = Target::of("https://auth.bank.example", None).unwrap();
        assert_eq!(
            (target.port, target.authority.as_str(), target.path.as_str(), target.tls.is_some()),
            (443, "auth.bank.example", "/", true)
        );
        let target = Target::of("http://[::1]:8080/", None).unwrap();
        assert_eq!((target.host.as_str(), target.authority.as_str()), ("::1", "[::1]:8080"));
        for wrong in ["auth.bank.example", "ftp://auth.bank.example/", "https://"] {
            assert!(Target::of(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn certificates_that_are_none() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let refused =
            Target::of("https://localhost/", Some(empty.path())).err().unwrap().to_string();
        assert!(refused.ends_with("there are none"), "{refused}");
    }
}
