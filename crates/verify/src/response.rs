//! What a server answered.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// An answer, read to its end; or that there was none.
#[derive(Clone)]
pub struct Response {
    /// The status; `None` where there was no answer.
    pub status: Option<u16>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text, or why there was no answer.
    pub body: String,
    /// Which of the case's exchanges it is.
    pub(crate) exchange: usize,
}

impl Response {
    /// Whether the status is this one.
    pub fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it is said to be JSON.
    pub fn is_json(&self) -> bool {
        let content_type = self.header(CONTENT_TYPE.as_str());
        content_type
            .split(';')
            .next()
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// A text member of the body.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(self.json()?.get(name)?.as_str()?.to_owned())
    }
}

#[cfg(test)]
impl Response {
    /// An answer for tests.
    pub(crate) fn sample(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = reqwest::header::HeaderName::try_from(*name).unwrap();
            map.append(name, value.parse().unwrap());
        }
        Self { status: Some(status), headers: map, body: body.to_owned(), exchange: 0 }
    }

    /// An answer in JSON, for tests.
    pub(crate) fn json_sample(status: u16, body: &Value) -> Self {
        Self::sample(status, &[("content-type", "application/json")], &body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_media_type() {
        for (content_type, is_json) in [
            ("application/json", true),
            ("Application/JSON ; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/html", false),
        ] {
            let answer = Response::sample(200, &[("content-type", content_type)], "{}");
            assert_eq!(answer.is_json(), is_json, "{content_type}");
        }
        assert!(!Response::sample(200, &[], "{}").is_json());
    }
}
