//! Tokens that are kept for a day: what a run without a sandbox's clock shows a server an expired
//! ID token with.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// An ID token and the refresh token of its grant, kept from an earlier run.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenFile {
    /// The ID token.
    pub id_token: String,
    /// The refresh token that was current with it.
    pub refresh_token: String,
}

impl TokenFile {
    /// Reads a file that an earlier run kept.
    ///
    /// # Errors
    /// Where it can't be read or is not such a file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let content = std::fs::read(path)?;
        // An editor may have put a byte order mark in front.
        let json = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
        serde_json::from_slice(json)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes the file, for its owner's eyes alone; an earlier one is replaced in one go.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    }
}
