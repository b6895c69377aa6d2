//! The keys of a server: signing keys, slip keys and the pepper, in a directory apart from a SQLite
//! store, or in the store that nodes share.
//!
//! A signing key is *published* from its making, *signs* from a moment on that every cache of the
//! key set has seen it by, is *published still* until the last ID token that it signed has expired,
//! is *kept* for `/revoke` until the longest grant has ended, and is then forgotten. Which of these
//! it is follows from its dates and `now` alone, so the sandbox's clock moves keys too.

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

/// Seconds for which clients may keep a copy of the key set (`Cache-Control: max-age` of `/jwks`).
pub const KEY_SET_MAX_AGE: Seconds = 15 * 60;
/// Seconds from the making of a signing key to its first use: four times as long as a copy of the
/// key set is kept.
pub const PUBLISHED_AHEAD: Seconds = HOUR;
/// Seconds after which a key is replaced without anyone's help.
pub const ROTATED_AFTER: Seconds = 90 * DAY;

/// Seconds for which tokens stay good that were made with a slip key which others may have, unless
/// the operator says otherwise: as long as a refresh token by default.
pub const COMPROMISED_SLIP_KEY_GOOD_FOR: Seconds = 90 * DAY;

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
    /// There is no key of that id.
    #[error("there is no key `{0}`")]
    Unknown(String),
}

/// The keys of a server, read once and then kept; changes are written first.
#[derive(Debug)]
pub struct Keys {
    home: Home,
    issuer: String,
    /// Held while keys are changed, which takes a while: one change after the other.
    one_change: tokio::sync::Mutex<()>,
    /// Held while the store's keys are read or replaced, so that what was read earlier never takes
    /// the place of what was read later.
    one_access: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
    ring: ArcSwap<Ring>,
}

/// Where the keys are kept.
#[derive(Debug)]
enum Home {
    File(PathBuf),
    Store(Sealing),
}

/// The keys as they are kept.
struct Held {
    /// As the store keeps them; version 0 where a file does.
    stored: StoredKeys,
    file: KeyFile,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Keys {
    /// Opens the keys in `directory`, making directory and keys where there are none.
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
        Self::held_in(Home::File(path), issuer, Held { stored, file })
    }

    /// Opens the keys in the store, making them where there are none. They are sealed under the key
    /// in `directory`, which must be the same at every node and is made with them; in the clear
    /// where there is no `directory`, which is for sandboxes alone.
    ///
    /// # Errors
    /// [`KeysError`]; a directory or file that others may read is refused, and a `directory`
    /// without the key of the store.
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
            // Of nodes that start at once, all go on with the keys of the first.
            store.swap_keys(0, sealing.seal(&new, issuer, 1)?).await?;
            stored = store.keys().await?;
        }
        let stored = stored.ok_or_else(gone)?;
        let file = sealing.open(&stored, issuer)?;
        Self::held_in(Home::Store(sealing), issuer, Held { stored, file })
    }

    fn held_in(home: Home, issuer: &str, held: Held) -> Result<Self, KeysError> {
        let ring = ArcSwap::from_pointee(Ring::new(&held.file, issuer)?);
        let (one_change, one_access) =
            (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self {
            home,
            issuer: issuer.to_owned(),
            one_change,
            one_access,
            held: Mutex::new(held),
            ring,
        })
    }

    /// Whether there are keys in `directory`, or something that hinders us from seeing whether
    /// there are.
    pub fn are_at(directory: &Path) -> bool {
        file::path_in(directory).try_exists().unwrap_or(true)
    }

    /// Whether [`Keys::open`] would find keys in `directory`; where it would make some, whether it
    /// could. Makes nothing.
    ///
    /// # Errors
    /// [`KeysError`], as [`Keys::open`] would give it.
    pub fn look(directory: &Path, issuer: &str, now: Timestamp) -> Result<bool, KeysError> {
        if Self::are_at(directory) {
            return Self::open(directory, issuer, now).map(|_| true);
        }
        file::could_be_made(directory).map(|()| false)
    }

    /// Whether [`Keys::in_store`] could use what the store holds, with the key in `directory`;
    /// where it would make one, whether it could. Makes nothing.
    ///
    /// # Errors
    /// [`KeysError`], as [`Keys::in_store`] would give it.
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

    /// The keys as they are now.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Replaces every key: a new signing key of each algorithm is published now and signs from
    /// `signs_from` on, which leaves caches the time to see it where that is [`PUBLISHED_AHEAD`]; a
    /// new slip key is used at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
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

    /// Drops a signing key that others may have: what it signed is refused from now on. Where it
    /// signed new tokens, the key that is published ahead takes its place at once, which copies of
    /// the key set have already, and another is published ahead; where there is none ahead, a new
    /// one.
    ///
    /// A slip key alone makes no token, so one that others may have is refused from
    /// [`COMPROMISED_SLIP_KEY_GOOD_FOR`] on: [`Keys::retire`].
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
    pub async fn drop_compromised(
        &self,
        store: &Store,
        kid: &str,
        now: Timestamp,
    ) -> Result<(), KeysError> {
        if self.held().file.slip_key(kid).is_some() {
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

    /// Retires a slip key that others may have. Tokens that were made with it are good until
    /// `until`, each once as ever: what a refresh token is redeemed for is made with another key, a
    /// new one where new tokens were made with this. Where `until` is not after `now`, they are
    /// refused at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
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

    /// The slip key that is called so, if there is one.
    pub fn slip_key(&self, kid: &str) -> Option<SlipKeyId> {
        let held = self.held();
        held.file.slip_key(kid).map(|at| SlipKeyId(held.file.slip[at].id))
    }

    /// Does what the dates ask for: replaces keys that are old and, where they `may_be_forgotten`,
    /// forgets those that nothing needs. True where anything changed. Nodes may do so at once: one
    /// of them changes something.
    ///
    /// (S) A slip key is not forgotten for its age alone, which is a clock's word: no grant that
    /// nobody ended may need it.
    ///
    /// A key that is dated ahead, by a clock that was wrong, is no reason to make none.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
    pub async fn keep_up(
        &self,
        store: &Store,
        now: Timestamp,
        id_token: Seconds,
        may_be_forgotten: bool,
    ) -> Result<bool, KeysError> {
        let old = may_be_forgotten && self.held().file.has_old(now, id_token);
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
                // One is always published ahead, so that it can take the place of one that others
                // may have.
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

    /// Notes which algorithms clients use, so that keys are published as long as tokens can be good
    /// that they signed. Nodes may do so at once.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
    pub async fn note_algorithms(
        &self,
        store: &Store,
        used: BTreeSet<Algorithm>,
        now: Timestamp,
        id_token: Seconds,
    ) -> Result<(), KeysError> {
        // Most often there is nothing to note, which is found without reading the keys anew. Nodes
        // of version 1 would not read what is noted.
        let is_new = store.is_at_newest_level()
            && self.held().file.clone().note_algorithms(&used, now, id_token);
        if is_new {
            self.change(store, move |file: &mut KeyFile| {
                Ok(file.note_algorithms(&used, now, id_token))
            })
            .await?;
        }
        Ok(())
    }

    /// Gives keys that a wrong clock has dated ahead of `now` the dates that they would have had;
    /// gives how many.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is changed then, unless the store could not say whether it was.
    pub async fn repair_dates(&self, store: &Store, now: Timestamp) -> Result<usize, KeysError> {
        let ahead = self.held().file.dated_ahead(now);
        if ahead > 0 {
            self.change(store, move |file: &mut KeyFile| Ok(file.repair_dates(now))).await?;
        }
        Ok(ahead)
    }

    /// Reads the keys of a shared store anew, where another node has changed them.
    ///
    /// # Errors
    /// [`KeysError`]; the keys stay as they were.
    pub async fn reload(&self, store: &Store) -> Result<(), KeysError> {
        let Home::Store(sealing) = &self.home else {
            return Ok(());
        };
        let _one = self.one_access.lock().await;
        let stored = store.keys().await?.ok_or_else(gone)?;
        // By the document too: a database that lost its last writes comes to the same version a
        // second time.
        let is_held = |held: &Held| {
            held.stored.version == stored.version && held.stored.document == stored.document
        };
        if is_held(&self.held()) {
            return Ok(());
        }
        let file = sealing.open(&stored, &self.issuer)?;
        let ring = Ring::new(&file, &self.issuer)?;
        let before = self.held().stored.version;
        if stored.version <= before {
            let now = stored.version;
            tracing::error!(
                before,
                now,
                "ALARM: the keys in the store are older than they were: its last writes were lost"
            );
        }
        self.hold(Held { stored, file }, ring);
        Ok(())
    }

    /// Changes a copy of the newest keys, writes it, and only then uses it; and again from the
    /// start where another node came first.
    async fn change<C>(&self, store: &Store, change: C) -> Result<bool, KeysError>
    where
        C: Fn(&mut KeyFile) -> Result<bool, KeysError> + Clone + Send + 'static,
    {
        let _one = self.one_change.lock().await;
        loop {
            self.reload(store).await?;
            let (before, mut file) = {
                let held = self.held();
                (held.stored.version, held.file.clone())
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

    /// Puts `file` in the place of the `before`-th keys. False where another node came first.
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
                // Where the answer to the write was lost, what came first may be this very
                // document.
                if !swapped
                    && store.keys().await?.is_none_or(|found| found.document != stored.document)
                {
                    return Ok(false);
                }
                stored
            }
        };
        self.hold(Held { stored, file }, ring);
        Ok(true)
    }

    fn hold(&self, held: Held, ring: Ring) {
        *self.held() = held;
        self.ring.store(Arc::new(ring));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> KeysError {
    KeysError::InStore("they are gone; restore the database from a backup that holds them".into())
}

#[cfg(test)]
mod tests;
