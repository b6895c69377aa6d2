//! No text is accepted as a code, refresh token or access token except one made with our keys: parsing
//! and writing are inverse, and a single change anywhere makes it refused. Explaining never panics and
//! never reveals a seal or a MAC.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::slip(data));
