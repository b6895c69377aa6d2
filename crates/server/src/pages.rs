//! The HTML pages: what a customer sees at sign-in, at consent and on the page of connected apps.
//!
//! Every text comes from `locales/*.ftl`, every colour from the top of `assets/style.css`, and
//! every page works without JavaScript. The pages get by with the content security policy
//! `default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https:`;
//! [`Forms`](crate::http::respond::Forms) says where their forms may lead.

mod customer;
mod locale;
mod notices;
#[cfg(test)]
mod tests;

pub use customer::{
    AccountChoice, Choice, ConnectedApp, ConnectedApps, Consent, ConsentEntry, EndingNotice, Party,
    RetryNotice, SignIn, numbered,
};
pub use locale::Locale;
pub use notices::{ErrorPage, FormPost, WayBack};

/// The style sheet of every page, served at `/assets/style.css`.
pub const STYLE: &str = include_str!("../assets/style.css");
/// Submits the form of a [`FormPost`] page, served at `/assets/form-post.js`.
pub const FORM_POST_JS: &str = include_str!("../assets/form-post.js");
/// The icon of every page, served at `/assets/logo.svg` as `image/svg+xml`.
pub const LOGO_SVG: &str = include_str!("../assets/logo.svg");

/// The template's output. Templates write to a string and call nothing that can fail, so the
/// fallback is unreachable; a bare page is still better than a panic.
pub fn page(locale: &Locale, rendered: askama::Result<String>) -> String {
    rendered.unwrap_or_else(|_| {
        let title = locale.text("error-internal-title");
        format!(
            "<!doctype html><html lang=\"{}\"><title>{title}</title><h1>{title}</h1></html>\n",
            locale.language()
        )
    })
}
