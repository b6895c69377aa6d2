//! The names and passwords that customers of our own directory type: which of them are the same.
//!
//! One keyboard writes é as one character, another as two, and both look the same to whoever types.
//! So names are compared, and new ones kept, in NFC and without spaces at their ends, as RFC 8265
//! has it in section 3.4 but for the spaces, which it refuses; and where the provider says so,
//! whatever the case of letters. Passwords follow its OpaqueString (section 4.2).

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};

use crate::secret::Secret;

/// The most bytes of a name that somebody types for which anybody is looked up. An id has at most
/// 200 characters.
pub const LONGEST: usize = 1024;

/// Whether names that differ in the case of letters alone are the same.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Case {
    /// They are not.
    #[default]
    Matters,
    /// They are.
    Ignored,
}

/// The form of a name in which it is kept and compared.
pub fn normal(name: &str, case: Case) -> String {
    let name = name.trim();
    match case {
        Case::Matters => ComposingNormalizer::new_nfc().normalize(name).into_owned(),
        // Canonical caseless matching (The Unicode Standard, section 3.13, D145), in NFC.
        Case::Ignored => {
            let decomposed = DecomposingNormalizer::new_nfd().normalize(name);
            let folded = CaseMapper::new().fold_string(&decomposed);
            ComposingNormalizer::new_nfc().normalize(&folded).into_owned()
        }
    }
}

/// What names have in common that are the same for any provider: the same form is needed for them
/// to be, and where case matters, it is not enough. It does not change with what a provider says,
/// so it can be stored.
pub fn common(name: &str) -> String {
    normal(name, Case::Ignored)
}

/// Whether anybody can have such a name: nobody has one with control characters, or one that long.
pub fn can_be(typed: &str) -> bool {
    typed.len() <= LONGEST && !typed.contains(char::is_control)
}

/// Who is meant by a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meant<T> {
    /// Nobody has it.
    Nobody,
    /// Somebody.
    One(T),
    /// Several have it who were added before names were compared, and it is written as none of
    /// theirs.
    Several(Vec<T>),
}

/// Whom of those who are known, each by the name that `id` gives, somebody means who types this
/// name: who is written just so, else the only one who is the same.
pub fn meant<T>(typed: &str, mut known: Vec<T>, id: impl Fn(&T) -> &str, case: Case) -> Meant<T> {
    if let Some(at) = known.iter().position(|one| id(one) == typed) {
        return Meant::One(known.swap_remove(at));
    }
    let wanted = normal(typed, case);
    known.retain(|one| normal(id(one), case) == wanted);
    match known.len() {
        0 | 1 => known.pop().map_or(Meant::Nobody, Meant::One),
        _ => Meant::Several(known),
    }
}

/// The form of a password that is hashed: NFC, every kind of space the same, nothing trimmed and no
/// case folded (RFC 8265 section 4.2.2).
pub fn password(typed: &Secret) -> Secret {
    let spaces: Secret = Secret::new(
        typed.expose().chars().map(|c| if is_space(c) { ' ' } else { c }).collect::<String>(),
    );
    Secret::new(ComposingNormalizer::new_nfc().normalize(spaces.expose()).into_owned())
}

/// The category Zs.
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
            assert_eq!(normal(typed, Case::Matters), COMPOSED, "{typed:?}");
            assert_eq!(normal(typed, Case::Ignored), "ren\u{e9}e", "{typed:?}");
        }
        assert_ne!(normal("Bob", Case::Matters), normal("bob", Case::Matters));
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
    fn who_is_meant() {
        let meant = |typed, known: &[&'static str], case| {
            super::meant(typed, known.to_vec(), |id: &&str| *id, case)
        };
        assert_eq!(meant(DECOMPOSED, &[COMPOSED], Case::Matters), Meant::One(COMPOSED));
        assert_eq!(
            meant(DECOMPOSED, &[COMPOSED, DECOMPOSED], Case::Matters),
            Meant::One(DECOMPOSED),
            "who is written just so"
        );
        assert_eq!(meant(" bob", &["bob", "Bob"], Case::Matters), Meant::One("bob"));
        assert_eq!(meant("BOB", &["bob"], Case::Matters), Meant::Nobody);
        assert_eq!(meant("BOB", &["bob"], Case::Ignored), Meant::One("bob"));
        assert_eq!(
            meant("BOB", &["bob", "Bob"], Case::Ignored),
            Meant::Several(vec!["bob", "Bob"])
        );
        assert_eq!(meant("Bob", &["bob", "Bob"], Case::Ignored), Meant::One("Bob"));
        assert_eq!(meant("bob", &[], Case::Ignored), Meant::Nobody);
    }

    #[test]
    fn what_nobody_is_called() {
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
