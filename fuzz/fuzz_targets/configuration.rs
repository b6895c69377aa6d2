//! A configuration file with an environment is refused with a reason, or what comes of it can be
//! started with: a sound issuer, sound lifetimes, a provider, a store, keys, and no variable that
//! is no setting.

#![no_main]

#[allow(dead_code, reason = "the command line uses the rest")]
#[path = "../../crates/cli/src/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::fuzzed::holds(data));
