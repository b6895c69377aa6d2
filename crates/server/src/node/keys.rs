//! A server's keys: signing keys, slip keys and the pepper, in a directory separate from a SQLite
//! store, or in the store that nodes share.
//!
//! A signing key is *published* when it is made, *signs* once every cached key set has had time to
//! include it, stays *published* until the last ID token it signed has expired, is *kept* for
//! `/revoke` until the longest grant has ended, and is then forgotten. Its state follows from its
//! dates and `now` alone, so the sandbox's clock moves keys too.

mod file;
mod in_store;
mod ring;
mod travel;
mod verified;

pub use ring::{KeyInfo, KeyState, Ring};
pub use travel::{can_travel, travel};
pub use verified::VerifiedTokens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use counterfoil_core::clock::{DAY, HOUR, SKEW, Seconds, Timestamp};
use counterfoil_core::jws::{Algorithm, KeyError};
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_store::{Store, StoreError, StoredKeys};

use file::{KeyFile, SigningEntry, SlipEntry};
use in_store::Sealing;

/// Seconds for which clients may cache the key set (`Cache-Control: max-age` of `/jwks`).
pub const KEY_SET_MAX_AGE: Seconds = 15 * 60;
/// Seconds between a signing key's publication and first use: four times [`KEY_SET_MAX_AGE`].
pub const PUBLISHED_AHEAD: Seconds = HOUR;
/// Seconds after which a key is replaced automatically.
pub const ROTATED_AFTER: Seconds = 90 * DAY;

/// Seconds for which tokens made with a compromised slip key stay valid unless the operator decides
/// otherwise: the default lifetime of a refresh token.
pub const COMPROMISED_SLIP_KEY_GOOD_FOR: Seconds = 90 * DAY;

/// Why keys are unavailable. The texts are for the operator.
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
    /// The keys in the store can't be used.
    #[error("the keys in the store: {0}")]
    InStore(String),
    /// The store can't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can't be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The server is stopping.
    #[error("the keys were not made: {0}")]
    Stopping(#[from] tokio::task::JoinError),
    /// No key has this id.
    #[error("there is no key `{0}`")]
    Unknown(String),
}

/// A server's keys, cached; changes are written first.
#[derive(Debug)]
pub struct Keys {
    home: Home,
    issuer: String,
    /// KeyDocument while keys change, which takes a while, so that changes are serial.
    one_change: tokio::sync::Mutex<()>,
    /// KeyDocument while the store's keys are read or replaced, so that an older read never replaces a
    /// newer one.
    one_access: tokio::sync::Mutex<()>,
    document: Mutex<KeyDocument>,
    ring: ArcSwap<Ring>,
}

/// Where the keys live.
#[derive(Debug)]
enum Home {
    File(PathBuf),
    Store(Sealing),
}

/// The keys in their stored form.
struct KeyDocument {
    /// As the store has them; version 0 if they live in a file.
    stored: StoredKeys,
    file: KeyFile,
}

impl std::fmt::Debug for KeyDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Keys {
    /// Opens the keys in `directory`, creating both if missing.
    ///
    /// # Errors
    /// [`KeysError`]; a directory or file that others may read is refused.
    pub fn open(directory: &Path, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        file::prepare_directory(directory)?;
        let path = file::path_in(directory);
        let file = match KeyFile::read(&path)? {
            Some(file) => file,
            None => {
                let new = KeyFile::new(now)?;
                new.write(&path)?;
                new
            }
        };
        let stored = StoredKeys { version: 0, document: Vec::new() };
        Self::with_document(Home::File(path), issuer, KeyDocument { stored, file })
    }

    /// Opens the keys in the store, creating them if missing. They are sealed under the key in
    /// `directory`, which is created with them and must be the same on every node. Without a
    /// `directory` they are in the clear, which is for sandboxes only.
    ///
    /// # Errors
    /// [`KeysError`]; a directory or file that others may read is refused, and so is a `directory`
    /// without the store's key.
    pub async fn in_store(
        store: &Store,
        directory: Option<&Path>,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        let mut stored = store.keys().await?;
        let sealing = match directory {
            Some(directory) => Sealing::under(directory, stored.is_none())?,
            None => Sealing::InTheClear,
        };
        if stored.is_none() {
            let new = tokio::task::spawn_blocking(move || KeyFile::new(now)).await??;
            // If several nodes start at once, all use the keys of the first.
            store.swap_keys(0, sealing.seal(&new, issuer, 1)?).await?;
            stored = store.keys().await?;
        }
        let stored = stored.ok_or_else(gone)?;
        let file = sealing.open(&stored, issuer)?;
        Self::with_document(Home::Store(sealing), issuer, KeyDocument { stored, file })
    }

    fn with_document(home: Home, issuer: &str, document: KeyDocument) -> Result<Self, KeysError> {
        let ring = ArcSwap::from_pointee(Ring::new(&document.file, issuer)?);
        let (one_change, one_access) =
            (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self {
            home,
            issuer: issuer.to_owned(),
            one_change,
            one_access,
            document: Mutex::new(document),
            ring,
        })
    }

    /// Whether `directory` holds keys, or something prevents us from telling.
    pub fn are_at(directory: &Path) -> bool {
        file::path_in(directory).try_exists().unwrap_or(true)
    }

    /// Whether [`Keys::open`] would find keys in `directory`; if not, checks that it could create
    /// them. Creates nothing.
    ///
    /// # Errors
    /// [`KeysError`], as [`Keys::open`] would return.
    pub fn look(directory: &Path, issuer: &str, now: Timestamp) -> Result<bool, KeysError> {
        if Self::are_at(directory) {
            return Self::open(directory, issuer, now).map(|_| true);
        }
        file::could_be_made(directory).map(|()| false)
    }

    /// Whether [`Keys::in_store`] could open the store's keys with the key in `directory`; if there
    /// is none, checks that it could create one. Creates nothing.
    ///
    /// # Errors
    /// [`KeysError`], as [`Keys::in_store`] would return.
    pub fn look_in_store(
        stored: Option<&StoredKeys>,
        directory: &Path,
        issuer: &str,
    ) -> Result<(), KeysError> {
        let Some(stored) = stored else {
            return in_store::could_be_made(directory);
        };
        if !directory.exists() {
            let problem = "the directory is missing, and the keys in the store can't be read without the key in it".into();
            return Err(KeysError::File { path: directory.to_owned(), problem });
        }
        let file = Sealing::under(directory, false)?.open(stored, issuer)?;
        Ring::new(&file, issuer).map(drop)
    }

    /// The current keys.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Replaces every key. A new signing key of each algorithm is published now and signs from
    /// `signs_from` on; [`PUBLISHED_AHEAD`] leaves caches time to include it. A new slip key is
    /// used at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn rotate(
        &self,
        store: &Store,
        now: Timestamp,
        signs_from: Timestamp,
    ) -> Result<(), KeysError> {
        let rotate = move |file: &mut KeyFile| {
            for alg in Algorithm::ALL {
                file.signing.push(SigningEntry::new(alg, now, signs_from)?);
            }
            file.slip.push(SlipEntry::new(file.next_slip_key(), now));
            Ok(true)
        };
        self.change(store, rotate).await.map(drop)
    }

    /// Drops a compromised signing key: its signatures are refused from now on. If it was the
    /// current one, the key published ahead, which cached key sets already include, takes over at
    /// once and another is published ahead; if none is ahead, a new one is made.
    ///
    /// A slip key alone can't make a token, so a compromised one is refused only after
    /// [`COMPROMISED_SLIP_KEY_GOOD_FOR`]: [`Keys::retire`].
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn drop_compromised(
        &self,
        store: &Store,
        kid: &str,
        now: Timestamp,
    ) -> Result<(), KeysError> {
        if self.document().file.slip_key(kid).is_some() {
            return self.retire(store, kid, now, now.plus(COMPROMISED_SLIP_KEY_GOOD_FOR)).await;
        }
        let (kid, issuer) = (kid.to_owned(), self.issuer.clone());
        let replace = move |file: &mut KeyFile| {
            let ring = Ring::new(file, &issuer)?;
            if let Some(at) = file.signing.iter().position(|key| key.kid == kid) {
                let dropped = file.signing.remove(at);
                if ring.signing_key(dropped.alg, now).is_some_and(|key| key.kid == kid) {
                    if !file.promote(dropped.alg, now) {
                        file.signing.push(SigningEntry::new(dropped.alg, now, now)?);
                    }
                    file.signing.push(SigningEntry::new(
                        dropped.alg,
                        now,
                        now.plus(ROTATED_AFTER),
                    )?);
                }
            } else {
                return Err(KeysError::Unknown(kid.chars().take(64).collect()));
            }
            Ok(true)
        };
        self.change(store, replace).await.map(drop)
    }

    /// Retires a compromised slip key. Tokens made with it stay valid until `until`, each for one
    /// use as ever: the successor of a refresh token is made with another key, a new one if this
    /// was the current one. If `until` is not after `now`, they are refused at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn retire(
        &self,
        store: &Store,
        kid: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), KeysError> {
        let kid = kid.to_owned();
        let retire = move |file: &mut KeyFile| {
            let at = file
                .slip_key(&kid)
                .ok_or_else(|| KeysError::Unknown(kid.chars().take(64).collect()))?;
            if file.slip.iter().all(|key| key.id <= file.slip[at].id) {
                file.slip.push(SlipEntry::new(file.next_slip_key(), now));
            }
            if until > now {
                file.slip[at].good_until = Some(until);
            } else {
                file.slip.remove(at);
            }
            Ok(true)
        };
        self.change(store, retire).await.map(drop)
    }

    /// The slip key with this name, if any.
    pub fn slip_key(&self, kid: &str) -> Option<SlipKeyId> {
        let document = self.document();
        document.file.slip_key(kid).map(|at| SlipKeyId(document.file.slip[at].id))
    }

    /// Does what is due: replaces old keys and, if they `may_be_forgotten`, forgets unneeded ones.
    /// True if anything changed. Safe on several nodes at once: one of them makes the change.
    ///
    /// (S) A slip key is not forgotten by age alone, which depends on a clock: no grant that is
    /// not ended may need it.
    ///
    /// A key dated ahead by a wrong clock does not prevent a new one.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn keep_up(
        &self,
        store: &Store,
        now: Timestamp,
        id_token: Seconds,
        may_be_forgotten: bool,
    ) -> Result<bool, KeysError> {
        let old = may_be_forgotten && self.document().file.has_old(now, id_token);
        let in_use = if old { Some(store.slip_keys_in_use().await?) } else { None };
        let keep_up = move |file: &mut KeyFile| {
            let mut changed = false;
            let is_dated_right = |created_at: Timestamp| created_at.since(now) <= SKEW;
            for alg in Algorithm::ALL {
                let of_alg = file
                    .signing
                    .iter()
                    .filter(|key| key.alg == alg && is_dated_right(key.created_at));
                let newest = of_alg.map(|key| key.signs_from).max();
                // One is always published ahead, so that it can replace a compromised one.
                if newest.is_none_or(|from| from <= now) {
                    let signs_from = newest
                        .map_or(now, |from| from.plus(ROTATED_AFTER))
                        .max(now.plus(PUBLISHED_AHEAD));
                    file.signing.push(SigningEntry::new(alg, now, signs_from)?);
                    changed = true;
                }
            }
            let dated_right =
                file.slip.iter().map(|key| key.created_at).filter(|at| is_dated_right(*at));
            if dated_right.max().is_none_or(|newest| now.since(newest) >= ROTATED_AFTER) {
                file.slip.push(SlipEntry::new(file.next_slip_key(), now));
                changed = true;
            }
            Ok(in_use.as_ref().is_some_and(|in_use| file.forget(now, id_token, in_use)) || changed)
        };
        self.change(store, keep_up).await
    }

    /// Records which algorithms clients use, so that keys stay published while tokens they signed
    /// can be valid. Safe on several nodes at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn note_algorithms(
        &self,
        store: &Store,
        used: BTreeSet<Algorithm>,
        now: Timestamp,
        id_token: Seconds,
    ) -> Result<(), KeysError> {
        // Usually there is nothing to record, which takes no read of the keys. Nodes of version 1
        // could not read the record.
        let is_new = store.is_at_newest_level()
            && self.document().file.clone().note_algorithms(&used, now, id_token);
        if is_new {
            self.change(store, move |file: &mut KeyFile| {
                Ok(file.note_algorithms(&used, now, id_token))
            })
            .await?;
        }
        Ok(())
    }

    /// Redates keys that a wrong clock dated ahead of `now`; returns how many.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed, unless the store could not say.
    pub async fn repair_dates(&self, store: &Store, now: Timestamp) -> Result<usize, KeysError> {
        let ahead = self.document().file.dated_ahead(now);
        if ahead > 0 {
            self.change(store, move |file: &mut KeyFile| Ok(file.repair_dates(now))).await?;
        }
        Ok(ahead)
    }

    /// Reads the keys of a shared store again if another node has changed them.
    ///
    /// # Errors
    /// [`KeysError`]; the cached keys stay.
    pub async fn reload(&self, store: &Store) -> Result<(), KeysError> {
        let Home::Store(sealing) = &self.home else {
            return Ok(());
        };
        let _one = self.one_access.lock().await;
        let stored = store.keys().await?.ok_or_else(gone)?;
        // Compares the document too: a database that lost its last writes can reach the same
        // version twice.
        let is_current = |document: &KeyDocument| {
            document.stored.version == stored.version && document.stored.document == stored.document
        };
        if is_current(&self.document()) {
            return Ok(());
        }
        let file = sealing.open(&stored, &self.issuer)?;
        let ring = Ring::new(&file, &self.issuer)?;
        let before = self.document().stored.version;
        if stored.version <= before {
            let now = stored.version;
            tracing::error!(
                before,
                now,
                "ALARM: the keys in the store are older than they were: its last writes were lost"
            );
        }
        self.hold(KeyDocument { stored, file }, ring);
        Ok(())
    }

    /// Changes a copy of the newest keys, writes it, and only then uses it; starts over if another
    /// node was first.
    async fn change<C>(&self, store: &Store, change: C) -> Result<bool, KeysError>
    where
        C: Fn(&mut KeyFile) -> Result<bool, KeysError> + Clone + Send + 'static,
    {
        let _one = self.one_change.lock().await;
        loop {
            self.reload(store).await?;
            let (before, mut file) = {
                let document = self.document();
                (document.stored.version, document.file.clone())
            };
            let change = change.clone();
            // Making an RSA key takes a while.
            let (file, changed) = tokio::task::spawn_blocking(move || {
                change(&mut file).map(|changed| (file, changed))
            })
            .await??;
            if !changed {
                return Ok(false);
            }
            if self.replace(store, before, file).await? {
                return Ok(true);
            }
        }
    }

    /// Replaces version `before` of the keys with `file`. False if another node was first.
    async fn replace(&self, store: &Store, before: i64, file: KeyFile) -> Result<bool, KeysError> {
        let ring = Ring::new(&file, &self.issuer)?;
        let _one = self.one_access.lock().await;
        let stored = match &self.home {
            Home::File(path) => {
                file.write(path)?;
                StoredKeys { version: 0, document: Vec::new() }
            }
            Home::Store(sealing) => {
                let stored = StoredKeys {
                    version: before + 1,
                    document: sealing.seal(&file, &self.issuer, before + 1)?,
                };
                let swapped = store.swap_keys(before, stored.document.clone()).await?;
                // If the answer to our write was lost, the first may have been this very document.
                if !swapped
                    && store.keys().await?.is_none_or(|found| found.document != stored.document)
                {
                    return Ok(false);
                }
                stored
            }
        };
        self.hold(KeyDocument { stored, file }, ring);
        Ok(true)
    }

    fn hold(&self, document: KeyDocument, ring: Ring) {
        *self.document() = document;
        self.ring.store(Arc::new(ring));
    }

    fn document(&self) -> MutexGuard<'_, KeyDocument> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> KeysError {
    KeysError::InStore("they are gone; restore the database from a backup that holds them".into())
}

#[cfg(test)]
mod tests;
