//! A form is parsed as the URL standard does, or refused where the standard would repair it; what was
//! parsed survives being encoded and parsed again; and an OAuth request has at most
//! `MOST_PARAMETERS` parameters, each once.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::form(data));
