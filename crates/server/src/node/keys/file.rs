//! All keys in one JSON document, replaced as a whole so that no half-done rotation is visible; and
//! the file that holds it for a SQLite store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterfoil_core::client::LONGEST_GRANT_DAYS;
use counterfoil_core::clock::{DAY, HOUR, SKEW, Seconds, Timestamp};
use counterfoil_core::jws::{self, Algorithm, SigningKey};
use counterfoil_core::random;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::text_file;
use counterfoil_store::{create_directory, create_private};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{KeysError, PUBLISHED_AHEAD};

const NAME: &str = "keys.json";

/// A key's bytes: base64 on disk, wiped from memory.
#[derive(Clone)]
pub(super) struct KeyBytes(pub(super) Zeroizing<Vec<u8>>);

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for KeyBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for KeyBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        STANDARD
            .decode(text.as_bytes())
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .map_err(serde::de::Error::custom)
    }
}

/// Members of the document that a newer version wrote. Preserved, because a node of this version
/// may be the next to write it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Others(serde_json::Map<String, serde_json::Value>);

impl std::fmt::Debug for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SigningEntry {
    pub(super) kid: String,
    pub(super) alg: Algorithm,
    pub(super) created_at: Timestamp,
    pub(super) signs_from: Timestamp,
    pub(super) pkcs8: KeyBytes,
    #[serde(flatten)]
    pub(super) others: Others,
}

impl SigningEntry {
    pub(super) fn new(
        alg: Algorithm,
        created_at: Timestamp,
        signs_from: Timestamp,
    ) -> Result<Self, KeysError> {
        let pkcs8 = jws::generate(alg)?;
        let kid = SigningKey::from_pkcs8(alg, &pkcs8)?.kid;
        Ok(Self {
            kid,
            alg,
            created_at,
            signs_from,
            pkcs8: KeyBytes(pkcs8),
            others: Others::default(),
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SlipEntry {
    pub(super) id: u16,
    pub(super) created_at: Timestamp,
    pub(super) key: KeyBytes,
    /// If the key is compromised, until when tokens made with it stay valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) good_until: Option<Timestamp>,
    #[serde(flatten)]
    pub(super) others: Others,
}

impl SlipEntry {
    pub(super) fn new(id: u16, created_at: Timestamp) -> Self {
        let key = KeyBytes(Zeroizing::new(random::bytes::<32>().to_vec()));
        Self { id, created_at, key, good_until: None, others: Others::default() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyFile {
    pub(super) pepper: KeyBytes,
    pub(super) signing: Vec<SigningEntry>,
    pub(super) slip: Vec<SlipEntry>,
    /// The algorithms that clients use or recently used, and since when none does. Empty until
    /// first recorded; then all are published.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) algorithms: BTreeMap<Algorithm, Option<Timestamp>>,
    #[serde(flatten)]
    pub(super) others: Others,
}

impl KeyFile {
    /// The keys of a new server. Making RSA keys takes a while.
    pub(super) fn new(now: Timestamp) -> Result<Self, KeysError> {
        let pepper = KeyBytes(Zeroizing::new(random::bytes::<32>().to_vec()));
        let signing = Algorithm::ALL
            .into_iter()
            .map(|alg| SigningEntry::new(alg, now, now))
            .collect::<Result<_, _>>()?;
        let algorithms = BTreeMap::from([(Algorithm::Rs256, None)]);
        Ok(Self {
            pepper,
            signing,
            slip: vec![SlipEntry::new(1, now)],
            algorithms,
            others: Others::default(),
        })
    }

    /// A number that no slip key has had.
    pub(super) fn next_slip_key(&self) -> u16 {
        self.slip.iter().map(|key| key.id).max().unwrap_or(0).saturating_add(1)
    }

    /// When `key`'s successor began to sign, and `key` stopped.
    pub(super) fn superseded_at(&self, key: &SigningEntry) -> Option<Timestamp> {
        // Of two that sign from the same second, the one made later, which comes later in the list.
        let order = |key: &SigningEntry| {
            (key.signs_from, self.signing.iter().position(|other| other.kid == key.kid))
        };
        let later = |other: &&SigningEntry| other.alg == key.alg && order(other) > order(key);
        self.signing.iter().filter(later).map(|other| other.signs_from).min()
    }

    /// Whether any keys are old enough to be forgotten.
    pub(super) fn has_old(&self, now: Timestamp, id_token: Seconds) -> bool {
        self.clone().forget(now, id_token, &BTreeSet::new())
    }

    /// Forgets the keys that no token of a living grant can need; true if there were any. `in_use`
    /// are the slip keys of grants not ended.
    pub(super) fn forget(
        &mut self,
        now: Timestamp,
        id_token: Seconds,
        in_use: &BTreeSet<SlipKeyId>,
    ) -> bool {
        let kept_for = i64::from(LONGEST_GRANT_DAYS) * DAY + id_token + HOUR;
        let over =
            |since: Option<Timestamp>| since.is_some_and(|since| now.since(since) > kept_for);
        let (signing, slip) = (self.signing.len(), self.slip.len());
        let old: Vec<String> = self
            .signing
            .iter()
            .filter(|key| over(self.superseded_at(key)))
            .map(|key| key.kid.clone())
            .collect();
        self.signing.retain(|key| !old.contains(&key.kid));
        let created: Vec<(u16, Timestamp)> =
            self.slip.iter().map(|key| (key.id, key.created_at)).collect();
        let superseded_at = |key: &SlipEntry| {
            created.iter().filter(|(id, _)| *id > key.id).map(|(_, at)| *at).min()
        };
        let is_refused = |key: &SlipEntry| key.good_until.is_some_and(|until| now >= until);
        self.slip.retain(|key| {
            !is_refused(key) && (in_use.contains(&SlipKeyId(key.id)) || !over(superseded_at(key)))
        });
        (signing, slip) != (self.signing.len(), self.slip.len())
    }

    /// Records which algorithms clients use; true if that changed. Tokens signed so far must verify
    /// until the last has expired.
    pub(super) fn note_algorithms(
        &mut self,
        used: &BTreeSet<Algorithm>,
        now: Timestamp,
        id_token: Seconds,
    ) -> bool {
        let before = self.algorithms.clone();
        if self.algorithms.is_empty() {
            self.algorithms = Algorithm::ALL.into_iter().map(|alg| (alg, Some(now))).collect();
        }
        for (alg, unused_since) in &mut self.algorithms {
            if !used.contains(alg) {
                unused_since.get_or_insert(now);
            }
        }
        // The default is published regardless of clients.
        self.algorithms.extend(used.iter().chain([&Algorithm::Rs256]).map(|alg| (*alg, None)));
        self.algorithms.retain(|_, unused_since| is_published(*unused_since, now, id_token));
        self.algorithms != before
    }

    /// The index of the slip key with this name.
    pub(super) fn slip_key(&self, kid: &str) -> Option<usize> {
        self.slip.iter().position(|key| SlipKeyId(key.id).to_string() == kid)
    }

    /// Makes the `alg` key that has been published ahead longest sign from `now` on; false if there
    /// is none.
    pub(super) fn promote(&mut self, alg: Algorithm, now: Timestamp) -> bool {
        let ahead = self
            .signing
            .iter_mut()
            .filter(|key| key.alg == alg && key.created_at <= now && key.signs_from > now);
        match ahead.min_by_key(|key| key.created_at) {
            Some(key) => {
                key.signs_from = now;
                true
            }
            None => false,
        }
    }

    /// How many keys are dated in the future, by a wrong clock.
    pub(super) fn dated_ahead(&self, now: Timestamp) -> usize {
        let dates = self
            .signing
            .iter()
            .map(|key| key.created_at)
            .chain(self.slip.iter().map(|key| key.created_at));
        dates.filter(|created_at| created_at.since(now) > SKEW).count()
    }

    /// Corrects those dates; true if there were any.
    pub(super) fn repair_dates(&mut self, now: Timestamp) -> bool {
        let before = self.dated_ahead(now);
        for key in self.signing.iter_mut().filter(|key| key.created_at.since(now) > SKEW) {
            let ahead = key.signs_from.since(key.created_at);
            (key.created_at, key.signs_from) = (now, now.plus(ahead));
        }
        for key in self.slip.iter_mut().filter(|key| key.created_at.since(now) > SKEW) {
            key.created_at = now;
        }
        before > 0
    }

    /// The document as JSON.
    ///
    /// # Errors
    /// It can't be serialised, which none of our values causes.
    pub(super) fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        serde_json::to_vec_pretty(self).map(Zeroizing::new).map_err(|e| e.to_string())
    }

    /// Reads the document.
    ///
    /// # Errors
    /// What is wrong with it: line and column, never the text.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(text_file::without_mark(json)).map_err(|e| {
            format!(
                "it is not readable at line {}, column {}; restore it from a backup",
                e.line(),
                e.column()
            )
        })?;
        if file.slip.is_empty() || file.pepper.0.len() < 32 {
            return Err("it holds no slip key or no pepper; restore it from a backup".into());
        }
        Ok(file)
    }

    /// Reads the file; `None` if it does not exist yet.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, KeysError> {
        let Some(json) = read_private(path)? else {
            return Ok(None);
        };
        Self::from_json(&json)
            .map(Some)
            .map_err(|problem| KeysError::File { path: path.to_owned(), problem })
    }

    /// Writes a new file and renames it over the old one, so that a crash leaves one or the other.
    pub(super) fn write(&self, path: &Path) -> Result<(), KeysError> {
        let failed = |problem: String| KeysError::File { path: path.to_owned(), problem };
        let json = self.to_json().map_err(failed)?;
        let new = path.with_extension("new");
        remove(&new)
            .and_then(|()| write_private(&new, &json))
            .and_then(|()| std::fs::rename(&new, path))
            .and_then(|()| sync_directory_of(path))
            .map_err(|e| failed(e.to_string()))
    }
}

/// Whether keys of an algorithm are published that no client has used since `unused_since`.
pub(super) fn is_published(
    unused_since: Option<Timestamp>,
    now: Timestamp,
    id_token: Seconds,
) -> bool {
    unused_since.is_none_or(|since| now < since.plus(id_token + PUBLISHED_AHEAD))
}

/// The content of a file that only its owner may read; `None` if it does not exist.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            check_mode(path, 0o600).map(|()| Some(bytes))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(KeysError::File { path: path.to_owned(), problem: e.to_string() }),
    }
}

/// Removes what a crash may have left behind.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes and syncs a new file that only its owner may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all())
}

/// Syncs the directory that holds `path`.
pub(super) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all())
}

/// Creates the keys' directory, or checks that others can't read it.
pub(super) fn prepare_directory(directory: &Path) -> Result<(), KeysError> {
    match create_directory(directory, 0o700) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => check_mode(directory, 0o700),
        Err(e) => Err(KeysError::File {
            path: directory.to_owned(),
            problem: format!("the directory can't be made: {e}"),
        }),
    }
}

/// Checks that keys, and `directory` itself if missing, could be created.
pub(super) fn could_be_made(directory: &Path) -> Result<(), KeysError> {
    let is_there = directory.exists();
    if is_there {
        check_mode(directory, 0o700)?;
    }
    let parent = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let to_be_written = if is_there { directory } else { parent };
    accessat(CWD, to_be_written, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(
        |e| KeysError::File {
            path: directory.to_owned(),
            problem: format!("no keys can be made: {}: {e}", to_be_written.display()),
        },
    )
}

/// The key file in `directory`.
pub(super) fn path_in(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

fn check_mode(path: &Path, allowed: u32) -> Result<(), KeysError> {
    let failed = |problem: String| KeysError::File { path: path.to_owned(), problem };
    let mode =
        std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.permissions().mode() & 0o777;
    if mode & !allowed == 0 {
        Ok(())
    } else {
        Err(failed(format!(
            "its mode is {mode:03o}, but others must not see keys: chmod {allowed:o} it"
        )))
    }
}
