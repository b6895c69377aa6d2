//! No `Authorization` header makes the reader panic; the id and secret that one held come back from
//! the header that says the same canonically; and any id and secret at all come through a header
//! unharmed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::basic(data));
