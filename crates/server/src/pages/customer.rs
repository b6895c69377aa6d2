//! The pages that a customer sees on the way to an app and back: sign-in, consent, connected apps.

use askama::Template;

use super::{Locale, page};

/// A party to a consent, as the customer knows it.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its display name.
    pub name: &'a str,
    /// The `https` address of its logo.
    pub logo_uri: Option<&'a str>,
    /// The company behind it, as registered.
    pub registered_entity: Option<&'a str>,
}

/// A provider to choose.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Its id, the value of `connector`.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether it is preselected.
    pub selected: bool,
}

/// An account to share.
#[derive(Clone, Copy, Debug)]
pub struct AccountChoice<'a> {
    /// Its id, the value of `account`.
    pub id: &'a str,
    /// Its name, such as "Everyday Checking".
    pub label: &'a str,
    /// Its FDX account type, such as `CHECKING`.
    pub kind: &'a str,
    /// Its masked number.
    pub number: Option<&'a str>,
    /// Whether it is ticked.
    pub chosen: bool,
}

/// Why a page is shown again.
#[derive(Clone, Debug)]
pub struct RetryNotice {
    /// In a few words.
    pub title: String,
    /// What to do.
    pub text: String,
    /// Whether the input was wrong.
    pub blames_input: bool,
}

impl RetryNotice {
    /// The attributes of the fields, for screen readers.
    fn on_fields(&self) -> &'static str {
        if self.blames_input {
            r#" aria-invalid="true" aria-describedby="sign-in-error""#
        } else {
            r#" aria-describedby="sign-in-error""#
        }
    }
}

/// The sign-in page. The form posts `ticket`, `connector`, `username` and `password`, or
/// `decision=deny`.
#[derive(Template)]
#[template(path = "sign-in.html")]
pub struct SignIn<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// Where the form goes.
    pub action: &'a str,
    /// Ties the form to its request.
    pub ticket: &'a str,
    /// The waiting app; `None` on the way to the page of connected apps.
    pub client_name: Option<&'a str>,
    /// The providers: a single one is just named, several are a choice.
    pub providers: Vec<Choice<'a>>,
    /// The prefilled user name.
    pub username: &'a str,
    /// Why it is shown again.
    pub failed: Option<RetryNotice>,
    /// Whether to offer a way back to the app.
    pub cancel: bool,
}

impl<'a> SignIn<'a> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }

    /// The only provider, if there is just one.
    fn only(&self) -> Option<Choice<'a>> {
        if let [only] = self.providers.as_slice() { Some(*only) } else { None }
    }

    /// Above this many, a drop-down is easier to use than a full list.
    fn long_list(&self) -> bool {
        self.providers.len() > 6
    }

    fn chosen(&self) -> bool {
        self.providers.iter().any(|provider| provider.selected)
    }
}

/// The page where the customer decides what an app may see. The form posts `ticket`, an `account`
/// for each chosen one, and `decision`, `allow` or `deny`.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// Where the form goes.
    pub action: &'a str,
    /// Ties the form to its request.
    pub ticket: &'a str,
    /// The app asking for consent.
    pub client: Party<'a>,
    /// The name of the customer's bank.
    pub provider_name: &'a str,
    /// The customer's name.
    pub customer_name: &'a str,
    /// The requested FDX data clusters.
    pub clusters: Vec<&'a str>,
    /// The customer's accounts; empty if there is nothing to share.
    pub accounts: Vec<AccountChoice<'a>>,
    /// The day until which access lasts, even while the customer is away.
    pub until: Option<&'a str>,
    /// How long short access lasts, in words.
    pub time: Option<&'a str>,
    /// How many days back the app may look.
    pub lookback_days: Option<u32>,
    /// Whether the customer tried to allow without choosing an account.
    pub nothing_chosen: bool,
    /// What has changed since the page was last shown, one sentence each.
    pub changes: Vec<String>,
    /// The host that the customer returns to.
    pub redirect_host: &'a str,
}

impl Consent<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }

    /// Whether a notice at the top must be read first.
    fn has_notice(&self) -> bool {
        !self.changes.is_empty() || (self.nothing_chosen && !self.accounts.is_empty())
    }

    fn lead(&self) -> String {
        let args = [("client", self.client.name), ("provider", self.provider_name)];
        if self.accounts.is_empty() {
            self.locale.text_with("consent-empty-text", &args)
        } else {
            self.locale.text_with("consent-lead", &args)
        }
    }
}

impl AccountChoice<'_> {
    /// Its kind and the end of its number.
    fn note(&self, locale: &Locale) -> String {
        numbered(locale, &locale.kind(self.kind), self.number)
    }
}

/// An account's type or name, and the end of its number. A mask is dropped if digits are left,
/// because screen readers would read every star.
pub fn numbered(locale: &Locale, account: &str, number: Option<&str>) -> String {
    let Some(number) = number.filter(|number| !number.is_empty()) else {
        return account.to_owned();
    };
    let end: String = number.chars().skip_while(|c| !c.is_ascii_digit()).collect();
    if !end.is_empty() && end.chars().all(|c| c.is_ascii_digit()) {
        locale.text_with("account-ending", &[("account", account), ("digits", &end)])
    } else {
        locale.text_with("account-number", &[("account", account), ("number", number)])
    }
}

/// A connected app.
#[derive(Clone, Debug)]
pub struct ConnectedApp<'a> {
    /// The client's id, the value of `client`.
    pub id: &'a str,
    /// The app.
    pub client: Party<'a>,
    /// The customer's consents, newest first.
    pub consents: Vec<ConsentEntry>,
    /// How many older consents are not listed.
    pub more: u64,
    /// Whether one of its tokens was replayed.
    pub replayed: bool,
}

/// A consent.
#[derive(Clone, Debug)]
pub struct ConsentEntry {
    /// The grant's id, the value of `grant`.
    pub grant: String,
    /// The FDX data clusters that the app can read.
    pub clusters: Vec<&'static str>,
    /// The names of the accounts that it can read.
    pub accounts: Vec<String>,
    /// The day that access began, in words.
    pub since: String,
    /// The day that access ends, in words.
    pub until: String,
}

impl ConnectedApp<'_> {
    /// How many lasting consents the customer has given it.
    fn count(&self) -> u64 {
        self.consents.len() as u64 + self.more
    }
}

/// Confirms an ending.
#[derive(Clone, Copy, Debug)]
pub struct EndingNotice<'a> {
    /// The app's name.
    pub client: &'a str,
    /// The day that the ended access was given.
    pub since: &'a str,
    /// How many other consents of the app remain.
    pub remaining: u64,
}

impl EndingNotice<'_> {
    fn text(&self, locale: &Locale) -> String {
        let args = [("client", self.client), ("since", self.since)];
        match self.remaining {
            0 => locale.text_with("connected-apps-ended", &args),
            remaining => locale.counted("connected-apps-ended-one", remaining, &args),
        }
    }
}

/// The customer's page of connected apps. Each app has a form that posts `csrf`, `client` and
/// `decision=end`; if it has several consents, each has one that posts `csrf`, `grant` and
/// `decision=end`; the sign-out form posts `csrf`.
#[derive(Template)]
#[template(path = "connected-apps.html")]
pub struct ConnectedApps<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The customer's name.
    pub customer_name: &'a str,
    /// The name of the customer's bank.
    pub provider_name: &'a str,
    /// The apps, in display order.
    pub apps: Vec<ConnectedApp<'a>>,
    /// Where the forms that end access go.
    pub action: &'a str,
    /// Where the sign-out form goes.
    pub sign_out_action: &'a str,
    /// Ties the forms to the session.
    pub csrf: &'a str,
    /// What the customer has just ended.
    pub ended: Option<EndingNotice<'a>>,
}

impl ConnectedApps<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}
