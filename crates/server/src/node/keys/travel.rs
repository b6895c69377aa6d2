//! Keys that move with a copied store: from a directory into a database, or from a database into a
//! directory.

use std::path::Path;

use counterfoil_store::{CopyError, StoreCopy};

use super::file::{KeyFile, path_in};
use super::in_store::Sealing;
use super::{KeysError, gone};

/// Whether the keys can travel with a copy that has just begun: they are readable, and nothing is
/// in the way.
///
/// # Errors
/// [`KeysError`].
pub async fn can_travel(copy: &StoreCopy, directory: &Path, issuer: &str) -> Result<(), KeysError> {
    ready(copy, directory, issuer).await.map(drop)
}

/// Copies the keys along with the store, and reads them back at the destination. The originals
/// stay.
///
/// # Errors
/// [`KeysError`]; a directory or file that others may read is refused, and so is a `directory` that
/// holds different keys.
pub async fn travel(copy: &StoreCopy, directory: &Path, issuer: &str) -> Result<(), KeysError> {
    let keys = ready(copy, directory, issuer).await?;
    let arrived = if copy.is_into_database() {
        let sealing = Sealing::under(directory, true)?;
        copy.put_keys(&sealing.seal(&keys, issuer, 1)?).await.map_err(in_database)?;
        read_in_database(copy, &sealing, issuer).await?
    } else {
        keys.write(&path_in(directory))?;
        KeyFile::read(&path_in(directory))?.ok_or_else(gone)?
    };
    if is_same(&arrived, &keys)? {
        Ok(())
    } else {
        Err(KeysError::InStore("they are not what they were before they travelled".into()))
    }
}

/// The keys of the source.
async fn ready(copy: &StoreCopy, directory: &Path, issuer: &str) -> Result<KeyFile, KeysError> {
    let path = path_in(directory);
    let in_directory = KeyFile::read(&path)?;
    let failed = |problem: &str| KeysError::File { path: path.clone(), problem: problem.into() };
    if copy.is_into_database() {
        return in_directory
            .ok_or_else(|| failed("it is missing, and holds the keys of the store: put it there, or restore it from a backup"));
    }
    let keys = read_in_database(copy, &Sealing::under(directory, false)?, issuer).await?;
    match in_directory {
        Some(other) if !is_same(&other, &keys)? => Err(failed(
            "it holds other keys than the store, which those of the store would take the place of: move it away",
        )),
        _ => Ok(keys),
    }
}

async fn read_in_database(
    copy: &StoreCopy,
    sealing: &Sealing,
    issuer: &str,
) -> Result<KeyFile, KeysError> {
    sealing.open(&copy.keys().await.map_err(in_database)?.ok_or_else(gone)?, issuer)
}

fn in_database(error: CopyError) -> KeysError {
    KeysError::InStore(error.to_string())
}

fn is_same(one: &KeyFile, other: &KeyFile) -> Result<bool, KeysError> {
    let json = |keys: &KeyFile| keys.to_json().map_err(KeysError::InStore);
    Ok(json(one)? == json(other)?)
}
