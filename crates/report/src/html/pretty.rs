//! JSON, laid out to be read. Nothing but white space is changed, neither the order of members nor
//! how a number is spelled: it is evidence.

use serde::de::IgnoredAny;

/// A body: JSON a member a line, any other as it is.
pub(super) fn pretty(body: &str) -> String {
    let json = body.trim();
    if json.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(json).is_ok() {
        laid_out(json)
    } else {
        body.to_owned()
    }
}

fn laid_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    let mut tokens = json.chars().peekable();
    while let Some(token) = tokens.next() {
        if in_string {
            text.push(token);
            in_string = escaped || token != '"';
            escaped = token == '\\' && !escaped;
            continue;
        }
        match token {
            '{' | '[' => {
                text.push(token);
                while tokens.next_if(|next| next.is_whitespace()).is_some() {}
                match tokens.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut text, depth);
                text.push(token);
            }
            ',' => {
                text.push(token);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ if token.is_whitespace() => {}
            _ => {
                in_string = token == '"';
                text.push(token);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_is_laid_out_a_member_a_line() {
        assert_eq!(
            pretty(r#" {"b":1.50,"a":{"c":[1,{"d":"x, {\"y\"}: \\"}],"e":[ ],"f":{}}} "#),
            "{\n  \"b\": 1.50,\n  \"a\": {\n    \"c\": [\n      1,\n      {\n        \"d\": \"x, {\\\"y\\\"}: \\\\\"\n      }\n    ],\n    \"e\": [],\n    \"f\": {}\n  }\n}"
        );
    }

    #[test]
    fn what_is_laid_out_means_the_same() {
        let json = r#"[{"a":"\u00e9\"\\","b":[true,null,-1e3,"a:b,c"]},[],[[1],[2,[]]]]"#;
        let laid_out = pretty(json);
        assert_eq!(
            serde_json::from_str::<Value>(&laid_out).unwrap(),
            serde_json::from_str::<Value>(json).unwrap()
        );
        assert_eq!(pretty(&laid_out), laid_out);
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for body in ["", "<p>{}</p>", "{\"cut\": \"of", "\"text\"", " a=1&b=2 ", "{} {}"] {
            assert_eq!(pretty(body), body);
        }
    }
}
