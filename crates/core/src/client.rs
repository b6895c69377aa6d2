//! Clients: the apps that customers share data with, and how each is registered.

mod stored;

pub use stored::{AsRead, Unreadable};

use crate::clock::{DAY, Timestamp};
use crate::dialect::Dialect;
use crate::fdx::DataClusters;
use crate::jws::Algorithm;
use crate::mac::{MAC_LENGTH, MacKey};
use crate::redirect_uri::{self, InvalidRedirectUri};
use crate::scope::Scopes;
use crate::secret::{Secret, same};
use crate::verdict::{OnLostAnswer, OnReplay};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

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

/// What an operator sets of a client. The names are those of OpenID Connect Registration where it has one.
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
    /// What happens when a claimed refresh token comes again; by default `refuse`, for public clients `revoke`.
    pub on_replay: Option<OnReplay>,
    /// Whether its authorization requests must carry a code challenge. Those of public clients always must.
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

    /// A confidential client with the defaults that a new one gets. It has no redirect URI yet, so it is not valid yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            redirect_uris: Vec::new(),
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
            id_token_signed_response_alg: Algorithm::Rs256,
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: Scopes::ALL,
            data_clusters: DataClusters::from_names(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"]).unwrap_or_default(),
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

    /// Sets one setting from text, as on the command line: lists are separated by commas, an empty value clears an optional one.
    ///
    /// # Errors
    /// [`InvalidSetting`]; the settings are then as they were.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidSetting> {
        let Some(name) = Self::NAMES.into_iter().find(|known| *known == name) else {
            return Err(InvalidSetting::Unknown(name.chars().take(64).collect()));
        };
        let list = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
        let optional = (!value.is_empty()).then(|| value.to_owned());
        match name {
            "name" => self.name = value.to_owned(),
            "redirect_uris" => self.redirect_uris = list().map(str::to_owned).collect(),
            "token_endpoint_auth_method" => self.token_endpoint_auth_method = word(name, value)?,
            "id_token_signed_response_alg" => self.id_token_signed_response_alg = word(name, value)?,
            "grant_types" => self.grant_types = list().map(|item| word(name, item)).collect::<Result<_, _>>()?,
            "scopes" => self.scopes = Scopes::parse(&value.replace(',', " ")).map_err(|e| invalid(name, e.to_string()))?,
            "data_clusters" => self.data_clusters = DataClusters::from_names(list()).map_err(|e| invalid(name, e.to_string()))?,
            "lookback_days" => self.lookback_days = optional.map(|days| number(name, &days)).transpose()?,
            "duration_days" => self.duration_days = optional.map(|days| number(name, &days)).transpose()?,
            "dialect" => self.dialect = optional.map(|dialect| word(name, &dialect)).transpose()?,
            "on_lost_answer" => self.on_lost_answer = word(name, value)?,
            "on_replay" => self.on_replay = optional.map(|wish| word(name, &wish)).transpose()?,
            "require_pkce" => self.require_pkce = yes_or_no(name, value)?,
            "resource_server" => self.resource_server = yes_or_no(name, value)?,
            "logo_uri" => self.logo_uri = optional,
            "registered_entity" => self.registered_entity = optional,
            unknown => return Err(InvalidSetting::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// The first [`InvalidSetting`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.name.trim().is_empty() || self.name.len() > 200 {
            return Err(invalid("name", "customers must know it by something, of at most 200 bytes"));
        }
        if self.redirect_uris.is_empty() && self.grant_types.contains(&GrantType::AuthorizationCode) {
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
                return Err(invalid("require_pkce", "a public client must use PKCE (RFC 9700 section 2.1.1)"));
            }
            if self.on_lost_answer == OnLostAnswer::Repeat {
                return Err(invalid("on_lost_answer", "`repeat` is for clients that prove who they are"));
            }
            if self.resource_server {
                return Err(invalid("resource_server", "a public client can't introspect tokens"));
            }
        }
        if let Some(uri) = &self.logo_uri
            && !url::Url::parse(uri).is_ok_and(|url| url.scheme() == "https")
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
        scopes.contains(Scopes::OFFLINE_ACCESS) && self.grant_types.contains(&GrantType::RefreshToken)
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

fn word<T: serde::de::DeserializeOwned>(name: &'static str, value: &str) -> Result<T, InvalidSetting> {
    serde_json::from_value(serde_json::Value::String(value.to_owned())).map_err(|e| invalid(name, e.to_string()))
}

fn number(name: &'static str, value: &str) -> Result<u32, InvalidSetting> {
    value.parse().map_err(|_| invalid(name, format!("`{value}` is not a number of days")))
}

fn yes_or_no(name: &'static str, value: &str) -> Result<bool, InvalidSetting> {
    value.parse().map_err(|_| invalid(name, "true or false"))
}

/// Whether `id` may name a client: visible ASCII without a colon, which Basic credentials could not carry unencoded.
pub fn is_valid_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_graphic() && b != b':')
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
    /// When it last proved the client, in unix seconds; 0 where it never did. Written to the store now and then.
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
    /// The era of clients of this id when this one was read. A grant records it; once the client is removed, the era is a later one.
    pub era: u32,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Client {
    /// Whether `digest` is that of one of the live secrets; notes the use. Takes the same time for every secret that is wrong.
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
        for (name, value) in [("require_pkce", "false"), ("on_lost_answer", "repeat"), ("resource_server", "true")] {
            let mut settings = settings.clone();
            settings.set(name, value).unwrap();
            assert!(settings.check().is_err(), "{name}");
        }
    }
}
