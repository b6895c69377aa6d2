//! No text is accepted as a code, refresh token or access token but the very one that was written
//! with our keys: what is read writes back to the same text, what is written reads back as it was,
//! and one change anywhere makes it refused. Explaining never panics and never tells a seal or a
//! MAC.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::slip(data));
