//! A text with its escapes undone: in a URL, in JSON and in HTML a secret may be spelled in other
//! characters than its own.

use std::ops::Range;

/// A text, as it came or with escapes undone, and where in the text as it came each byte is from.
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    from: Vec<Range<usize>>,
}

/// A way of escaping.
#[derive(Clone, Copy)]
pub(super) enum Escape {
    Percent,
    Json,
    Html,
}

pub(super) const ESCAPES: [Escape; 3] = [Escape::Percent, Escape::Json, Escape::Html];

/// How many escapes within one another are undone, as those of a URL in a URL in JSON.
const DEEPEST: usize = 3;

/// The longest text of an escape: `&#x10ffff;`.
const LONGEST: usize = 10;

/// The text as it came, and with every escape undone that it has.
pub(super) fn views(text: &str) -> Vec<View> {
    let mut views = vec![View::of(text.as_bytes())];
    let mut level = 0;
    for _ in 0..DEEPEST {
        let deeper: Vec<View> = views[level..]
            .iter()
            .flat_map(|view| ESCAPES.map(|escape| view.unescaped(escape)))
            .flatten()
            .collect();
        level = views.len();
        views.extend(deeper);
    }
    views
}

/// In a form a plus sign is a space, and in a token it is one of its characters. For finding
/// secrets they are the same.
pub(super) fn plus_as_space(byte: &u8) -> u8 {
    if *byte == b'+' { b' ' } else { *byte }
}

impl View {
    /// The text as it came.
    pub(super) fn of(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), from: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// With the escapes of a kind undone once; `None` where there are none.
    pub(super) fn unescaped(&self, escape: Escape) -> Option<Self> {
        let mark = match escape {
            Escape::Percent => b'%',
            Escape::Json => b'\\',
            Escape::Html => b'&',
        };
        if !self.bytes.contains(&mark) {
            return None;
        }
        let mut view = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            from: Vec::with_capacity(self.from.len()),
        };
        let mut at = 0;
        let mut any = false;
        while let Some(byte) = self.bytes.get(at) {
            match (*byte == mark).then(|| escape.undo(&self.bytes[at..])).flatten() {
                Some((length, bytes)) => {
                    let source = self.source(&(at..at + length));
                    view.from.extend(bytes.iter().map(|_| source.clone()));
                    view.bytes.extend(bytes);
                    at += length;
                    any = true;
                }
                None => {
                    view.bytes.push(*byte);
                    view.from.push(self.from[at].clone());
                    at += 1;
                }
            }
        }
        any.then_some(view)
    }

    /// Where in the text as it came this is.
    pub(super) fn source(&self, range: &Range<usize>) -> Range<usize> {
        match self.from.get(range.clone()) {
            Some([first, .., last]) => first.start..last.end,
            Some([one]) => one.clone(),
            _ => 0..0,
        }
    }
}

impl Escape {
    /// The escape that a text begins with: its length, and what it stands for.
    fn undo(self, text: &[u8]) -> Option<(usize, Vec<u8>)> {
        match self {
            Self::Percent => Some((3, vec![u8::try_from(number(text.get(1..3)?, 16)?).ok()?])),
            Self::Json => match text.get(1)? {
                plain @ (b'"' | b'\'' | b'\\' | b'/') => Some((2, vec![*plain])),
                b'u' => Some((6, utf8(number(text.get(2..6)?, 16)?)?)),
                _ => None,
            },
            Self::Html => {
                let length = text.iter().take(LONGEST).position(|byte| *byte == b';')? + 1;
                let bytes = match &text[1..length - 1] {
                    b"amp" => vec![b'&'],
                    b"lt" => vec![b'<'],
                    b"gt" => vec![b'>'],
                    b"quot" => vec![b'"'],
                    b"apos" => vec![b'\''],
                    [b'#', b'x' | b'X', digits @ ..] => utf8(number(digits, 16)?)?,
                    [b'#', digits @ ..] => utf8(number(digits, 10)?)?,
                    _ => return None,
                };
                Some((length, bytes))
            }
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    u32::from_str_radix(digits, radix).ok()
}

fn utf8(character: u32) -> Option<Vec<u8>> {
    char::from_u32(character).map(|character| character.to_string().into_bytes())
}
