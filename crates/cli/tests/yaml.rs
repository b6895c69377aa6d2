//! Files of YAML that are part of what we hand out: they are read as their users' tools read them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Reads a file with one document.
pub fn read<T: DeserializeOwned>(text: &str) -> T {
    let documents = YamlLoader::load_from_str(text).unwrap();
    serde_json::from_value(as_json(&documents[0])).unwrap()
}

fn as_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Array(items) => items.iter().map(as_json).collect(),
        Yaml::Hash(members) => {
            let member = |(name, value): (&Yaml, &Yaml)| (scalar(name), as_json(value));
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        Yaml::Null => Value::Null,
        Yaml::Boolean(flag) => Value::Bool(*flag),
        _ => Value::String(scalar(yaml)),
    }
}

/// What is no list and no map, as a text: what environment variables are made of.
fn scalar(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        other => panic!("{other:?} is not expected"),
    }
}
