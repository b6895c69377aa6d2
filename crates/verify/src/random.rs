//! What nobody guesses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A text that nobody guesses: 256 bits, of characters that are safe anywhere.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// Bytes that nobody guesses.
#[allow(clippy::disallowed_methods)] // The one place: what is certified is another program, and core's random is part of it.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // aws-lc aborts rather than give no randomness; were it otherwise, a guessable state would be
    // caught by nobody but harm nobody here.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}
