//! No `Authorization` header makes the parser panic; a parsed id and secret survive being written
//! canonically and parsed again; and any id and secret round-trip through a header.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::basic(data));
