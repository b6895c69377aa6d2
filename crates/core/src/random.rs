//! The one place that draws random bytes: from the operating system, through aws-lc.

use std::cell::RefCell;

use aws_lc_rs::rand;

/// How many bytes a thread draws at a time for [`unique`].
const DRAWN: usize = 1024;

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has no randomness: a token server can do nothing safely then.
#[allow(clippy::disallowed_methods, clippy::expect_used)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system must give random bytes");
    bytes
}

/// `N` random bytes for an id that must be unique but is no secret. They come from a buffer of the
/// thread, since drawing a few bytes costs as much as drawing many. A clone of a running virtual
/// machine repeats what is left in the buffer.
///
/// # Panics
/// As [`bytes`].
pub fn unique<const N: usize>() -> [u8; N] {
    thread_local! {
        /// Drawn bytes, and how many of them are used up.
        static BUFFER: RefCell<([u8; DRAWN], usize)> = const { RefCell::new(([0; DRAWN], DRAWN)) };
    }
    const { assert!(N <= DRAWN) };
    BUFFER.with_borrow_mut(|(drawn, used)| {
        if DRAWN - *used < N {
            (*drawn, *used) = (bytes(), 0);
        }
        let mut unique = [0; N];
        unique.copy_from_slice(&drawn[*used..*used + N]);
        *used += N;
        unique
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_drawn_twice() {
        let draw = || (0..3 * DRAWN / 24).map(|_| unique::<24>()).collect::<Vec<_>>();
        let others = std::thread::spawn(draw);
        let all: HashSet<_> = draw().into_iter().chain(others.join().unwrap()).collect();
        assert_eq!(all.len(), 2 * (3 * DRAWN / 24));
        // Nor is any part of it.
        let halves: HashSet<_> = all.iter().flat_map(|id| id.chunks(12)).collect();
        assert_eq!(halves.len(), 2 * all.len());
    }
}
