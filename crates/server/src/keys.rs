//! The keys of a server: signing keys, slip keys and the pepper, in a directory apart from the store.
//!
//! A signing key is *published* from its making, *signs* from a moment on that every cache of the key set has seen it by, is *published
//! still* until the last ID token that it signed has expired, is *kept* for `/revoke` until the longest grant has ended, and is then
//! forgotten. Which of these it is follows from its dates and `now` alone, so the sandbox's clock moves keys too.

mod file;
mod ring;

pub use ring::{KeyInfo, KeyState, Ring};

use arc_swap::ArcSwap;
use counterfoil_core::clock::{DAY, HOUR, Seconds, Timestamp};
use counterfoil_core::jws::{Algorithm, KeyError};
use counterfoil_core::slip_keys::SlipKeyId;
use file::{KeyFile, SigningEntry, SlipEntry};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds for which clients may keep a copy of the key set (`Cache-Control: max-age` of `/jwks`).
pub const KEY_SET_MAX_AGE: Seconds = 15 * 60;
/// Seconds from the making of a signing key to its first use: four times as long as a copy of the key set is kept.
pub const PUBLISHED_AHEAD: Seconds = HOUR;
/// Seconds after which a key is replaced without anyone's help.
pub const ROTATED_AFTER: Seconds = 90 * DAY;

/// Why keys can't be had. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The directory or file can't be used.
    #[error("the key file {path}: {problem}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A key can't be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no key of that id.
    #[error("there is no key `{0}`")]
    Unknown(String),
}

/// The keys of a server, read once and then kept; changes are written first.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    issuer: String,
    file: Mutex<KeyFile>,
    ring: ArcSwap<Ring>,
}

impl Keys {
    /// Opens the keys in `directory`, making directory and keys where there are none.
    ///
    /// # Errors
    /// [`KeysError`]; a directory or file that others may read is refused.
    pub fn open(directory: &std::path::Path, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        let path = file::prepare_directory(directory)?;
        let file = match KeyFile::read(&path)? {
            Some(file) => file,
            None => {
                let mut new = KeyFile::with_pepper();
                for alg in Algorithm::ALL {
                    new.signing.push(SigningEntry::new(alg, now, now)?);
                }
                new.slip.push(SlipEntry::new(1, now));
                new.write(&path)?;
                new
            }
        };
        let ring = ArcSwap::from_pointee(Ring::new(&file, issuer)?);
        Ok(Self { path, issuer: issuer.to_owned(), file: Mutex::new(file), ring })
    }

    /// Whether there are keys in `directory`, or something that hinders us from seeing whether there are.
    pub fn are_at(directory: &std::path::Path) -> bool {
        file::path_in(directory).try_exists().unwrap_or(true)
    }

    /// The keys as they are now.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Replaces every key: a new signing key of each algorithm is published now and signs from `signs_from` on, which leaves caches the
    /// time to see it where that is [`PUBLISHED_AHEAD`]; a new slip key is used at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then.
    pub fn rotate(&self, now: Timestamp, signs_from: Timestamp) -> Result<(), KeysError> {
        self.change(|file| {
            for alg in Algorithm::ALL {
                file.signing.push(SigningEntry::new(alg, now, signs_from)?);
            }
            file.slip.push(SlipEntry::new(file.next_slip_key(), now));
            Ok(true)
        })
        .map(drop)
    }

    /// Drops a key that others may have: what it signed or authenticated is refused from now on. Where new tokens were made with it, a new
    /// one takes its place at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then.
    pub fn drop_compromised(&self, kid: &str, now: Timestamp) -> Result<(), KeysError> {
        let ring = self.ring();
        let in_use = |alg| ring.signing_key(alg, now).is_some_and(|key| key.kid == kid);
        self.change(|file| {
            if let Some(at) = file.signing.iter().position(|key| key.kid == kid) {
                let dropped = file.signing.remove(at);
                if in_use(dropped.alg) {
                    file.signing.push(SigningEntry::new(dropped.alg, now, now)?);
                }
            } else if let Some(at) = file.slip.iter().position(|key| SlipKeyId(key.id).to_string() == kid) {
                let next = file.next_slip_key();
                let dropped = file.slip.remove(at);
                if SlipKeyId(dropped.id) == ring.slips.current() {
                    file.slip.push(SlipEntry::new(next, now));
                }
            } else {
                return Err(KeysError::Unknown(kid.chars().take(64).collect()));
            }
            Ok(true)
        })
        .map(drop)
    }

    /// Does what the dates ask for: replaces keys that are old, forgets those that nothing needs. True where anything changed.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then.
    pub fn keep_up(&self, now: Timestamp, id_token: Seconds) -> Result<bool, KeysError> {
        self.change(|file| {
            let mut changed = false;
            for alg in Algorithm::ALL {
                let newest = file.signing.iter().filter(|key| key.alg == alg).map(|key| key.signs_from).max();
                if newest.is_none_or(|from| now.since(from) >= ROTATED_AFTER) {
                    file.signing.push(SigningEntry::new(alg, now, now.plus(PUBLISHED_AHEAD))?);
                    changed = true;
                }
            }
            if file.slip.iter().map(|key| key.created_at).max().is_none_or(|newest| now.since(newest) >= ROTATED_AFTER) {
                file.slip.push(SlipEntry::new(file.next_slip_key(), now));
                changed = true;
            }
            Ok(file.forget(now, id_token) || changed)
        })
    }

    /// Changes a copy of the file, writes it, and only then uses it.
    fn change(&self, change: impl FnOnce(&mut KeyFile) -> Result<bool, KeysError>) -> Result<bool, KeysError> {
        let mut current = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = current.clone();
        if !change(&mut next)? {
            return Ok(false);
        }
        let ring = Ring::new(&next, &self.issuer)?;
        next.write(&self.path)?;
        *current = next;
        self.ring.store(Arc::new(ring));
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
