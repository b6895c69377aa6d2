use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const JWT: &str =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJjdXN0b21lci0xIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";
const JWT_SHOWN: &str = "eyJhbGci…tlbg";
const REFRESH: &str = "slip_5f0c2d7e91a84b3c96d1e2f3a4b5c6d7e8f90a1b2c3d4e5f";
const SECRET: &str = "k3s/Xq+9\"é&<%41>'\\z";

fn knowing(secret: &str) -> Mask {
    let mut mask = Mask::default();
    mask.learn(secret);
    mask
}

/// Every byte that is not a letter or digit escaped, as a careful encoder has it.
fn percent(text: &str, upper: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        })
        .collect()
}

/// Every byte escaped, whether they are text or not.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// What becomes of a text by each way of masking it.
fn every_way(mask: &mut Mask, header: &str, text: &str) -> [String; 5] {
    [mask.header(header, text), mask.form(text), mask.body(text), mask.url(text), mask.text(text)]
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
}

#[test]
fn basic_credentials_are_hidden_and_their_secret_is_known() {
    for engine in [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        let mut mask = Mask::default();
        let credentials = engine.encode("recipient-1:correct%20horse?>>");
        for scheme in ["Basic", "basic", "BASIC"] {
            assert_eq!(
                mask.header("Authorization", &format!("{scheme} {credentials}")),
                format!("{scheme} [masked]")
            );
        }
        assert_eq!(
            mask.text("recipient-1 sent correct horse?>> as correct%20horse%3f%3E%3e"),
            "recipient-1 sent [masked] as [masked]"
        );
        assert_eq!(mask.text(&format!("bad header: {credentials}")), "bad header: [masked]");
    }
}

#[test]
fn authorization_of_any_shape_gives_nothing_away() {
    let mut mask = Mask::default();
    for (value, shown) in [
        (format!("Bearer {JWT}"), format!("Bearer {}", JWT_SHOWN)),
        (format!("bearer   {JWT}"), format!("bearer {}", JWT_SHOWN)),
        ("Bearer short-token".into(), "Bearer [masked]".into()),
        ("DPoP abcdefghijklmnopqrstuvwxyz0123456789abcdefgh".into(), "DPoP [masked]".into()),
        ("a-bare-token-1".into(), "[masked]".into()),
        ("letmein99 and more".into(), "[masked]".into()),
        (String::new(), "[masked]".into()),
    ] {
        assert_eq!(mask.header("aUtHoRiZaTiOn", &value), shown, "{value}");
    }
    assert_eq!(mask.header("Proxy-Authorization", "Basic eDp5"), "Basic [masked]");
    assert_eq!(
        mask.text("short-token a-bare-token-1 letmein99 and more"),
        "[masked] [masked] [masked]"
    );
}

#[test]
fn cookies_show_their_names_and_promises() {
    let mut mask = Mask::default();
    assert_eq!(
        mask.header(
            "Set-Cookie",
            "__Host-session=0123456789abcdef0123; Path=/; HttpOnly; Secure; SameSite=Lax"
        ),
        "__Host-session=[masked]; Path=/; HttpOnly; Secure; SameSite=Lax"
    );
    assert_eq!(mask.header("SET-COOKIE", "session=; Max-Age=0"), "session=; Max-Age=0");
    assert_eq!(mask.header("set-cookie", "a=b;Path=/"), "a=[masked];Path=/");
    assert_eq!(
        mask.header("Cookie", "__Host-session=0123456789abcdef0123; theme=dark; bare"),
        "__Host-session=[masked]; theme=[masked];[masked]"
    );
    assert_eq!(mask.text("session 0123456789abcdef0123 in dark"), "session [masked] in dark");
}

#[test]
fn queries_forms_and_fragments_are_masked_by_name() {
    let mut mask = Mask::default();
    for (url, masked) in [
        (
            "https://app.example/cb?code=a1&state=af0ifjsldkj&iss=x",
            "https://app.example/cb?code=[masked]&state=af0ifjsldkj&iss=x".to_owned(),
        ),
        (
            "https://app.example/cb#state=s&code=c0d3-1",
            "https://app.example/cb#state=s&code=[masked]".to_owned(),
        ),
        (
            "https://app.example/cb?a=1#access_token=t0&nonce=n-0S6",
            "https://app.example/cb?a=1#access_token=[masked]&nonce=n-0S6".to_owned(),
        ),
        (
            "https://client:pa55word@host.example/x",
            "https://client:[masked]@host.example/x".to_owned(),
        ),
        (
            "/a?return_to=%2Fcb%3Fcode%3Dx9y8%26state%3Ds",
            "/a?return_to=%2Fcb%3Fcode%3D[masked]%26state%3Ds".to_owned(),
        ),
    ] {
        assert_eq!(mask.header("location", url), masked);
        assert_eq!(mask.url(url), masked);
    }
    assert_eq!(
        mask.url(&format!("/end?id_token_hint={JWT}")),
        format!("/end?id_token_hint={}", JWT_SHOWN)
    );
    assert_eq!(
        mask.form(&format!("refresh_token={REFRESH}&scope=openid+accounts")),
        "refresh_token=slip_5f0…4e5f&scope=openid+accounts"
    );
    // A careless client leaves characters in its secret that end a parameter elsewhere.
    assert_eq!(
        mask.form("client_secret=it's <a#b>&client_id=c"),
        "client_secret=[masked]&client_id=c"
    );
    assert_eq!(
        mask.body("grant_type=x&password=p%26q1&token="),
        "grant_type=x&password=[masked]&token="
    );
    assert_eq!(
        mask.body("refreshToken=r1&Client-Secret=s1"),
        "refreshToken=[masked]&Client-Secret=[masked]"
    );
}

#[test]
fn json_is_masked_in_place() {
    let mut mask = Mask::default();
    let body = format!(
        r#"{{"z":1.50, "tokens":[{{"access_token":"{JWT}"}},{{"refresh_token" : "{REFRESH}"}}],"token":["t1","t2"],"password":123456,"a":"x"}}"#
    );
    assert_eq!(
        mask.body(&body),
        format!(
            r#"{{"z":1.50, "tokens":[{{"access_token":"{}"}},{{"refresh_token" : "slip_5f0…4e5f"}}],"token":["[masked]","[masked]"],"password":[masked],"a":"x"}}"#,
            JWT_SHOWN
        )
    );
    assert_eq!(
        mask.body(r#"{"client_secret":"q\"uote","url":"https://a.example/?code=c1&state=s"}"#),
        r#"{"client_secret":"[masked]","url":"https://a.example/?code=[masked]&state=s"}"#
    );
    assert_eq!(mask.text("q\"uote"), "[masked]");
    // Cut off, or JSON within JSON.
    assert_eq!(mask.body(r#"{"access_token":"abcdef1"#), r#"{"access_token":"[masked]"#);
    assert_eq!(
        mask.body(r#"{"log":"{\"id_token\":\"i1\"}"}"#),
        r#"{"log":"{\"id_token\":\"[masked]\"}"}"#
    );
}

#[test]
fn pages_are_masked_by_the_names_of_their_inputs() {
    let mut mask = Mask::default();
    let page = |code: &str, token: &str| {
        format!(
            "<form><input type='hidden' name='code' value='{code}'/><INPUT value=\"{token}\" name=id_token>\
             <input name=\"state\" value=\"s-123456\"><input required name=iss></form>"
        )
    };
    assert_eq!(mask.body(&page("a>b1", JWT)), page("[masked]", JWT_SHOWN));
    mask.learn("known-<secret>");
    assert_eq!(
        mask.body("<input name=\"x\" value=\"known-&lt;secret&gt;\">"),
        "<input name=\"x\" value=\"[masked]\">"
    );
    assert_eq!(
        mask.body("<a href=\"/cb?state=s&amp;code=c1&amp;iss=i\">"),
        "<a href=\"/cb?state=s&amp;code=[masked]&amp;iss=i\">"
    );
}

#[test]
fn a_known_secret_is_found_however_it_is_escaped() {
    let mask = knowing(SECRET);
    let (upper, lower) = (percent(SECRET, true), percent(SECRET, false));
    let spellings = [
        SECRET.to_owned(),
        upper.clone(),
        lower,
        percent(&upper, true),
        json(SECRET).trim_matches('"').replace('/', "\\/"),
        json(&upper).trim_matches('"').to_owned(),
        html(SECRET),
        html(json(SECRET).trim_matches('"')),
    ];
    for spelling in spellings {
        assert_eq!(
            mask.text(&format!("see: {spelling}, or not")),
            "see: [masked], or not",
            "{spelling}"
        );
    }
    assert_eq!(
        knowing("correct horse").text("p=correct+horse, correct%20horse"),
        "p=[masked], [masked]"
    );
}

#[test]
fn what_was_seen_once_is_masked_in_error_texts() {
    let mut mask = Mask::default();
    mask.form(&format!("refresh_token={REFRESH}&client_secret=hunter2!"));
    assert_eq!(
        mask.text(&format!("no token {REFRESH} for hunter2%21")),
        "no token slip_5f0…4e5f for [masked]"
    );
    assert_eq!(
        mask.body(&format!("<p>unknown token: {REFRESH}</p>")),
        "<p>unknown token: slip_5f0…4e5f</p>"
    );
    assert_eq!(
        mask.header("www-authenticate", "Bearer error_description=\"hunter2! is wrong\""),
        "Bearer error_description=\"[masked] is wrong\""
    );
}

#[test]
fn proofs_are_never_shown_in_part() {
    let long = "a1".repeat(32);
    let mut mask = Mask::default();
    for name in ["client_secret", "password", "code_verifier"] {
        assert_eq!(mask.form(&format!("{name}={long}")), format!("{name}=[masked]"));
        assert_eq!(
            mask.body(&format!("{{\"{name}\":\"{long}\"}}")),
            format!("{{\"{name}\":\"[masked]\"}}")
        );
    }
    assert_eq!(knowing(&long).text(&long), "[masked]");
    // Nor where one is part of a token that would be.
    assert_eq!(knowing(&JWT[..SHOWN]).body(JWT), "[masked]");
    // Nor where the escapes of a short one make it long.
    assert_eq!(mask.form(&format!("token={}", "%41".repeat(16))), "token=[masked]");
}

#[test]
fn secrets_that_overlap_leave_no_rest() {
    let mut mask = knowing("abcdef");
    mask.learn("defghi");
    assert_eq!(mask.text("xabcdefghix"), "x[masked]x");
    mask.learn("abcdefghi");
    assert_eq!(mask.text("abcdef abcdefghi"), "[masked] [masked]");
}

#[test]
fn innocent_text_is_left_alone() {
    let mut mask = Mask::default();
    mask.learn("abc12");
    for innocent in [
        r#"{"code":602,"message":"Customer not authorized","b":1,"a":1.0}"#,
        r#"{"code":"602","error":{"code":"invalid_request"}}"#,
        r#"{"sub":"customer-1","nonce":"n-0S6_WzA2Mj","state":"af0ifjsldkj","token_type":"Bearer","expires_in":900,"token_use":1}"#,
        "response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&grant_type=refresh_token",
        "abc12 is too short to be looked for; the code: incorrect, password = required",
        "100% of a\\b & c; <p title='code'>token</p> \u{202e}é",
        "/token?x=%zz&y=%4",
        "Mon, 23 Nov 2026 04:43:40 GMT",
        "",
    ] {
        assert_eq!(mask.body(innocent), innocent);
        assert_eq!(mask.form(innocent), innocent);
        assert_eq!(mask.url(innocent), innocent);
        assert_eq!(mask.text(innocent), innocent);
        assert_eq!(mask.header("x-anything", innocent), innocent);
    }
    // A code made up for a check may be a plain word. It is masked where it is a code.
    assert_eq!(mask.form("code=incorrect"), "code=[masked]");
    assert_eq!(mask.text("The redirect URI is incorrect."), "The redirect URI is incorrect.");
}

#[test]
fn masking_again_changes_nothing() {
    let mut mask = Mask::default();
    let form =
        mask.form(&format!("refresh_token={REFRESH}&client_secret=s3cret-1&token={JWT}&code=c"));
    let body = mask.body(&format!(
        "{{\"access_token\":\"{JWT}\",\"code\":\"c1\",\"refresh_token\":\"{REFRESH}\"}}"
    ));
    let header = mask.header("authorization", &format!("Bearer {JWT}"));
    for masked in [form, body, header] {
        assert_eq!(mask.text(&masked), masked);
        assert_eq!(mask.body(&masked), masked);
        assert_eq!(mask.form(&masked), masked);
    }
    assert_eq!(mask.text("[masked] is no secret"), "[masked] is no secret");
}

#[test]
fn secrets_that_share_a_character_are_masked_with_it() {
    let mut mask = Mask::default();
    mask.form("code=abcdef%C3");
    mask.form("code=%A9ghijklm");
    assert_eq!(mask.text("x abcdeféghijklm x"), "x [masked] x");
    assert_eq!(mask.text("abcdefé, éghijklm"), "[masked], [masked]");
    assert_eq!(mask.text(r"abcdef\u00e9ghijklm"), "[masked]");
}

#[test]
fn what_comes_to_light_late_is_masked_in_all_of_a_case() {
    const LATE: &str = "l4te+s3cret";
    let mut mask = Mask::default();
    let mut case = crate::sample::report().plans.remove(0).cases.remove(0);
    let exchange = &mut case.exchanges[0];
    (exchange.note, exchange.method) = (format!("check {LATE}"), LATE.into());
    exchange.url = mask.url("/authorize?client_id=a&key=l4te%2Bs3cret");
    exchange.request_headers =
        vec![("x-key".into(), mask.header("x-key", LATE)), (LATE.into(), String::new())];
    exchange.request_body = mask.form(&format!("key={LATE}&code=c"));
    exchange.answer_headers = vec![(
        "set-cookie".into(),
        mask.header("set-cookie", &format!("csrf=1;Path=/{LATE};Secure")),
    )];
    exchange.answer_body = mask.body(&format!("{{\"seen\":\"{LATE}\"}}"));
    case.checks[0].seen = format!("200 {LATE}");
    case.checks[0].reason = format!("There is {LATE} in its URL.");
    let untouched = serde_json::to_value(&case).unwrap();
    mask.again(&mut case);
    assert_eq!(serde_json::to_value(&case).unwrap(), untouched);
    mask.learn(LATE);
    for _ in 0..2 {
        mask.again(&mut case);
        let exchange = &case.exchanges[0];
        assert_eq!(
            (exchange.note.as_str(), exchange.method.as_str()),
            ("check [masked]", "[masked]")
        );
        assert_eq!(exchange.url, "/authorize?client_id=a&key=[masked]");
        assert_eq!(
            exchange.request_headers,
            [("x-key".into(), "[masked]".into()), ("[masked]".into(), String::new())]
        );
        assert_eq!(exchange.request_body, "key=[masked]&code=[masked]");
        assert_eq!(exchange.answer_headers[0].1, "csrf=[masked];Path=/[masked];Secure");
        assert_eq!(exchange.answer_body, "{\"seen\":\"[masked]\"}");
        assert_eq!(case.checks[0].seen, "200 [masked]");
        assert_eq!(case.checks[0].reason, "There is [masked] in its URL.");
    }
}

#[test]
fn a_mask_does_not_print_what_it_knows() {
    let mut mask = knowing("s3cret-one");
    mask.learn("s3cret-two");
    assert_eq!(format!("{mask:?}"), "Mask(2 known)");
}

proptest! {
    #[test]
    fn a_learnt_secret_is_in_no_output(
        secret in "[A-Za-z0-9._~+/=%&\"'<>é -]{6,50}",
        before in "\\PC{0,20}",
        after in "\\PC{0,20}",
        name in "[A-Za-z_-]{1,12}|authorization|cookie|set-cookie|location",
        member in "code|access_token|client_secret|state|error_description",
        other in "[A-Za-z0-9]{6,9}",
    ) {
        let mut mask = knowing(&secret);
        mask.learn(&other);
        // What stands for a secret may be one's password; that can't be helped, and tells nothing.
        prop_assume!(!HIDDEN.contains(&secret) && !HIDDEN.contains(&other));
        // A percent sign right before a secret that is escaped takes its first two digits for an
        // escape; that can't be told apart.
        prop_assume!(!before.chars().rev().take(2).any(|character| character == '%'));
        for spelled in [secret.clone(), percent(&secret, true), percent(&secret, false)] {
            let texts = [
                format!("{before}{spelled}{after}"),
                format!("{before}{spelled}{spelled}{other}{after}"),
                format!("a=1&{member}={spelled}&{after}={before}"),
                format!("https://a.example/{before}?{member}={spelled}#{after}"),
                format!("{{\"{member}\":{},\"list\":[{}]}}", json(&spelled), json(&spelled)),
                format!("<input name=\"{member}\" value=\"{}\">", html(&spelled)),
                format!("Bearer {spelled}"),
                format!("Basic {}", BASE64_STANDARD.encode(format!("client:{spelled}"))),
                format!("{name}={spelled}; Path=/{spelled}"),
            ];
            for text in texts {
                let outputs = [mask.text(&text), mask.form(&text), mask.body(&text), mask.url(&text), mask.header(&name, &text)];
                for output in outputs {
                    for spelling in [&secret, &spelled, &other] {
                        prop_assert!(!output.contains(spelling.as_str()), "{spelling:?} in {output:?} of {text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn secrets_that_cut_characters_leave_no_rest(text in "[a-zé☂𝄞]{12,30}", at in any::<prop::sample::Index>(), overlap in 0..4usize) {
        let (bytes, cut) = (text.as_bytes(), SHORTEST + at.index(text.len() - 2 * SHORTEST + 1));
        let mut mask = Mask::default();
        mask.form(&format!("client_secret={}", escaped(&bytes[..cut])));
        mask.form(&format!("client_secret={}", escaped(&bytes[cut.saturating_sub(overlap)..])));
        for spelled in [text.clone(), percent(&text, true), json(&text).trim_matches('"').to_owned()] {
            for output in every_way(&mut mask, "x", &spelled) {
                prop_assert_eq!(output.replace(HIDDEN, ""), "", "{}", spelled);
            }
        }
    }

    #[test]
    fn anything_can_be_masked(
        text in ".{0,80}",
        more in "(<input |name=|value=|[\"'=&?#;:%\\\\{}\\[\\]/>]|code|eyJ|\\.|é|☂|%[0-9A-F]{2}|\\\\u[0-9a-f]{4}|&#x?[0-9a-f]{1,6};){0,30}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut mask = Mask::default();
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        let mut texts = vec![escaped(&bytes), lossy, format!("{more}{text}"), text, more];
        for (at, text) in cuts.iter().zip(texts.clone()) {
            let secret = escaped(&text.as_bytes()[at.index(text.len() + 1)..]);
            mask.learn(&secret);
            texts.push(format!("client_secret={secret}&code={secret}"));
            texts.push(format!("{{\"token\":\"{text}\",\"password\":\"{secret}\"}}"));
        }
        for text in &texts {
            for header in ["authorization", "cookie", "set-cookie"] {
                mask.header(header, text);
            }
            mask.header("authorization", &format!("Basic {}", BASE64_STANDARD.encode(text)));
            every_way(&mut mask, "x", text);
        }
        // And with all of it known.
        for text in &texts {
            mask.text(text);
            mask.exchange_again(&mut crate::sample::exchange(text));
        }
    }
}
