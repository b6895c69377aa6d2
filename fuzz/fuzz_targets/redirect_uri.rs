//! A requested redirect URI that matches a registered one without being equal differs in nothing
//! but the port of a loopback address. One that can be registered has a form-action source that
//! can't break out of its policy, and a response goes where it points, with its query kept.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| counterfoil_fuzz::properties::redirect_uri(data));
