//! The TLS certificate of a sandbox: made at each start for its current names, and signed by its own
//! CA, which is made once. Clients that trust the CA need no change when names change or a
//! certificate expires.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_store::{create_directory, create_file};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::Failure;

/// For how many days a certificate is valid, from a day before it is made: browsers accept no more
/// (CA/Browser Forum, ballot SC-22).
const VALID: i64 = 397;

/// The files of a certificate, in PEM.
pub(super) struct Certificate {
    /// The CA's certificate, which clients have to trust.
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The file of the CA's certificate in `directory`.
pub(super) fn ca_in(directory: &Path) -> PathBuf {
    directory.join("ca.pem")
}

/// Makes a certificate for `names` in `directory`, and the CA if there is none yet. `now` is the
/// machine's time.
pub(super) fn make(
    directory: &Path,
    names: Vec<String>,
    now: Timestamp,
) -> Result<Certificate, Failure> {
    let named = |problem: &dyn Display| {
        Failure::failed(format!(
            "the certificate in {} can't be made: {problem}",
            directory.display()
        ))
    };
    // Others may read the CA: clients in other containers run as other users.
    match create_directory(directory, 0o755) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(named(&e)),
        _ => {}
    }
    let files = Certificate {
        ca: ca_in(directory),
        certificate: directory.join("certificate.pem"),
        key: directory.join("key.pem"),
    };
    let ca_key = directory.join("ca-key.pem");
    let issuer = match std::fs::read_to_string(&ca_key) {
        Ok(pem) if files.ca.exists() => {
            Issuer::new(ca(), KeyPair::from_pem(&pem).map_err(|e| named(&e))?)
        }
        Ok(_) => new_ca(&files.ca, &ca_key, &named)?,
        Err(e) if e.kind() == ErrorKind::NotFound => new_ca(&files.ca, &ca_key, &named)?,
        Err(e) => return Err(named(&e)),
    };
    let mut params = CertificateParams::new(names).map_err(|e| named(&e))?;
    params.distinguished_name.push(DnType::CommonName, "Counterfoil sandbox");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let at = |moment: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment.unix()).unwrap_or(0))
    };
    params.not_before = at(now.plus(-DAY));
    params.not_after = at(now.plus((VALID - 1) * DAY));
    let key = KeyPair::generate().map_err(|e| named(&e))?;
    let certificate = params.signed_by(&key, &issuer).map_err(|e| named(&e))?;
    write(&files.key, 0o600, &key.serialize_pem()).map_err(|e| named(&e))?;
    write(&files.certificate, 0o644, &certificate.pem()).map_err(|e| named(&e))?;
    Ok(files)
}

/// Makes a CA and stores it.
fn new_ca(
    certificate: &Path,
    key: &Path,
    named: &dyn Fn(&dyn Display) -> Failure,
) -> Result<Issuer<'static, KeyPair>, Failure> {
    let pair = KeyPair::generate().map_err(|e| named(&e))?;
    let pem = ca().self_signed(&pair).map_err(|e| named(&e))?.pem();
    write(key, 0o600, &pair.serialize_pem())
        .and_then(|()| write(certificate, 0o644, &pem))
        .map_err(|e| named(&e))?;
    Ok(Issuer::new(ca(), pair))
}

/// The parameters of the CA. They are constant, so only its key has to be read to sign with it.
fn ca() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Counterfoil sandbox CA, for tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

/// Replaces a file: never writes through a link in its place, and never keeps an old file's mode.
fn write(path: &Path, mode: u32, pem: &str) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    create_file(path, mode)?.write_all(pem.as_bytes())
}
