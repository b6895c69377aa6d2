//! What a request to a data path states about itself in headers. Logged and never trusted: callers
//! can state anything.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use counterfoil_core::random;

/// Identifies a request to a data path on both sides; echoed on every answer, errors included, and
/// generated if missing (FAPI).
pub const INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");
/// Who waits for the data: `USER` or `BATCH` (FDX 6).
const ACTOR_TYPE: HeaderName = HeaderName::from_static("fdx-api-actor-type");
/// The same in the network's vocabulary: `user` or `batch`.
const INTERACTION_TYPE: HeaderName = HeaderName::from_static("x-akoya-interaction-type");
/// When the customer last used the app, in the network's vocabulary.
const LAST_ACCESS: HeaderName = HeaderName::from_static("x-akoya-last-access");
/// What the data is for, in the network's vocabulary.
const INTENT_TYPE: HeaderName = HeaderName::from_static("x-akoya-intent-type");
/// The longest value logged, in bytes.
const LONGEST_VALUE: usize = 64;

/// The headers of one request.
#[derive(Debug, Default)]
pub(crate) struct FdxHeaders {
    /// The id, which the answer repeats.
    pub(crate) interaction_id: Option<HeaderValue>,
    actor_type: Option<HeaderValue>,
    interaction_type: Option<HeaderValue>,
    last_access: Option<HeaderValue>,
    intent_type: Option<HeaderValue>,
}

impl FdxHeaders {
    /// Reads them from a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).filter(|value| is_short(value)).cloned();
        Self {
            interaction_id: text(INTERACTION_ID).or_else(made_up),
            actor_type: headers.get(ACTOR_TYPE).cloned(),
            interaction_type: headers.get(INTERACTION_TYPE).cloned(),
            last_access: text(LAST_ACCESS),
            intent_type: text(INTENT_TYPE),
        }
    }

    /// The log fields: interaction id, actor type, interaction type, last access, intent type.
    /// Nothing that could be a secret or free text: unexpected values become `other` or are left
    /// out.
    pub(crate) fn log_fields(&self) -> [Option<&str>; 5] {
        let interaction = self
            .interaction_id
            .as_ref()
            .and_then(|id| id.to_str().ok())
            .filter(|id| uuid::Uuid::try_parse(id).is_ok());
        [
            interaction,
            self.actor_type.as_ref().map(who_waits),
            self.interaction_type.as_ref().map(who_waits),
            self.last_access
                .as_ref()
                .map(|at| made_of(at, |byte| byte.is_ascii_digit() || b"TZ+-:.".contains(&byte))),
            self.intent_type
                .as_ref()
                .map(|intent| made_of(intent, |byte| byte.is_ascii_uppercase() || byte == b'_')),
        ]
    }
}

/// `user` or `batch`, in any case.
fn who_waits(value: &HeaderValue) -> &'static str {
    let is = |word: &str| value.as_bytes().eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is("user") => "user",
        () if is("batch") => "batch",
        () => "other",
    }
}

/// The value if all its bytes are allowed, else `other`.
fn made_of(value: &HeaderValue, is_good: fn(u8) -> bool) -> &str {
    value.to_str().ok().filter(|text| text.bytes().all(is_good)).unwrap_or("other")
}

/// Bounded, and unable to forge a line or field of the log.
fn is_short(value: &HeaderValue) -> bool {
    !value.is_empty()
        && value.len() <= LONGEST_VALUE
        && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn made_up() -> Option<HeaderValue> {
    let id = uuid::Builder::from_random_bytes(random::unique()).into_uuid().hyphenated();
    HeaderValue::from_str(id.encode_lower(&mut uuid::Uuid::encode_buffer())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: HeaderName, value: &str) -> [Option<String>; 5] {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
        let mut recorded =
            FdxHeaders::of(&headers).log_fields().map(|value| value.map(str::to_owned));
        // Generated unless it was sent.
        recorded[0] = recorded[0].take().filter(|id| id == value);
        recorded
    }

    #[test]
    fn what_is_recorded_is_known_or_bounded() {
        let long = "9".repeat(LONGEST_VALUE + 1);
        let id = "0b6a2e2c-6f3e-4f0a-9c1b-2f6a7f1f0c11";
        for (at, name, value, wanted) in [
            (0, INTERACTION_ID, id, Some(id)),
            (0, INTERACTION_ID, "cfr_recognisable", None),
            (1, ACTOR_TYPE, "USER", Some("user")),
            (1, ACTOR_TYPE, "Batch", Some("batch")),
            (1, ACTOR_TYPE, &long, Some("other")),
            (2, INTERACTION_TYPE, "batch", Some("batch")),
            (2, INTERACTION_TYPE, "cfr_recognisable", Some("other")),
            (3, LAST_ACCESS, "2026-11-30T21:56:24Z", Some("2026-11-30T21:56:24Z")),
            (3, LAST_ACCESS, "yesterday", Some("other")),
            (3, LAST_ACCESS, &long, None),
            (4, INTENT_TYPE, "ACCOUNT_VERIFICATION", Some("ACCOUNT_VERIFICATION")),
            (4, INTENT_TYPE, "cfr_recognisable", Some("other")),
        ] {
            let mut all = [None, None, None, None, None];
            all[at] = wanted.map(str::to_owned);
            assert_eq!(recorded(name, value), all, "{value}");
        }
    }

    #[test]
    fn an_interaction_id_that_is_not_short_is_replaced() {
        for (sent, kept) in [
            ("any-short-id", true),
            ("", false),
            (&*"x".repeat(LONGEST_VALUE + 1), false),
            ("two words", false),
        ] {
            let headers =
                HeaderMap::from_iter([(INTERACTION_ID, HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(FdxHeaders::of(&headers).interaction_id.unwrap() == sent, kept, "{sent}");
        }
    }
}
