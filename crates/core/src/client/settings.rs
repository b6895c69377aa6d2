//! What an operator sets of a client. Every setting is defined once, in the list below: from it
//! come the struct, the values typed on the command line, the stored document, the help of
//! `counterfoil client` and the table in `docs/operate.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stored::{self, Document};
use super::typed;
use crate::clock::{DAY, Seconds};
use crate::dialect::Dialect;
use crate::fdx::DataClusters;
use crate::jws::Algorithm;
use crate::redirect_uri;
use crate::scope::Scopes;
use crate::verdict::{OnLostAnswer, OnReplay};

/// The longest a grant may live, in days (CFPB 1033: one year).
pub const LONGEST_GRANT_DAYS: u32 = 365;

/// How a client proves who it is at `/token`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A secret, meant for the header; the body is accepted too.
    ClientSecretBasic,
    /// A secret, meant for the body; the header is accepted too.
    ClientSecretPost,
    /// A public client: no secret, PKCE instead.
    None,
}

/// The grant types of `/token` that a client may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
}

impl GrantType {
    /// Reads a `grant_type` parameter.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "authorization_code" => Some(Self::AuthorizationCode),
            "refresh_token" => Some(Self::RefreshToken),
            _ => None,
        }
    }
}

/// A setting that can't be set as asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSetting {
    /// There is no setting of that name.
    #[error("there is no setting `{0}`; those are {list}", list = SETTINGS.map(|setting| setting.name).join(", "))]
    Unknown(String),
    /// The value does not fit the setting.
    #[error("`{name}`: {problem}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// One setting, by name.
#[derive(Clone, Copy)]
pub struct Setting {
    /// As typed, stored and shown. Where OpenID Connect Registration has a name, it is that one.
    pub name: &'static str,
    doc: &'static [&'static str],
    set: fn(&mut ClientSettings, &[&str]) -> Result<(), String>,
    pub(super) read: fn(&mut ClientSettings, &Value) -> Result<(), serde_json::Error>,
    checks: &'static [Check],
}

/// Says what is wrong with a setting of a client.
type Check = fn(&ClientSettings) -> Result<(), String>;

impl Setting {
    /// The setting of this name.
    ///
    /// # Errors
    /// [`InvalidSetting::Unknown`].
    pub fn named(name: &str) -> Result<Self, InvalidSetting> {
        SETTINGS
            .into_iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| InvalidSetting::Unknown(name.chars().take(64).collect()))
    }

    /// What it is for, on one line.
    pub fn help(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// What a new client gets, as it would be typed; `None` where that is nothing.
    pub fn default(&self) -> Option<String> {
        let defaults = serde_json::to_value(ClientSettings::default()).unwrap_or_default();
        let text = match &defaults[self.name] {
            Value::Null => return None,
            Value::String(text) => text.replace(' ', ","),
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    fn invalid(&self, problem: String) -> InvalidSetting {
        InvalidSetting::Value { name: self.name, problem }
    }
}

/// Defines [`ClientSettings`] and [`SETTINGS`].
///
/// The doc comment of a setting is its help. `default` is also what a missing member of a stored
/// document means, so it never changes: where new clients should get something else,
/// [`ClientSettings::new`] sets it. `typed` and `stored` say how values are read. `check` looks at
/// a client as a whole, once all changes to it are made.
macro_rules! client_settings {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty {
            default: $default:expr,
            typed: $typed:expr,
            stored: $stored:expr,
            $(check: $check:expr,)?
        }
    )+) => {
        /// How a client is registered.
        ///
        /// Serialised, it has every member: that is how people see it, and how stores of level 1
        /// keep it.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        pub struct ClientSettings {
            $($(#[doc = $doc])+ pub $name: $type,)+
            /// The stored document that these settings were read from.
            #[serde(skip)]
            pub(super) document: Document,
        }

        impl Default for ClientSettings {
            fn default() -> Self {
                Self { $($name: $default,)+ document: Document::default() }
            }
        }

        /// Every setting of a client.
        pub const SETTINGS: [Setting; [$(stringify!($name)),+].len()] = [$(Setting {
            name: stringify!($name),
            doc: &[$($doc),+],
            set: |settings, values| {
                settings.$name = $typed(values)?;
                Ok(())
            },
            read: |settings, value| {
                settings.$name = $stored(value, $default)?;
                Ok(())
            },
            checks: &[$($check)?],
        }),+];
    };
}

client_settings! {
    /// What customers know the client by.
    name: String {
        default: String::new(),
        typed: typed::display_name,
        stored: stored::value,
    }
    /// Where codes may be sent: https, loopback http, or a private-use scheme.
    redirect_uris: Vec<String> {
        default: Vec::new(),
        typed: typed::redirect_uris,
        stored: stored::value,
        check: |client| {
            if client.redirect_uris.is_empty()
                && client.grant_types.contains(&GrantType::AuthorizationCode)
            {
                return Err("at least one is needed to receive codes".into());
            }
            client.redirect_uris.iter().try_for_each(|uri| {
                redirect_uri::check(uri).map_err(|e| e.to_string())
            })
        },
    }
    /// `client_secret_basic`, `client_secret_post`, or `none` for a public client.
    token_endpoint_auth_method: AuthMethod {
        default: AuthMethod::ClientSecretBasic,
        typed: typed::word,
        stored: stored::word,
    }
    /// How its ID tokens are signed: `RS256`, `ES256`, `PS256` or `EdDSA`.
    id_token_signed_response_alg: Algorithm {
        default: Algorithm::Rs256,
        typed: typed::word,
        stored: stored::word,
    }
    /// What it may do at `/token`: `authorization_code`, `refresh_token`.
    grant_types: Vec<GrantType> {
        default: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        typed: typed::grant_types,
        stored: stored::words,
    }
    /// What it may ask for: `openid`, `profile`, `offline_access`.
    scopes: Scopes {
        default: Scopes::known_in("openid profile offline_access"),
        typed: typed::scopes,
        stored: stored::scopes,
        check: |client| {
            if client.scopes.contains(Scopes::OPENID) {
                Ok(())
            } else {
                Err("`openid` must be among them".into())
            }
        },
    }
    /// The FDX data clusters that it asks for.
    data_clusters: DataClusters {
        default: DataClusters::known_in(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"]),
        typed: typed::data_clusters,
        stored: stored::data_clusters,
        check: |client| {
            if client.data_clusters == DataClusters::default() {
                Err("at least one is needed".into())
            } else {
                Ok(())
            }
        },
    }
    /// How many days back it may look; unbounded where not set.
    lookback_days: Option<u32> {
        default: None,
        typed: typed::optional(typed::days),
        stored: stored::value,
    }
    /// How many days its grants live, at most 365; as long as the server's where not set.
    duration_days: Option<u32> {
        default: None,
        typed: typed::optional(typed::days),
        stored: stored::value,
        check: |client| {
            if client.duration_days.is_some_and(|days| !(1..=LONGEST_GRANT_DAYS).contains(&days)) {
                Err(format!("from 1 to {LONGEST_GRANT_DAYS}"))
            } else {
                Ok(())
            }
        },
    }
    /// How errors are spelled to it, `network` or `rfc`; as the server does where not set.
    dialect: Option<Dialect> {
        default: None,
        typed: typed::optional(typed::word),
        stored: stored::word,
    }
    /// What a refresh gets that is repeated without an `Idempotency-Key`: `strict` refuses it,
    /// `repeat` answers as before.
    on_lost_answer: OnLostAnswer {
        default: OnLostAnswer::Strict,
        typed: typed::word,
        stored: stored::word,
        check: |client| {
            if client.is_public() && client.on_lost_answer == OnLostAnswer::Repeat {
                Err("`repeat` is for clients that prove who they are".into())
            } else {
                Ok(())
            }
        },
    }
    /// What a replayed refresh token does: `refuse` it, or `revoke` the grant too. Where not set,
    /// `refuse` for clients with a secret and `revoke` for public ones.
    on_replay: Option<OnReplay> {
        default: None,
        typed: typed::optional(typed::word),
        stored: stored::word,
    }
    /// Whether authorization requests must use PKCE; those of public clients always must.
    require_pkce: bool {
        default: true,
        typed: typed::flag,
        stored: stored::value,
        check: |client| {
            if client.is_public() && !client.require_pkce {
                Err("a public client must use PKCE (RFC 9700 section 2.1.1)".into())
            } else {
                Ok(())
            }
        },
    }
    /// Whether it may introspect tokens of other clients.
    resource_server: bool {
        default: false,
        typed: typed::flag,
        stored: stored::value,
        check: |client| {
            if client.is_public() && client.resource_server {
                Err("a public client can't introspect tokens".into())
            } else {
                Ok(())
            }
        },
    }
    /// Its logo, an https URI, shown at consent.
    logo_uri: Option<String> {
        default: None,
        typed: typed::optional(typed::text),
        stored: stored::value,
        check: |client| {
            let is_https = |uri: &String| {
                uri.bytes().all(|b| b.is_ascii_graphic())
                    && url::Url::parse(uri).is_ok_and(|url| url.scheme() == "https")
            };
            if client.logo_uri.as_ref().is_none_or(is_https) {
                Ok(())
            } else {
                Err("it must be an https URI".into())
            }
        },
    }
    /// The legal entity behind it, shown at consent.
    registered_entity: Option<String> {
        default: None,
        typed: typed::optional(typed::display_name),
        stored: stored::value,
    }
}

impl ClientSettings {
    /// A confidential client with the defaults of a new one. Without a redirect URI it is not valid
    /// yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets one setting from text, as on the command line.
    ///
    /// # Errors
    /// [`InvalidSetting`]; the settings are then unchanged.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidSetting> {
        self.set_to(Setting::named(name)?, &[value])
    }

    /// Sets settings from text. A list may come in several pieces.
    ///
    /// # Errors
    /// The first [`InvalidSetting`].
    pub fn set_all(&mut self, changes: &[(String, String)]) -> Result<(), InvalidSetting> {
        for (at, (name, _)) in changes.iter().enumerate() {
            if changes[..at].iter().all(|(earlier, _)| earlier != name) {
                let values: Vec<&str> = changes
                    .iter()
                    .filter(|(other, _)| other == name)
                    .map(|(_, value)| value.as_str())
                    .collect();
                self.set_to(Setting::named(name)?, &values)?;
            }
        }
        Ok(())
    }

    fn set_to(&mut self, setting: Setting, values: &[&str]) -> Result<(), InvalidSetting> {
        (setting.set)(self, values).map_err(|problem| setting.invalid(problem))
    }

    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// The first [`InvalidSetting`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        for setting in SETTINGS {
            for check in setting.checks {
                check(self).map_err(|problem| setting.invalid(problem))?;
            }
        }
        Ok(())
    }

    /// Whether the client is public: registered `none`, without a secret.
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == AuthMethod::None
    }

    /// What happens when a claimed refresh token of this client is replayed.
    pub fn on_replay(&self) -> OnReplay {
        self.on_replay.unwrap_or(if self.is_public() { OnReplay::Revoke } else { OnReplay::Refuse })
    }

    /// Whether a grant of these scopes comes with refresh tokens.
    pub fn may_refresh(&self, scopes: Scopes) -> bool {
        scopes.contains(Scopes::OFFLINE_ACCESS)
            && self.grant_types.contains(&GrantType::RefreshToken)
    }

    /// Whether a code may be sent to `requested`.
    pub fn may_redirect_to(&self, requested: &str) -> bool {
        self.redirect_uris.iter().any(|registered| redirect_uri::matches(registered, requested))
    }

    /// How long a grant of this client may live, where its registration bounds that.
    pub fn longest_grant(&self) -> Option<Seconds> {
        self.duration_days.map(|days| i64::from(days) * DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_from_text() {
        let mut settings = ClientSettings::new("App");
        settings.set("redirect_uris", "https://a.example/cb, https://b.example/cb").unwrap();
        settings.set("id_token_signed_response_alg", "ES256").unwrap();
        settings.set("scopes", "openid,profile").unwrap();
        settings.set("dialect", "rfc").unwrap();
        settings.set("duration_days", "90").unwrap();
        settings.check().unwrap();
        assert_eq!(settings.redirect_uris.len(), 2);
        assert_eq!(settings.dialect, Some(Dialect::Rfc));
        settings.set("dialect", "").unwrap();
        assert_eq!(settings.dialect, None);
        for (name, value) in [
            ("colour", "red"),
            ("scopes", "everything"),
            ("id_token_signed_response_alg", "none"),
            ("duration_days", "x"),
            ("require_pkce", "maybe"),
        ] {
            let before = settings.clone();
            assert!(settings.set(name, value).is_err(), "{name}");
            assert_eq!(settings, before);
        }
    }

    #[test]
    fn lists_in_pieces_and_the_last_of_other_values() {
        let mut settings = ClientSettings::new("App");
        let changes = [
            ("scopes", "openid"),
            ("name", "A"),
            ("data_clusters", "TAX"),
            ("scopes", "profile"),
            ("name", "B"),
            ("data_clusters", "BILLS"),
        ];
        settings
            .set_all(&changes.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .unwrap();
        assert_eq!(
            (settings.scopes, settings.name.as_str()),
            (Scopes::parse("openid profile").unwrap(), "B")
        );
        assert_eq!(settings.data_clusters, DataClusters::from_names(["TAX", "BILLS"]).unwrap());
    }

    #[test]
    fn what_customers_are_shown_can_be_shown() {
        let mut settings = ClientSettings::new("App");
        for name in ["name", "registered_entity"] {
            assert!(
                settings.set(name, "Acme \u{202e}knab").unwrap_err().to_string().contains("U+202E")
            );
            assert!(settings.set(name, &"x".repeat(201)).is_err());
            settings.set(name, "Łódź & Söhne").unwrap();
        }
        assert!(settings.set("name", "").is_err());
        settings.set("registered_entity", "").unwrap();
        settings.set("redirect_uris", "https://a.example/cb").unwrap();
        settings.set("logo_uri", "https://a.example/\nlogo").unwrap();
        assert!(settings.check().is_err());
    }

    #[test]
    fn the_documentation_has_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate.md");
        let rows: String = SETTINGS
            .iter()
            .map(|setting| {
                let default = setting.default().map_or(String::new(), |value| format!("`{value}`"));
                format!("| `{}` | {} | {default} |\n", setting.name, setting.help())
            })
            .collect();
        let documentation = std::fs::read_to_string(path).unwrap();
        assert!(documentation.contains(&rows), "docs/operate.md should have\n{rows}");
    }

    /// They are what `client show` prints, so what it prints can be typed again.
    #[test]
    fn defaults_can_be_typed() {
        let mut settings = ClientSettings::new("App");
        for setting in SETTINGS {
            if let Some(default) = setting.default() {
                settings.set(setting.name, &default).unwrap();
            }
        }
        assert_eq!(settings, ClientSettings::new("App"));
    }

    #[test]
    fn what_public_clients_may_not() {
        let mut settings = ClientSettings::new("App");
        settings.set("redirect_uris", "https://a.example/cb").unwrap();
        settings.set("token_endpoint_auth_method", "none").unwrap();
        settings.check().unwrap();
        assert_eq!(settings.on_replay(), OnReplay::Revoke);
        for (name, value) in
            [("require_pkce", "false"), ("on_lost_answer", "repeat"), ("resource_server", "true")]
        {
            let mut settings = settings.clone();
            settings.set(name, value).unwrap();
            assert!(settings.check().is_err(), "{name}");
        }
    }
}
