//! What must hold for every configuration: shared by the fuzz target and the test that runs its
//! corpus.

use counterfoil_core::settings::check_issuer;

use super::{Config, LEAVES, variable};

/// Parses `data` as a file and, after a NUL, an environment of `NAME=value` lines. Either it is
/// refused with a reason, or a server could start with the result.
///
/// # Panics
/// Where that does not hold.
pub(crate) fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, environment) = text.split_once('\0').unwrap_or((&text, ""));
    let variables = || {
        environment
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    match Config::parse(file, variables()) {
        Err(reason) => assert!(!reason.trim().is_empty(), "refused without a reason"),
        Ok(config) => {
            assert_eq!(check_issuer(&config.settings.issuer), Ok(()));
            assert_eq!(config.settings.lifetimes.check(), Ok(()));
            assert!(!config.settings.providers.is_empty());
            assert!(!config.store.to_string().is_empty() && !config.keys.as_os_str().is_empty());
            let known = |name: &str| LEAVES.iter().any(|(leaf, _)| variable(leaf) == name);
            assert!(
                variables().all(|(name, value)| value.is_empty() || known(&name)),
                "an unknown variable was let pass"
            );
        }
    }
}
