//! The style sheet: colours are declared in one place, and text has enough contrast.

use std::collections::BTreeSet;

use super::{STYLE, between};

#[test]
fn colours_stand_at_the_top_of_the_style_sheet() {
    let names = [
        "white",
        "black",
        "red",
        "green",
        "blue",
        "gray",
        "grey",
        "orange",
        "yellow",
        "rgb",
        "hsl",
        "oklch",
        "oklab",
        "color-mix",
    ];
    for line in STYLE.lines().map(str::trim).filter(|line| !line.starts_with("--")) {
        let Some((_, value)) = line.split_once(": ").filter(|_| line.ends_with(';')) else {
            continue;
        };
        let words: Vec<&str> =
            value.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '#')).collect();
        let literal = words.iter().find(|word| word.starts_with('#') || names.contains(word));
        assert!(literal.is_none(), "{line}");
    }
    let declared: BTreeSet<&str> = STYLE
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("--"))
        .filter_map(|line| line.split(':').next())
        .collect();
    for used in between(STYLE, "var(", ")") {
        assert!(declared.contains(used), "{used} is not declared");
    }
}

#[test]
fn text_can_be_read_against_its_ground() {
    let (light, dark) =
        STYLE.split_once("prefers-color-scheme: dark").expect("there is a dark scheme");
    for scheme in [light, dark] {
        let luminance = |name: &str| {
            let hex = between(scheme, &format!("--{name}: #"), ";")
                .into_iter()
                .next()
                .expect("the colour is declared");
            let part = |at: usize| {
                f64::from(
                    u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour in hexadecimal"),
                ) / 255.0
            };
            let linear = |c: f64| {
                if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(a), luminance(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        for (text, grounds) in [
            ("ink", ["paper", "stub", "accent-wash", "danger-wash", "code"].as_slice()),
            ("muted", &["paper", "stub", "guilloche", "accent-wash"]),
            ("accent", &["paper", "stub"]),
            ("accent-strong", &["paper", "stub"]),
            ("danger", &["paper", "danger-wash"]),
            ("on-accent", &["accent", "accent-strong"]),
            ("on-danger", &["danger"]),
        ] {
            for ground in grounds {
                assert!(
                    contrast(text, ground) >= 4.5,
                    "{text} on {ground}: {:.2}",
                    contrast(text, ground)
                );
            }
        }
        for (mark, ground) in [
            ("control", "paper"),
            ("focus", "paper"),
            ("focus", "page"),
            ("focus", "stub"),
            ("accent", "accent-wash"),
        ] {
            assert!(
                contrast(mark, ground) >= 3.0,
                "{mark} on {ground}: {:.2}",
                contrast(mark, ground)
            );
        }
    }
}
