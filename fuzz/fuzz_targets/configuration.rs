//! A configuration file with an environment is either refused with a reason, or a server could start
//! with the result: valid issuer and lifetimes, a provider, a store, keys, and no unknown variable.

#![no_main]

#[allow(dead_code, reason = "the command line uses the rest")]
#[path = "../../crates/cli/src/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::fuzzed::holds(data));
