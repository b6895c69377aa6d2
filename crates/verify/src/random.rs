//! Random values for requests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An unguessable text: 256 bits, of characters that are safe anywhere.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// Unguessable bytes.
#[allow(clippy::disallowed_methods)] // The one place: what is certified is another program, and core's random is part of it.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // aws-lc aborts if it has no randomness; and a guessable state would do no harm here.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}
