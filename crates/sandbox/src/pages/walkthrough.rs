//! The pages of the sandbox, for developers.

use askama::Template;
use counterfoil_server::pages::{Locale, page};

/// The page at the sandbox's own redirect URI: the response, and the commands that use it.
#[derive(Template)]
#[template(path = "callback.html")]
pub struct Callback<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The issuer that answered.
    pub issuer: &'a str,
    /// The code, if any.
    pub code: Option<&'a str>,
    /// The error and its description, if any.
    pub error: Option<(&'a str, &'a str)>,
    /// The client's `state`.
    pub state: Option<&'a str>,
    /// Message ids of headings, each with a shell command.
    pub commands: Vec<(&'a str, String)>,
}

impl Callback<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}

/// The sandbox's front page.
#[derive(Template)]
#[template(path = "walkthrough.html")]
pub struct Walkthrough<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The sandbox's issuer.
    pub issuer: &'a str,
    /// An authorization request that leads to the consent page.
    pub authorize_url: &'a str,
    /// Message ids of heading and text, each with a shell command, which may be empty.
    pub steps: Vec<(&'a str, &'a str, String)>,
    /// Message ids of labels, each with a value: clients, customers and addresses.
    pub rows: Vec<(&'a str, String)>,
}

impl Walkthrough<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}
