//! Settings as a store keeps them: one JSON document, written sparsely and read leniently, so that
//! nodes of two versions go on side by side.
//!
//! Members that say what is so without them are left out. Members that a newer version has put in
//! are kept as they are through every change, and so are words that this version does not know, as
//! long as the setting they stand in is not set to something else.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{AuthMethod, ClientSettings, GrantType};
use crate::fdx::DataClusters;
use crate::jws::Algorithm;
use crate::scope::Scopes;
use crate::verdict::OnLostAnswer;

/// The document that settings were read from; empty for new ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AsRead(Map<String, Value>);

/// A stored document that is none of ours: damage from outside.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(String);

impl ClientSettings {
    /// What is so where a member is left out. It is so for good, since it was left out of what is
    /// stored: what a new client gets may change, and is then written down.
    fn left_out() -> Self {
        Self {
            name: String::new(),
            redirect_uris: Vec::new(),
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
            id_token_signed_response_alg: Algorithm::Rs256,
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: Scopes::known_in("openid profile offline_access"),
            data_clusters: DataClusters::known_in(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"]),
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

    /// Reads a stored document, sparse or with every member.
    ///
    /// # Errors
    /// [`Unreadable`] where a member is of another type than any version has written.
    pub fn from_document(text: &str) -> Result<Self, Unreadable> {
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Self::of(members),
            Ok(_) => Err(Unreadable("it is no object".into())),
            Err(e) => Err(Unreadable(e.to_string())),
        }
    }

    fn of(members: Map<String, Value>) -> Result<Self, Unreadable> {
        let left_out = Self::left_out();
        let (from, known) = (Members(&members), left_out.clone());
        Ok(Self {
            name: from.value("name", known.name)?,
            redirect_uris: from.value("redirect_uris", known.redirect_uris)?,
            token_endpoint_auth_method: from
                .word("token_endpoint_auth_method", known.token_endpoint_auth_method)?,
            id_token_signed_response_alg: from
                .word("id_token_signed_response_alg", known.id_token_signed_response_alg)?,
            grant_types: from.words("grant_types", known.grant_types)?,
            scopes: from
                .value("scopes", None)?
                .map_or(known.scopes, |names: String| Scopes::known_in(&names)),
            data_clusters: from
                .value("data_clusters", None)?
                .map_or(known.data_clusters, |names: Vec<String>| {
                    DataClusters::known_in(names.iter().map(String::as_str))
                }),
            lookback_days: from.value("lookback_days", known.lookback_days)?,
            duration_days: from.value("duration_days", known.duration_days)?,
            dialect: from.word("dialect", known.dialect)?,
            on_lost_answer: from.word("on_lost_answer", known.on_lost_answer)?,
            on_replay: from.word("on_replay", known.on_replay)?,
            require_pkce: from.value("require_pkce", known.require_pkce)?,
            resource_server: from.value("resource_server", known.resource_server)?,
            logo_uri: from.value("logo_uri", known.logo_uri)?,
            registered_entity: from.value("registered_entity", known.registered_entity)?,
            as_read: AsRead(members),
        })
    }

    /// The document to store: what the one says that these settings were read from, but for what
    /// was set since, and without what need not be said.
    ///
    /// # Errors
    /// Where it can't be serialised, which none of our values makes happen.
    pub fn to_document(&self) -> Result<String, serde_json::Error> {
        let mut document = self.as_read.0.clone();
        let before = Self::of(document.clone()).unwrap_or_else(|_| Self::left_out());
        let (before, left_out) =
            (serde_json::to_value(before)?, serde_json::to_value(Self::left_out())?);
        if let Value::Object(now) = serde_json::to_value(self)? {
            for (name, value) in now {
                let unread = before[&name] == value
                    && document.get(&name).is_some_and(|read| *read != value);
                if value == left_out[&name] && !unread {
                    document.remove(&name);
                } else if !unread {
                    document.insert(name, value);
                }
            }
        }
        serde_json::to_string(&document)
    }
}

/// What a document says.
struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    /// A member whose values are not ours to choose.
    fn value<T: DeserializeOwned>(&self, name: &str, left_out: T) -> Result<T, Unreadable> {
        self.0.get(name).map_or(Ok(left_out), |value| {
            T::deserialize(value).map_err(|e| Unreadable(format!("{name}: {e}")))
        })
    }

    /// A member that is one word of several. One that this version does not know is as good as
    /// none.
    fn word<T: DeserializeOwned>(&self, name: &str, left_out: T) -> Result<T, Unreadable> {
        match self.0.get(name) {
            Some(value @ Value::String(_)) => Ok(T::deserialize(value).unwrap_or(left_out)),
            _ => self.value(name, left_out),
        }
    }

    /// A member that is a list of such words.
    fn words<T: DeserializeOwned>(
        &self,
        name: &str,
        left_out: Vec<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let list: Option<Vec<String>> = self.value(name, None)?;
        Ok(list.map_or(left_out, |list| {
            list.into_iter().filter_map(|word| T::deserialize(Value::String(word)).ok()).collect()
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::Dialect;
    use crate::verdict::OnReplay;

    fn written(settings: &ClientSettings) -> Value {
        serde_json::from_str(&settings.to_document().unwrap()).unwrap()
    }

    fn read(document: &Value) -> ClientSettings {
        ClientSettings::from_document(&document.to_string()).unwrap()
    }

    fn app() -> ClientSettings {
        ClientSettings {
            redirect_uris: vec!["https://a.example/cb".into()],
            ..ClientSettings::new("App")
        }
    }

    #[test]
    fn what_goes_without_saying_is_left_out() {
        assert_eq!(
            written(&app()),
            json!({ "name": "App", "redirect_uris": ["https://a.example/cb"] })
        );
        let unusual = ClientSettings {
            token_endpoint_auth_method: AuthMethod::None,
            id_token_signed_response_alg: Algorithm::Es256,
            grant_types: vec![GrantType::AuthorizationCode],
            scopes: Scopes::OPENID,
            data_clusters: DataClusters::from_names(["TAX"]).unwrap(),
            lookback_days: Some(30),
            duration_days: Some(90),
            dialect: Some(Dialect::Rfc),
            on_lost_answer: OnLostAnswer::Repeat,
            on_replay: Some(OnReplay::Revoke),
            require_pkce: false,
            resource_server: true,
            logo_uri: Some("https://a.example/logo".into()),
            registered_entity: Some("App Inc.".into()),
            ..app()
        };
        let document = written(&unusual);
        assert_eq!(document.as_object().unwrap().len(), ClientSettings::NAMES.len());
        let again = read(&document);
        assert_eq!(ClientSettings { as_read: AsRead::default(), ..again.clone() }, unusual);
        // Set to what goes without saying, a member goes.
        assert!(
            written(&ClientSettings { dialect: None, require_pkce: true, ..again })
                .get("dialect")
                .is_none()
        );
    }

    /// As the version wrote it that knew no other form, and had every member.
    #[test]
    fn whole_documents_are_read() {
        let whole = serde_json::to_value(app()).unwrap();
        assert_eq!(whole.as_object().unwrap().len(), ClientSettings::NAMES.len());
        assert_eq!(written(&read(&whole)), written(&app()));
    }

    #[test]
    fn what_a_newer_version_wrote_outlives_a_change() {
        let newer = json!({
            "name": "App", "redirect_uris": ["https://a.example/cb"], "dialect": "pirate", "scopes": "openid payments", "grant_types": ["refresh_token", "telepathy"],
            "data_clusters": ["TAX", "DREAMS"], "profile": "fapi2", "jwks": { "keys": [] },
        });
        let mut settings = read(&newer);
        assert_eq!(
            (settings.dialect, settings.scopes, &*settings.grant_types),
            (None, Scopes::OPENID, &[GrantType::RefreshToken][..])
        );
        settings.set("name", "Renamed").unwrap();
        settings.set("data_clusters", "TAX,BALANCES").unwrap();
        let mut expected = newer.clone();
        expected["name"] = json!("Renamed");
        expected["data_clusters"] = json!(["BALANCES", "TAX"]);
        assert_eq!(written(&settings), expected);
        settings.set("dialect", "rfc").unwrap();
        expected["dialect"] = json!("rfc");
        assert_eq!(written(&settings), expected);
    }

    #[test]
    fn damage_is_no_default() {
        for text in [
            "",
            "[]",
            r#"{"name":7}"#,
            r#"{"lookback_days":"all"}"#,
            r#"{"require_pkce":"no"}"#,
            r#"{"dialect":3}"#,
            r#"{"scopes":[]}"#,
        ] {
            assert!(ClientSettings::from_document(text).is_err(), "{text}");
        }
    }
}
