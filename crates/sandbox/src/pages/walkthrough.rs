//! The pages of the sandbox, for developers.

use askama::Template;
use counterfoil_server::pages::{Locale, page};

/// The sandbox's own redirect URI: shows what came back, and the commands that use it.
#[derive(Template)]
#[template(path = "callback.html")]
pub struct Callback<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The issuer that answered.
    pub issuer: &'a str,
    /// The code, where there is one.
    pub code: Option<&'a str>,
    /// The error and its description, where there is one.
    pub error: Option<(&'a str, &'a str)>,
    /// The app's own state.
    pub state: Option<&'a str>,
    /// The ids of headings, each with a shell command.
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
    /// A request that leads to the consent page.
    pub authorize_url: &'a str,
    /// The ids of a heading and of a text, each with a shell command, which may be empty.
    pub steps: Vec<(&'a str, &'a str, String)>,
    /// The ids of labels, each with a value: the clients, customers and addresses of this sandbox.
    pub rows: Vec<(&'a str, String)>,
}

impl Walkthrough<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}
