//! Names shown to people: of clients, their legal entities, customers and providers.
//!
//! (S) Names appear in our own sentences on the consent page, in logs and in tables on a terminal,
//! and must not break out of them: no control characters, no line breaks, and nothing that changes
//! the direction of the surrounding text (Unicode Technical Report 36 section 2.5), or `Acme`
//! followed by a hidden override could be read as another name.

/// The longest name, in characters.
pub const LONGEST: usize = 200;

/// Why a text is no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidName {
    /// Nothing in it is visible.
    #[error("it must hold something that can be seen")]
    Blank,
    /// Longer than [`LONGEST`].
    #[error("it may have {LONGEST} characters, and has {0}")]
    TooLong(usize),
    /// It contains a forbidden character.
    #[error(
        "it holds U+{:04X}, and a name must not hold control characters, line breaks or characters that change the direction of text",
        u32::from(*.0)
    )]
    Character(char),
}

/// Checks that `name` may be shown to people.
///
/// # Errors
/// [`InvalidName`], worded to follow the name of the field, such as `name: `.
pub fn check(name: &str) -> Result<(), InvalidName> {
    if name.chars().all(is_invisible) {
        return Err(InvalidName::Blank);
    }
    if let Some(bad) =
        name.chars().find(|c| c.is_control() || breaks_lines(*c) || changes_direction(*c))
    {
        return Err(InvalidName::Character(bad));
    }
    match name.chars().count() {
        length if length > LONGEST => Err(InvalidName::TooLong(length)),
        _ => Ok(()),
    }
}

/// Spaces, joiners and marks without a shape. Some are needed inside names; on their own they don't
/// make one.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{200b}'
                ..='\u{200d}' | '\u{2060}' | '\u{3164}' | '\u{feff}'
        )
}

/// The line and paragraph separators, which Unicode does not count as control characters.
fn breaks_lines(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters with the property `Bidi_Control` (Unicode Standard Annex 9 section 2).
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script() {
        for good in [
            "Budget & Co. <App>",
            "Łódź",
            "家計簿",
            "حساباتي",
            "می\u{200c}خواهم",
            "👩\u{200d}💻 Finance",
            "O’Neill",
            &"ß".repeat(LONGEST),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_no_name() {
        for blank in ["", "  ", "\u{a0}", "\u{200b}\u{feff}"] {
            assert_eq!(check(blank), Err(InvalidName::Blank), "{blank:?}");
        }
        for bad in [
            '\0', '\n', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{61c}', '\u{200f}',
            '\u{202e}', '\u{2066}',
        ] {
            assert_eq!(check(&format!("App{bad}x")), Err(InvalidName::Character(bad)), "{bad:?}");
        }
        assert_eq!(check(&"ß".repeat(LONGEST + 1)), Err(InvalidName::TooLong(LONGEST + 1)));
        let said = InvalidName::Character('\u{202e}').to_string();
        assert!(said.contains("U+202E") && said.is_ascii(), "{said}");
    }
}
