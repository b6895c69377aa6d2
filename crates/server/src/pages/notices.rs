//! The pages on which nothing is decided: an error, and the way back to an app by a form.

use askama::Template;

use super::{Locale, page};

/// A page that says what went wrong and what can be done.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The id of the title's message, `error-session-title` say.
    pub title: &'a str,
    /// The id of the text's message, `error-session-text` say.
    pub text: &'a str,
    /// The way back to the app, where it is known.
    pub way_back: Option<&'a WayBack>,
}

impl ErrorPage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}

/// The answer to an app in OAuth's form_post response mode: a form that posts the fields to the
/// app.
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

/// The way back to an app from a page that tells of an error: a link, or the fields of a form where
/// the app is answered by one.
#[derive(Clone, Debug)]
pub struct WayBack {
    /// The app's name.
    pub client_name: String,
    /// Where the link or the form goes.
    pub uri: String,
    /// The fields of the form; none for a link.
    pub fields: Vec<(&'static str, String)>,
}
