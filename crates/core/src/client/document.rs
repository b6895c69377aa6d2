//! Client settings as a store keeps them: one JSON document, written sparsely and read leniently,
//! so that nodes of two versions can run against one store (`docs/decisions/upgrades.md`).
//!
//! A member that equals its default is left out. Members and words that a newer version wrote
//! survive every change, until the setting they belong to is set to something else.

use serde_json::{Map, Value};

use super::settings::{ClientSettings, SETTINGS};
use super::stored::Document;

/// A stored document that no version of ours wrote: damage from outside.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(String);

impl ClientSettings {
    /// Reads a stored document, sparse or with every member.
    ///
    /// # Errors
    /// [`Unreadable`] where a member has a type that no version wrote.
    pub fn from_document(text: &str) -> Result<Self, Unreadable> {
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Self::from_members(members),
            Ok(_) => Err(Unreadable("it is no object".into())),
            Err(e) => Err(Unreadable(e.to_string())),
        }
    }

    fn from_members(members: Map<String, Value>) -> Result<Self, Unreadable> {
        let mut settings = Self::default();
        for setting in SETTINGS {
            if let Some(value) = members.get(setting.name) {
                (setting.read)(&mut settings, value)
                    .map_err(|e| Unreadable(format!("{}: {e}", setting.name)))?;
            }
        }
        settings.document = Document(members);
        Ok(settings)
    }

    /// The document to store: the one these settings were read from, with the changes made since
    /// and without members that equal their defaults.
    ///
    /// # Errors
    /// Where it can't be serialised, which none of our values makes happen.
    pub fn to_document(&self) -> Result<String, serde_json::Error> {
        let mut document = self.document.0.clone();
        let before = Self::from_members(document.clone()).unwrap_or_default();
        let (before, default) =
            (serde_json::to_value(before)?, serde_json::to_value(Self::default())?);
        if let Value::Object(now) = serde_json::to_value(self)? {
            for (name, value) in now {
                let has_unknown_words = before[&name] == value
                    && document.get(&name).is_some_and(|stored| *stored != value);
                if value == default[&name] && !has_unknown_words {
                    document.remove(&name);
                } else if !has_unknown_words {
                    document.insert(name, value);
                }
            }
        }
        serde_json::to_string(&document)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::{AuthMethod, GrantType};
    use crate::dialect::Dialect;
    use crate::fdx::DataClusters;
    use crate::jws::Algorithm;
    use crate::scope::Scopes;
    use crate::verdict::{OnLostAnswer, OnReplay};

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
        assert_eq!(document.as_object().unwrap().len(), SETTINGS.len());
        let again = read(&document);
        assert_eq!(ClientSettings { document: Document::default(), ..again.clone() }, unusual);
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
        assert_eq!(whole.as_object().unwrap().len(), SETTINGS.len());
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
