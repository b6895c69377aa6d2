//! Text files as editors write them: UTF-8, perhaps with a byte order mark.

/// The byte order mark in UTF-8, where it means nothing, though some editors write it.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file can't be read as text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotText {
    /// It starts with the byte order mark of UTF-16, as `>` in Windows PowerShell 5 writes it.
    #[error("it is UTF-16; save it as UTF-8")]
    Utf16,
    /// It is not UTF-8.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The first such line, from 1.
        line: usize,
    },
}

/// The content without the byte order mark.
pub fn without_mark(content: &[u8]) -> &[u8] {
    content.strip_prefix(MARK).unwrap_or(content)
}

/// Reads the content of a file as text, without the byte order mark.
///
/// # Errors
/// [`NotText`].
pub fn decode(content: &[u8]) -> Result<&str, NotText> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(NotText::Utf16);
    }
    let content = without_mark(content);
    std::str::from_utf8(content).map_err(|e| NotText::NotUtf8 {
        line: content[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_passed_over_and_other_encodings_told() {
        assert_eq!(decode("\u{feff}a\n\u{feff}ß".as_bytes()).unwrap(), "a\n\u{feff}ß");
        assert_eq!(decode(b"").unwrap(), "");
        assert_eq!(decode(b"\xff\xfea\0"), Err(NotText::Utf16));
        assert_eq!(decode(b"a\nb\nc\xfc"), Err(NotText::NotUtf8 { line: 3 }));
    }
}
