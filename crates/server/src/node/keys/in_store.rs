//! Keys in the store that nodes share: one document, sealed under a key that every node gets as a
//! file. A sandbox's are in the clear.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterfoil_core::random;
use counterfoil_core::sealing::{KEY_LENGTH, SealingKey};
use counterfoil_core::text_file;
use counterfoil_store::StoredKeys;
use zeroize::Zeroizing;

use super::KeysError;
use super::file::{KeyFile, prepare_directory, read_private, sync_directory_of, write_private};

const NAME: &str = "store.key";
/// The purpose and format of the seal. A document is bound to it, to its issuer and to its version,
/// so that none opens in place of another, nor an older version in place of a newer one.
const WHAT: &[u8] = b"counterfoil keys 1";

/// How the document is protected.
#[derive(Debug)]
pub(super) enum Sealing {
    /// Sealed under this key, from this file.
    Under(SealingKey, PathBuf),
    /// In the clear, in a sandbox.
    InTheClear,
}

/// Checks that a key exists in `directory` and is usable, or could be created.
pub(super) fn could_be_made(directory: &Path) -> Result<(), KeysError> {
    match directory.join(NAME).exists() {
        true => Sealing::under(directory, false).map(drop),
        false => super::file::could_be_made(directory),
    }
}

impl Sealing {
    /// Sealing under the key in `directory`, which is created if missing and `may_make` says that
    /// nothing is sealed yet.
    pub(super) fn under(directory: &Path, may_make: bool) -> Result<Self, KeysError> {
        prepare_directory(directory)?;
        let path = directory.join(NAME);
        if may_make {
            make(&path)?;
        }
        let failed =
            |problem: &str| KeysError::File { path: path.clone(), problem: problem.into() };
        let text = read_private(&path)?.ok_or_else(|| {
            failed("it is missing, and the keys in the store can't be read without it: copy it here from another node, or from a backup")
        })?;
        let bytes =
            STANDARD.decode(text_file::without_mark(&text).trim_ascii()).map(Zeroizing::new).ok();
        let key = bytes.and_then(|bytes| SealingKey::new(&bytes).ok());
        let key = key.ok_or_else(|| {
            failed("it does not hold a key: copy it here from another node, or from a backup")
        })?;
        Ok(Self::Under(key, path))
    }

    /// The document in its stored form, as this `version`.
    pub(super) fn seal(
        &self,
        file: &KeyFile,
        issuer: &str,
        version: i64,
    ) -> Result<Vec<u8>, KeysError> {
        let json = file.to_json().map_err(KeysError::InStore)?;
        match self {
            Self::Under(key, _) => {
                let sealed = key.seal(&json, &[WHAT, issuer.as_bytes(), &version.to_be_bytes()]);
                sealed.map_err(|e| KeysError::InStore(e.to_string()))
            }
            Self::InTheClear => Ok(json.to_vec()),
        }
    }

    /// Opens the store's document.
    pub(super) fn open(&self, stored: &StoredKeys, issuer: &str) -> Result<KeyFile, KeysError> {
        let json = match self {
            Self::Under(key, path) => {
                let opened = key.open(
                    &stored.document,
                    &[WHAT, issuer.as_bytes(), &stored.version.to_be_bytes()],
                );
                opened.map_err(|_| {
                    KeysError::InStore(format!(
                        "{} does not open them: it is not the one that they were sealed with, or they are another issuer's or damaged; \
                         copy it here from another node, or from a backup",
                        path.display()
                    ))
                })?
            }
            Self::InTheClear => Zeroizing::new(stored.document.clone()),
        };
        KeyFile::from_json(&json).map_err(KeysError::InStore)
    }
}

/// Creates a key at `path` unless there is one. If two processes do so at once, both use the same
/// key.
fn make(path: &Path) -> Result<(), KeysError> {
    let failed =
        |e: std::io::Error| KeysError::File { path: path.to_owned(), problem: e.to_string() };
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    let key = Zeroizing::new(random::bytes::<KEY_LENGTH>());
    let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(STANDARD.encode(key.as_slice()))));
    let new = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(random::bytes())));
    write_private(&new, text.as_bytes()).map_err(failed)?;
    // A link is created whole or not at all, and never replaces a file.
    let linked = std::fs::hard_link(&new, path);
    std::fs::remove_file(&new).map_err(failed)?;
    match linked {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(e)),
        _ => sync_directory_of(path).map_err(failed),
    }
}

#[cfg(test)]
mod tests;
