//! HMAC-SHA-256 over unambiguous lists of parts.

use std::fmt;

use aws_lc_rs::hmac;

/// Length of a MAC, in bytes.
pub const MAC_LENGTH: usize = 32;

/// A key for message authentication. It does not print.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

/// What a derived key is for. A key is derived for each, so that nothing made for one purpose is
/// good for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Telling a retry from a replay ([`Claim`](crate::claim::Claim)).
    Claims,
    /// The `sub` of a customer ([`subject`](crate::id_token::subject)).
    Subjects,
    /// Authorization requests, forms and sessions in the hands of a browser.
    Tickets,
}

impl Purpose {
    /// What the key is derived with. It never changes, or subjects would.
    const fn label(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::Subjects => "subjects",
            Self::Tickets => "tickets",
        }
    }
}

impl MacKey {
    /// A key from `bytes`, of which there should be 32.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The key for `purpose` that is derived from this one.
    pub fn derive(&self, purpose: Purpose) -> Self {
        Self::new(&self.mac(&[b"derive", purpose.label().as_bytes()]))
    }

    /// The MAC over `parts`, each preceded by its length, so that no two lists have the same.
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
    }

    /// Known answers: customers would get another `sub` if they changed.
    #[test]
    fn derived_keys_never_change() {
        let key = MacKey::new(&[7; 32]);
        for (purpose, start) in [
            (Purpose::Claims, [0x98, 0xe3, 0xd9, 0xa0]),
            (Purpose::Subjects, [0xf7, 0x79, 0x3e, 0x7d]),
            (Purpose::Tickets, [0xbc, 0x54, 0x6b, 0x38]),
        ] {
            assert_eq!(key.derive(purpose).mac(&[b"a"])[..4], start, "{purpose:?}");
        }
    }
}
