//! In which form a store is written, and who can read it: `meta.level` and `meta.oldest_reader`.
//!
//! A migration adds; it changes nothing that nodes of the version before read or write, and they go
//! on. What they could not read is written only from the level on that `counterfoil migrate
//! --finish` raises once they are gone. What was written before stays as it is, so all forms are
//! read for good.

use counterfoil_core::client::ClientSettings;
use counterfoil_core::grant::CodeBinding;

/// The form in which rows are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    /// What a code is bound to stands in the terms, and settings have every member: nodes of
    /// version 1 read it.
    One,
    /// What a code is bound to stands in a row of its own, and what goes without saying is left
    /// out.
    Two,
}

/// The newest level that this version writes.
pub(crate) const NEWEST_LEVEL: u32 = 2;
/// The oldest schema whose versions can read what this version writes at its newest level.
pub(crate) const OLDEST_READER: u32 = 2;

impl Level {
    /// The level of which a store says `level`. One from which on newer versions write other forms
    /// asks no more of this one.
    pub(crate) fn of(level: Option<&str>) -> Self {
        let level = level.and_then(|text| text.parse().ok()).unwrap_or(1);
        if level < NEWEST_LEVEL { Self::One } else { Self::Two }
    }

    /// The document that is stored of the settings of a client.
    pub(crate) fn document(self, settings: &ClientSettings) -> Result<String, serde_json::Error> {
        match self {
            Self::One => serde_json::to_string(settings),
            Self::Two => settings.to_document(),
        }
    }

    /// What stands in the row of the terms of what its code is bound to: `redirect_uri`,
    /// `challenge`, `nonce`.
    pub(crate) fn in_terms(self, code: &CodeBinding) -> (&str, Option<&[u8]>, Option<&str>) {
        match self {
            Self::One => (
                &code.redirect_uri,
                code.challenge.as_ref().map(|challenge| challenge.as_bytes().as_slice()),
                code.nonce.as_deref(),
            ),
            Self::Two => ("", None, None),
        }
    }
}

/// The oldest schema whose versions can read a store of schema `found`, which says `oldest_reader`.
pub(crate) fn oldest_reader(found: u32, oldest_reader: Option<&str>) -> u32 {
    oldest_reader.and_then(|text| text.parse().ok()).unwrap_or(found)
}
