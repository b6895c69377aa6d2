//! A cluster that is only reached over TLS.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use crate::Postgres;

/// A cluster that takes connections over TCP with TLS alone, with a certificate for `127.0.0.1` and
/// `localhost` from an authority of its own.
pub struct TlsPostgres {
    /// The cluster. Its URL says nothing of TLS.
    pub postgres: Postgres,
    authority: PathBuf,
    _directory: TempDir,
}

impl TlsPostgres {
    /// Starts one.
    ///
    /// # Panics
    /// Where the certificate can't be made or PostgreSQL doesn't start.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text)
                .unwrap_or_else(|e| panic!("{} can't be written: {e}", path.display()));
            path
        };
        let key = || KeyPair::generate().expect("a key can be made");
        let params = |names: &[&str]| {
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                .expect("these are names")
        };

        let mut root = params(&[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of the same name as the server's, it would be taken for one that signed itself.
        root.distinguished_name.push(DnType::CommonName, "Counterfoil's tests");
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root_key = key();
        let authority =
            file("authority.pem", root.self_signed(&root_key).expect("it can be signed").pem());

        let server_key = key();
        let server = params(&["127.0.0.1", "localhost"])
            .signed_by(&server_key, &Issuer::new(root, root_key))
            .expect("it can be signed");
        let certificate = file("server.pem", server.pem());
        let server_key = file("server.key", server_key.serialize_pem());

        let options = ["--tls", text(&certificate), text(&server_key)];
        TlsPostgres {
            postgres: Postgres::run(&options, settings),
            authority,
            _directory: directory,
        }
    }

    /// The PEM file with the authority's certificate.
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the temporary directory's name is UTF-8")
}
