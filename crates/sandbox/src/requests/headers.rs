//! The headers of a recorded request.

use std::fmt::Write;

use axum::http::HeaderMap;

/// Headers copied into one string. hyper's are slices of the connection's read buffer: keeping them
/// would keep the buffer, and cost every request a new one.
#[derive(Debug, Default)]
pub struct Headers(String);

impl Headers {
    /// A copy of `headers`. Bytes that are not UTF-8 are replaced.
    pub fn copied(headers: &HeaderMap) -> Self {
        let mut text = String::with_capacity(
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum(),
        );
        for (name, value) in headers {
            // Writing to a string can't fail. No name holds a colon, and no value a line break.
            let _ = writeln!(text, "{name}:{}", String::from_utf8_lossy(value.as_bytes()));
        }
        Self(text)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once(':'))
    }

    /// The first value of a header; `name` is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let mut headers = HeaderMap::new();
        headers.insert("accept", "a: b".parse().unwrap());
        headers.append("accept", "".parse().unwrap());
        headers.insert("x-odd", axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
        let copied = Headers::copied(&headers);
        assert_eq!(copied.get("accept"), Some("a: b"));
        assert_eq!(copied.get("x-odd"), Some("\u{fffd}"));
        assert_eq!((copied.get("none"), copied.iter().count()), (None, 3));
    }
}
