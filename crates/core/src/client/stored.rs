//! How the members of a stored document are read. Each function gets a member and the default of
//! its setting.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::fdx::DataClusters;
use crate::scope::Scopes;

/// The document that settings were read from; empty for new ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document(pub(super) Map<String, Value>);

pub(super) fn value<T: DeserializeOwned>(member: &Value, _: T) -> Result<T, serde_json::Error> {
    T::deserialize(member)
}

/// One word out of a closed set. A word of a newer version counts as the default.
pub(super) fn word<T: DeserializeOwned>(
    member: &Value,
    default: T,
) -> Result<T, serde_json::Error> {
    match member {
        Value::String(_) => Ok(T::deserialize(member).unwrap_or(default)),
        _ => T::deserialize(member),
    }
}

/// A list of such words. Those of a newer version are skipped.
pub(super) fn words<T: DeserializeOwned>(
    member: &Value,
    _: Vec<T>,
) -> Result<Vec<T>, serde_json::Error> {
    let words = Vec::<String>::deserialize(member)?;
    Ok(words.into_iter().filter_map(|word| T::deserialize(Value::String(word)).ok()).collect())
}

pub(super) fn scopes(member: &Value, _: Scopes) -> Result<Scopes, serde_json::Error> {
    String::deserialize(member).map(|names| Scopes::known_in(&names))
}

pub(super) fn data_clusters(
    member: &Value,
    _: DataClusters,
) -> Result<DataClusters, serde_json::Error> {
    let names = Vec::<String>::deserialize(member)?;
    Ok(DataClusters::known_in(names.iter().map(String::as_str)))
}
