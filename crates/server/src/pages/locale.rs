//! The texts of the pages, in one language.

use std::fmt::Display;

use counterfoil_core::clock::{HOUR, MINUTE, Seconds, Timestamp};
use counterfoil_core::fdx::CLUSTERS;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

const ENGLISH: &str = include_str!("../../locales/en.ftl");

/// The stems of the error pages, each with messages `<stem>-title` and `<stem>-text`.
pub(super) const ERRORS: [&str; 15] = [
    "error-already-answered",
    "error-internal",
    "error-large-head",
    "error-malformed",
    "error-method",
    "error-not-all-ended",
    "error-not-found",
    "error-redirect-uri",
    "error-session",
    "error-state",
    "error-too-large",
    "error-too-many-accounts",
    "error-unavailable",
    "error-unknown-client",
    "error-unknown-connector",
];

/// The stems of the notices on a repeated sign-in page, each with messages `<stem>-title` and
/// `<stem>-text`.
pub(super) const SIGN_IN_AGAIN: [&str; 5] =
    ["sign-in-another", "sign-in-closed", "sign-in-ended", "sign-in-failed", "sign-in-old"];

/// The messages that are named by a value rather than in a template.
pub(super) const NAMED: [&str; 20] = [
    "changed-accounts-added",
    "changed-accounts-removed",
    "changed-accounts-renamed",
    "changed-client-again",
    "changed-client-entity",
    "changed-client-logo",
    "changed-client-name",
    "changed-client-no-entity",
    "changed-clusters-fewer",
    "changed-clusters-more",
    "changed-customer",
    "changed-customer-again",
    "changed-customer-name",
    "changed-lasts",
    "changed-lookback",
    "changed-old",
    "changed-provider",
    "changed-scopes",
    "day-and-time",
    "day-of-year",
];

/// The messages named in templates, sorted; a test keeps this list complete.
pub(super) const IN_TEMPLATES: &[&str] = &[
    "account-ending",
    "account-number",
    "brand",
    "changed-other",
    "cluster-unknown-text",
    "connected-apps-accounts",
    "connected-apps-empty",
    "connected-apps-end",
    "connected-apps-end-all",
    "connected-apps-end-one",
    "connected-apps-ended",
    "connected-apps-ended-one",
    "connected-apps-lead",
    "connected-apps-more",
    "connected-apps-no-accounts",
    "connected-apps-replay",
    "connected-apps-several",
    "connected-apps-shared",
    "connected-apps-sign-out",
    "connected-apps-since",
    "connected-apps-title",
    "connected-apps-until",
    "consent-accounts",
    "consent-allow",
    "consent-back",
    "consent-changed-text",
    "consent-changed-title",
    "consent-deny",
    "consent-empty-heading",
    "consent-empty-text",
    "consent-heading",
    "consent-lead",
    "consent-lookback",
    "consent-lookback-all",
    "consent-nothing-text",
    "consent-nothing-title",
    "consent-offline",
    "consent-once",
    "consent-redirect",
    "consent-redirect-only",
    "consent-shared",
    "consent-take-back",
    "consent-take-back-link",
    "consent-terms",
    "consent-title",
    "consent-until",
    "error-back",
    "error-internal-title",
    "error-prefix",
    "form-post-continue",
    "form-post-heading",
    "form-post-text",
    "form-post-title",
    "lasts-for",
    "lasts-until",
    "lookback-all",
    "lookback-days",
    "party-entity",
    "shared-identity",
    "shared-identity-text",
    "sign-in-cancel",
    "sign-in-heading",
    "sign-in-heading-choice",
    "sign-in-lead",
    "sign-in-lead-own",
    "sign-in-password",
    "sign-in-password-stays",
    "sign-in-provider",
    "sign-in-provider-none",
    "sign-in-submit",
    "sign-in-title",
    "sign-in-username",
    "stub-at",
    "stub-customer",
    "stub-for",
    "stub-from",
    "stub-lasts",
    "stub-to",
    "stub-until",
    "time-hours",
    "time-minutes",
    "time-of-day",
    "time-seconds",
];

/// The texts of one language.
pub struct Locale {
    bundle: FluentBundle<FluentResource>,
    language: LanguageIdentifier,
}

impl Locale {
    /// The built-in English texts.
    ///
    /// # Errors
    /// The texts can't be parsed, or a required one is missing.
    pub fn english() -> Result<Locale, String> {
        Locale::parse("en", ENGLISH)
    }

    /// The built-in English texts, plus those for another crate's pages.
    ///
    /// # Errors
    /// As [`Locale::english`].
    pub fn english_with(more: &str) -> Result<Locale, String> {
        Locale::parse("en", &format!("{ENGLISH}\n{more}"))
    }

    pub(super) fn parse(language: &str, source: &str) -> Result<Locale, String> {
        let language: LanguageIdentifier =
            language.parse().map_err(|error| format!("language {language}: {error}"))?;
        let resource = FluentResource::try_new(source.to_owned())
            .map_err(|(_, errors)| format!("texts of {language}: {}", listed(&errors)))?;
        let mut bundle = FluentBundle::new_concurrent(vec![language.clone()]);
        // Isolation marks would end up in every text that a program reads from a page; `printable`
        // guards against the same problem.
        bundle.set_use_isolating(false);
        bundle
            .add_resource(resource)
            .map_err(|errors| format!("texts of {language}: {}", listed(&errors)))?;
        let locale = Locale { bundle, language };
        let missing: Vec<String> = needed().filter(|id| locale.find(id).is_none()).collect();
        if missing.is_empty() {
            Ok(locale)
        } else {
            Err(format!("texts of {} lack {}", locale.language, missing.join(", ")))
        }
    }

    /// The language's tag, as in HTML's `lang`.
    pub fn language(&self) -> String {
        self.language.to_string()
    }

    /// The text of a message without arguments; the id itself if it is missing.
    pub fn text(&self, id: &str) -> String {
        self.find(id).unwrap_or_else(|| id.to_owned())
    }

    /// The text of a message with arguments; the id itself if it is missing.
    pub fn text_with(&self, id: &str, args: &[(&str, &str)]) -> String {
        let args: FluentArgs =
            args.iter().map(|(key, value)| (*key, FluentValue::from(printable(value)))).collect();
        self.format(id, Some(&args)).unwrap_or_else(|| id.to_owned())
    }

    /// As [`Locale::text_with`], with one argument of any type, for templates.
    pub fn with(&self, id: &str, key: &str, value: impl Display) -> String {
        self.text_with(id, &[(key, &value.to_string())])
    }

    /// A message with a numeric `count`, which selects singular or plural.
    pub fn with_count(&self, id: &str, count: u64) -> String {
        self.counted(id, count, &[])
    }

    /// The same with more arguments.
    pub fn counted(&self, id: &str, count: u64, args: &[(&str, &str)]) -> String {
        let mut args: FluentArgs =
            args.iter().map(|(key, value)| (*key, FluentValue::from(printable(value)))).collect();
        args.set("count", count);
        self.format(id, Some(&args)).unwrap_or_else(|| id.to_owned())
    }

    /// A duration, in the largest unit that is exact.
    pub fn length_of_time(&self, seconds: Seconds) -> String {
        let count = |unit: Seconds| u64::try_from(seconds / unit).unwrap_or(0);
        match seconds {
            hours if hours % HOUR == 0 => self.with_count("time-hours", count(HOUR)),
            minutes if minutes % MINUTE == 0 => self.with_count("time-minutes", count(MINUTE)),
            _ => self.with_count("time-seconds", count(1)),
        }
    }

    /// A day in UTC: `23 November 2026`.
    pub fn day(&self, at: Timestamp) -> String {
        let date = at.utc();
        let mut args = FluentArgs::new();
        args.set("day", date.day.to_string());
        args.set("month", date.month);
        args.set("year", date.year.to_string());
        self.format("day-of-year", Some(&args)).unwrap_or_else(|| at.to_string())
    }

    /// A time of day in UTC, rounded up: `14:35 UTC`.
    pub fn time_of_day(&self, at: Timestamp) -> String {
        let time = at.plus(MINUTE - 1).utc();
        let (hour, minute) = (format!("{:02}", time.hour), format!("{:02}", time.minute));
        self.text_with("time-of-day", &[("hour", &hour), ("minute", &minute)])
    }

    /// The plain name of a data cluster; unknown ones keep theirs.
    pub fn cluster(&self, cluster: &str) -> String {
        self.find(&format!("cluster-{cluster}")).unwrap_or_else(|| cluster.to_owned())
    }

    /// What a data cluster contains, in plain words.
    pub(super) fn cluster_text(&self, cluster: &str) -> String {
        self.find(&format!("cluster-{cluster}-text"))
            .unwrap_or_else(|| self.text("cluster-unknown-text"))
    }

    /// The plain name of an account type; unknown ones keep theirs.
    pub(super) fn kind(&self, kind: &str) -> String {
        self.find(&format!("kind-{kind}")).unwrap_or_else(|| kind.to_owned())
    }

    fn find(&self, id: &str) -> Option<String> {
        self.format(id, None)
    }

    fn format(&self, id: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
        let pattern = self.bundle.get_message(id)?.value()?;
        // A missing argument renders as its name in braces, which will do.
        let mut errors = Vec::new();
        Some(self.bundle.format_pattern(pattern, args, &mut errors).into_owned())
    }
}

/// Every message that the pages require. Account types and the like are not included, because they
/// have a fallback.
fn needed() -> impl Iterator<Item = String> {
    let clusters =
        CLUSTERS.iter().flat_map(|id| [format!("cluster-{id}"), format!("cluster-{id}-text")]);
    let pairs = ERRORS
        .iter()
        .chain(&SIGN_IN_AGAIN)
        .flat_map(|stem| [format!("{stem}-title"), format!("{stem}-text")]);
    clusters.chain(pairs).chain(IN_TEMPLATES.iter().chain(&NAMED).map(|id| (*id).to_owned()))
}

/// A value without characters that could reorder the surrounding text: control characters and
/// explicit direction marks.
fn printable(value: &str) -> String {
    let turning = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    value.chars().filter(|c| !turning(*c)).collect()
}

fn listed<E: Display>(errors: &[E]) -> String {
    errors.iter().map(E::to_string).collect::<Vec<_>>().join("; ")
}
