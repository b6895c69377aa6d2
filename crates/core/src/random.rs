//! The one place that draws random bytes, from the operating system by way of aws-lc.

use aws_lc_rs::rand;

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing in a token server is safe to do then.
#[allow(clippy::disallowed_methods, clippy::expect_used)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system must give random bytes");
    bytes
}
