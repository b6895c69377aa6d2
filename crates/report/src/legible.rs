//! Text without what a page or an XML document can't hold.

/// Without control characters: HTML and XML have none but white space, and what a server answered
/// must not be cut off or hidden by one.
pub(crate) fn legible(text: &str) -> String {
    let banned = |character: char| match character {
        '\n' | '\t' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_control(),
    };
    text.replace("\r\n", "\n").replace(banned, "\u{fffd}")
}
