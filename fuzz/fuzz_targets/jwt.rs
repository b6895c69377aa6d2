//! A key verifies a token only if it signed exactly that text: never an arbitrary one, and never one
//! with a single change. Parsing the claims and explaining never panic, and return what was signed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::jwt(data));
