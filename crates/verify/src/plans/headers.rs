//! What headers must say, for every plan.

use reqwest::header::{ALLOW, CACHE_CONTROL, HeaderName, WWW_AUTHENTICATE};

use crate::response::Response;

/// All values of a header, in one line.
pub(super) fn line(answer: &Response, name: &HeaderName) -> String {
    let values: Vec<&str> =
        answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

/// `Cache-Control: no-store` (RFC 9111 section 5.2.2.5): the answer is not cached.
///
/// # Errors
/// What is said instead.
pub(super) fn no_store(answer: &Response) -> Result<(), String> {
    let said = line(answer, &CACHE_CONTROL);
    if said.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store")) {
        return Ok(());
    }
    Err(format!("Cache-Control is `{said}`, without no-store"))
}

/// A 401 with a challenge of this scheme (RFC 9110 section 11.6.1).
///
/// # Errors
/// What is said instead.
pub(super) fn challenged(answer: &Response, scheme: &str) -> Result<(), String> {
    if !answer.is(401) {
        return Err(format!("the status is {}, not 401", answer.status.unwrap_or_default()));
    }
    let said = line(answer, &WWW_AUTHENTICATE);
    let names_it = |challenge: &str| {
        challenge.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(scheme))
    };
    if said.split(',').any(names_it) {
        Ok(())
    } else {
        Err(format!("WWW-Authenticate is `{said}`, without {scheme}"))
    }
}

/// A 405 whose `Allow` lists the method that is taken (RFC 9110 section 15.5.6).
///
/// # Errors
/// What is said instead.
pub(super) fn not_allowed(answer: &Response, but: &str) -> Result<(), String> {
    if !answer.is(405) {
        return Err(format!("the status is {}, not 405", answer.status.unwrap_or_default()));
    }
    let said = line(answer, &ALLOW);
    if said.split(',').any(|method| method.trim() == but) {
        Ok(())
    } else {
        Err(format!("Allow is `{said}`, without {but}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, name: &str, values: &[&str]) -> Response {
        let headers: Vec<_> = values.iter().map(|value| (name, *value)).collect();
        Response::sample(status, &headers, "")
    }

    #[test]
    fn directives_are_read_one_by_one() {
        for (values, is_good) in [
            (&["no-store"][..], true),
            (&["private, No-Store"], true),
            (&["private", "no-store"], true),
            (&["no-store-please"], false),
            (&["no-cache"], false),
            (&[], false),
        ] {
            assert_eq!(
                no_store(&answer(200, "cache-control", values)).is_ok(),
                is_good,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_challenge_is_of_a_scheme() {
        for (status, values, is_good) in [
            (401, &["Basic realm=\"a\""][..], true),
            (401, &["bearer"], true),
            (401, &["Digest realm=\"Basic\"", "basic"], true),
            (401, &["Basics"], false),
            (401, &[], false),
            (400, &["Basic realm=\"a\""], false),
        ] {
            let scheme = if values == ["bearer"] { "Bearer" } else { "Basic" };
            let verdict = challenged(&answer(status, "www-authenticate", values), scheme);
            assert_eq!(verdict.is_ok(), is_good, "{status} {values:?}");
        }
    }

    #[test]
    fn a_405_says_what_is_taken() {
        for (status, values, is_good) in [
            (405, &["POST"][..], true),
            (405, &["OPTIONS, POST"], true),
            (405, &["GET"], false),
            (405, &[], false),
            (404, &["POST"], false),
        ] {
            let verdict = not_allowed(&answer(status, "allow", values), "POST");
            assert_eq!(verdict.is_ok(), is_good, "{status} {values:?}");
        }
    }
}
