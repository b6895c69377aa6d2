//! The server's own TLS, whose certificate can be replaced while it serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use counterfoil_core::text_file::without_mark;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};
use zeroize::Zeroizing;

/// The certificate for new connections. Open ones keep theirs.
pub struct Tls(ArcSwap<ServerConfig>);

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or parsed.
    #[error("{path}: {problem}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not match.
    #[error("the certificate can't be used with the key: {0}")]
    Pair(rustls::Error),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads certificate chain and key from PEM files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain, key) = read(certificate, key)?;
        Self::new(chain, key)
    }

    /// Uses a certificate chain and its key.
    ///
    /// # Errors
    /// [`TlsError::Pair`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::new(configured(chain, key)?)))
    }

    /// Reads certificate and key again.
    ///
    /// # Errors
    /// [`TlsError`]; the previous pair stays in use.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let (chain, key) = read(certificate, key)?;
        self.0.store(configured(chain, key)?);
        Ok(())
    }

    pub(super) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        TlsAcceptor::from(self.0.load_full()).accept(stream)
    }
}

fn read(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let wrong = |path: &Path, problem: String| TlsError::File { path: path.to_owned(), problem };
    let text = |path: &Path| std::fs::read(path).map_err(|error| wrong(path, error.to_string()));
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(without_mark(&text(certificate)?)).collect();
    let chain = chain.map_err(|error| wrong(certificate, format!("it is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "there is no certificate in it".into()));
    }
    let secret = Zeroizing::new(text(key)?);
    match PrivateKeyDer::from_pem_slice(without_mark(&secret)) {
        Ok(secret) => Ok((chain, secret)),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(wrong(key, "there is no private key in it".into()))
        }
        // Without the parser's error, which may quote a line.
        Err(_) => Err(wrong(key, "it is not PEM".into())),
    }
}

fn configured(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let mut config =
        versions.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
