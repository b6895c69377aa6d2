//! A form is read as the URL standard reads it, or refused where that would have to repair it; what
//! was read survives being encoded and read again; and an OAuth request has no more than
//! `MOST_PARAMETERS`, each once.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::form(data));
