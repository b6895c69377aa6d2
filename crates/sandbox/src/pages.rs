//! The sandbox's own pages, for developers: the walk-through, the callback and the controls.

mod dashboard;
#[cfg(test)]
mod tests;
mod walkthrough;

pub use dashboard::{Dashboard, Graded, GrantShown, Notice, RequestShown, WaitingFault};
pub use walkthrough::{Callback, Walkthrough};

use counterfoil_server::pages::Locale;

/// The texts of these pages, and of those of the server that they extend.
const ENGLISH: &str = include_str!("../locales/en.ftl");

/// The texts in English.
///
/// # Errors
/// Where they are damaged, which a test rules out.
pub fn english() -> Result<Locale, String> {
    Locale::english_with(ENGLISH)
}
