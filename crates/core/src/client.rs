//! Clients: the apps that customers share data with, and how each is registered.

mod stored;

pub use stored::{AsRead, Unreadable};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

use crate::clock::{DAY, Timestamp};
use crate::dialect::Dialect;
use crate::display_name;
use crate::fdx::DataClusters;
use crate::jws::Algorithm;
use crate::mac::{MAC_LENGTH, MacKey};
use crate::redirect_uri::{self, InvalidRedirectUri};
use crate::scope::Scopes;
use crate::secret::{Secret, same};
use crate::verdict::{OnLostAnswer, OnReplay};

/// The longest a grant may live, in days (CFPB 1033: one year).
pub const LONGEST_GRANT_DAYS: u32 = 365;
/// How many secrets of a client may be live at once: the one in use and the one that replaces it.
pub const MOST_SECRETS: usize = 2;
/// The longest client id, in bytes.
pub const LONGEST_ID: usize = 128;

/// How a client proves who it is at `/token`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A secret, meant for the header; it may come either way.
    ClientSecretBasic,
    /// A secret, meant for the body; it may come either way.
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
    /// The grant type that `/token` was asked for, if there is such a one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "authorization_code" => Some(Self::AuthorizationCode),
            "refresh_token" => Some(Self::RefreshToken),
            _ => None,
        }
    }
}

/// What an operator sets of a client. The names are those of OpenID Connect Registration where it
/// has one.
///
/// Serialised, it has every member: as people see it, and as stores of level 1 keep it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClientSettings {
    /// What customers know it by.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// Tells public clients (`none`) from those with a secret.
    pub token_endpoint_auth_method: AuthMethod,
    /// How its ID tokens are signed.
    pub id_token_signed_response_alg: Algorithm,
    /// What it may do at `/token`.
    pub grant_types: Vec<GrantType>,
    /// What it may ask for.
    pub scopes: Scopes,
    /// The kinds of data that it asks for.
    pub data_clusters: DataClusters,
    /// How many days back it may look, where that is bounded.
    pub lookback_days: Option<u32>,
    /// How long its grants live, in days, where that is shorter than the server's.
    pub duration_days: Option<u32>,
    /// How errors are spelled to it, where that is not the server's way.
    pub dialect: Option<Dialect>,
    /// What happens to a refresh that it repeats without a retry key.
    pub on_lost_answer: OnLostAnswer,
    /// What happens when a claimed refresh token comes again; by default `refuse`, for public
    /// clients `revoke`.
    pub on_replay: Option<OnReplay>,
    /// Whether its authorization requests must carry a code challenge. Those of public clients
    /// always must.
    pub require_pkce: bool,
    /// Whether it may introspect the tokens of others.
    pub resource_server: bool,
    /// Its logo, shown at consent.
    pub logo_uri: Option<String>,
    /// The legal entity behind it, shown at consent.
    pub registered_entity: Option<String>,
    /// The stored document that they were read from.
    #[serde(skip)]
    pub as_read: AsRead,
}

/// A setting that can't be as asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSetting {
    /// There is no setting of that name.
    #[error("there is no client setting `{0}`; the settings are {list}", list = ClientSettings::NAMES.join(", "))]
    Unknown(String),
    /// The value does not fit the setting.
    #[error("`{name}`: {problem}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A redirect URI that can't be registered.
    #[error("`redirect_uris`: {0}")]
    RedirectUri(#[from] InvalidRedirectUri),
}

fn invalid(name: &'static str, problem: impl Into<String>) -> InvalidSetting {
    InvalidSetting::Value { name, problem: problem.into() }
}

impl ClientSettings {
    /// The names of the settings.
    pub const NAMES: [&str; 16] = [
        "name",
        "redirect_uris",
        "token_endpoint_auth_method",
        "id_token_signed_response_alg",
        "grant_types",
        "scopes",
        "data_clusters",
        "lookback_days",
        "duration_days",
        "dialect",
        "on_lost_answer",
        "on_replay",
        "require_pkce",
        "resource_server",
        "logo_uri",
        "registered_entity",
    ];

    /// A confidential client with the defaults that a new one gets. It has no redirect URI yet, so
    /// it is not valid yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            redirect_uris: Vec::new(),
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
            id_token_signed_response_alg: Algorithm::Rs256,
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: Scopes::ALL,
            data_clusters: DataClusters::from_names(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"])
                .unwrap_or_default(),
            lookback_days: None,
            duration_days: None,
            dialect: None,
            on_lost_answer: OnLostAnswer::Strict,
            on_replay: None,
            require_pkce: true,
            resource_server: false,
            logo_uri: None,
            registered_entity: None,
            as_read: AsRead::default(),
        }
    }

    /// Sets one setting from text, as on the command line: lists are separated by commas, an empty
    /// value clears an optional one.
    ///
    /// # Errors
    /// [`InvalidSetting`]; the settings are then as they were.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidSetting> {
        self.set_to(name, &[value])
    }

    /// Sets settings from text. A list may be given in several pieces, which are then all of it; of
    /// anything else the last value counts.
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
                self.set_to(name, &values)?;
            }
        }
        Ok(())
    }

    fn set_to(&mut self, name: &str, values: &[&str]) -> Result<(), InvalidSetting> {
        let Some(name) = Self::NAMES.into_iter().find(|known| *known == name) else {
            return Err(InvalidSetting::Unknown(name.chars().take(64).collect()));
        };
        let value = values.last().copied().unwrap_or_default();
        let list = || {
            values
                .iter()
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        let optional = (!value.is_empty()).then(|| value.to_owned());
        match name {
            "name" => self.name = shown(name, value)?,
            "redirect_uris" => {
                self.redirect_uris = values
                    .iter()
                    .map(|value| redirect_uris(value))
                    .collect::<Result<Vec<_>, _>>()?
                    .concat()
            }
            "token_endpoint_auth_method" => self.token_endpoint_auth_method = word(name, value)?,
            "id_token_signed_response_alg" => {
                self.id_token_signed_response_alg = word(name, value)?
            }
            "grant_types" => {
                self.grant_types = list().map(|item| word(name, item)).collect::<Result<_, _>>()?
            }
            "scopes" => {
                self.scopes = Scopes::parse(&values.join(" ").replace(',', " "))
                    .map_err(|e| invalid(name, e.to_string()))?
            }
            "data_clusters" => {
                self.data_clusters =
                    DataClusters::from_names(list()).map_err(|e| invalid(name, e.to_string()))?
            }
            "lookback_days" => {
                self.lookback_days = optional.map(|days| number(name, &days)).transpose()?
            }
            "duration_days" => {
                self.duration_days = optional.map(|days| number(name, &days)).transpose()?
            }
            "dialect" => self.dialect = optional.map(|dialect| word(name, &dialect)).transpose()?,
            "on_lost_answer" => self.on_lost_answer = word(name, value)?,
            "on_replay" => self.on_replay = optional.map(|wish| word(name, &wish)).transpose()?,
            "require_pkce" => self.require_pkce = yes_or_no(name, value)?,
            "resource_server" => self.resource_server = yes_or_no(name, value)?,
            "logo_uri" => self.logo_uri = optional,
            "registered_entity" => {
                self.registered_entity = optional.map(|entity| shown(name, &entity)).transpose()?
            }
            unknown => return Err(InvalidSetting::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// The first [`InvalidSetting`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.redirect_uris.is_empty() && self.grant_types.contains(&GrantType::AuthorizationCode)
        {
            return Err(invalid("redirect_uris", "at least one is needed to receive codes"));
        }
        self.redirect_uris.iter().try_for_each(|uri| redirect_uri::check(uri))?;
        if !self.scopes.contains(Scopes::OPENID) {
            return Err(invalid("scopes", "`openid` must be among them"));
        }
        if self.data_clusters == DataClusters::default() {
            return Err(invalid("data_clusters", "at least one is needed"));
        }
        if self.duration_days.is_some_and(|days| !(1..=LONGEST_GRANT_DAYS).contains(&days)) {
            return Err(invalid("duration_days", format!("from 1 to {LONGEST_GRANT_DAYS}")));
        }
        if self.is_public() {
            if !self.require_pkce {
                return Err(invalid(
                    "require_pkce",
                    "a public client must use PKCE (RFC 9700 section 2.1.1)",
                ));
            }
            if self.on_lost_answer == OnLostAnswer::Repeat {
                return Err(invalid(
                    "on_lost_answer",
                    "`repeat` is for clients that prove who they are",
                ));
            }
            if self.resource_server {
                return Err(invalid("resource_server", "a public client can't introspect tokens"));
            }
        }
        if let Some(uri) = &self.logo_uri
            && !(uri.bytes().all(|b| b.is_ascii_graphic())
                && url::Url::parse(uri).is_ok_and(|url| url.scheme() == "https"))
        {
            return Err(invalid("logo_uri", "it must be an https URI"));
        }
        Ok(())
    }

    /// Whether the client is public: registered `none`, without a secret.
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == AuthMethod::None
    }

    /// What happens when a claimed refresh token of this client comes again.
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

    /// The days that a grant of this client lives at the most, in seconds.
    pub fn longest_grant(&self) -> Option<crate::clock::Seconds> {
        self.duration_days.map(|days| i64::from(days) * DAY)
    }
}

/// A name that customers are shown at consent. Checked as it is set: a client that was registered
/// with another goes on.
fn shown(name: &'static str, value: &str) -> Result<String, InvalidSetting> {
    display_name::check(value).map(|()| value.to_owned()).map_err(|e| invalid(name, e.to_string()))
}

/// Reads redirect URIs: a JSON array, or URIs separated by commas. A URI may hold commas itself, so
/// one separates only where another URI begins after it.
fn redirect_uris(value: &str) -> Result<Vec<String>, InvalidSetting> {
    if value.trim_start().starts_with('[') {
        return serde_json::from_str(value)
            .map_err(|e| invalid("redirect_uris", format!("it is no JSON array of URIs: {e}")));
    }
    let mut uris = Vec::new();
    let mut from = 0;
    for (comma, _) in value.match_indices(',') {
        let after = value[comma..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if after.is_empty() || begins_a_uri(after) {
            uris.push(&value[from..comma]);
            from = comma + 1;
        }
    }
    uris.push(&value[from..]);
    Ok(uris.into_iter().map(|uri| uri.trim().to_owned()).filter(|uri| !uri.is_empty()).collect())
}

/// Whether `text` begins with a scheme that a redirect URI may have, by [`redirect_uri::check`].
fn begins_a_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| match scheme {
        "https" | "http" => true,
        scheme => {
            scheme.contains('.')
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        }
    })
}

fn word<T: serde::de::DeserializeOwned>(
    name: &'static str,
    value: &str,
) -> Result<T, InvalidSetting> {
    serde_json::from_value(serde_json::Value::String(value.to_owned()))
        .map_err(|e| invalid(name, e.to_string()))
}

fn number(name: &'static str, value: &str) -> Result<u32, InvalidSetting> {
    value.parse().map_err(|_| invalid(name, format!("`{value}` is not a number of days")))
}

fn yes_or_no(name: &'static str, value: &str) -> Result<bool, InvalidSetting> {
    value.parse().map_err(|_| invalid(name, "true or false"))
}

/// An id that no client can be registered under.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "a client id may have from 1 to {LONGEST_ID} visible ASCII characters without `:`, `+` and `%`, which HTTP Basic credentials do not carry as \
     they are (RFC 7617 section 2, RFC 6749 section 2.3.1)"
)]
pub struct InvalidId;

/// Checks that a new client may have this id: one that reaches us as it is, whether the client
/// form-encodes its Basic credentials, as RFC 6749 section 2.3.1 says, or does not, as many do not.
/// A colon would end it, `+` and `%` would be decoded, and nobody knows in which character set
/// others are sent.
///
/// # Errors
/// [`InvalidId`].
pub fn check_id(id: &str) -> Result<(), InvalidId> {
    let is_carried = |b: u8| b.is_ascii_graphic() && !matches!(b, b':' | b'+' | b'%');
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_carried) {
        Ok(())
    } else {
        Err(InvalidId)
    }
}

/// A client's secret as the server keeps it: HMAC-SHA-256 under a pepper kept with the keys.
///
/// Secrets are generated with 256 bits, so a slow hash buys nothing; see `docs/decisions/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecretDigest(pub [u8; MAC_LENGTH]);

impl SecretDigest {
    /// The digest of `secret` under `pepper`.
    pub fn of(secret: &Secret, pepper: &MacKey) -> Self {
        Self(pepper.mac(&[b"client secret", secret.expose().as_bytes()]))
    }
}

/// One of a client's live secrets.
#[derive(Debug)]
pub struct ClientSecret {
    /// What is kept of it.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last proved the client, in unix seconds; 0 where it never did. Written to the store
    /// now and then.
    pub last_used_at: AtomicI64,
}

/// A registered client.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: Arc<str>,
    /// How it is registered.
    pub settings: ClientSettings,
    /// Its live secrets, the oldest first; none for a public client.
    pub secrets: Vec<ClientSecret>,
    /// The era of clients of this id when this one was read. A grant records it; once the client is
    /// removed, the era is a later one.
    pub era: u32,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Client {
    /// Whether `digest` is that of one of the live secrets; notes the use. Takes the same time for
    /// every secret that is wrong.
    pub fn is_proven_by(&self, digest: &SecretDigest, now: Timestamp) -> bool {
        let mut proven = false;
        for secret in &self.secrets {
            if same(&secret.digest.0, &digest.0) {
                secret.last_used_at.store(now.unix(), Ordering::Relaxed);
                proven = true;
            }
        }
        proven
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
    fn redirect_uris_may_hold_commas() {
        let read = |values: &[&str]| {
            let mut settings = ClientSettings::new("App");
            let changes: Vec<_> = values
                .iter()
                .map(|value| ("redirect_uris".to_owned(), (*value).to_owned()))
                .collect();
            settings
                .set_all(&changes)
                .and_then(|()| settings.check())
                .map(|()| settings.redirect_uris)
        };
        let (comma, commas, app) =
            ("https://a.example/cb?x=1,2", "https://a.example/1,,2,", "com.example.app:/cb");
        assert_eq!(read(&[comma]).unwrap(), [comma]);
        assert_eq!(read(&[comma, app]).unwrap(), [comma, app]);
        assert_eq!(read(&[&format!("{comma}, {app},{comma}")]).unwrap(), [comma, app, comma]);
        assert_eq!(
            read(&["http://127.0.0.1/a,,http://[::1]/b, ,"]).unwrap(),
            ["http://127.0.0.1/a", "http://[::1]/b"]
        );
        // A list that commas can't separate.
        let nested = "https://a.example/cb?next=,https://b.example";
        let array = serde_json::to_string(&[nested, commas]).unwrap();
        assert_eq!(read(&[&array, app]).unwrap(), [nested, commas, app]);
        for bad in [
            "",
            "shop",
            "shop,https://a.example/cb",
            "https://a.example/c,\u{e9}",
            "https://a.example/cb,http://b.example/",
            "[1]",
            "[\"\"]",
        ] {
            assert!(read(&[bad]).is_err(), "{bad}");
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

    /// Whatever way a client sends it.
    #[test]
    fn basic_carries_every_id() {
        use base64::Engine as _;
        let carried = |credentials: String| {
            let header =
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials));
            crate::basic::parse(header.as_bytes()).unwrap().id
        };
        let visible: String =
            (b'!'..=b'~').map(char::from).filter(|c| !":+%".contains(*c)).collect();
        for id in ["app", "https//app.example", &visible] {
            assert_eq!(check_id(id), Ok(()), "{id}");
            let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            assert_eq!(
                (carried(format!("{id}:x")), carried(format!("{encoded}:x"))),
                (id.to_owned(), id.to_owned())
            );
        }
        for bad in
            ["", "a:b", "a+b", "a%41", "a b", "a\tb", "a\u{7f}", "é", &"x".repeat(LONGEST_ID + 1)]
        {
            assert_eq!(check_id(bad), Err(InvalidId), "{bad:?}");
        }
    }

    #[test]
    fn every_named_setting_is_a_member() {
        let members = serde_json::to_value(ClientSettings::new("App")).unwrap();
        let mut names: Vec<_> = members.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = ClientSettings::NAMES.to_vec();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
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
