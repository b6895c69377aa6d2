//! The sandbox's own pages, for developers: the walk-through, the callback and the controls.

mod dashboard;
#[cfg(test)]
mod tests;
mod walkthrough;

pub use dashboard::{Dashboard, FaultRow, GradingStatus, GrantRow, Notice, RequestRow};
pub use walkthrough::{Callback, Walkthrough};

use counterfoil_server::pages::Locale;

/// The messages of these pages, on top of the server's.
const ENGLISH: &str = include_str!("../locales/en.ftl");

/// The messages in English.
///
/// # Errors
/// The messages can't be parsed, which a test rules out.
pub fn english() -> Result<Locale, String> {
    Locale::english_with(ENGLISH)
}
