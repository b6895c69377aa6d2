//! The pages that a bank's customer sees on the way to an app and back: sign-in, consent, connected
//! apps.

use askama::Template;

use super::{Locale, page};

/// A party of a consent as a customer knows it.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// The name it goes by.
    pub name: &'a str,
    /// Where its logo is, an `https` address.
    pub logo_uri: Option<&'a str>,
    /// The company behind it, as registered.
    pub registered_entity: Option<&'a str>,
}

/// One provider among those that the customer can choose from.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Its id, the value of `connector`.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether it is chosen already.
    pub selected: bool,
}

/// One account that the customer can share.
#[derive(Clone, Copy, Debug)]
pub struct AccountChoice<'a> {
    /// Its id, the value of `account`.
    pub id: &'a str,
    /// Its name, "Everyday Checking" say.
    pub label: &'a str,
    /// Its FDX account type, `CHECKING` say.
    pub kind: &'a str,
    /// Its masked number.
    pub number: Option<&'a str>,
    /// Whether it is ticked.
    pub chosen: bool,
}

/// What a page says that is shown once more.
#[derive(Clone, Debug)]
pub struct TryAgain {
    /// In a few words.
    pub title: String,
    /// What to do.
    pub text: String,
    /// Whether what was typed is what is wrong.
    pub blames_input: bool,
}

impl TryAgain {
    /// What the fields carry for those who hear the page.
    fn on_fields(&self) -> &'static str {
        if self.blames_input {
            r#" aria-invalid="true" aria-describedby="sign-in-error""#
        } else {
            r#" aria-describedby="sign-in-error""#
        }
    }
}

/// The page to sign in at. The form posts `ticket`, `connector`, `username` and `password`, or
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
    /// The app that waits; none where the customer is on the way to the page of connected apps.
    pub client_name: Option<&'a str>,
    /// The providers: one is simply named, among several the customer chooses.
    pub providers: Vec<Choice<'a>>,
    /// What the field for the user name holds already.
    pub username: &'a str,
    /// Why it is shown again.
    pub failed: Option<TryAgain>,
    /// Whether to offer the way back to the app.
    pub cancel: bool,
}

impl<'a> SignIn<'a> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }

    /// The only provider, where there is one.
    fn only(&self) -> Option<Choice<'a>> {
        if let [only] = self.providers.as_slice() { Some(*only) } else { None }
    }

    /// Above this many, a list that opens is easier to use than one that is all there.
    fn long_list(&self) -> bool {
        self.providers.len() > 6
    }

    fn chosen(&self) -> bool {
        self.providers.iter().any(|provider| provider.selected)
    }
}

/// The page where the customer decides what an app may see. The form posts `ticket`, an `account`
/// for each one chosen, and `decision`, `allow` or `deny`.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// Where the form goes.
    pub action: &'a str,
    /// Ties the form to its request.
    pub ticket: &'a str,
    /// The app that asks.
    pub client: Party<'a>,
    /// The name of the customer's bank.
    pub provider_name: &'a str,
    /// The customer's name.
    pub customer_name: &'a str,
    /// The FDX data clusters asked for.
    pub clusters: Vec<&'a str>,
    /// The customer's accounts; none means that there is nothing to share.
    pub accounts: Vec<AccountChoice<'a>>,
    /// The day until which the access goes on, also when the customer is away.
    pub until: Option<&'a str>,
    /// How long the access lasts that ends by itself before long, in words.
    pub time: Option<&'a str>,
    /// How many days back the app may look.
    pub lookback_days: Option<u32>,
    /// Whether the customer has just tried to allow without choosing an account.
    pub nothing_chosen: bool,
    /// What has changed since the customer was shown it before, a sentence each.
    pub changes: Vec<String>,
    /// The host that the customer is sent back to.
    pub redirect_host: &'a str,
}

impl Consent<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }

    /// Whether there is something at the top of the page that the customer must read first.
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

/// An account's kind or name, and the end of its number. Masks are dropped where digits are left: a
/// screen reader would read each star.
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

/// One app that a customer has connected.
#[derive(Clone, Debug)]
pub struct ConnectedApp<'a> {
    /// The client's id, the value of `client`.
    pub id: &'a str,
    /// The app.
    pub client: Party<'a>,
    /// What the customer allowed it, the newest first.
    pub consents: Vec<Consented>,
    /// How many older ones there are, which are not listed.
    pub more: u64,
    /// Whether a token of it came again after its use.
    pub replayed: bool,
}

/// One consent that a customer has given.
#[derive(Clone, Debug)]
pub struct Consented {
    /// The grant's id, the value of `grant`.
    pub grant: String,
    /// The FDX data clusters that the app sees.
    pub clusters: Vec<&'static str>,
    /// The names of the accounts that it sees.
    pub accounts: Vec<String>,
    /// The day that the access began, in words.
    pub since: String,
    /// The day that the access ends, in words.
    pub until: String,
}

impl ConnectedApp<'_> {
    /// How often the customer has given it access that goes on.
    fn count(&self) -> u64 {
        self.consents.len() as u64 + self.more
    }
}

/// What has just been ended.
#[derive(Clone, Copy, Debug)]
pub struct JustEnded<'a> {
    /// The app's name.
    pub client: &'a str,
    /// The day that the access which has ended was given.
    pub since: &'a str,
    /// How many other consents of the app go on.
    pub remaining: u64,
}

impl JustEnded<'_> {
    fn text(&self, locale: &Locale) -> String {
        let args = [("client", self.client), ("since", self.since)];
        match self.remaining {
            0 => locale.text_with("connected-apps-ended", &args),
            remaining => locale.counted("connected-apps-ended-one", remaining, &args),
        }
    }
}

/// The customer's page of connected apps. Each app has a form that posts `csrf`, `client` and
/// `decision=end`; where it has several consents, each of these has one that posts `csrf`, `grant`
/// and `decision=end`; the form to sign out posts `csrf`.
#[derive(Template)]
#[template(path = "connected-apps.html")]
pub struct ConnectedApps<'a> {
    /// The texts.
    pub locale: &'a Locale,
    /// The customer's name.
    pub customer_name: &'a str,
    /// The name of the customer's bank.
    pub provider_name: &'a str,
    /// The apps, in the order to show them in.
    pub apps: Vec<ConnectedApp<'a>>,
    /// Where the forms that end an access go.
    pub action: &'a str,
    /// Where the form that signs out goes.
    pub sign_out_action: &'a str,
    /// Ties the forms to the session.
    pub csrf: &'a str,
    /// What the customer has just ended.
    pub ended: Option<JustEnded<'a>>,
}

impl ConnectedApps<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        page(self.locale, Template::render(self))
    }
}
