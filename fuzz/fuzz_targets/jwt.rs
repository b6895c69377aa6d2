//! A key verifies a token only where it signed exactly that text: never an arbitrary one, never one
//! with one change anywhere. Reading the claims and explaining never panic, and what they tell is
//! what was signed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::jwt(data));
