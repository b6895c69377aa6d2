//! Pages without a decision: errors, and the form that returns to an app.

use askama::Template;

use super::{Locale, page};

/// A page that says what went wrong and what to do.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The id of the title's message, such as `error-session-title`.
    pub title: &'a str,
    /// The id of the text's message, such as `error-session-text`.
    pub text: &'a str,
    /// The way back to the app, if known.
    pub way_back: Option<&'a WayBack>,
}

impl ErrorPage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}

/// OAuth's form_post response mode: a form that posts the fields to the app.
#[derive(Template)]
#[template(path = "form-post.html")]
pub struct FormPost<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The app's redirect URI.
    pub action: &'a str,
    /// The fields and their values.
    pub fields: Vec<(&'a str, &'a str)>,
    /// The app's name.
    pub client_name: &'a str,
}

impl FormPost<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}

/// The way back from an error page to an app: a link, or a form's fields if the app takes its
/// answers by form.
#[derive(Clone, Debug)]
pub struct WayBack {
    /// The app's name.
    pub client_name: String,
    /// Where the link or the form goes.
    pub uri: String,
    /// The form's fields; empty for a link.
    pub fields: Vec<(&'static str, String)>,
}
