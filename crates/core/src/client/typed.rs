//! Client settings as an operator types them: `name=value`, a list as commas or by naming its
//! setting several times, nothing for an optional setting that is to be cleared.
//!
//! Each function reads every value given for one setting. Where a setting is no list, the last
//! value counts.

use serde::de::DeserializeOwned;

use super::GrantType;
use crate::display_name;
use crate::fdx::DataClusters;
use crate::scope::Scopes;

fn last<'a>(values: &[&'a str]) -> &'a str {
    values.last().copied().unwrap_or_default()
}

fn items<'a>(values: &[&'a str]) -> impl Iterator<Item = &'a str> {
    values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// The same value, where an empty one clears the setting.
pub(super) fn optional<T>(
    read: impl Fn(&[&str]) -> Result<T, String>,
) -> impl Fn(&[&str]) -> Result<Option<T>, String> {
    move |values| if last(values).is_empty() { Ok(None) } else { read(values).map(Some) }
}

pub(super) fn text(values: &[&str]) -> Result<String, String> {
    Ok(last(values).to_owned())
}

/// A name that customers see at consent.
pub(super) fn display_name(values: &[&str]) -> Result<String, String> {
    let name = last(values);
    display_name::check(name).map(|()| name.to_owned()).map_err(|e| e.to_string())
}

/// One word out of a closed set.
pub(super) fn word<T: DeserializeOwned>(values: &[&str]) -> Result<T, String> {
    serde_json::from_value(last(values).into()).map_err(|e| e.to_string())
}

pub(super) fn flag(values: &[&str]) -> Result<bool, String> {
    last(values).parse().map_err(|_| "true or false".into())
}

pub(super) fn days(values: &[&str]) -> Result<u32, String> {
    let value = last(values);
    value.parse().map_err(|_| format!("`{value}` is not a number of days"))
}

pub(super) fn grant_types(values: &[&str]) -> Result<Vec<GrantType>, String> {
    items(values).map(|item| word(&[item])).collect()
}

pub(super) fn scopes(values: &[&str]) -> Result<Scopes, String> {
    Scopes::parse(&values.join(" ").replace(',', " ")).map_err(|e| e.to_string())
}

pub(super) fn data_clusters(values: &[&str]) -> Result<DataClusters, String> {
    DataClusters::from_names(items(values)).map_err(|e| e.to_string())
}

pub(super) fn redirect_uris(values: &[&str]) -> Result<Vec<String>, String> {
    Ok(values.iter().map(|value| uris(value)).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Reads a JSON array of URIs, or URIs separated by commas. A URI may contain commas, so a comma
/// separates only where another URI follows.
fn uris(value: &str) -> Result<Vec<String>, String> {
    if value.trim_start().starts_with('[') {
        return serde_json::from_str(value)
            .map_err(|e| format!("it is no JSON array of URIs: {e}"));
    }
    let mut uris = Vec::new();
    let mut from = 0;
    for (comma, _) in value.match_indices(',') {
        let after = value[comma..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if after.is_empty() || starts_with_uri(after) {
            uris.push(&value[from..comma]);
            from = comma + 1;
        }
    }
    uris.push(&value[from..]);
    Ok(uris.into_iter().map(|uri| uri.trim().to_owned()).filter(|uri| !uri.is_empty()).collect())
}

/// Whether `text` starts with a scheme that [`redirect_uri::check`](crate::redirect_uri::check)
/// accepts.
fn starts_with_uri(text: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use crate::client::ClientSettings;

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
}
