//! The keys, ready for use.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::jws::{Algorithm, Compact, SigningKey};
use counterfoil_core::mac::{MacKey, Purpose};
use counterfoil_core::slip_keys::{SlipKeyId, SlipKeys};
use serde::Serialize;

use super::file::{KeyFile, is_published};
use super::{KeysError, PUBLISHED_AHEAD, VerifiedTokens};

/// Every key that is not forgotten.
#[derive(Debug)]
pub struct Ring {
    /// The keys that authenticate slips and access tokens.
    pub slips: SlipKeys,
    /// The key that client secrets are digested under, and from which keys for other purposes are
    /// derived.
    pub pepper: MacKey,
    /// The key for claims.
    pub claims: MacKey,
    /// The key for subjects; never changes, so neither does a `sub`.
    pub subjects: MacKey,
    /// The key that authenticates unfinished authorizations and forms.
    pub tickets: MacKey,
    /// Tokens recently verified with these keys.
    pub verified: VerifiedTokens,
    signing: Vec<RingKey>,
    slip_dates: Vec<(SlipKeyId, Timestamp)>,
    /// Compromised slip keys, and until when tokens made with them stay valid.
    retired: Vec<(SlipKeyId, Timestamp)>,
    /// As in [`KeyFile`].
    algorithms: BTreeMap<Algorithm, Option<Timestamp>>,
}

#[derive(Debug)]
struct RingKey {
    key: SigningKey,
    created_at: Timestamp,
    signs_from: Timestamp,
    superseded_at: Option<Timestamp>,
}

/// What a key is used for at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published for caches; will sign later.
    Ahead,
    /// Makes new tokens.
    Current,
    /// Still published: tokens it signed are valid. A slip key in this state is compromised, and
    /// tokens made with it stay valid for a while.
    Retiring,
    /// Not published; recognises old tokens at `/revoke`.
    Kept,
}

/// A key, as listed for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub kid: String,
    /// `RS256` and the like, or `slip`.
    pub alg: String,
    /// Its current use.
    pub state: KeyState,
    /// When it was made and published.
    pub created_at: String,
    /// When it starts to sign.
    pub signs_from: String,
    /// If it is a compromised slip key, until when tokens made with it stay valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_until: Option<String>,
}

impl Ring {
    pub(super) fn new(file: &KeyFile, issuer: &str) -> Result<Self, KeysError> {
        let mut signing = file
            .signing
            .iter()
            .map(|entry| {
                let (created_at, signs_from) = (entry.created_at, entry.signs_from);
                let key = SigningKey::from_pkcs8(entry.alg, &entry.pkcs8.0)?;
                Ok(RingKey {
                    key,
                    created_at,
                    signs_from,
                    superseded_at: file.superseded_at(entry),
                })
            })
            .collect::<Result<Vec<_>, KeysError>>()?;
        // Newest first; of two that sign from the same second, the one made later.
        signing.reverse();
        signing.sort_by_key(|dated| std::cmp::Reverse(dated.signs_from));
        let slip_keys = file
            .slip
            .iter()
            .map(|entry| (SlipKeyId(entry.id), MacKey::new(&entry.key.0)))
            .collect();
        let slip_dates: Vec<_> =
            file.slip.iter().map(|entry| (SlipKeyId(entry.id), entry.created_at)).collect();
        let current = slip_dates.iter().map(|(id, _)| *id).max().unwrap_or(SlipKeyId(0));
        let retired = file
            .slip
            .iter()
            .filter_map(|entry| Some((SlipKeyId(entry.id), entry.good_until?)))
            .collect();
        let pepper = MacKey::new(&file.pepper.0);
        Ok(Self {
            slips: SlipKeys::new(issuer.to_owned(), current, slip_keys),
            claims: pepper.derive(Purpose::Claims),
            tickets: pepper.derive(Purpose::Tickets),
            subjects: pepper.derive(Purpose::Subjects),
            pepper,
            verified: VerifiedTokens::default(),
            signing,
            slip_dates,
            retired,
            algorithms: file.algorithms.clone(),
        })
    }

    /// The key that signs with `alg` at `now`: the newest that has started. If the clock is before
    /// all of them, the oldest.
    pub fn signing_key(&self, alg: Algorithm, now: Timestamp) -> Option<&SigningKey> {
        let mut of_alg = self.signing.iter().filter(|dated| dated.key.alg == alg);
        let current =
            of_alg.clone().find(|dated| dated.signs_from <= now).or_else(|| of_alg.next_back());
        current.map(|dated| &dated.key)
    }

    /// (S) Whether tokens made with this slip key are refused at `now`: it is compromised, and its
    /// grace period is over.
    pub fn refuses(&self, key: SlipKeyId, now: Timestamp) -> bool {
        self.retired.iter().any(|(retired, until)| *retired == key && now >= *until)
    }

    /// Whether keys of an algorithm are published. `used` are the algorithms that clients use now;
    /// those recently used and the default are published too.
    pub fn publishes(
        &self,
        alg: Algorithm,
        used: &BTreeSet<Algorithm>,
        now: Timestamp,
        id_token: Seconds,
    ) -> bool {
        let lately = || {
            self.algorithms.get(&alg).map_or(self.algorithms.is_empty(), |unused_since| {
                is_published(*unused_since, now, id_token)
            })
        };
        alg == Algorithm::Rs256 || used.contains(&alg) || lately()
    }

    /// The public keys at `now`, where clients use the algorithms `used`. Libraries that pick the
    /// first key expect RSA, and the key that signs.
    pub fn published(
        &self,
        used: &BTreeSet<Algorithm>,
        now: Timestamp,
        id_token: Seconds,
    ) -> impl Iterator<Item = &SigningKey> {
        let mut published: Vec<_> =
            self.signing.iter().map(|dated| (dated.state(now, id_token), &dated.key)).collect();
        published.retain(|(state, key)| {
            *state != KeyState::Kept && self.publishes(key.alg, used, now, id_token)
        });
        published.sort_by_key(|(state, key)| {
            (place(key.alg), *state != KeyState::Current, *state == KeyState::Ahead)
        });
        published.into_iter().map(|(_, key)| key)
    }

    /// Whether a token names a known key.
    pub fn is_named_by(&self, token: &Compact<'_>) -> bool {
        self.signing.iter().any(|dated| dated.key.is_named_by(token))
    }

    /// The payload of a token, if a known key signed it.
    pub fn verify(&self, token: &Compact<'_>) -> Option<Vec<u8>> {
        self.signing.iter().find_map(|dated| dated.key.verify(token))
    }

    fn retired_until(&self, key: SlipKeyId) -> Option<Timestamp> {
        self.retired.iter().find(|(retired, _)| *retired == key).map(|(_, until)| *until)
    }

    /// Every key, for the operator.
    pub fn list(&self, now: Timestamp, id_token: Seconds) -> Vec<KeyInfo> {
        let signing = self.signing.iter().map(|dated| KeyInfo {
            kid: dated.key.kid.clone(),
            alg: dated.key.alg.to_string(),
            state: dated.state(now, id_token),
            created_at: dated.created_at.to_string(),
            signs_from: dated.signs_from.to_string(),
            good_until: None,
        });
        let slip = self.slip_dates.iter().rev().map(|(id, created_at)| KeyInfo {
            kid: id.to_string(),
            alg: "slip".into(),
            state: match self.retired_until(*id) {
                Some(_) => KeyState::Retiring,
                None if *id == self.slips.current() => KeyState::Current,
                None => KeyState::Kept,
            },
            created_at: created_at.to_string(),
            signs_from: created_at.to_string(),
            good_until: self.retired_until(*id).map(|until| until.to_string()),
        });
        signing.chain(slip).collect()
    }
}

/// The position of an algorithm's keys in the key set: the default first, RSA before others.
fn place(alg: Algorithm) -> u8 {
    match alg {
        Algorithm::Rs256 => 0,
        Algorithm::Ps256 => 1,
        Algorithm::Es256 => 2,
        Algorithm::EdDsa => 3,
    }
}

impl RingKey {
    fn state(&self, now: Timestamp, id_token: Seconds) -> KeyState {
        match self.superseded_at {
            Some(at) if now >= at.plus(id_token + PUBLISHED_AHEAD) => KeyState::Kept,
            Some(at) if now >= at => KeyState::Retiring,
            _ if now < self.signs_from => KeyState::Ahead,
            _ => KeyState::Current,
        }
    }
}
