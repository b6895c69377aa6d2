//! Encryption of secrets that are stored where others can read: AES-256-GCM (NIST SP 800-38D).
//!
//! A sealed text is bound to a context that is not part of it; it opens only where the same context
//! is given.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::random;

/// Length of a key, in bytes.
pub const KEY_LENGTH: usize = 32;

/// An encryption key. It does not print.
pub struct SealingKey(LessSafeKey);

/// Sealing or opening failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The key does not have [`KEY_LENGTH`] bytes.
    #[error("it is not a key of {KEY_LENGTH} bytes")]
    NotAKey,
    /// Another key or context sealed it, or it was changed.
    #[error("it was sealed with another key or for something else, or is damaged")]
    NotOpened,
    /// The library refuses, as it does for more than 64 GiB.
    #[error("it could not be sealed")]
    NotSealed,
}

impl SealingKey {
    /// A key from random `bytes`.
    ///
    /// # Errors
    /// [`SealError::NotAKey`].
    pub fn new(bytes: &[u8]) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, bytes)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| SealError::NotAKey)
    }

    /// Seals `plain` for `context`, as nonce, ciphertext and tag. The nonce is random, so a key is
    /// good for some billions of texts (SP 800-38D section 8.3).
    ///
    /// # Errors
    /// [`SealError::NotSealed`].
    pub fn seal(&self, plain: &[u8], context: &[&[u8]]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random::bytes();
        // Allocated at once: growing would leave copies of the text in memory.
        let mut sealed =
            Zeroizing::new(Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(joined(context)));
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, aad, &mut sealed[NONCE_LEN..])
            .map_err(|_| SealError::NotSealed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *sealed))
    }

    /// Opens what was sealed for `context`.
    ///
    /// # Errors
    /// [`SealError::NotOpened`].
    pub fn open(&self, sealed: &[u8], context: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, text) = sealed.split_first_chunk().ok_or(SealError::NotOpened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(joined(context)), &mut text)
            .map_err(|_| SealError::NotOpened)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The parts of a context, each preceded by its length, so that no two contexts are encoded alike.
fn joined(context: &[&[u8]]) -> Vec<u8> {
    context
        .iter()
        .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::new(&[byte; KEY_LENGTH]).unwrap()
    }

    #[test]
    fn it_opens_for_the_same_key_and_context_alone() {
        let sealed = key(1).seal(b"a secret", &[b"ab", b"c"]).unwrap();
        assert_eq!(key(1).open(&sealed, &[b"ab", b"c"]).unwrap().as_slice(), b"a secret");
        assert_eq!(key(2).open(&sealed, &[b"ab", b"c"]).unwrap_err(), SealError::NotOpened);
        assert_eq!(key(1).open(&sealed, &[b"a", b"bc"]).unwrap_err(), SealError::NotOpened);
        assert_eq!(key(1).open(&sealed, &[b"ab"]).unwrap_err(), SealError::NotOpened);
    }

    #[test]
    fn no_bit_of_it_may_change_and_none_may_be_missing() {
        let sealed = key(1).seal(b"a secret", &[]).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).open(&other, &[]).unwrap_err(), SealError::NotOpened, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(
                key(1).open(&sealed[..length], &[]).unwrap_err(),
                SealError::NotOpened,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        assert_ne!(key(1).seal(b"a secret", &[]).unwrap(), key(1).seal(b"a secret", &[]).unwrap());
        assert!(SealingKey::new(&[1; 31]).is_err());
        assert_eq!(format!("{:?}", key(1)), "[redacted]");
    }
}
