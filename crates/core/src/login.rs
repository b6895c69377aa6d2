//! The names and passwords that customers of our own directory type: which of them are equal.
//!
//! One keyboard writes é as one character, another as two, and both look the same. So names are
//! compared, and new ones stored, in NFC and trimmed, and without regard to letter case where the
//! provider says so. That is RFC 8265 section 3.4, except that it refuses spaces at the ends.
//! Passwords follow its OpaqueString (section 4.2).

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};

use crate::secret::Secret;

/// Typed names longer than this many bytes are not looked up. An id has at most 200 characters.
pub const LONGEST: usize = 1024;

/// Whether names that differ only in letter case are equal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LetterCase {
    /// They differ.
    #[default]
    Matters,
    /// They are equal.
    Ignored,
}

/// The form of a name in which it is stored and compared.
pub fn normal(name: &str, case: LetterCase) -> String {
    let name = name.trim();
    match case {
        LetterCase::Matters => ComposingNormalizer::new_nfc().normalize(name).into_owned(),
        // Canonical caseless matching (The Unicode Standard, section 3.13, D145), in NFC.
        LetterCase::Ignored => {
            let decomposed = DecomposingNormalizer::new_nfd().normalize(name);
            let folded = CaseMapper::new().fold_string(&decomposed);
            ComposingNormalizer::new_nfc().normalize(&folded).into_owned()
        }
    }
}

/// A key to look names up by: equal for all names that any provider takes for equal. Where case
/// matters, equal keys are not enough. It does not depend on the provider's setting, so it can be
/// stored.
pub fn common(name: &str) -> String {
    normal(name, LetterCase::Ignored)
}

/// Whether a customer can have this name; none has control characters or is longer than
/// [`LONGEST`].
pub fn can_be(typed: &str) -> bool {
    typed.len() <= LONGEST && !typed.contains(char::is_control)
}

/// The customers that a typed name matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginMatch<T> {
    /// None.
    Nobody,
    /// Exactly one.
    One(T),
    /// Several, added before names were normalised, of whom none is spelled just so.
    Several(Vec<T>),
}

/// Finds the customer that a typed name means: the one spelled just so, else the only one that is
/// equal. `id` gives the name of each.
pub fn find<T>(
    typed: &str,
    mut known: Vec<T>,
    id: impl Fn(&T) -> &str,
    case: LetterCase,
) -> LoginMatch<T> {
    if let Some(at) = known.iter().position(|one| id(one) == typed) {
        return LoginMatch::One(known.swap_remove(at));
    }
    let wanted = normal(typed, case);
    known.retain(|one| normal(id(one), case) == wanted);
    match known.len() {
        0 | 1 => known.pop().map_or(LoginMatch::Nobody, LoginMatch::One),
        _ => LoginMatch::Several(known),
    }
}

/// The form of a password that is hashed: NFC, all spaces alike, nothing trimmed, no case folded
/// (RFC 8265 section 4.2.2).
pub fn password(typed: &Secret) -> Secret {
    let spaces: Secret = Secret::new(
        typed.expose().chars().map(|c| if is_space(c) { ' ' } else { c }).collect::<String>(),
    );
    Secret::new(ComposingNormalizer::new_nfc().normalize(spaces.expose()).into_owned())
}

/// Unicode category Zs.
fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// é as one character, and as two.
    const COMPOSED: &str = "Ren\u{e9}e";
    const DECOMPOSED: &str = "Rene\u{301}e";

    #[test]
    fn names() {
        for typed in [COMPOSED, DECOMPOSED, " Ren\u{e9}e\u{a0}", "\tRene\u{301}e\n"] {
            assert_eq!(normal(typed, LetterCase::Matters), COMPOSED, "{typed:?}");
            assert_eq!(normal(typed, LetterCase::Ignored), "ren\u{e9}e", "{typed:?}");
        }
        assert_ne!(normal("Bob", LetterCase::Matters), normal("bob", LetterCase::Matters));
        for (one, other) in [
            ("STRASSE", "stra\u{df}e"),
            ("\u{39d}\u{399}\u{39a}\u{39f}\u{3a3}", "\u{3bd}\u{3b9}\u{3ba}\u{3bf}\u{3c2}"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(common(one), common(other));
        }
        assert_ne!(common("bob"), common("b0b"));
        assert_ne!(
            common("\u{ff41}"),
            common("a"),
            "compatibility characters are others: NFKC would make one name of \u{b2} and 2"
        );
    }

    #[test]
    fn who_is_found() {
        let find = |typed, known: &[&'static str], case| {
            super::find(typed, known.to_vec(), |id: &&str| *id, case)
        };
        assert_eq!(find(DECOMPOSED, &[COMPOSED], LetterCase::Matters), LoginMatch::One(COMPOSED));
        assert_eq!(
            find(DECOMPOSED, &[COMPOSED, DECOMPOSED], LetterCase::Matters),
            LoginMatch::One(DECOMPOSED),
            "who is written just so"
        );
        assert_eq!(find(" bob", &["bob", "Bob"], LetterCase::Matters), LoginMatch::One("bob"));
        assert_eq!(find("BOB", &["bob"], LetterCase::Matters), LoginMatch::Nobody);
        assert_eq!(find("BOB", &["bob"], LetterCase::Ignored), LoginMatch::One("bob"));
        assert_eq!(
            find("BOB", &["bob", "Bob"], LetterCase::Ignored),
            LoginMatch::Several(vec!["bob", "Bob"])
        );
        assert_eq!(find("Bob", &["bob", "Bob"], LetterCase::Ignored), LoginMatch::One("Bob"));
        assert_eq!(find("bob", &[], LetterCase::Ignored), LoginMatch::Nobody);
    }

    #[test]
    fn names_that_nobody_has() {
        assert!(can_be("") && can_be(COMPOSED));
        assert!(!can_be("a\0b") && !can_be("a\n") && !can_be(&"a".repeat(LONGEST + 1)));
    }

    #[test]
    fn passwords() {
        let password = |typed: &str| password(&Secret::new(typed)).expose().to_owned();
        assert_eq!(password("Rene\u{301}e\u{a0}1 "), "Ren\u{e9}e 1 ");
        assert_eq!(password("\u{3000}A\u{ff41}"), " A\u{ff41}");
    }
}
