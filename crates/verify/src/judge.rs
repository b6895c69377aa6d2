//! Compares answers with what is expected of them.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::expectation::Expectation;
use crate::response::Response;

/// Compares an answer with what is expected. A check in words is the case's own affair: here it
/// can't pass.
///
/// # Errors
/// Everything that is wrong with it, in words.
pub(crate) fn judge(expected: &Expectation, answer: &Response) -> Result<(), String> {
    let Some(seen) = answer.status else {
        return Err(answer.body.clone());
    };
    let (status, body) = match *expected {
        Expectation::Words(_) => {
            return Err("the plan judges this itself: please report this".to_owned());
        }
        Expectation::OneOf(errors) => return one_of(errors, answer),
        Expectation::Fdx(status, body) => {
            (status, compare(answer, &object(body), &[], &["debugMessage"]))
        }
        Expectation::Status(status) => (status, Vec::new()),
        Expectation::Empty(status) if answer.body.is_empty() => (status, Vec::new()),
        Expectation::Empty(status) => {
            (status, vec![format!("the body is not empty, it has {} bytes", answer.body.len())])
        }
        Expectation::Body(status, body) => (status, compare(answer, &object(body), &[], &[])),
        Expectation::Described(status, body) => {
            (status, compare(answer, &object(body), &["error_description"], &[]))
        }
    };
    let mut wrong = body;
    if seen != status {
        wrong.insert(0, format!("the status is {seen}, not {status}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// An error as RFC 6749 section 5.2 describes it; it does not forbid further members.
fn one_of(errors: &[(u16, &str)], answer: &Response) -> Result<(), String> {
    let (status, error) =
        (answer.status.unwrap_or_default(), answer.text("error").unwrap_or_default());
    if !errors.iter().any(|(expected, of)| *expected == status && *of == error) {
        return Err(format!("the status is {status} and the error `{error}`"));
    }
    if answer.is_json() {
        Ok(())
    } else {
        Err(format!(
            "the content type is `{}`, not application/json",
            answer.header("content-type")
        ))
    }
}

/// A declared body. That each is an object is tested.
fn object(declared: &str) -> Map<String, Value> {
    serde_json::from_str(declared).unwrap_or_default()
}

/// The differences between the members of an answer and those expected. `optional` ones may be
/// missing, and `free` ones may be there with any text.
fn compare(
    answer: &Response,
    expected: &Map<String, Value>,
    optional: &[&str],
    free: &[&str],
) -> Vec<String> {
    let mut wrong = Vec::new();
    if !answer.is_json() {
        wrong.push(format!(
            "the content type is `{}`, not application/json",
            answer.header("content-type")
        ));
    }
    let Some(Value::Object(seen)) = answer.json() else {
        wrong.push("the body is not a JSON object".to_owned());
        return wrong;
    };
    for name in serde_json::Deserializer::from_str(&answer.body)
        .deserialize_map(Repeated)
        .unwrap_or_default()
    {
        wrong.push(format!("`{name}` is there twice"));
    }
    for (name, value) in expected {
        match seen.get(name) {
            Some(found) if found == value => {}
            Some(found) => wrong.push(format!("`{name}` is {found}, not {value}")),
            None if optional.contains(&name.as_str()) => {}
            None => wrong.push(format!("`{name}` is missing")),
        }
    }
    for (name, value) in seen.iter().filter(|(name, _)| !expected.contains_key(*name)) {
        if !(free.contains(&name.as_str()) && value.is_string()) {
            wrong.push(format!("`{name}` should not be there"));
        }
    }
    wrong
}

/// Collects the names that an object has more than once, of which a map keeps the last value alone
/// (RFC 8259 section 4).
struct Repeated;

impl<'de> Visitor<'de> for Repeated {
    type Value = BTreeSet<String>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut repeated) = (BTreeSet::new(), BTreeSet::new());
        while let Some((name, IgnoredAny)) = members.next_entry::<String, _>()? {
            if !names.insert(name.clone()) {
                repeated.insert(name);
            }
        }
        Ok(repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::PLANS;

    #[test]
    fn every_declared_body_is_an_object_and_every_case_has_checks() {
        for case in PLANS.iter().flat_map(|plan| plan.cases) {
            assert!(!case.checks.is_empty(), "{}", case.id);
            for check in case.checks {
                for expected in [check.expected.network, check.expected.rfc] {
                    if let Expectation::Body(_, body)
                    | Expectation::Described(_, body)
                    | Expectation::Fdx(_, body) = expected
                    {
                        assert!(!object(body).is_empty(), "{}: {body}", case.id);
                    }
                }
            }
        }
    }

    fn answer(status: u16, content_type: &str, body: &str) -> Response {
        Response::sample(status, &[("content-type", content_type)], body)
    }

    /// What is wrong, judged in JSON.
    fn wrong(expected: Expectation, status: u16, body: &str) -> String {
        judge(&expected, &answer(status, "application/json", body)).err().unwrap_or_default()
    }

    #[test]
    fn a_body_is_compared_key_for_key() {
        let expected = Expectation::Body(400, r#"{"error":"invalid_grant","n":1}"#);
        for (status, body, says) in [
            (400, r#"{"n":1,"error":"invalid_grant"}"#, ""),
            (401, r#"{"error":"invalid_grant","n":1}"#, "the status is 401, not 400"),
            (
                400,
                r#"{"error":"invalid_client","n":1}"#,
                r#"`error` is "invalid_client", not "invalid_grant""#,
            ),
            (400, r#"{"error":"invalid_grant"}"#, "`n` is missing"),
            (400, r#"{"error":"invalid_grant","n":1,"more":2}"#, "`more` should not be there"),
            (400, "[]", "the body is not a JSON object"),
            (500, "oops", "the status is 500, not 400; the body is not a JSON object"),
        ] {
            assert_eq!(wrong(expected, status, body), says, "{status} {body}");
        }
        let html = answer(400, "text/html", r#"{"error":"invalid_grant","n":1}"#);
        let problem = "the content type is `text/html`, not application/json".to_owned();
        assert_eq!(judge(&expected, &html), Err(problem));
    }

    #[test]
    fn a_description_may_be_left_out_but_not_differ() {
        let expected =
            Expectation::Described(400, r#"{"error":"e","error_description":"the words"}"#);
        assert_eq!(wrong(expected, 400, r#"{"error":"e","error_description":"the words"}"#), "");
        assert_eq!(wrong(expected, 400, r#"{"error":"e"}"#), "");
        assert!(
            wrong(expected, 400, r#"{"error":"e","error_description":"other"}"#).contains("other")
        );
        assert_eq!(
            wrong(expected, 400, r#"{"error_description":"the words"}"#),
            "`error` is missing"
        );
    }

    #[test]
    fn a_debug_message_is_free_text() {
        let expected = Expectation::Fdx(404, r#"{"code":701,"message":"Account not found"}"#);
        let body = |more: &str| format!(r#"{{"code":701,"message":"Account not found"{more}}}"#);
        assert_eq!(wrong(expected, 404, &body("")), "");
        assert_eq!(wrong(expected, 404, &body(r#","debugMessage":"any""#)), "");
        assert!(!wrong(expected, 404, &body(r#","debugMessage":7"#)).is_empty());
        assert!(!wrong(expected, 404, &body(r#","detail":"any""#)).is_empty());
    }

    #[test]
    fn a_status_alone_and_a_body_of_no_length() {
        assert_eq!(wrong(Expectation::Status(200), 200, "anything"), "");
        assert_eq!(wrong(Expectation::Status(200), 204, ""), "the status is 204, not 200");
        assert_eq!(wrong(Expectation::Empty(200), 200, ""), "");
        assert_eq!(
            wrong(Expectation::Empty(200), 200, " "),
            "the body is not empty, it has 1 bytes"
        );
        assert_eq!(wrong(Expectation::Empty(200), 400, ""), "the status is 400, not 200");
    }

    #[test]
    fn no_answer_fulfils_nothing() {
        let none = Response { status: None, ..answer(0, "text/plain", "connection refused") };
        for expected in [Expectation::Status(200), Expectation::OneOf(&[(400, "e")])] {
            assert_eq!(judge(&expected, &none), Err("connection refused".to_owned()));
        }
    }

    #[test]
    fn what_a_case_judges_itself_does_not_pass_here() {
        let verdict =
            judge(&Expectation::Words("200 with tokens"), &answer(200, "application/json", "{}"));
        assert!(verdict.is_err_and(|why| why.contains("please report this")));
    }

    #[test]
    fn a_member_that_is_there_twice() {
        let judged = |body| {
            judge(
                &Expectation::Body(400, r#"{"error":"invalid_request"}"#),
                &answer(400, "application/json", body),
            )
        };
        assert_eq!(judged(r#"{"error":"invalid_request"}"#), Ok(()));
        for body in [
            r#"{"error":"invalid_grant","error":"invalid_request"}"#,
            r#"{"error":"invalid_request","\u0065rror":"invalid_request"}"#,
        ] {
            assert_eq!(judged(body), Err("`error` is there twice".to_owned()), "{body}");
        }
    }

    /// RFC 6749 section 5.2 leaves texts and further members to the server.
    #[test]
    fn one_of_several_errors() {
        let expected = Expectation::OneOf(&[(400, "invalid_request"), (401, "invalid_client")]);
        for (status, content_type, body, fits) in [
            (400, "application/json", r#"{"error":"invalid_request"}"#, true),
            (
                401,
                "application/json;charset=UTF-8",
                r#"{"error":"invalid_client","error_description":"any","trace_id":7}"#,
                true,
            ),
            (401, "application/json", r#"{"error":"invalid_request"}"#, false),
            (400, "text/html", r#"{"error":"invalid_request"}"#, false),
            (400, "application/json", "{}", false),
        ] {
            assert_eq!(
                judge(&expected, &answer(status, content_type, body)).is_ok(),
                fits,
                "{status} {content_type} {body}"
            );
        }
    }
}
