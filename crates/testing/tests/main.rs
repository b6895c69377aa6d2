//! The tests of what tests share, and of how all crates are laid out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod imports;
mod postgres;
