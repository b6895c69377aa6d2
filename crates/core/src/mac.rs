//! HMAC-SHA-256 over unambiguous lists of parts.

use std::fmt;

use aws_lc_rs::hmac;

/// Length of a MAC, in bytes.
pub const MAC_LENGTH: usize = 32;

/// A key for message authentication. It does not print.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// A key made of `bytes`, of which there should be 32.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A key for one purpose alone, derived from this one.
    pub fn derive(&self, purpose: &str) -> Self {
        Self::new(&self.mac(&[b"derive", purpose.as_bytes()]))
    }

    /// The MAC over `parts`, each preceded by its length, so that no two lists of parts share one.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; MAC_LENGTH];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let key = MacKey::new(&[7; 32]);
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        assert_ne!(key.mac(&[b"a"]), key.derive("a").mac(&[b"a"]));
    }
}
