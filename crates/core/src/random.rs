//! The one place that draws random bytes, from the operating system by way of aws-lc.

use std::cell::RefCell;

use aws_lc_rs::rand;

/// Bytes that a thread draws at once for [`unique`].
const DRAWN: usize = 1024;

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing in a token server is safe to do
/// then.
#[allow(clippy::disallowed_methods, clippy::expect_used)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system must give random bytes");
    bytes
}

/// `N` random bytes for an id that must be unlike all others and is no secret. They come from a
/// stock of the thread's, since drawing a few bytes costs as much as drawing many. A copy of a
/// running process, as of a virtual machine, gives what is in stock out again.
///
/// # Panics
/// As [`bytes`].
pub fn unique<const N: usize>() -> [u8; N] {
    thread_local! {
        /// Bytes that were drawn, and how many of them were given out.
        static STOCK: RefCell<([u8; DRAWN], usize)> = const { RefCell::new(([0; DRAWN], DRAWN)) };
    }
    const { assert!(N <= DRAWN) };
    STOCK.with_borrow_mut(|(drawn, given)| {
        if DRAWN - *given < N {
            (*drawn, *given) = (bytes(), 0);
        }
        let mut unique = [0; N];
        unique.copy_from_slice(&drawn[*given..*given + N]);
        *given += N;
        unique
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_out_twice() {
        let given = || (0..3 * DRAWN / 24).map(|_| unique::<24>()).collect::<Vec<_>>();
        let others = std::thread::spawn(given);
        let all: HashSet<_> = given().into_iter().chain(others.join().unwrap()).collect();
        assert_eq!(all.len(), 2 * (3 * DRAWN / 24));
        // Nor is any part of it.
        let halves: HashSet<_> = all.iter().flat_map(|id| id.chunks(12)).collect();
        assert_eq!(halves.len(), 2 * all.len());
    }
}
